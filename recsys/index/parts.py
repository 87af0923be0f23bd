"""One segment of a part of the index: ids and embeddings of tracks of one genre.

Up to a limit it is flat: a search compares the query with every embedding, in plain NumPy. Above it
a search first scans short codes (:mod:`recsys.index.codes`) and compares the best of that scan
exactly. How many it takes is measured when the part is made, never assumed.

A file holds the ids, the embeddings, and then the codes where there are any. It is used where it
lies in memory, and FAISS is only loaded for a part that has codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.index.base import REBUILD_HINT, DamagedPartError
from recsys.index.manifest import PartEntry, verify_part

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsys.index.codes import Codes
    from recsys.index.manifest import ChecksumWriter
    from recsys.types import FloatArray, IdArray

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
MOST_COMPARED = 16
"""Codes that need more than this many times as many to be compared are learnt anew."""

_ID, _VALUE = np.dtype("<i8"), np.dtype("<f4")


class Part:
    """Tracks of one genre.

    Parameters
    ----------
    ids : ndarray of int64, shape (n,)
    vectors : ndarray of float32, shape (n, d)
        Unit length, one row per id.
    codes : Codes, optional
        Of the same rows.
    entry : PartEntry, optional
        As the part was saved, if it has codes.
    """

    def __init__(
        self,
        ids: IdArray,
        vectors: FloatArray,
        codes: Codes | None = None,
        entry: PartEntry | None = None,
    ) -> None:
        self._ids, self._vectors, self._codes = ids, vectors, codes
        # Added, but not joined to the rest yet: a part is filled in many steps.
        self._added: list[tuple[IdArray, FloatArray]] = []
        self._order: tuple[IdArray, IdArray] | None = None
        self._measured = len(ids)
        self._compared = (entry.compared if entry else None) or 1
        self._recall = entry.recall_at_20 if entry else None
        self.highest_id = entry.highest_id if entry else int(ids.max(initial=-1))

    @classmethod
    def empty(cls, dimension: int) -> Part:
        """Return a flat part without tracks."""
        return cls(np.empty(0, np.int64), np.empty((0, dimension), np.float32))

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
        vectors_at = entry.count * _ID.itemsize
        codes_at = vectors_at + entry.count * dimension * _VALUE.itemsize
        if mapped.size < codes_at or (entry.kind == FLAT and mapped.size > codes_at):
            what = f"{mapped.size} bytes are not {entry.count} vectors of dimension {dimension}"
            raise _damaged(entry, what)
        ids = mapped[:vectors_at].view(_ID)
        vectors = mapped[vectors_at:codes_at].view(_VALUE).reshape(entry.count, dimension)
        codes = None if entry.kind == FLAT else _read_codes(entry, mapped[codes_at:], dimension)
        return cls(ids, vectors, codes, entry)

    @property
    def kind(self) -> str:
        """``flat`` or ``coded``."""
        return FLAT if self._codes is None else CODED

    def __len__(self) -> int:
        return len(self._ids) + sum(len(ids) for ids, _ in self._added)

    @property
    def ids(self) -> IdArray:
        """Ids of the tracks, in the order of the rows."""
        self._join()
        return self._ids

    @property
    def rows(self) -> FloatArray:
        """Embeddings, one row per id."""
        self._join()
        return self._vectors

    def _join(self) -> None:
        if self._added:
            self._ids = np.concatenate([self._ids, *(ids for ids, _ in self._added)])
            self._vectors = np.concatenate([self._vectors, *(rows for _, rows in self._added)])
            if self._codes is not None:
                for _, rows in self._added:
                    self._codes.add(rows)
            self._added = []

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
        coded = self._codes is not None
        return PartEntry(
            genre=genre,
            count=len(self),
            highest_id=int(self.ids.max()),
            kind=self.kind,
            compared=self._compared if coded else None,
            recall_at_20=self._recall if coded else None,
        )

    def write(self, writer: ChecksumWriter) -> None:
        """Write the part as :meth:`read` takes it."""
        writer(_bytes(self.ids.astype(_ID, copy=False)))
        writer(_bytes(self.rows.astype(_VALUE, copy=False)))
        if self._codes is not None:
            writer(_bytes(self._codes.data()))

    # Changes

    def add(self, ids: IdArray, vectors: FloatArray) -> None:
        """Add tracks, none of which is held."""
        self._order = None
        self._added.append((ids, vectors))
        self.highest_id = max(self.highest_id, int(ids.max(initial=-1)))

    def remove(self, ids: IdArray) -> int:
        """Remove tracks; unknown ones are ignored. Returns how many were there.

        The codes are left behind, and made anew when the part is saved.
        """
        stays = ~np.isin(self.ids, ids)
        removed = len(stays) - int(stays.sum())
        if removed:
            self._ids, self._vectors = self.ids[stays], self.rows[stays]
            self._codes = self._order = None
            self.highest_id = int(self._ids.max(initial=-1))
        return removed

    # Questions

    def candidates(self, query: FloatArray, k: int) -> tuple[IdArray, FloatArray]:
        """Return ids and vectors of the best ``k`` tracks and of all that might tie with them."""
        self._join()
        total, wanted = len(self), min(k, len(self))
        asked = min(total, wanted + 16)
        while wanted:
            scores, rows = self._nearest(query, asked)
            if asked == total or scores[wanted - 1] - scores[-1] > MARGIN:
                return self.ids[rows], self.rows[rows]
            asked = min(total, 2 * asked)
        return np.empty(0, np.int64), np.empty((0, len(query)), np.float32)

    def _nearest(self, query: FloatArray, k: int) -> tuple[FloatArray, IdArray]:
        """Return the best rows with their inner products, the best first."""
        if self._codes is None or k * self._compared >= len(self):
            return _best(_products(self.rows, query), k)
        rows = self._codes.nearest(query[np.newaxis], k * self._compared)[0]
        scores, places = _best(_products(self.rows[rows], query), k)
        return scores, rows[places]

    def vectors(self, ids: IdArray) -> FloatArray:
        """Return the vectors of tracks that are held, shape (n, dimension)."""
        order, sorted_ids = self._sorting()
        found: FloatArray = self.rows[order[np.searchsorted(sorted_ids, ids)]]
        return found

    # Flat or not

    def settle(self, flat_limit: int) -> Part:
        """Return the part in the form that suits its size, this very one where it does already.

        Codes serve for tracks that were added later as well; whether they do so is measured.
        """
        self._join()
        if self._codes is None:
            return self._coded() if len(self) > flat_limit else self
        if len(self) > self._measured:
            self._measure()
        return self._coded() if self._compared > MOST_COMPARED else self

    def _coded(self) -> Part:
        # Imported where it is needed: FAISS takes its time.
        from recsys.index.codes import Codes

        ids = np.sort(self.ids)
        vectors = self.vectors(ids)
        part = Part(ids, vectors, Codes.of(vectors))
        part._measure()
        return part

    def _measure(self) -> None:
        """Choose how many times more are compared exactly than are asked for."""
        from recsys.index.codes import exact_rows

        rng = np.random.default_rng(SEED)
        total, k = len(self), min(RECALL_AT, len(self))
        chosen = rng.choice(total, min(RECALL_QUERIES, total), replace=False)
        queries = self.rows[np.sort(chosen)]
        exact = exact_rows(queries, self.rows, k)
        self._compared = 2
        while True:
            found = [self._nearest(query, k)[1] for query in queries]
            hits = [len(np.intersect1d(a, b)) for a, b in zip(found, exact, strict=True)]
            self._recall = float(np.mean(hits)) / k
            if self._recall >= RECALL_WANTED or self._compared * k >= total:
                self._measured = total
                return
            self._compared *= 2


def _products(rows: FloatArray, query: FloatArray) -> FloatArray:
    # einsum keeps to one thread: BLAS shares such a product among several, and waiting for them
    # costs 8 ms instead of 1 ms when the cores are busy with something else.
    products: FloatArray = np.einsum("ij,j->i", rows, query)
    return products


def _best(scores: FloatArray, k: int) -> tuple[FloatArray, IdArray]:
    """Return the ``k`` highest scores, the highest first, and where they stand."""
    if k < len(scores):
        places = np.argpartition(scores, len(scores) - k)[-k:]
    else:
        places = np.arange(len(scores))
    places = places[np.argsort(-scores[places], kind="stable")]
    return scores[places], places


def _bytes(array: npt.NDArray[np.generic]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _read_codes(entry: PartEntry, data: npt.NDArray[np.uint8], dimension: int) -> Codes:
    from recsys.index.codes import READ_ERRORS, Codes

    try:
        codes = Codes.read(data)
    except READ_ERRORS as error:
        raise _damaged(entry, str(error)) from error
    if codes.shape != (entry.count, dimension):
        raise _damaged(entry, "{} codes of dimension {}".format(*codes.shape))
    return codes


def _damaged(entry: PartEntry, what: str) -> DamagedPartError:
    return DamagedPartError(
        f"The index part {entry.file} ({entry.genre}) is damaged: {what}.", REBUILD_HINT
    )
