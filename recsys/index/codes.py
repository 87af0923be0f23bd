"""Short codes of vectors, for parts too large to be read as a whole for every question.

A code has 4 bits per dimension, an eighth of the vector. A search scans the codes and leaves it to
its caller to compare the best of that scan exactly. The codes are those of André, Kermarrec and Le
Scouarnec 2017, "Accelerated nearest neighbor search with Quick ADC" (one quantiser per dimension),
as FAISS has them.

Cells (IVF) are quicker where neighbours lie in tight clumps; in planted genres of 260,000 tracks
half of the cells had to be looked into for a recall of 0.99. Graphs (HNSW) answer in about the same
time over a million tracks, three times as quickly over 100,000, and take 14 to 30 times as long to
be built.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from recsys.types import FloatArray, IdArray

    # The type stubs that come with FAISS lack half of what is used here.
    faiss: Any
else:
    import faiss

BITS = 4
SEED = 20
TRAINED_ON = 10_000
TRAINING_STEPS = 10
"""Vectors from which the codes are learnt at most, and in how many rounds: more gain nothing."""

LEAST_TRAINING = 39 * 2**BITS
"""Below so many FAISS warns; where there are fewer they are repeated."""

READ_ERRORS = (RuntimeError, MemoryError, OverflowError)
"""What FAISS raises where something is not an index."""


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let FAISS use so many threads.

    A single query gains nothing from a second one, and waiting for it costs 16 ms instead of
    0.2 ms when the cores are busy with something else.
    """
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


class Codes:
    """The codes of the rows of a part.

    Parameters
    ----------
    index : faiss.IndexPQFastScan
    """

    def __init__(self, index: Any) -> None:  # noqa: ANN401
        self._index = index

    @classmethod
    def of(cls, vectors: FloatArray) -> Self:
        """Learn codes and return those of these vectors, shape (n, d)."""
        dimension = vectors.shape[1]
        index = faiss.IndexPQFastScan(dimension, dimension, BITS, faiss.METRIC_INNER_PRODUCT)
        index.pq.cp.seed, index.pq.cp.niter = SEED, TRAINING_STEPS
        index.train(_training_rows(vectors))
        index.add(np.ascontiguousarray(vectors))
        return cls(index)

    @classmethod
    def read(cls, data: npt.NDArray[np.uint8]) -> Self:
        """Return codes that were written.

        Raises
        ------
        RuntimeError, MemoryError, OverflowError
            They are not what was written.
        """
        index = faiss.deserialize_index(np.ascontiguousarray(data))
        if not isinstance(index, faiss.IndexPQFastScan):
            raise RuntimeError(f"a {type(index).__name__}")
        return cls(index)

    def add(self, vectors: FloatArray) -> None:
        """Add the codes of more vectors, as they were learnt from the first."""
        self._index.add(np.ascontiguousarray(vectors))

    @property
    def shape(self) -> tuple[int, int]:
        """How many there are, and of how many dimensions."""
        return int(self._index.ntotal), int(self._index.d)

    def data(self) -> npt.NDArray[np.uint8]:
        """Return the codes in FAISS's own format."""
        written: npt.NDArray[np.uint8] = faiss.serialize_index(self._index)
        return written

    def nearest(self, queries: FloatArray, k: int) -> IdArray:
        """Return the rows that seem nearest to each query, shape (n_queries, k)."""
        with _threads(1):
            _, rows = self._index.search(queries, k)
        found: IdArray = rows
        return found


def exact_rows(queries: FloatArray, vectors: FloatArray, k: int) -> IdArray:
    """Return the rows that are nearest to each query, shape (n_queries, k)."""
    _, rows = faiss.knn(
        queries, np.ascontiguousarray(vectors), k, metric=faiss.METRIC_INNER_PRODUCT
    )
    found: IdArray = rows
    return found


def _training_rows(vectors: FloatArray) -> FloatArray:
    rng = np.random.default_rng(SEED)
    if len(vectors) > TRAINED_ON:
        return vectors[np.sort(rng.choice(len(vectors), TRAINED_ON, replace=False))]
    return np.resize(vectors, (max(len(vectors), LEAST_TRAINING), vectors.shape[1]))
