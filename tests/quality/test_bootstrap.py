from __future__ import annotations

import numpy as np
import pytest

from recsys.quality import metrics
from recsys.quality import metrics as bootstrap
from recsys.quality.metrics import NOT_MEASURED, measure


def test_the_interval_of_a_mean_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(1).random(2000)
    figure = measure(values, seed=0)
    error = values.std() / np.sqrt(len(values))
    assert figure.value == pytest.approx(values.mean())
    assert figure.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert figure.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)
    assert figure.n == 2000


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(2).random(50)
    assert measure(values, seed=3) == measure(values, seed=3)
    assert measure(values, seed=3).low != measure(values, seed=4).low


def test_what_has_no_value_is_left_out() -> None:
    assert measure(np.array([0.5, np.nan, 0.5]), seed=0) == bootstrap.Figure(0.5, 0.5, 0.5, 2)
    assert measure(np.array([np.nan]), seed=0) is NOT_MEASURED
    assert measure(np.array([]), seed=0) is NOT_MEASURED


def test_resampling_in_parts_covers_every_statistic(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = np.random.default_rng(3).poisson(10, 40)
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 40 * 7)
    figure = measure(counts, metrics.skewness, seed=0)
    assert figure.value == pytest.approx(float(metrics.skewness(counts)))
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low < figure.value < figure.high
