"""The protocol of an embedding index, and the checks that every implementation shares.

Embeddings have unit length, so that the inner product is the cosine. Similarities of the best
candidates are recomputed in float64 and rounded to six decimals: float32 sums differ in the seventh
decimal between processors, and answers and ties must not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from recsys.errors import GenreIndexError
from recsys.types import FloatArray, IdArray, Neighbour

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNIT_TOLERANCE = 1e-3
"""Tolerance of the length of an embedding."""

DECIMALS = 6
"""Of a similarity."""

REBUILD_HINT = "Rebuild the index with `recsys doctor --rebuild`."


class DamagedPartError(GenreIndexError):
    """A part of a saved index has changed on disk."""


class EmbeddingIndex(Protocol):
    """Embeddings by track id, in one part per genre, searched by cosine similarity."""

    @property
    def dimension(self) -> int:
        """Length of every embedding."""

    @property
    def fingerprint(self) -> str:
        """Of the model and the library, as saved; empty for a new index."""

    @property
    def revision(self) -> int:
        """Of the library that it was saved for; 0 for a new index."""

    @property
    def genres(self) -> tuple[str, ...]:
        """The genre groups with tracks, sorted."""

    @property
    def highest_id(self) -> int:
        """The highest id in the index; 0 for an empty one."""

    def add(self, genre: str, ids: IdArray, embeddings: FloatArray) -> None:
        """Add tracks to a part.

        An id that any part has already is replaced; of an id that is given twice the last counts.

        Parameters
        ----------
        genre : str
            The part; made when it is new.
        ids : ndarray of int64, shape (n,)
            Not negative.
        embeddings : ndarray of float32, shape (n, dimension)
            Unit L2 norm.

        Raises
        ------
        GenreIndexError
            Wrong shape, or not of unit length; nothing is added.
        """

    def remove(self, ids: Iterable[int]) -> int:
        """Remove tracks; unknown ids are ignored. Returns the number of removed tracks."""

    def search(self, genre: str | None, query: FloatArray, k: int) -> list[Neighbour]:
        """Find the tracks nearest to an embedding.

        Parameters
        ----------
        genre : str or None
            The part; None for all of them.
        query : ndarray of float32, shape (dimension,)
            Unit L2 norm.
        k : int
            At most so many, at least 1.

        Returns
        -------
        list of Neighbour
            Best first, equals by id; empty for a part that is unknown or empty.

        Raises
        ------
        GenreIndexError
            ``k`` below 1, or a query of the wrong shape or length.
        """

    def search_with_vectors(
        self, genre: str | None, query: FloatArray, k: int
    ) -> tuple[list[Neighbour], FloatArray]:
        """Search as :meth:`search`, and return the embeddings of the results as well.

        Returns
        -------
        found : list of Neighbour
        embeddings : ndarray of float32, shape (len(found), dimension)
            In the same order.
        """

    def vectors(self, ids: Sequence[int]) -> FloatArray:
        """Return embeddings by id, shape (len(ids), dimension).

        Raises
        ------
        GenreIndexError
            The index has no such id.
        """

    def count(self, genre: str | None = None) -> int:
        """Return the number of tracks of a part, or of the whole index."""


def checked_dimension(dimension: int) -> int:
    """Return the dimension; GenreIndexError below 1."""
    if dimension < 1:
        raise GenreIndexError(f"An index of dimension {dimension} is impossible.")
    return dimension


def checked_vectors(
    ids: IdArray | Sequence[int], embeddings: FloatArray, dimension: int
) -> tuple[IdArray, FloatArray]:
    """Return ids and embeddings to add: typed, contiguous, the last of equal ids."""
    ids = np.asarray(ids, dtype=np.int64)
    embeddings = np.ascontiguousarray(embeddings, dtype=np.float32)
    if ids.ndim != 1 or embeddings.shape != (len(ids), dimension):
        raise GenreIndexError(
            f"Embeddings of shape {embeddings.shape} do not fit {ids.shape} ids and an index of"
            f" dimension {dimension}.",
            REBUILD_HINT,
        )
    if len(ids) and ids.min() < 0:
        raise GenreIndexError(f"Track ids are not negative, {ids.min()} is.")
    odd = ~_is_unit(embeddings)
    if odd.any():
        raise GenreIndexError(
            f"The embedding of track {ids[odd][0]} has length"
            f" {np.linalg.norm(embeddings[odd][0]):.4g}, not 1.",
            "Normalise embeddings before they are added.",
        )
    # np.unique keeps the first of equal ids; the order is reversed to keep the last.
    unique, first = np.unique(ids[::-1], return_index=True)
    if len(unique) == len(ids):
        return ids, embeddings
    keep = len(ids) - 1 - first
    return ids[keep], embeddings[keep]


def checked_query(query: FloatArray, dimension: int, k: int) -> FloatArray:
    """Return a query as contiguous float32; GenreIndexError for a wrong shape or length."""
    if k < 1:
        raise GenreIndexError(f"k is {k}.", "Ask for at least 1 track.")
    query = np.ascontiguousarray(query, dtype=np.float32)
    if query.shape != (dimension,):
        raise GenreIndexError(
            f"A query of shape {query.shape} does not fit an index of dimension {dimension}.",
            "The index was made with another model: " + REBUILD_HINT,
        )
    if not _is_unit(query[np.newaxis])[0]:
        raise GenreIndexError(
            f"The query has length {np.linalg.norm(query):.4g}, not 1.",
            "Normalise embeddings before they are searched for.",
        )
    return query


def _is_unit(embeddings: FloatArray) -> npt.NDArray[np.bool_]:
    # Written so that NaN and infinity fail too.
    squares = np.einsum("ij,ij->i", embeddings, embeddings)
    unit: npt.NDArray[np.bool_] = np.abs(np.sqrt(squares) - 1.0) <= UNIT_TOLERANCE
    return unit


def similarities(embeddings: FloatArray, query: FloatArray) -> npt.NDArray[np.float64]:
    """Return the cosine of each row and the query, shape (n,), the same on every machine.

    Summed row by row in float64: equal rows give equal values in any position.
    """
    products = embeddings.astype(np.float64) * query.astype(np.float64)
    values: npt.NDArray[np.float64] = products.sum(axis=1).round(DECIMALS).clip(-1.0, 1.0)
    return values


def normalised(similarity: float) -> float:
    """Return a cosine as a number in [0, 1]: 1 for the same, 0 for the opposite."""
    return round(min(max((1 + similarity) / 2, 0.0), 1.0), 6)


def unit_from_half(rows: npt.NDArray[np.float16]) -> FloatArray:
    """Return embeddings that were rounded to float16, shape (n, d), brought back to unit length.

    In float64: equal rows give equal vectors, on every machine.
    """
    wide = rows.astype(np.float64)
    unit = wide / np.sqrt((wide * wide).sum(axis=1, keepdims=True))
    unit_rows: FloatArray = unit.astype(np.float32)
    return unit_rows


def best(
    ids: IdArray, embeddings: FloatArray, query: FloatArray, k: int
) -> tuple[list[Neighbour], FloatArray]:
    """Return the ``k`` candidates most similar to the query, best first, equals by id.

    Their embeddings come with them, shape (n, dimension).
    """
    values = similarities(embeddings, query)
    order = np.lexsort((ids, -values))[:k]  # lexsort takes its last key first
    found = zip(ids[order].tolist(), values[order].tolist(), strict=True)
    return [Neighbour(track_id, value) for track_id, value in found], embeddings[order]


def unknown_ids(missing: Iterable[int]) -> GenreIndexError:
    """Return the error for ids that the index does not have."""
    names = sorted(int(i) for i in missing)
    listed = ", ".join(map(str, names[:5])) + (", ..." if len(names) > 5 else "")
    return GenreIndexError(f"The index holds no track {listed}.", REBUILD_HINT)
