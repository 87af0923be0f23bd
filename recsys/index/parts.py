"""One part of the index: a FAISS index over the tracks of one genre.

Up to a limit a part is flat (exact search over all vectors), above it an inverted file (IVF):
the vectors are grouped into cells, and a search looks into the few cells nearest to the query.
How many it takes is measured when the part is made, never assumed.
"""

from __future__ import annotations

import math
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
IVF = "ivf"

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
TRAINING_PER_CELL = 40
TRAINING_STEPS = 10

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
        ``IndexIDMap`` over ``IndexFlatIP``, or ``IndexIVFFlat``.
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
        self._nprobe = (entry.nprobe if entry else None) or 1
        self._recall = entry.recall_at_20 if entry else None

    @classmethod
    def empty(cls, dimension: int) -> Part:
        """Return a flat part without tracks."""
        return cls(faiss.IndexIDMap(faiss.IndexFlatIP(dimension)))

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
        if (index.ntotal, index.d) != (entry.count, dimension):
            raise _damaged(entry, f"{index.ntotal} vectors of dimension {index.d}")
        return cls(index, entry, mapped)

    @property
    def kind(self) -> str:
        """``flat`` or ``ivf``."""
        return IVF if isinstance(self._index, faiss.IndexIVF) else FLAT

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def ids(self) -> IdArray:
        """Ids of the tracks, in the order of the rows of a flat part."""
        if self._ids is None:
            self._ids = self._cell_ids() if self.kind == IVF else self._row_ids()
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

    def _row_ids(self) -> IdArray:
        ids: IdArray = faiss.vector_to_array(self._index.id_map)
        return ids

    def _cell_ids(self) -> IdArray:
        cells = self._index.invlists
        sizes = [(cell, cells.list_size(cell)) for cell in range(cells.nlist)]
        found = [faiss.rev_swig_ptr(cells.get_ids(cell), size) for cell, size in sizes if size]
        return np.concatenate([np.empty(0, np.int64), *found])

    def entry(self, genre: str) -> PartEntry:
        """Return the part as the manifest describes it, without its file."""
        approximate = self.kind == IVF
        return PartEntry(
            genre=genre,
            count=len(self),
            highest_id=int(self.ids.max()),
            kind=self.kind,
            nlist=int(self._index.nlist) if approximate else None,
            nprobe=self._nprobe if approximate else None,
            recall_at_20=self._recall if approximate else None,
        )

    def write(self, writer: ChecksumWriter) -> None:
        """Write the part in FAISS's own format."""
        if self.kind == IVF:
            # The table of ids is made when it is needed; it would only make reading slow.
            self._index.set_direct_map_type(faiss.DirectMap.NoMap)
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
        """Move the part into memory of its own: what lies in a mapped file cannot be changed."""
        self._ids = self._order = None
        if self._mapped is not None:
            self._index = faiss.deserialize_index(self._mapped)
            self._mapped = None
        if self.kind == IVF:
            self._index.set_direct_map_type(faiss.DirectMap.NoMap)

    # Questions

    def candidates(self, query: FloatArray, k: int) -> tuple[IdArray, FloatArray]:
        """Return ids and vectors of the best ``k`` tracks and of all that might tie with them."""
        total, wanted = len(self), min(k, len(self))
        asked = min(total, wanted + 16)
        while wanted:
            scores, ids, vectors = self._nearest(query, asked)
            far_enough = len(ids) > wanted and scores[wanted - 1] - scores[-1] > MARGIN
            # An approximate part may run out of tracks in the cells it looks into.
            if asked == total or far_enough or wanted <= len(ids) < asked:
                return ids, vectors
            asked = min(total, 2 * asked)
        return np.empty(0, np.int64), np.empty((0, len(query)), np.float32)

    def _nearest(self, query: FloatArray, k: int) -> tuple[FloatArray, IdArray, FloatArray]:
        with _threads(1):
            if self.kind == FLAT:
                inner = faiss.downcast_index(self._index.index)
                scores, rows = inner.search(query[np.newaxis], k)
                return scores[0], self.ids[rows[0]], inner.reconstruct_batch(rows[0])
            # Looking into every cell finds every track: needed when they are all asked for.
            cells = self._index.nlist if k == len(self) else self._nprobe
            scores, ids, vectors = self._index.search_and_reconstruct(
                query[np.newaxis], k, params=faiss.SearchParametersIVF(nprobe=cells)
            )
        found = ids[0] >= 0
        return scores[0][found], ids[0][found], vectors[0][found]

    def vectors(self, ids: IdArray) -> FloatArray:
        """Return the vectors of tracks that are held, shape (n, dimension)."""
        if self.kind == IVF:
            self._index.set_direct_map_type(faiss.DirectMap.Hashtable)
            found: FloatArray = self._index.reconstruct_batch(ids)
        else:
            order, sorted_ids = self._sorting()
            rows = order[np.searchsorted(sorted_ids, ids)]
            found = faiss.downcast_index(self._index.index).reconstruct_batch(rows)
        return found

    # Flat or not

    def settle(self, flat_limit: int) -> Part:
        """Return the part in the form that suits its size, this very one where it does already.

        An approximate part is made anew when it has more than twice the tracks it was trained on,
        and becomes flat again at half the limit: one track more or less changes nothing.
        """
        total = len(self)
        if self.kind == FLAT:
            return self._approximate() if total > flat_limit else self
        if total <= flat_limit // 2:
            return self._flat()
        return self._approximate() if cells_for(total) >= 1.5 * self._index.nlist else self

    def _flat(self) -> Part:
        part = Part.empty(self._index.d)
        ids = np.sort(self.ids)
        part.add(ids, self.vectors(ids))
        return part

    def _approximate(self) -> Part:
        ids = np.sort(self.ids)
        vectors = self.vectors(ids)
        dimension, nlist = vectors.shape[1], cells_for(len(ids))
        index = faiss.IndexIVFFlat(
            faiss.IndexFlatIP(dimension), dimension, nlist, faiss.METRIC_INNER_PRODUCT
        )
        index.cp.seed, index.cp.niter = SEED, TRAINING_STEPS
        index.cp.max_points_per_centroid = TRAINING_PER_CELL
        index.train(vectors)
        index.add_with_ids(vectors, ids)
        part = Part(index)
        part._measure(ids, vectors)
        return part

    def _measure(self, ids: IdArray, vectors: FloatArray) -> None:
        """Choose the fewest cells to look into that find what exact search finds."""
        rng = np.random.default_rng(SEED)
        rows = rng.choice(len(ids), min(RECALL_QUERIES, len(ids)), replace=False)
        queries, k = vectors[np.sort(rows)], min(RECALL_AT, len(ids))
        _, exact = faiss.knn(queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
        self._nprobe = 1
        while True:
            self._index.nprobe = self._nprobe
            _, found = self._index.search(queries, k)
            hits = [len(np.intersect1d(a, b)) for a, b in zip(found, ids[exact], strict=True)]
            self._recall = float(np.mean(hits)) / k
            if self._recall >= RECALL_WANTED or self._nprobe >= self._index.nlist:
                return
            self._nprobe = min(2 * self._nprobe, self._index.nlist)


def cells_for(count: int) -> int:
    """Return the number of cells for so many vectors: 4 sqrt(n), but never too few in a cell.

    The rule of thumb of the FAISS wiki ("Guidelines to choose an index"), which asks for at
    least 39 training vectors per cell.
    """
    return max(1, min(round(4 * math.sqrt(count)), count // 39))


def _damaged(entry: PartEntry, what: str) -> DamagedPartError:
    return DamagedPartError(
        f"The index part {entry.file} ({entry.genre}) is damaged: {what}.", REBUILD_HINT
    )
