"""The one bootstrap: percentile intervals, resampled by groups such as artists.

B. Efron, R. Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13. Tracks of one artist
are alike, so intervals over single tracks are too narrow; whole artists are drawn instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.types import IdArray

RESAMPLES = 1000
TAIL = 0.025
"""Chance of either side of the 95% interval."""

_AT_ONCE = 2_000_000
"""Drawn groups held at once, so that memory stays flat."""


def bootstrap_interval(
    values: npt.NDArray[np.number] | Callable[[IdArray], float],
    groups: IdArray,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Return low and high end of the 95% percentile bootstrap interval of a statistic.

    `values`, shape (n,), are those whose mean is wanted; or a statistic of the items at some rows,
    where an item that was drawn twice occurs twice. `groups`, shape (n,), are drawn as a whole;
    ``np.arange(n)`` draws single items. ValueError without items.
    """
    if len(groups) == 0:
        raise ValueError("nothing to resample")
    _, own = np.unique(groups, return_inverse=True)
    sizes = np.bincount(own)
    rng = np.random.default_rng(seed)
    if callable(values):
        drawn = _statistics(values, own, sizes, resamples, rng)
    else:
        sums = np.bincount(own, weights=values).astype(np.float64)
        drawn = _means(sums, sizes, resamples, rng)
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL])
    return float(low), float(high)


def _means(
    sums: npt.NDArray[np.float64], sizes: IdArray, resamples: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    # A mean needs only the sum and the size of a group, so all resamples are one matrix.
    step = max(1, _AT_ONCE // len(sizes))
    found = []
    for start in range(0, resamples, step):
        drawn = rng.integers(len(sizes), size=(min(step, resamples - start), len(sizes)))
        found.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(found)


def _statistics(
    statistic: Callable[[IdArray], float],
    own: IdArray,
    sizes: IdArray,
    resamples: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    order = np.argsort(own, kind="stable")
    starts = np.cumsum(sizes) - sizes
    found = []
    for _ in range(resamples):
        drawn = rng.integers(len(sizes), size=len(sizes))
        counts = sizes[drawn]
        # The rows of the drawn groups, one group after the other, without a loop over groups.
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        found.append(float(statistic(order[np.repeat(starts[drawn], counts) + within])))
    return np.array(found)
