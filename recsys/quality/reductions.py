"""Ways to reduce hubness that work when tracks come and go one at a time.

All of them need no more than a stored figure per track, or the mean and the second moments of the
embeddings, which a new track changes by one addition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.quality.systems import Embedding

if TYPE_CHECKING:
    from recsys.quality.metrics import Values
    from recsys.types import FloatArray, IdArray

NEIGHBOURHOOD = 10
"""Neighbours that make up the surroundings of a track in :class:`LocalScaling`."""

_BLOCK = 2_000_000


def centred(embeddings: FloatArray) -> Embedding:
    """Return the ranking by the cosine around the mean of the library.

    I. Suzuki et al., "Centering similarity measures to reduce hubs", EMNLP 2013.
    """
    moved = embeddings.astype(np.float64) - embeddings.mean(axis=0, dtype=np.float64)
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    return Embedding(moved / np.where(length > 0, length, 1.0), "centred", "centring")


class LocalScaling(Embedding):
    """Cosine minus the mean cosine of query and of candidate to their own nearest neighbours.

    The form of A. Conneau et al., "Word translation without parallel data", ICLR 2018 (CSLS); for
    local scaling see D. Schnitzer et al., "Local and global scaling reduce hubs in space", JMLR 13
    (2012).
    """

    def __init__(self, embeddings: FloatArray) -> None:
        super().__init__(embeddings, "local_scaling", "local scaling")
        self._around = self._surroundings(min(NEIGHBOURHOOD, len(embeddings) - 1))

    def _surroundings(self, k: int) -> Values:
        n = len(self._vectors)
        step = max(1, _BLOCK // n)
        blocks = [np.arange(start, min(start + step, n)) for start in range(0, n, step)]
        return np.concatenate([self._mean_of_nearest(rows, k) for rows in blocks])

    def _mean_of_nearest(self, rows: IdArray, k: int) -> Values:
        cosines = self._vectors[rows] @ self._vectors.T
        cosines[np.arange(len(rows)), rows] = -np.inf
        nearest: Values = np.partition(cosines, -k, axis=1)[:, -k:].mean(axis=1)
        return nearest

    def scores(self, rows: IdArray) -> Values:
        """See :class:`~recsys.quality.systems.System`."""
        return 2 * super().scores(rows) - self._around[rows][:, np.newaxis] - self._around


class MutualProximity(Embedding):
    """How likely two tracks are each other's neighbours, if similarities were normal.

    The product of the two chances that a random track is less similar than this one (D. Schnitzer
    et al., JMLR 13, 2012; the form for independent normal distributions). Mean and variance of a
    track's similarities follow from the first two moments of all embeddings.
    """

    def __init__(self, embeddings: FloatArray) -> None:
        super().__init__(embeddings, "mutual_proximity", "mutual proximity")
        n = len(self._vectors)
        itself = np.einsum("ij,ij->i", self._vectors, self._vectors)
        self._mean = (self._vectors @ self._vectors.sum(axis=0) - itself) / (n - 1)
        moments = self._vectors.T @ self._vectors
        squares = np.einsum("ij,jk,ik->i", self._vectors, moments, self._vectors, optimize=True)
        variance = (squares - itself**2) / (n - 1) - self._mean**2
        self._deviation = np.sqrt(np.maximum(variance, 1e-12))

    def scores(self, rows: IdArray) -> Values:
        """See :class:`~recsys.quality.systems.System`. The logarithm, which ranks the same."""
        from scipy.special import log_ndtr

        cosines = super().scores(rows)
        query = (cosines - self._mean[rows][:, np.newaxis]) / self._deviation[rows][:, np.newaxis]
        candidate = (cosines - self._mean) / self._deviation
        log_chance: Values = log_ndtr(query) + log_ndtr(candidate)
        return log_chance
