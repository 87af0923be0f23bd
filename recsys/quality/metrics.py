"""Measures of recommendations, as pure functions of arrays.

A *ranking* is a row of candidates, best first. ``relevant`` and ``kept`` are boolean, shape
(queries, ranks): whether the candidate at a rank is right, and whether it takes part at all. What
is not kept (the query itself, a track by the same artist) is skipped, and those behind it move up.
``k`` is the length of the recommended list, and always the divisor of a precision: a list with
fewer than ``k`` candidates is a worse list.

A *list* is the first ``k`` candidates of a ranking as row numbers, shape (queries, k), with
:data:`NOBODY` where there are fewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from recsys.bootstrap import RESAMPLES, bootstrap_interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.types import IdArray

BoolArray: TypeAlias = npt.NDArray[np.bool_]
Values: TypeAlias = npt.NDArray[np.float64]

NOBODY = -1
"""Code of no candidate, no artist, no album and no label."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value with its 95% interval."""

    value: float | None  # None where there was nothing to measure
    low: float | None
    high: float | None
    n: int  # tracks

    def interval_text(self, digits: int = 3) -> str:
        """Return ``0.790 to 0.834``, empty without an interval."""
        if self.low is None or self.high is None:
            return ""
        return f"{self.low:.{digits}f} to {self.high:.{digits}f}"

    def as_dict(self) -> dict[str, float | int | None]:
        """Return the fields by name, rounded to six decimals."""
        fields = {"value": self.value, "low": self.low, "high": self.high}
        rounded = {name: None if x is None else round(x, 6) for name, x in fields.items()}
        return {**rounded, "n": self.n}


NOT_MEASURED = Figure(None, None, None, 0)


def figure_of(
    values: npt.NDArray[np.number],
    groups: IdArray,
    seed: int,
    statistic: Callable[[npt.NDArray[np.number]], float] | None = None,
) -> Figure:
    """Return the mean, or another statistic, of values (n,), with its bootstrap interval.

    Tracks whose value is NaN are left out. Those with the same group (n,), an artist, are resampled
    as one; with only one group there is no interval.
    """
    measured = ~np.isnan(values)
    known, own = values[measured], groups[measured]
    if len(known) == 0:
        return NOT_MEASURED
    value = float(known.mean() if statistic is None else statistic(known))
    if (own == own[0]).all():
        return Figure(value, None, None, len(known))
    resampled = known if statistic is None else lambda rows: statistic(known[rows])
    return Figure(value, *bootstrap_interval(resampled, own, RESAMPLES, seed), len(known))


def precision_at_k(relevant: BoolArray, kept: BoolArray, k: int) -> Values:
    """Return the share of right ones among the first ``k``, shape (queries,).

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
    """Return the mean precision at the right ones of every ranking, shape (queries,).

    With ``k``, of the first ``k`` alone, divided by the number of right ones that could be there.
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
    return _ratio(np.where(right, precisions, 0.0).sum(axis=1), total)


def ndcg_at_k(gains: Values, kept: BoolArray, k: int) -> Values:
    """Return the normalised discounted cumulated gain of the first ``k``, shape (queries,).

    `gains` has shape (queries, ranks) and is not negative. NaN where there is nothing to gain.
    K. Järvelin, J. Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20
    (2002).

    Examples
    --------
    >>> ndcg_at_k(np.array([[0.0, 1.0, 0.5]]), np.array([[True, False, True]]), 2).round(3).tolist()
    [0.631]
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ranks = np.cumsum(kept, axis=1, dtype=np.int64)
    counted = kept & (ranks <= k)
    gained = np.where(counted, gains * discounts[np.clip(ranks, 1, k) - 1], 0.0).sum(axis=1)
    best = -np.sort(-np.where(kept, gains, 0.0), axis=1)[:, :k]
    return _ratio(gained, best @ discounts[: best.shape[1]])


def found_at_k(relevant: BoolArray, kept: BoolArray, k: int) -> Values:
    """Return how many of the right ones that could be among the first ``k`` are, in [0, 1]."""
    right = relevant & kept
    first = np.cumsum(kept, axis=1, dtype=np.int32) <= k
    return _ratio((right & first).sum(axis=1), np.minimum(right.sum(axis=1), k))


def _ratio(part: npt.NDArray[np.number], whole: npt.NDArray[np.number]) -> Values:
    result = np.full(part.shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def first_kept(order: IdArray, kept: BoolArray, k: int) -> IdArray:
    """Return the first ``k`` kept candidates of rankings (queries, ranks), shape (queries, k)."""
    lists = np.full((len(order), k), NOBODY, dtype=np.int64)
    ranks = np.cumsum(kept, axis=1, dtype=np.int32)
    rows, columns = np.nonzero(kept & (ranks <= k))
    lists[rows, ranks[rows, columns] - 1] = order[rows, columns]
    return lists


def k_occurrences(lists: IdArray, n: int) -> IdArray:
    """Return the number of lists that hold each of ``n`` candidates, shape (n,).

    M. Radovanović, A. Nanopoulos, M. Ivanović, "Hubs in space", JMLR 11 (2010).
    """
    counts: IdArray = np.bincount(lists[lists != NOBODY], minlength=n)
    return counts


def skewness(counts: npt.NDArray[np.number]) -> float:
    """Return the skewness of k-occurrences, the measure of hubness; 0 where all are equal.

    The third standardised moment. Above 0, few tracks are in very many lists; from about 1.4 on
    that is noticeable (R. Feldbauer, A. Flexer, "A comprehensive empirical comparison of hubness
    reduction", KAIS 59, 2019).
    """
    # Not scipy.stats.skew: the wing needs no extra, and SciPy is in one.
    centred = counts - counts.mean()
    variance = (centred**2).mean()
    return float((centred**3).mean() / variance**1.5) if variance > 0 else 0.0


def robin_hood(counts: npt.NDArray[np.number]) -> float:
    """Return the Robin Hood (Hoover) index in [0, 1): 0 where all counts are equal.

    The share of list entries that would have to move for all tracks to have as many.
    """
    total = counts.sum()
    return float(np.abs(counts - counts.mean()).sum() / 2 / total) if total > 0 else 0.0


def orphan_share(counts: npt.NDArray[np.number]) -> float:
    """Return the share of tracks that are in no list."""
    return float((counts == 0).mean())


def coverage(lists: IdArray, n: int) -> float:
    """Return how many of ``n`` tracks the lists hold, as a share of those they could hold."""
    different = len(np.unique(lists[lists != NOBODY]))
    return different / max(1, min(n, lists.size))


def longest_run(groups: IdArray) -> IdArray:
    """Return the longest run of equal neighbours in every row; NOBODY equals nothing.

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
    """Return whether each item has the most common label of its group, shape (n,).

    The mean is the purity of the grouping (Manning, Raghavan, Schütze, section 16.3). Of equally
    common labels the one with the lower code counts.

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
