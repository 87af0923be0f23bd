"""Calibration against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.classifier.calibrate import (
    expected_calibration_error,
    fit_temperature,
    fit_thresholds,
    labels_to_numbers,
    negative_log_likelihood,
    smoothed_confusion,
    softmax,
    wilson_interval,
)


def overconfident(scale: float, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose true temperature is `scale`: labels are drawn before they are blown up."""
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(n, 4)) * 1.5
    targets = np.array([rng.choice(4, p=row) for row in softmax(logits)])
    return (logits * scale).astype(np.float32), targets


@pytest.mark.parametrize("scale", [0.4, 1.0, 5.0])
def test_the_temperature_is_recovered(scale: float) -> None:
    logits, targets = overconfident(scale)
    assert fit_temperature(logits, targets) == pytest.approx(scale, rel=0.08)


def test_calibration_lowers_the_loss_and_the_error() -> None:
    logits, targets = overconfident(5.0)
    fitted = fit_temperature(logits, targets)
    before = negative_log_likelihood(logits, targets)
    after = negative_log_likelihood(logits, targets, fitted)
    assert after < before - 0.5
    raw, calibrated = softmax(logits), softmax(logits, fitted)
    assert expected_calibration_error(calibrated, targets) < 0.03
    assert expected_calibration_error(raw, targets) > 0.15


def test_negative_log_likelihood_of_even_odds() -> None:
    assert negative_log_likelihood(np.zeros((3, 4)), np.array([0, 1, 3])) == pytest.approx(
        np.log(4)
    )


def test_calibration_error_by_hand() -> None:
    """Bin 0.9-1.0: two at 0.95, one right: |1.9 - 1| = 0.9. Bin 0.6-0.7: 0.65 right: 0.35."""
    probabilities = np.array([[0.95, 0.05], [0.05, 0.95], [0.65, 0.35]])
    assert expected_calibration_error(probabilities, np.array([0, 0, 0])) == pytest.approx(
        (0.9 + 0.35) / 3
    )


def test_calibration_error_of_certainty_that_is_right() -> None:
    assert expected_calibration_error(np.eye(3), np.arange(3)) == 0.0


def test_calibration_error_needs_rows() -> None:
    with pytest.raises(ValueError, match="no predictions"):
        expected_calibration_error(np.empty((0, 3)), np.empty(0, dtype=np.int64))


def test_confusion_by_hand() -> None:
    confusion = smoothed_confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    np.testing.assert_allclose(confusion, [[2 / 4, 2 / 4], [1 / 3, 2 / 3]], rtol=1e-6)


def test_confusion_rows_sum_to_one_even_without_tracks() -> None:
    confusion = smoothed_confusion(np.array([2]), np.array([2]), 4)
    np.testing.assert_allclose(confusion.sum(axis=1), 1.0, rtol=1e-6)
    assert np.all(confusion > 0)


def test_thresholds_are_quantiles_within_bounds() -> None:
    own = np.linspace(0.3, 0.5, 11)
    probabilities = np.column_stack([own, 1 - own])
    first, second = fit_thresholds(probabilities, np.zeros(11, dtype=np.int64), keep=0.9)
    assert first == pytest.approx(0.32)
    assert second == 0.5


@pytest.mark.parametrize(("share", "expected"), [(0.01, 0.2), (0.99, 0.6)])
def test_thresholds_keep_their_bounds(share: float, expected: float) -> None:
    probabilities = np.full((5, 2), [share, 1 - share])
    chosen = fit_thresholds(
        probabilities, np.zeros(5, dtype=np.int64), keep=0.9, lowest=0.2, highest=0.6
    )
    assert chosen[0] == expected


def test_wilson_interval_of_a_textbook_case() -> None:
    low, high = wilson_interval(8, 10)
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share(case: tuple[int, int]) -> None:
    successes, n = case
    low, high = wilson_interval(successes, n)
    assert 0.0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1.0


def test_wilson_interval_needs_observations() -> None:
    with pytest.raises(ValueError, match="not less than 1"):
        wilson_interval(0, 0)


def test_softmax_survives_large_scores() -> None:
    np.testing.assert_allclose(softmax(np.array([[1e4, 0.0]])), [[1.0, 0.0]])


def test_labels_to_numbers() -> None:
    assert labels_to_numbers(["b", "a", "?"], ["a", "b"]).tolist() == [1, 0, -1]
