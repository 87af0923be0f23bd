"""Intervals against normal theory, and against the intervals of what the groups add up to."""

from __future__ import annotations

import numpy as np
import pytest

from recsys import bootstrap
from recsys.bootstrap import bootstrap_interval


def test_the_interval_of_a_mean_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(1).random(2000)
    low, high = bootstrap_interval(values, np.arange(2000))
    error = values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_a_statistic_is_given_the_rows_that_were_drawn() -> None:
    values = np.random.default_rng(2).random(300)
    groups = np.random.default_rng(3).integers(40, size=300)
    for own in (groups, np.arange(300)):
        by_rows = bootstrap_interval(lambda rows: float(values[rows].mean()), own, seed=5)
        assert by_rows == pytest.approx(bootstrap_interval(values, own, seed=5))


def test_groups_of_equal_items_count_as_one_item_each() -> None:
    values = np.random.default_rng(4).random(100)
    alone = bootstrap_interval(values, np.arange(100), seed=1)
    whole = bootstrap_interval(np.repeat(values, 7), np.repeat(np.arange(100), 7), seed=1)
    assert whole == pytest.approx(alone)
    narrow = bootstrap_interval(np.repeat(values, 7), np.arange(700), seed=1)
    assert narrow[1] - narrow[0] < 0.6 * (alone[1] - alone[0])


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(5).random(50)
    first = bootstrap_interval(values, np.arange(50), 200, 3)
    assert first == bootstrap_interval(values, np.arange(50), 200, 3)
    assert first != bootstrap_interval(values, np.arange(50), 200, 4)


def test_memory_is_bounded_without_changing_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(6).random(40)
    whole = bootstrap_interval(values, np.arange(40))
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 40 * 7)
    assert bootstrap_interval(values, np.arange(40)) == pytest.approx(whole)


def test_nothing_cannot_be_resampled() -> None:
    with pytest.raises(ValueError, match="nothing to resample"):
        bootstrap_interval(np.array([]), np.array([], np.int64))
