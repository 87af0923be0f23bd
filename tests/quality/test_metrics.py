"""Measures against loops over rows, and on lists whose figures can be counted by hand."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.quality import metrics
from recsys.quality.metrics import NOBODY, NOT_MEASURED, Figure, figure_of

pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12)


def arrays(rows: list[tuple[bool, bool]]) -> tuple[np.ndarray, np.ndarray]:
    relevant, kept = np.array(rows, dtype=bool).T
    return relevant[np.newaxis], kept[np.newaxis]


def kept_ones(rows: list[tuple[bool, bool]]) -> list[bool]:
    """Return the ranking as recommended: whether each candidate that is kept is right."""
    return [right for right, kept in rows if kept]


def average_precision(seen: list[bool], k: int | None) -> float:
    hits, total = 0, 0.0
    for rank, right in enumerate(seen, start=1):
        if right and (k is None or rank <= k):
            hits += 1
            total += hits / rank
    possible = sum(seen) if k is None else min(k, sum(seen))
    return total / possible if possible else math.nan


@given(pairs, st.integers(1, 15))
def test_rankings_agree_with_a_loop(rows: list[tuple[bool, bool]], k: int) -> None:
    relevant, kept = arrays(rows)
    seen = kept_ones(rows)
    assert metrics.precision_at_k(relevant, kept, k)[0] == pytest.approx(sum(seen[:k]) / k)
    for depth in (None, k):
        found = metrics.average_precision(relevant, kept, depth)[0]
        assert found == pytest.approx(average_precision(seen, depth), nan_ok=True)
    possible = min(k, sum(seen))
    share = sum(seen[:k]) / possible if possible else math.nan
    assert metrics.found_at_k(relevant, kept, k)[0] == pytest.approx(share, nan_ok=True)


@given(pairs, st.integers(1, 15))
def test_lists_are_the_first_that_are_kept(rows: list[tuple[bool, bool]], k: int) -> None:
    _, kept = arrays(rows)
    order = np.arange(len(rows))[::-1][np.newaxis]
    wanted = [int(order[0, place]) for place in range(len(rows)) if kept[0, place]][:k]
    found = metrics.first_kept(order, kept, k)[0].tolist()
    assert found == wanted + [NOBODY] * (k - len(wanted))


def test_k_divides_also_where_there_are_fewer_candidates() -> None:
    relevant = np.array([[True, True, False]])
    kept = np.array([[True, True, False]])
    assert metrics.precision_at_k(relevant, kept, 10).tolist() == [0.2]


def test_average_precision_is_one_when_all_right_ones_come_first() -> None:
    relevant = np.array([[True, True, False], [False, False, True]])
    kept = np.ones((2, 3), dtype=bool)
    assert metrics.average_precision(relevant, kept).tolist() == [1.0, pytest.approx(1 / 3)]
    assert metrics.average_precision(relevant, kept, 1).tolist() == [1.0, 0.0]


@given(st.lists(st.lists(st.integers(NOBODY, 4), min_size=1, max_size=6), min_size=1))
def test_occurrences_agree_with_a_count(lists: list[list[int]]) -> None:
    width = max(map(len, lists))
    padded = np.array([row + [NOBODY] * (width - len(row)) for row in lists])
    counted = Counter(place for row in lists for place in row if place != NOBODY)
    assert metrics.k_occurrences(padded, 5).tolist() == [counted[i] for i in range(5)]
    assert metrics.coverage(padded, 5) == len(counted) / min(5, padded.size)


def test_a_star_is_skewed_as_a_formula_says() -> None:
    """One track in everybody's list, nobody else in any: a Bernoulli of chance p."""
    n = 50
    counts = np.zeros(n)
    counts[0] = n
    p = 1 / n
    assert metrics.skewness(counts) == pytest.approx((1 - 2 * p) / math.sqrt(p * (1 - p)))
    assert metrics.robin_hood(counts) == pytest.approx(1 - p)
    assert metrics.orphan_share(counts) == pytest.approx(1 - p)


@given(st.integers(1, 9), st.integers(1, 30))
def test_where_all_turn_up_alike_there_is_no_hubness(k: int, n: int) -> None:
    counts = np.full(n, k)
    assert metrics.skewness(counts) == 0
    assert metrics.robin_hood(counts) == 0
    assert metrics.orphan_share(counts) == 0


@given(st.lists(st.integers(0, 20), min_size=2, max_size=30))
def test_hubness_does_not_depend_on_order_or_scale(counts: list[int]) -> None:
    array = np.array(counts, dtype=float)
    for measure in (metrics.skewness, metrics.robin_hood):
        assert measure(array[::-1]) == pytest.approx(measure(array), abs=1e-9)
        assert measure(3 * array) == pytest.approx(measure(array), abs=1e-6)
    assert 0 <= metrics.robin_hood(array) < 1


def test_figures_are_resampled_by_artist() -> None:
    values = np.random.default_rng(1).random(60)
    alone = figure_of(values, np.arange(60), 0)
    thrice = figure_of(np.repeat(values, 3), np.repeat(np.arange(60), 3), 0)
    assert thrice.value == pytest.approx(values.mean())
    assert (thrice.low, thrice.high) == (pytest.approx(alone.low), pytest.approx(alone.high))
    assert (alone.n, thrice.n) == (60, 180)
    skewed = figure_of(values**4, np.arange(60), 0, metrics.skewness)
    assert skewed.value == pytest.approx(metrics.skewness(values**4))
    assert skewed.low is not None
    assert skewed.high is not None
    assert skewed.low < skewed.value < skewed.high


def test_missing_values_and_single_groups() -> None:
    values, groups = np.array([0.5, np.nan, 0.5]), np.array([0, 1, 2])
    assert figure_of(values, groups, 0) == Figure(0.5, 0.5, 0.5, 2)
    assert figure_of(values, np.zeros(3), 0) == Figure(0.5, None, None, 2)
    for nothing in (np.array([np.nan]), np.array([])):
        assert figure_of(nothing, np.arange(len(nothing)), 0) is NOT_MEASURED


@given(st.lists(st.integers(NOBODY, 2), min_size=1, max_size=10))
def test_runs_agree_with_a_loop(row: list[int]) -> None:
    longest = run = 1
    for before, here in pairwise(row):
        run = run + 1 if here == before != NOBODY else 1
        longest = max(longest, run)
    assert metrics.longest_run(np.array([row])).tolist() == [longest]


def test_purity_of_groups_that_are_counted_by_hand() -> None:
    groups = np.array([0, 0, 0, 1, 1, 2])
    labels = np.array([7, 7, 3, 3, 3, 9])
    assert metrics.in_majority(groups, labels).tolist() == [True, True, False, True, True, True]


def test_ndcg_agrees_with_its_definition() -> None:
    rng = np.random.default_rng(3)
    gains, kept, k = rng.random((20, 12)), rng.random((20, 12)) < 0.6, 4
    kept[0] = False
    found = metrics.ndcg_at_k(gains, kept, k)
    for row, own in enumerate(found.tolist()):
        listed = gains[row][kept[row]].tolist()
        if not listed:
            assert math.isnan(own)
            continue
        dcg, best = (
            sum(gain / math.log2(rank + 1) for rank, gain in enumerate(ordered[:k], start=1))
            for ordered in (listed, sorted(listed, reverse=True))
        )
        assert own == pytest.approx(dcg / best)
