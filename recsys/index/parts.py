"""One part of the index: a FAISS index over the tracks of one genre.

Up to a limit a part is flat (exact search over all vectors). Above it a search first scans a code
of 4 bits per dimension, which is an eighth of the memory to be read, and then compares the best of
that scan exactly. How many it takes is measured when the part is made, never assumed.

The codes are those of André, Kermarrec and Le Scouarnec 2017, "Accelerated nearest neighbor search
with Quick ADC", one quantiser per dimension, as FAISS has them. Cells (IVF) and graphs (HNSW) are
quicker where neighbours lie in tight clumps; tracks of one genre do not, and half of the cells had
to be looked into for a recall of 0.99.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.index.base import REBUILD_HINT, DamagedPartError
from recsys.index.manifest import PartEntry, verify_part

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from recsys.index.manifest import ChecksumWriter
    from recsys.types import FloatArray, IdArray

    # The type stubs that come with FAISS lack half of what is used here.
    faiss: Any
else:
    import faiss

FLAT = "flat"
CODED = "coded"

CHECKED_BYTES = 64 * 2**20
"""Parts up to this size are compared with their checksum when they are first used, which takes
0.5 ms per MiB; larger ones only by :meth:`recsys.index.genre_index.GenreIndex.verify`."""

MARGIN = 2e-5
"""Candidates this much behind the last of the best are looked at too: float32 inner products of
unit vectors may be off by that much, and equals must be told apart by their id."""

SEED = 20
RECALL_AT = 20
RECALL_WANTED = 0.99
RECALL_QUERIES = 200
CODE_BITS = 4
TRAINED_ON = 20_000
"""Vectors from which the codes are learnt at most."""

LEAST_TRAINING = 39 * 2**CODE_BITS
"""Below so many FAISS warns; where there are fewer they are repeated."""

_WRITE_BLOCK = 1 << 20
_READ_ERRORS = (RuntimeError, MemoryError, OverflowError)


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


class Part:
    """The tracks of one genre.

    Parameters
    ----------
    index : faiss.Index
        ``IndexIDMap`` over ``IndexFlatIP``, or over ``IndexRefineFlat``: codes beside vectors.
    entry : PartEntry or None
        As it lies on disk, when it does.
    mapped : ndarray of uint8 or None
        The file in memory that the index looks into; None when it has its own memory.
    """

    def __init__(
        self,
        index: Any,  # noqa: ANN401
        entry: PartEntry | None = None,
        mapped: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        self._index = index
        self._mapped = mapped
        self._ids: IdArray | None = None
        self._order: tuple[IdArray, IdArray] | None = None
        self._compared = (entry.compared if entry else None) or 1
        self._recall = entry.recall_at_20 if entry else None

    @classmethod
    def empty(cls, dimension: int) -> Part:
        """Return a flat part without tracks."""
        return cls(_flat_index(np.empty(0, np.int64), np.empty((0, dimension), np.float32)))

    @classmethod
    def read(cls, entry: PartEntry, mapped: npt.NDArray[np.uint8], dimension: int) -> Part:
        """Return a part of a saved index. It is used where it lies, without copying it.

        Raises
        ------
        DamagedPartError
            It is not what was saved.
        """
        if entry.size <= CHECKED_BYTES:
            verify_part(entry, mapped)
        try:
            reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(mapped), mapped.size)
            index = faiss.read_index(reader)
        except _READ_ERRORS as error:
            raise _damaged(entry, str(error)) from error
        if not isinstance(index, faiss.IndexIDMap):
            raise _damaged(entry, f"a {type(index).__name__}")
        if (index.ntotal, index.d) != (entry.count, dimension):
            raise _damaged(entry, f"{index.ntotal} vectors of dimension {index.d}")
        return cls(index, entry, mapped)

    @property
    def kind(self) -> str:
        """``flat`` or ``coded``."""
        return CODED if isinstance(self._inner, faiss.IndexRefine) else FLAT

    @property
    def _inner(self) -> Any:  # noqa: ANN401
        return faiss.downcast_index(self._index.index)

    @property
    def _vectors(self) -> Any:  # noqa: ANN401
        """The vectors themselves, without codes and ids."""
        inner = self._inner
        return faiss.downcast_index(inner.refine_index) if self.kind == CODED else inner

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def ids(self) -> IdArray:
        """Ids of the tracks, in the order of the rows."""
        if self._ids is None:
            self._ids = faiss.vector_to_array(self._index.id_map)
        return self._ids

    def holds(self, ids: IdArray) -> npt.NDArray[np.bool_]:
        """Tell for each id whether its track is in this part."""
        _, sorted_ids = self._sorting()
        places = np.searchsorted(sorted_ids, ids)
        found: npt.NDArray[np.bool_] = places < len(sorted_ids)
        found[found] = sorted_ids[places[found]] == ids[found]
        return found

    def _sorting(self) -> tuple[IdArray, IdArray]:
        """Return the rows in the order of their ids, and the ids in that order."""
        if self._order is None:  # kept, because parts are asked far more often than changed
            order = np.argsort(self.ids, kind="stable")
            self._order = order, self.ids[order]
        return self._order

    def entry(self, genre: str) -> PartEntry:
        """Return the part as the manifest describes it, without its file."""
        approximate = self.kind == CODED
        return PartEntry(
            genre=genre,
            count=len(self),
            highest_id=int(self.ids.max()),
            kind=self.kind,
            compared=self._compared if approximate else None,
            recall_at_20=self._recall if approximate else None,
        )

    def write(self, writer: ChecksumWriter) -> None:
        """Write the part in FAISS's own format."""
        faiss.write_index(self._index, faiss.PyCallbackIOWriter(writer, _WRITE_BLOCK))

    # Changes

    def add(self, ids: IdArray, vectors: FloatArray) -> None:
        """Add tracks, none of which is held."""
        self._prepare_change()
        self._index.add_with_ids(vectors, ids)

    def remove(self, ids: IdArray) -> int:
        """Remove tracks; unknown ones are ignored. Returns how many were there."""
        held = ids[self.holds(ids)]
        if not len(held):
            return 0
        self._prepare_change()
        return int(self._index.remove_ids(held))

    def _prepare_change(self) -> None:
        """Move the part into memory of its own: what lies in a mapped file cannot be changed.

        Codes are left behind; they are made anew when the part is saved.
        """
        if self.kind == CODED:
            self._index = _flat_index(self.ids, self.vectors(self.ids))
        elif self._mapped is not None:
            self._index = faiss.deserialize_index(self._mapped)
        self._mapped = self._ids = self._order = None

    # Questions

    def candidates(self, query: FloatArray, k: int) -> tuple[IdArray, FloatArray]:
        """Return ids and vectors of the best ``k`` tracks and of all that might tie with them."""
        total, wanted = len(self), min(k, len(self))
        asked = min(total, wanted + 16)
        while wanted:
            scores, ids, vectors = self._nearest(query, asked)
            far_enough = len(ids) > wanted and scores[wanted - 1] - scores[-1] > MARGIN
            if asked == total or far_enough:
                return ids, vectors
            asked = min(total, 2 * asked)
        return np.empty(0, np.int64), np.empty((0, len(query)), np.float32)

    def _nearest(self, query: FloatArray, k: int) -> tuple[FloatArray, IdArray, FloatArray]:
        vectors = self._vectors
        with _threads(1):
            if self.kind == CODED and k * self._compared < len(self):
                params = faiss.IndexRefineSearchParameters(k_factor=self._compared)
                scores, rows = self._inner.search(query[np.newaxis], k, params=params)
            else:
                scores, rows = vectors.search(query[np.newaxis], k)
        found = rows[0]
        return scores[0], self.ids[found], vectors.reconstruct_batch(found)

    def vectors(self, ids: IdArray) -> FloatArray:
        """Return the vectors of tracks that are held, shape (n, dimension)."""
        order, sorted_ids = self._sorting()
        found: FloatArray = self._vectors.reconstruct_batch(order[np.searchsorted(sorted_ids, ids)])
        return found

    # Flat or not

    def settle(self, flat_limit: int) -> Part:
        """Return the part in the form that suits its size, this very one where it does already."""
        return self._coded() if self.kind == FLAT and len(self) > flat_limit else self

    def _coded(self) -> Part:
        ids = np.sort(self.ids)
        vectors = self.vectors(ids)
        dimension = vectors.shape[1]
        codes = faiss.IndexPQFastScan(dimension, dimension, CODE_BITS, faiss.METRIC_INNER_PRODUCT)
        codes.pq.cp.seed = SEED
        codes.train(_training_rows(vectors))
        refined = faiss.IndexRefineFlat(codes)
        index = faiss.IndexIDMap(refined)
        index.add_with_ids(vectors, ids)
        part = Part(index)
        part._measure(vectors)
        return part

    def _measure(self, vectors: FloatArray) -> None:
        """Choose how many times more are compared exactly than are asked for."""
        rng = np.random.default_rng(SEED)
        rows = rng.choice(len(vectors), min(RECALL_QUERIES, len(vectors)), replace=False)
        queries, k = vectors[np.sort(rows)], min(RECALL_AT, len(vectors))
        _, exact = faiss.knn(queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
        self._compared = 2
        while True:
            params = faiss.IndexRefineSearchParameters(k_factor=self._compared)
            _, found = self._inner.search(queries, k, params=params)
            hits = [len(np.intersect1d(a, b)) for a, b in zip(found, exact, strict=True)]
            self._recall = float(np.mean(hits)) / k
            if self._recall >= RECALL_WANTED or self._compared * k >= len(vectors):
                return
            self._compared *= 2


def _flat_index(ids: IdArray, vectors: FloatArray) -> Any:  # noqa: ANN401
    index = faiss.IndexIDMap(faiss.IndexFlatIP(vectors.shape[1]))
    index.add_with_ids(vectors, ids)
    return index


def _training_rows(vectors: FloatArray) -> FloatArray:
    rng = np.random.default_rng(SEED)
    if len(vectors) > TRAINED_ON:
        return vectors[np.sort(rng.choice(len(vectors), TRAINED_ON, replace=False))]
    return np.resize(vectors, (max(len(vectors), LEAST_TRAINING), vectors.shape[1]))


def _damaged(entry: PartEntry, what: str) -> DamagedPartError:
    return DamagedPartError(
        f"The index part {entry.file} ({entry.genre}) is damaged: {what}.", REBUILD_HINT
    )
