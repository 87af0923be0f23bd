"""Intervals over artists: figures against scikit-learn, and widths whose order is known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from recsys.classifier.training.evaluate import GroupBootstrap


def answers(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Guesses that are right in two of three cases, in groups of eight."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 4, n)
    given = np.where(rng.random(n) < 2 / 3, targets, rng.integers(0, 4, n))
    return given, targets, np.arange(n) // 8


def test_the_figures_are_those_of_scikit_learn() -> None:
    given, targets, groups = answers()
    accuracy, macro_f1 = GroupBootstrap(groups, seed=0).measure(given, targets)
    assert accuracy.value == pytest.approx(accuracy_score(targets, given))
    assert macro_f1.value == pytest.approx(f1_score(targets, given, average="macro"))


def test_each_resample_is_the_figure_of_the_groups_that_were_drawn() -> None:
    given, targets, groups = answers(40)
    bootstrap = GroupBootstrap(groups, seed=3, resamples=5)
    accuracy, macro_f1 = bootstrap.measure(given, targets)
    drawn = next(iter(bootstrap._draws()))
    for times, its_accuracy, its_f1 in zip(
        drawn.astype(int), accuracy.resamples, macro_f1.resamples, strict=True
    ):
        rows = np.repeat(np.arange(40), times[groups])
        assert its_accuracy == pytest.approx(accuracy_score(targets[rows], given[rows]))
        assert its_f1 == pytest.approx(
            f1_score(targets[rows], given[rows], average="macro", labels=np.unique(targets[rows]))
        )


def test_tracks_that_are_right_or_wrong_together_make_the_interval_wider() -> None:
    rng = np.random.default_rng(1)
    groups = np.arange(400) // 20
    targets = np.zeros(400, dtype=int)
    given = (rng.random(20) < 0.3).astype(int)[groups]  # an artist's tracks all share their fate
    together = GroupBootstrap(groups, seed=0).measure(given, targets)[0].summary()
    alone = GroupBootstrap(np.arange(400), seed=0).measure(given, targets)[0].summary()
    assert together.value == alone.value
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_a_gain_over_the_same_draws_is_surer_than_two_intervals() -> None:
    given, targets, groups = answers()
    better = given.copy()
    better[::8] = targets[::8]  # one more right in each group, where it was wrong
    bootstrap = GroupBootstrap(groups, seed=0)
    new, old = bootstrap.measure(better, targets)[0], bootstrap.measure(given, targets)[0]
    gain = new.less(old).summary()
    assert gain.value == pytest.approx(new.value - old.value)
    assert gain.low > 0
    assert gain.high - gain.low < new.summary().high - new.summary().low


def test_no_answer_at_all_is_a_wrong_one() -> None:
    targets = np.array([0, 0, 1, 1])
    accuracy, macro_f1 = GroupBootstrap(np.arange(4), seed=0).measure(
        np.array([0, -1, 1, 1]), targets
    )
    assert accuracy.value == 0.75
    assert macro_f1.value == pytest.approx((2 / 3 + 1) / 2)
