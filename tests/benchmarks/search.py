"""How long answers take at any size of a library, what they take, and how right they are.

Everything is measured on planted libraries (:mod:`tests.benchmarks.planted_libraries`), as people
use recsys: :meth:`recsys.api.Library.similar` in a warm process, with its tiers, filters and
metadata, and the command ``recsys similar`` from outside.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.api import Library
from recsys.index.sync import index_directory, open_index, rebuild_index, save_index
from recsys.recommender import Recommender, SimilarOptions, make_query
from recsys.store import Store
from tests.benchmarks.measuring import (
    MB,
    Figure,
    Table,
    compare,
    figure_of,
    memory_of,
    run_command,
    timed_calls,
)
from tests.benchmarks.peers import PEERS, absent, measure_peer, nearest_rows
from tests.benchmarks.planted_libraries import (
    batches,
    later_batch,
    make_library,
    music_of,
    path_of,
    records,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from recsys.types import FloatArray
    from tests.benchmarks.measuring import Peer

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ADDED = 1_000
K = 20
MILLION = 1_000_000
ALONE = f"index alone, p50 of the nearest {K}, processor time"

P50_MS = {100_000: 5.0, 1_000_000: 15.0}
"""Promised for a warm process, by size."""

COLD_S, COLD_MB = {100_000: 0.4}, {100_000: 150.0}
OPEN_S, ADD_S = {1_000_000: 1.0}, {1_000_000: 2.0}
RECALL = 0.99

_ASK_AND_WAIT = """
import sys
from recsys.api import Library
library = Library(sys.argv[1])
for path in sys.argv[2:]:
    library.similar(path)
print("ready", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What is measured.

    Attributes
    ----------
    sizes : tuple of int
        Tracks of each library.
    seed : int
        Of the libraries and the questions.
    queries : int
        Questions of a warm process.
    oracle_queries : int
        Questions that are compared with exact search.
    cold_runs : int
        Runs of the command.
    peers : bool
        Measure other systems in the same run.
    largest_peer : int
        No graph is built of a larger library; brute force is measured at any size.
    """

    sizes: tuple[int, ...] = SIZES
    seed: int = 0
    queries: int = 200
    oracle_queries: int = 50
    cold_runs: int = 7
    peers: bool = True
    largest_peer: int = MILLION


def measure_search(
    place: Path,
    options: SearchOptions | None = None,
    on_progress: Callable[[str], object] = lambda _: None,
) -> list[Table]:
    """Measure every size; libraries are kept under `place`, 1.6 GB for a million tracks.

    One that is there already is used again; tracks that were added to it are removed at the end.
    """
    options = options or SearchOptions()
    return [_measure_size(place, size, options, on_progress) for size in options.sizes]


def _measure_size(
    place: Path, tracks: int, options: SearchOptions, on_progress: Callable[[str], object]
) -> Table:
    def report(what: str) -> None:
        on_progress(f"{tracks:,} tracks: {what}")

    database = place / f"planted-{tracks}-{options.seed}" / "library.db"
    figures: list[Figure] = []
    if not database.exists():
        report("making the library")
        make_library(database, tracks, options.seed)
    report("building the index")
    with Store.open(database) as store:
        built = timed_calls(lambda: rebuild_index(store), 1)
    figures.append(Figure("index built", built.cpu_s[0], "s", note="processor time"))
    numbers = np.random.default_rng(options.seed).integers(0, tracks, options.queries).tolist()
    report("warm answers")
    warm = _warm(database, tracks, numbers)
    figures += warm
    report("comparing with exact search")
    figures.append(_recall(database, numbers[: options.oracle_queries]))
    report("the command")
    figures += _cold(database, tracks, numbers[: options.cold_runs])
    report("memory and disk")
    figures += _sizes(database, tracks, numbers[:50])
    peers, skipped = _peers(tracks, options, warm, numbers, report) if options.peers else ((), ())
    report(f"adding {ADDED} tracks")
    figures += _adding(database, tracks, options.seed)
    return Table(
        title=f"Search, {tracks:,} tracks",
        tracks=tracks,
        figures=tuple(figures),
        peers=tuple(peers),
        skipped=tuple(skipped),
        notes=(
            f"seed {options.seed}; peers are asked for {K} numbers out of the whole library, our"
            " index for as many of the query's genre; `similar` also has tiers, filters and"
            " metadata; one thread each",
        ),
    )


def _warm(database: Path, tracks: int, numbers: Sequence[int]) -> list[Figure]:
    music = music_of(database)
    figures = []
    opened = []

    def open_library() -> None:
        with Store.open(database, read_only=True) as store:
            opened.append(open_index(store).count())

    times = timed_calls(open_library, 7)
    figures.append(figure_of("open the index", list(times.wall_s), "s", target=OPEN_S.get(tracks)))
    with Library(database) as library:
        first = timed_calls(lambda: library.similar(path_of(numbers[0], music), k=K), 1)
        figures.append(Figure("first answer after that", first.wall_s[0], "s"))
        for number in numbers:  # every part is read, and what was read is in memory
            library.similar(path_of(number, music), k=K)
        asked = iter(numbers)
        times = timed_calls(lambda: library.similar(path_of(next(asked), music), k=K), len(numbers))
        alone = _index_alone(library, numbers)
    walls = [1000 * second for second in times.wall_s]
    p95 = float(np.quantile(walls, 0.95))
    return [
        *figures,
        figure_of("similar, p50", walls, "ms", target=P50_MS.get(tracks)),
        Figure("similar, p95", p95, "ms", len(walls)),
        figure_of("similar, p50, processor time", [1000 * s for s in times.cpu_s], "ms"),
        alone,
    ]


def _index_alone(library: Library, numbers: Sequence[int]) -> Figure:
    """Measure the search for numbers alone, which is what others can be compared with."""
    music = music_of(library.database)
    store, index, _ = library._ready()
    asked = []
    for number in numbers:
        track = store.track_by_path(path_of(number, music))
        assert track is not None
        asked.append((track.genre_group, index.vectors([track.id])[0]))
    turns = iter(asked)
    times = timed_calls(lambda: index.search(*next(turns), K), len(asked))
    milliseconds = [1000 * second for second in times.cpu_s]
    return figure_of(ALONE, milliseconds, "ms", note="numbers only, of the query's genre")


def _recall(database: Path, numbers: Sequence[int]) -> Figure:
    """Compare whole answers with those of the same recommender over exact search."""
    music = music_of(database)
    from tests.index.oracle import ExactIndex  # found in a checkout only, as the libraries are

    with Store.open(database, read_only=True) as store:
        info, index = store.model(), open_index(store)
        assert info is not None
        oracle = ExactIndex(info.dimension)
        for ids, genres, rows in store.iter_embeddings():
            names = np.array(genres, dtype=object)
            for genre in sorted(set(genres)):
                oracle.add(genre, ids[names == genre], rows[names == genre])
        shares = []
        for number in numbers:
            track = store.track_by_path(path_of(number, music))
            assert track is not None
            analysis = store.analysis(track.id)
            assert analysis is not None
            query, wanted = make_query(info, [(track, analysis)]), SimilarOptions(k=K)
            ours = Recommender(store, index, info).similar(query, wanted).results
            right = {r.track.id for r in Recommender(store, oracle, info).similar(query).results}
            shares.append(len(right & {row.track.id for row in ours}) / len(right))
    return Figure(
        f"recall@{K} of whole answers",
        float(np.mean(shares)),
        "recall",
        len(shares),
        low=min(shares),
        high=max(shares),
        target=RECALL,
        higher_is_better=True,
    )


def _cold(database: Path, tracks: int, numbers: Sequence[int]) -> list[Figure]:
    music = music_of(database)
    command = [sys.executable, "-m", "recsys", "similar", "--db", str(database)]
    compiled = database.parent / "compiled"
    # The first fills it, and the file cache.
    run_command([*command, str(path_of(numbers[0], music))], compiled)
    runs = [run_command([*command, str(path_of(number, music))], compiled) for number in numbers]
    listing = [sys.executable, "-m", "recsys", "playlist", str(path_of(numbers[0], music))]
    lists = [run_command([*listing, "--db", str(database)], compiled) for _ in numbers]
    return [
        figure_of("recsys playlist, cold", [run.wall_s for run in lists], "s"),
        figure_of(
            "recsys similar, cold", [run.wall_s for run in runs], "s", target=COLD_S.get(tracks)
        ),
        figure_of("recsys similar, cold, processor time", [run.cpu_s for run in runs], "s"),
        figure_of(
            "recsys similar, cold, peak memory",
            [run.peak_pss_mb for run in runs],
            "MB",
            target=COLD_MB.get(tracks),
            note="PSS, from outside",
        ),
    ]


def _sizes(database: Path, tracks: int, numbers: Sequence[int]) -> list[Figure]:
    music = music_of(database)
    paths = [str(path_of(number, music)) for number in numbers]
    with subprocess.Popen(
        [sys.executable, "-c", _ASK_AND_WAIT, str(database), *paths],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        resident = memory_of(process.pid)
        process.communicate()
    index = sum(file.stat().st_size for file in index_directory(database).iterdir()) / MB
    held = database.stat().st_size / MB
    note = f"{MILLION / tracks * (index + held):,.0f} MB per million tracks"
    return [
        Figure("memory of a warm process", resident, "MB", note="USS, with what it has mapped"),
        Figure("index on disk", index, "MB"),
        Figure("database on disk", held, "MB", note=f"both together {note}"),
    ]


def _peers(
    tracks: int,
    options: SearchOptions,
    warm: Sequence[Figure],
    numbers: Sequence[int],
    report: Callable[[str], object],
) -> tuple[list[Peer], list[str]]:
    """Measure others on the same vectors; their ratios are to our index alone."""
    rows: FloatArray = np.concatenate([b.embeddings for b in batches(tracks, options.seed)])
    queries = rows[numbers[:100]]
    nearest = nearest_rows(rows, queries)
    ours = next(figure for figure in warm if figure.name == ALONE)
    found, skipped = [], []
    for name in PEERS:
        if absent(name):
            skipped.append(f"{name}: not installed (make bench installs it)")
        elif name != "NumPy" and tracks > options.largest_peer:
            skipped.append(f"{name}: not built above {options.largest_peer:,} tracks")
        else:
            report(f"peer {name}")
            peer = measure_peer(name, rows, queries, nearest)
            built = f"{peer.p50.note}, recall {peer.recall.value:.3f}, built in"
            note = f"{built} {peer.build.value:.1f} s of processor time"
            low, high = peer.p50.low, peer.p50.high
            figure = Figure(
                peer.p50.name, peer.p50.value, "ms", peer.p50.repeats, low, high, note=note
            )
            found.append(compare(ours, peer.name, figure))
    return found, skipped


def _adding(database: Path, tracks: int, seed: int) -> list[Figure]:
    """Add tracks as indexing does, with the index on disk brought up to date; then undo it."""
    with Store.open(database) as store:
        info = store.model()
        assert info is not None
        new = records(later_batch(tracks, ADDED, seed), info)
        ids: list[int] = []

        def write() -> None:
            ids.extend(store.write(new))

        def follow() -> None:
            save_index(store, open_index(store))

        written, followed = timed_calls(write, 1), timed_calls(follow, 1)
        store.write([], removed=ids)
        save_index(store, open_index(store))
    wall = written.wall_s[0] + followed.wall_s[0]
    return [
        Figure(f"add {ADDED:,} tracks", wall, "s", target=ADD_S.get(tracks)),
        Figure("of that, the database", written.wall_s[0], "s"),
        Figure("of that, the index", followed.wall_s[0], "s"),
        Figure(f"add {ADDED:,} tracks, processor time", written.cpu_s[0] + followed.cpu_s[0], "s"),
    ]
