"""Genres and neighbours of open music: ten genres beside all that the model knows.

    python -m tests.benchmarks.open_labels PACKAGES SONGS [--model FILE] [--json]

PACKAGES holds folders named like the Debian packages of ``open_labels.csv``, unpacked; SONGS the
four songs of its last lines. The table was written from the descriptions of the music, before any
answer was seen: a genre is right if it is one of the track's. A neighbour is right if the genres of
both tracks have one in common. Intervals are bootstraps over whole packages (the songs are one).

Neighbours of other packages are counted apart: an album's own tracks agree whatever ranks them.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from recsys import Library, SimilarOptions
from recsys.bootstrap import bootstrap_interval
from recsys.names import spelling_key
from recsys.types import Track

TABLE = Path(__file__).with_suffix(".csv")
SONGS = "library"
K = 10
REACH = 100
"""Results that are read for ten of other packages."""

SOURCES = {"gtzan": "ten genres", "all": "all genres"}


@dataclass(frozen=True)
class Described:
    """A track of the table."""

    package: str
    path: Path
    genres: frozenset[str]  # spelling keys of those that a listener would accept


def read_table(packages: Path, songs: Path) -> dict[Path, Described]:
    """Return the files of the table that are there, each with its first matching line."""
    lines = [
        line for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    rows = list(csv.DictReader(lines))
    found: dict[Path, Described] = {}
    for package in dict.fromkeys(row["package"] for row in rows):
        folder = songs if package == SONGS else packages / package
        for path in sorted(folder.rglob("*")):
            for row in rows:
                if row["package"] == package and fnmatch(str(path), row["pattern"]):
                    genres = frozenset(map(spelling_key, row["labels"].split(";")))
                    found[path] = Described(package, path, genres)
                    break
    return found


@dataclass(frozen=True)
class Judged:
    """What one source of genres made of every track, shapes (n,)."""

    right: np.ndarray  # whether the genre is one of the track's
    unknown: np.ndarray
    near: np.ndarray  # share of right ones among the first ten neighbours of the table
    elsewhere: np.ndarray  # the same among those of other packages


def judge(library: Library, source: str, described: dict[Path, Described]) -> Judged:
    """Return figures of every described track that could be analysed, in the order of the paths."""
    library.sort_by(source)  # type: ignore[arg-type]
    tracks = {track.path: track for track in library.tracks() if track.path in described}
    rows = [_row(library, source, described, tracks[path]) for path in described if path in tracks]
    return Judged(*(np.array(column, dtype=float) for column in zip(*rows, strict=True)))


def _row(
    library: Library, source: str, described: dict[Path, Described], track: Track
) -> tuple[float, ...]:
    own = described[track.path]
    options = SimilarOptions(k=REACH, show_duplicates=True)
    answer = library.similar(track.path, options)
    near = [described[r.track.path] for r in answer.results if r.track.path in described]
    apart = [other for other in near if other.package != own.package]
    genre = spelling_key(_shown(library, source, track))
    return (
        genre in own.genres,
        genre == "unknown",
        *(
            np.mean([bool(own.genres & other.genres) for other in each[:K]])
            for each in (near, apart)
        ),
    )


def _shown(library: Library, source: str, track: Track) -> str:
    """Return the genre that is shown: unknown where the head's does not reach its threshold."""
    if source == "gtzan":
        info, analysis = library.store.model(), library.store.analysis(track.id)
        assert info is not None
        assert analysis is not None
        return info.genre_of(analysis.probabilities)
    return track.genre_group


def _figure(values: np.ndarray, groups: np.ndarray) -> str:
    low, high = bootstrap_interval(values, groups)
    return f"{values.mean():.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("packages", type=Path)
    parser.add_argument("songs", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    described = read_table(options.packages, options.songs)
    with tempfile.TemporaryDirectory() as folder:
        library = Library(Path(folder) / "library.db", model=options.model)
        with library:
            library.index(list(described))
            judged = {source: judge(library, source, described) for source in SOURCES}
            known = {track.path for track in library.tracks()}
            counts = library.status().genres
    names = np.array([own.package for path, own in described.items() if path in known])
    _, groups = np.unique(names, return_inverse=True)
    if options.json:
        found = {
            source: {name: getattr(own, name).mean() for name in own.__dataclass_fields__}
            for source, own in judged.items()
        }
        print(json.dumps({"n": len(names), **found, "genres": counts}, indent=2))  # noqa: T201
        return
    table = Table("", "n", "genre right", "unknown", f"right of {K} nearest", "of other packages")
    for source, title in SOURCES.items():
        own = judged[source]
        table.add_row(
            title, str(len(names)), *(_figure(v, groups) for v in vars_of(own)), end_section=False
        )
    differences = [b - a for a, b in zip(*map(vars_of, judged.values()), strict=True)]
    table.add_row("difference", "", *(_figure(v, groups) for v in differences), end_section=True)
    for package in dict.fromkeys(names.tolist()):
        chosen = names == package
        for source, title in SOURCES.items():
            figures = (f"{v[chosen].mean():.3f}" for v in vars_of(judged[source]))
            table.add_row(f"{package}: {title}", str(chosen.sum()), *figures)
    console = Console(width=150)
    console.print(table)
    console.print("genres:", ", ".join(f"{name} {count}" for name, count in counts.items()))


def vars_of(own: Judged) -> tuple[np.ndarray, ...]:
    """Return the figures in the order of the columns."""
    return own.right, own.unknown, own.near, own.elsewhere


if __name__ == "__main__":
    main()
