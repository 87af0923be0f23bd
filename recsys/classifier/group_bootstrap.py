"""Intervals for figures over tracks that come in groups: whole artists are drawn, not tracks.

Tracks of one artist are right or wrong together, so intervals that take them for independent are
too narrow (Flexer and Schnitzer, "Effects of album and artist filters in audio similarity", CMJ
34(3), 2010; the bootstrap over clusters: Davison and Hinkley, 1997, chapter 3.8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.types import IdArray

Float64Array = npt.NDArray[np.float64]

RESAMPLES = 1000

_CHUNK = 100
"""Resamples computed together, so that memory stays small with many artists."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure and its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Resampled:
    """A figure, and what it would have been with other artists.

    Attributes
    ----------
    value : float
        Over all tracks.
    resamples : ndarray of float64, shape (n_resamples,)
    """

    value: float
    resamples: Float64Array

    def less(self, other: Resampled) -> Resampled:
        """Return the difference to another figure over the same resamples."""
        return Resampled(self.value - other.value, self.resamples - other.resamples)

    def summary(self) -> Measured:
        """Return the figure with its percentile interval."""
        low, high = np.quantile(self.resamples, [0.025, 0.975])
        return Measured(self.value, float(low), float(high))


class GroupBootstrap:
    """Draws groups with replacement; the same groups for all that is measured.

    Parameters
    ----------
    groups : ndarray of int64, shape (n,)
        Which tracks belong together; any numbers.
    seed : int
        Of the draws.
    resamples : int
        How many.
    """

    def __init__(self, groups: IdArray, seed: int, resamples: int = RESAMPLES) -> None:
        self._group = np.unique(groups, return_inverse=True)[1]
        self._seed = seed
        self._resamples = resamples

    def measure(self, given: IdArray, targets: IdArray) -> tuple[Resampled, Resampled]:
        """Measure predictions.

        Parameters
        ----------
        given, targets : ndarray of int64, shape (n,)
            Predicted and true genres. A prediction below 0 is none of them, and wrong.

        Returns
        -------
        accuracy, macro_f1 : Resampled
            The F1 is the mean over the genres that have tracks (in that resample).
        """
        counts = self._counts(given, targets)
        accuracy, macro_f1 = _figures(counts.sum(axis=0)[np.newaxis])
        parts = [_figures(np.tensordot(drawn, counts, 1)) for drawn in self._draws()]
        return (
            Resampled(float(accuracy[0]), np.concatenate([part[0] for part in parts])),
            Resampled(float(macro_f1[0]), np.concatenate([part[1] for part in parts])),
        )

    def _counts(self, given: IdArray, targets: IdArray) -> Float64Array:
        """Count true, given and right tracks, shape (n_groups, 3, n_genres)."""
        n_groups = 1 + int(self._group.max())
        n_genres = 1 + int(max(given.max(), targets.max()))
        everywhere = np.ones(len(targets), dtype=bool)
        kinds = ((targets, everywhere), (given, given >= 0), (targets, given == targets))
        cells = n_groups * n_genres
        counts = [
            np.bincount(self._group[which] * n_genres + genres[which], minlength=cells)
            for genres, which in kinds
        ]
        shaped = [count.reshape(n_groups, n_genres) for count in counts]
        return np.stack(shaped, axis=1).astype(np.float64)

    def _draws(self) -> Iterator[Float64Array]:
        """Yield how often each group is drawn, shape (up to _CHUNK, n_groups)."""
        rng = np.random.default_rng(self._seed)
        n_groups = 1 + int(self._group.max())
        shares = np.full(n_groups, 1.0 / n_groups)
        for start in range(0, self._resamples, _CHUNK):
            size = min(_CHUNK, self._resamples - start)
            yield rng.multinomial(n_groups, shares, size=size).astype(np.float64)


def _figures(counts: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return accuracy and macro F1 of counts, shape (n, 3, n_genres), each of shape (n,)."""
    true, given, right = counts[:, 0], counts[:, 1], counts[:, 2]
    accuracy = right.sum(axis=1) / true.sum(axis=1)
    f1 = 2 * right / np.maximum(true + given, 1.0)
    present = true > 0
    return accuracy, (f1 * present).sum(axis=1) / present.sum(axis=1)
