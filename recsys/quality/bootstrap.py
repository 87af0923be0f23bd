"""Figures with the interval that the choice of query tracks leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from recsys.quality.metrics import Values

RESAMPLES = 1000
LEVEL = 0.95

_AT_ONCE = 2_000_000
"""Values that are resampled at once, so that memory stays flat."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value.

    Attributes
    ----------
    value : float or None
        None where there was nothing to measure.
    low, high : float or None
        95% interval; None where there is none.
    n : int
        How many tracks stand behind it.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int

    def as_dict(self) -> dict[str, float | int | None]:
        """Return the fields by name, rounded to six decimals."""
        fields = {"value": self.value, "low": self.low, "high": self.high}
        rounded = {name: None if x is None else round(x, 6) for name, x in fields.items()}
        return {**rounded, "n": self.n}


NOT_MEASURED = Figure(None, None, None, 0)


def mean(values: npt.NDArray[np.number]) -> Values:
    """Return the mean along the last axis."""
    result: Values = np.asarray(values.mean(axis=-1))
    return result


def measure(
    values: npt.NDArray[np.number],
    statistic: Callable[[npt.NDArray[np.number]], Values] = mean,
    *,
    seed: int,
) -> Figure:
    """Return a statistic of values per track, with its percentile bootstrap interval.

    Parameters
    ----------
    values : ndarray, shape (n,)
        One per track; NaN where a track has none, which leaves it out.
    statistic : callable
        Reduces the last axis of an array.
    seed : int
        Of the :data:`RESAMPLES` resamples of the tracks. B. Efron, R. Tibshirani, "An Introduction
        to the Bootstrap" (1993), chapter 13.

    Returns
    -------
    Figure
        :data:`NOT_MEASURED` without values.
    """
    known = values[~np.isnan(values)]
    n = len(known)
    if n == 0:
        return NOT_MEASURED
    rng = np.random.default_rng(seed)
    rounds = max(1, _AT_ONCE // n)
    drawn = np.concatenate(
        [
            statistic(known[rng.integers(n, size=(min(rounds, RESAMPLES - start), n))])
            for start in range(0, RESAMPLES, rounds)
        ]
    )
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Figure(float(statistic(known)), float(low), float(high), n)
