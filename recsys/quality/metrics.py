"""Measures of recommendations, as pure functions of arrays.

Conventions
-----------
A *ranking* is a row of candidates, best first. ``relevant`` and ``kept`` are boolean, shape
(queries, ranks): whether the candidate at a rank is right, and whether it takes part at all. What
is not kept (the query itself, a track by the same artist) is passed over, and those behind it move
up. ``k`` is the length of the list that a listener sees, and always the divisor of a precision: a
list with fewer than ``k`` candidates is a worse list.

A *list* is the first ``k`` candidates of a ranking as row numbers, shape (queries, k), with
:data:`NOBODY` where there are fewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.types import IdArray

# Figures with the interval that the choice of query tracks leaves open.


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


# ----------------------------------------------------------------------


BoolArray: TypeAlias = npt.NDArray[np.bool_]
Values: TypeAlias = npt.NDArray[np.float64]

NOBODY = -1
"""Stands for no candidate, no artist, no album and no label."""


def precision_at_k(relevant: BoolArray, kept: BoolArray, k: int) -> Values:
    """Return the share of right ones among the first ``k``.

    Parameters
    ----------
    relevant, kept : ndarray of bool, shape (queries, ranks)
    k : int
        At least 1; the divisor, also where fewer candidates are kept.

    Returns
    -------
    ndarray of float64, shape (queries,)

    Examples
    --------
    >>> relevant = np.array([[True, False, True, True]])
    >>> precision_at_k(relevant, np.ones((1, 4), bool), 3).round(3).tolist()
    [0.667]
    """
    found = relevant & kept & (np.cumsum(kept, axis=1, dtype=np.int32) <= k)
    values: Values = found.sum(axis=1) / k
    return values


def average_precision(relevant: BoolArray, kept: BoolArray, k: int | None = None) -> Values:
    """Return the average precision of every ranking: the mean precision at the right ones.

    Parameters
    ----------
    relevant, kept : ndarray of bool, shape (queries, ranks)
    k : int, optional
        Only the first ``k``, divided by the number of right ones that could stand there:
        ``min(k, all of them)``. Without it, the whole ranking.

    Returns
    -------
    ndarray of float64, shape (queries,)
        NaN where nothing is right. Manning, Raghavan, Schütze, "Introduction to Information
        Retrieval", section 8.4.

    Examples
    --------
    >>> relevant = np.array([[True, False, True]])
    >>> average_precision(relevant, np.ones((1, 3), bool)).round(3).tolist()
    [0.833]
    """
    right = relevant & kept
    total = right.sum(axis=1)
    ranks = np.cumsum(kept, axis=1, dtype=np.int32)
    if k is not None:
        right &= ranks <= k
        total = np.minimum(total, k)
    precisions = np.cumsum(right, axis=1, dtype=np.int32) / np.maximum(ranks, 1)
    summed = np.where(right, precisions, 0.0).sum(axis=1)
    return _ratio(summed, total)


def found_at_k(relevant: BoolArray, kept: BoolArray, k: int) -> Values:
    """Return how many of the right ones that could be among the first ``k`` are there.

    Returns
    -------
    ndarray of float64, shape (queries,)
        In [0, 1]; NaN where nothing is right.
    """
    right = relevant & kept
    first = np.cumsum(kept, axis=1, dtype=np.int32) <= k
    return _ratio((right & first).sum(axis=1), np.minimum(right.sum(axis=1), k))


def _ratio(part: npt.NDArray[np.number], whole: npt.NDArray[np.number]) -> Values:
    result = np.full(part.shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def first_kept(order: IdArray, kept: BoolArray, k: int) -> IdArray:
    """Return the first ``k`` candidates that are kept.

    Parameters
    ----------
    order : ndarray of int64, shape (queries, ranks)
        Candidates, best first.
    kept : ndarray of bool, shape (queries, ranks)
    k : int

    Returns
    -------
    ndarray of int64, shape (queries, k)
        :data:`NOBODY` where there are fewer.
    """
    lists = np.full((len(order), k), NOBODY, dtype=np.int64)
    ranks = np.cumsum(kept, axis=1, dtype=np.int32)
    rows, columns = np.nonzero(kept & (ranks <= k))
    lists[rows, ranks[rows, columns] - 1] = order[rows, columns]
    return lists


def k_occurrences(lists: IdArray, n: int) -> IdArray:
    """Return in how many lists each of ``n`` candidates stands, shape (n,).

    M. Radovanović, A. Nanopoulos, M. Ivanović, "Hubs in space", JMLR 11 (2010).
    """
    counts: IdArray = np.bincount(lists[lists != NOBODY], minlength=n)
    return counts


def skewness(counts: npt.NDArray[np.number]) -> Values:
    """Return the skewness of k-occurrences along the last axis: the measure of hubness.

    The third standardised moment. Above 0, few tracks stand in very many lists; from about 1.4 on
    it is felt (R. Feldbauer, A. Flexer, "A comprehensive empirical comparison of hubness
    reduction", KAIS 59, 2019). 0 where all counts are equal.
    """
    centred = counts - counts.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1)
    third = (centred**3).mean(axis=-1)
    result = np.zeros(np.shape(variance))
    np.divide(third, variance**1.5, out=result, where=variance > 0)
    return result


def robin_hood(counts: npt.NDArray[np.number]) -> Values:
    """Return the share of list places that would have to move for all tracks to have as many.

    The Robin Hood (Hoover) index along the last axis, in [0, 1): 0 where all counts are equal.
    """
    total = counts.sum(axis=-1)
    excess = np.abs(counts - counts.mean(axis=-1, keepdims=True)).sum(axis=-1) / 2
    result = np.zeros(np.shape(total))
    np.divide(excess, total, out=result, where=total > 0)
    return result


def orphan_share(counts: npt.NDArray[np.number]) -> Values:
    """Return the share of tracks that stand in nobody's list, along the last axis."""
    share: Values = np.asarray((counts == 0).mean(axis=-1))
    return share


def coverage(lists: IdArray, n: int) -> float:
    """Return how many different tracks the lists hold, of as many as they could hold.

    That is ``n``, the size of the library, or the number of places in the lists where these are
    fewer.
    """
    different = len(np.unique(lists[lists != NOBODY]))
    return different / max(1, min(n, lists.size))


def longest_run(groups: IdArray) -> IdArray:
    """Return the length of the longest run of equal neighbours in every row.

    Parameters
    ----------
    groups : ndarray of int, shape (queries, k)
        The artist at each place of a list; :data:`NOBODY` is never equal to anything.

    Returns
    -------
    ndarray of int64, shape (queries,)
        At least 1 for lists of at least one place.

    Examples
    --------
    >>> longest_run(np.array([[4, 4, 2, 2, 2], [1, -1, -1, 1, 2]])).tolist()
    [3, 1]
    """
    run = longest = np.ones(len(groups), dtype=np.int64)
    for column in range(1, groups.shape[1]):
        here, before = groups[:, column], groups[:, column - 1]
        run = np.where((here == before) & (here != NOBODY), run + 1, 1)
        longest = np.maximum(longest, run)
    return longest


def in_majority(groups: IdArray, labels: IdArray) -> BoolArray:
    """Tell of each item whether it has the commonest label of its group.

    The mean is the purity of the grouping (Manning, Raghavan, Schütze, section 16.3). Of equally
    common labels the one with the lower number counts.

    Parameters
    ----------
    groups, labels : ndarray of int64, shape (n,)
        Not negative.

    Examples
    --------
    >>> in_majority(np.array([0, 0, 0, 1]), np.array([5, 5, 6, 6])).tolist()
    [True, True, False, True]
    """
    shape = int(groups.max(initial=0)) + 1, int(labels.max(initial=0)) + 1
    table = np.zeros(shape, dtype=np.int64)
    np.add.at(table, (groups, labels), 1)
    right: BoolArray = table.argmax(axis=1)[groups] == labels
    return right
