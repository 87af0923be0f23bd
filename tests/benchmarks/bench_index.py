"""How long the index takes: building, saving, opening, searching, beside plain NumPy.

    python tests/benchmarks/bench_index.py [--tracks 100000] [--dimension 128] [--seed 0]

Random unit vectors, spread evenly over the genres. Medians; the first search of a freshly opened
index is given on its own, because it reads the part from disk.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from recsys.index.genre_index import GenreIndex

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.types import FloatArray, Neighbour

K = 20


def milliseconds(work: Callable[[], object], repeats: int = 1) -> float:
    """Return the median duration of some work."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - start))
    return float(np.median(taken))


def numpy_search(rows: FloatArray, query: FloatArray) -> FloatArray:
    """Return the K best rows, as one would write it without an index."""
    values = rows @ query
    best = np.argpartition(-values, K)[:K]
    return best[np.argsort(-values[best])]


def measure(tracks: int, dimension: int, genres: int, seed: int) -> dict[str, float]:
    """Return every figure, milliseconds by name."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((tracks, dimension), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    names = [f"genre {number}" for number in range(genres)]
    owners = [names[number] for number in rng.integers(0, genres, tracks)]
    ids = np.arange(tracks)
    part = np.ascontiguousarray(rows[np.array(owners, dtype=object) == names[0]])
    queries = iter(np.tile(rows[rng.choice(tracks, 200)], (20, 1)))
    index = GenreIndex(dimension)

    def build() -> None:
        for start in range(0, tracks, 10_000):
            chunk = slice(start, start + 10_000)
            index.extend(owners[chunk], ids[chunk], rows[chunk])

    figures = {"build": milliseconds(build)}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        save = {"fingerprint": "benchmark", "revision": 1}
        figures["save all parts"] = milliseconds(lambda: index.save(place, **save))  # type: ignore[arg-type]
        index.add(names[0], np.array([tracks]), rows[:1])
        figures["save one changed part"] = milliseconds(lambda: index.save(place, **save))  # type: ignore[arg-type]
        figures["open"] = milliseconds(lambda: GenreIndex.load(place), 20)
        opened = GenreIndex.load(place)

        def search(genre: str | None) -> list[Neighbour]:
            return opened.search(genre, next(queries), K)

        figures["first search, one genre"] = milliseconds(lambda: search(names[-1]))
        figures["first search, all genres"] = milliseconds(lambda: search(None))
        figures["search, one genre"] = milliseconds(lambda: search(names[0]), 200)
        figures["search, all genres"] = milliseconds(lambda: search(None), 50)
        figures["NumPy, one genre"] = milliseconds(lambda: numpy_search(part, next(queries)), 200)
        figures["NumPy, all genres"] = milliseconds(lambda: numpy_search(rows, next(queries)), 50)
        figures["verify all parts"] = milliseconds(lambda: GenreIndex.load(place).verify())
        figures["remove 100 tracks"] = milliseconds(lambda: opened.remove(range(0, tracks, 1000)))
    return figures


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Measure the embedding index.")
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--genres", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    table = Table(
        "", "ms", title="{tracks} tracks x {dimension}, seed {seed}".format(**vars(options))
    )
    table.columns[1].justify = "right"
    for name, value in measure(**vars(options)).items():
        table.add_row(name, f"{value:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
