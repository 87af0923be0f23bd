"""Calibrate the table of moods, and compare its numbers with VibeNet's.

    pip install vibenet
    python -m tests.benchmarks.compare_moods LIBRARY.db FOLDER... [--answers FILE]

The folders are indexed in LIBRARY.db; each, of any depth, counts as much as another: GTZAN, open
music. `mean` and `deviation` belong into ``data/moods.toml``; they need no VibeNet. Rank
correlations come with intervals over whole artists, or folders where a file names no artist.
VibeNet's answers are kept in FILE.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from recsys import Library
from recsys.mood import MoodTable
from recsys.mood.fit import ask_vibenet, cross_validated, rank_correlation
from recsys.mood.table import shipped_text
from recsys.types import MOOD_NUMBERS, Track

RESAMPLES = 1000


def answers_of(tracks: Sequence[Track], kept: Path) -> np.ndarray:
    """Return VibeNet's numbers, (n, n_numbers)."""
    known = {}
    if kept.exists():
        lines = map(json.loads, kept.read_text().splitlines())
        known = {line["path"]: [line[name] for name in MOOD_NUMBERS] for line in lines}
    with kept.open("a") as file:
        for path in (str(track.path) for track in tracks):
            if path not in known:
                known[path] = ask_vibenet(Path(path))
                row = dict(zip(MOOD_NUMBERS, known[path], strict=True))
                file.write(json.dumps({"path": path, **row}) + "\n")
    return np.array([known[str(track.path)] for track in tracks])


def interval(one: np.ndarray, other: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Return the 95% interval of a rank correlation, by bootstrap over groups."""
    rng, rows = np.random.default_rng(0), [np.flatnonzero(groups == g) for g in np.unique(groups)]
    drawn = []
    for _ in range(RESAMPLES):
        picked = np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])
        drawn.append(rank_correlation(one[picked], other[picked]))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("db", type=Path, help="library of the folders")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--table", type=Path)
    parser.add_argument("--answers", type=Path)
    given = parser.parse_args()
    table = MoodTable.parse(given.table.read_text() if given.table else shipped_text())
    with Library(given.db) as library:
        store, info = library.store, library.store.model()
        assert info is not None
        tracks = list(store.all_tracks())
        analyses = store.analyses([track.id for track in tracks])
    strengths = info.tag_strengths(np.stack([analyses[track.id].tags for track in tracks]))
    embeddings = np.stack([analyses[track.id].embedding for track in tracks])
    parts = {f: np.array([t.path.is_relative_to(f) for t in tracks]) for f in given.folders}
    artists = np.unique([t.artist or str(t.path.parent) for t in tracks], return_inverse=True)[1]
    answers = answers_of(tracks, given.answers) if given.answers else None
    for column, name in enumerate(MOOD_NUMBERS):
        values = table.numbers[name].combine(info, strengths, table.least_share).astype(float)
        mean = np.mean([values[part].mean() for part in parts.values()])
        square = np.mean([((values[part] - mean) ** 2).mean() for part in parts.values()])
        click.echo(f"{name}: mean = {mean:.2f}, deviation = {square**0.5:.2f}")
        for folder, part in parts.items() if answers is not None else ():
            assert answers is not None
            wanted = answers[part, column]
            low, high = interval(values[part], wanted, artists[part])
            found = rank_correlation(values[part], wanted)
            inputs = np.hstack([embeddings, strengths])[part].astype(float)
            fitted = cross_validated(inputs, answers[part], artists[part], 0)[:, column]
            click.echo(
                f"  {folder.name}, {part.sum()} tracks: {found:.3f} ({low:.3f} to {high:.3f}); "
                f"fitted without the artist {rank_correlation(fitted, wanted):.3f}"
            )


if __name__ == "__main__":
    main()
