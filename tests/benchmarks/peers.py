"""Other ways to find the nearest vectors, each over a whole library without genres.

What they are asked is less than what :meth:`recsys.api.Library.similar` answers: 20 numbers,
without tiers, filters and metadata. Graphs look as far as it takes for the recall asked of us.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tests.benchmarks.measuring import Figure, figure_of, timed_calls

if TYPE_CHECKING:
    from recsys.types import FloatArray, IdArray

K = 20
RECALL_WANTED = 0.99
NEIGHBOURS, BUILD_EF = 16, 128
"""Edges per vector of every graph (M), and how far each looks while it is built: middling ones of
their defaults. All are built by as many threads as there are processors, and asked by one."""

SEARCH_EFS = (40, 80, 160, 320, 640, 1280, 2560)
SEED = 0

Search: TypeAlias = Callable[["FloatArray"], "IdArray"]


@dataclass(frozen=True, slots=True)
class Contender:
    """A peer that is built.

    Attributes
    ----------
    search : callable
        One query, shape (d,), to the rows of the nearest :data:`K`.
    widen : callable or None
        Sets how far a search looks; None for one that is exact.
    """

    search: Search
    widen: Callable[[int], None] | None = None


@dataclass(frozen=True, slots=True)
class PeerFigures:
    """What was measured of a peer."""

    name: str
    p50: Figure
    recall: Figure
    build: Figure


def _numpy(rows: FloatArray) -> Contender:
    def search(query: FloatArray) -> IdArray:
        values = rows @ query
        best = np.argpartition(-values, K)[:K]
        order: IdArray = best[np.argsort(-values[best])]
        return order

    return Contender(search)


def _faiss(rows: FloatArray) -> Contender:
    import faiss

    faiss.omp_set_num_threads(_processors())
    index: Any = faiss.IndexHNSWFlat(rows.shape[1], NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = BUILD_EF
    index.add(rows)
    faiss.omp_set_num_threads(1)

    def widen(ef: int) -> None:
        index.hnsw.efSearch = ef

    return Contender(lambda query: index.search(query[np.newaxis], K)[1][0], widen)


def _voyager(rows: FloatArray) -> Contender:
    import voyager

    index = voyager.Index(
        voyager.Space.InnerProduct,
        rows.shape[1],
        M=NEIGHBOURS,
        ef_construction=BUILD_EF,
        random_seed=SEED,
    )
    # Without ids they would be numbered in the order in which the threads come to them.
    index.add_items(rows, ids=list(range(len(rows))), num_threads=_processors())
    found = {"ef": BUILD_EF}

    def search(query: FloatArray) -> IdArray:
        ids, _ = index.query(query, k=K, num_threads=1, query_ef=found["ef"])
        return np.asarray(ids, dtype=np.int64)

    return Contender(search, lambda ef: found.update(ef=ef))


def _usearch(rows: FloatArray) -> Contender:
    from usearch.index import Index

    index = Index(
        ndim=rows.shape[1],
        metric="ip",
        dtype="f32",
        connectivity=NEIGHBOURS,
        expansion_add=BUILD_EF,
    )
    index.add(np.arange(len(rows), dtype=np.uint64), rows, threads=_processors())

    def search(query: FloatArray) -> IdArray:
        return np.asarray(index.search(query, K, threads=1).keys, dtype=np.int64)

    return Contender(search, lambda ef: setattr(index, "expansion_search", ef))


def _processors() -> int:
    return os.cpu_count() or 1


PEERS: dict[str, tuple[str, str, Callable[[FloatArray], Contender]]] = {
    "NumPy": ("numpy", "brute force", _numpy),
    "FAISS": ("faiss-cpu", "HNSW", _faiss),
    "voyager": ("voyager", "HNSW", _voyager),
    "usearch": ("usearch", "HNSW", _usearch),
}
"""By name: the distribution, what it does, and how it is built over vectors of shape (n, d)."""

_MODULES = {"FAISS": "faiss", "NumPy": "numpy"}


def absent(name: str) -> bool:
    """Return whether a peer is not installed."""
    return find_spec(_MODULES.get(name, name)) is None


def measure_peer(name: str, rows: FloatArray, queries: FloatArray, nearest: IdArray) -> PeerFigures:
    """Build a peer over rows (n, d) and ask it; `nearest` (q, K) are the right answers."""
    distribution, method, build = PEERS[name]
    before = time.process_time()
    contender = build(rows)
    built = Figure("build, processor time", time.process_time() - before, "s")
    found, note = _widened(contender, queries, nearest)
    timed = iter(queries)
    seconds = timed_calls(lambda: contender.search(next(timed)), len(queries)).cpu_s
    return PeerFigures(
        name=f"{name} {version(distribution)}, {method}",
        p50=figure_of("p50, processor time", [1000 * s for s in seconds], "ms", note=note),
        recall=Figure(
            "recall@20", recall_of(found, nearest), "recall", len(queries), higher_is_better=True
        ),
        build=built,
    )


def _widened(
    contender: Contender, queries: FloatArray, nearest: IdArray
) -> tuple[list[IdArray], str]:
    """Let a peer look as far as it takes; return what it finds then, and how far that is."""
    if contender.widen is None:
        return _search_all(contender, queries), "exact"
    found, note = [], ""
    for ef in SEARCH_EFS:
        contender.widen(ef)
        found, note = _search_all(contender, queries), f"ef {ef}"
        if recall_of(found, nearest) >= RECALL_WANTED:
            break
    return found, note


def _search_all(contender: Contender, queries: FloatArray) -> list[IdArray]:
    return [contender.search(query) for query in queries]


def recall_of(found: list[IdArray], nearest: IdArray) -> float:
    """Return the mean share of the right answers that were found."""
    pairs = zip(found, nearest, strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in pairs]))


def nearest_rows(rows: FloatArray, queries: FloatArray, k: int = K) -> IdArray:
    """Return the rows nearest to each query by brute force, shape (q, k)."""
    found = []
    for query in queries:
        values = rows @ query
        best = np.argpartition(-values, k)[:k]
        found.append(best[np.argsort(-values[best])])
    return np.array(found, dtype=np.int64)
