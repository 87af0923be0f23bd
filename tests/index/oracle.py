"""Exact search in plain NumPy: slow, simple, and what the real index is checked against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.index.base import (
    best,
    checked_dimension,
    checked_query,
    checked_vectors,
    unknown_ids,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recsys.types import FloatArray, IdArray, Neighbour


class ExactIndex:
    """An :class:`~recsys.index.base.EmbeddingIndex` that compares the query with every track.

    Parameters
    ----------
    dimension : int
        Length of the embeddings.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = checked_dimension(dimension)
        self.fingerprint = ""
        self.revision = 0
        self._genres: dict[int, str] = {}
        self._vectors: dict[int, FloatArray] = {}

    @property
    def genres(self) -> tuple[str, ...]:
        """The parts that hold something, sorted."""
        return tuple(sorted(set(self._genres.values())))

    @property
    def highest_id(self) -> int:
        """See :attr:`recsys.index.base.EmbeddingIndex.highest_id`."""
        return max(self._genres, default=0)

    def add(self, genre: str, ids: IdArray, embeddings: FloatArray) -> None:
        """See :meth:`recsys.index.base.EmbeddingIndex.add`."""
        ids, embeddings = checked_vectors(ids, embeddings, self.dimension)
        for track_id, vector in zip(ids.tolist(), embeddings, strict=True):
            self._genres[track_id] = genre
            self._vectors[track_id] = vector.copy()

    def remove(self, ids: Iterable[int]) -> int:
        """See :meth:`recsys.index.base.EmbeddingIndex.remove`."""
        known = {int(i) for i in ids} & self._genres.keys()
        for track_id in known:
            del self._genres[track_id], self._vectors[track_id]
        return len(known)

    def search(self, genre: str | None, query: FloatArray, k: int) -> list[Neighbour]:
        """See :meth:`recsys.index.base.EmbeddingIndex.search`."""
        return self.search_with_vectors(genre, query, k)[0]

    def search_with_vectors(
        self, genre: str | None, query: FloatArray, k: int
    ) -> tuple[list[Neighbour], FloatArray]:
        """See :meth:`recsys.index.base.EmbeddingIndex.search_with_vectors`."""
        query = checked_query(query, self.dimension, k)
        ids = self._ids(genre)
        return best(ids, self.vectors(ids.tolist()), query, k)

    def vectors(self, ids: Sequence[int]) -> FloatArray:
        """See :meth:`recsys.index.base.EmbeddingIndex.vectors`."""
        if missing := {int(i) for i in ids} - self._vectors.keys():
            raise unknown_ids(missing)
        rows = [self._vectors[int(i)] for i in ids]
        return np.array(rows, dtype=np.float32).reshape(len(rows), self.dimension)

    def count(self, genre: str | None = None) -> int:
        """See :meth:`recsys.index.base.EmbeddingIndex.count`."""
        return len(self._ids(genre))

    def _ids(self, genre: str | None) -> IdArray:
        held = sorted(i for i, part in self._genres.items() if genre in (None, part))
        return np.array(held, dtype=np.int64)
