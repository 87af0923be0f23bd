from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.classifier.calibrate import expected_calibration_error
from recsys.classifier.training.evaluate import Prediction, reliability, score
from recsys.reports.drawing import png
from recsys.reports.evaluation_page import (
    confusion_figure,
    curves_figure,
    genres_figure,
    reliability_figure,
)

CONFUSION = {"a": {"a": 3, "b": 1, "c": 0}, "b": {"a": 0, "b": 2, "c": 2}}


def test_confusion_counts_and_colours() -> None:
    """Numbers are counts at (given, true); colours are shares of the row."""
    axes, _ = confusion_figure(CONFUSION).axes
    drawn = {(text.get_position(), text.get_text()) for text in axes.texts}
    assert drawn == {((0, 0), "3"), ((1, 0), "1"), ((1, 1), "2"), ((2, 1), "2")}
    colours = axes.images[0].get_array()
    assert np.allclose(colours, [[0.75, 0.25, 0.0], [0.0, 0.5, 0.5]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]


HISTORY: list[dict[str, Any]] = [
    {"epoch": 1, "loss": 2.0, "valid_loss": 2.1, "valid_accuracy": 0.2, "accuracy": 0.3},
    {"epoch": 2, "loss": 1.0, "valid_loss": 1.5, "valid_accuracy": 0.5, "accuracy": 0.7},
    {"epoch": 3, "loss": 0.5, "valid_loss": 1.8, "valid_accuracy": 0.4, "accuracy": 0.9},
]


def lines(axes: Any) -> dict[str, list[tuple[float, float]]]:
    return {str(line.get_label()): [tuple(xy) for xy in line.get_xydata()] for line in axes.lines}


def test_curves_are_the_history() -> None:
    figure = curves_figure(HISTORY, best_epoch=2)
    assert figure is not None
    loss, accuracy = (lines(axes) for axes in figure.axes)
    assert loss["training"] == [(1, 2.0), (2, 1.0), (3, 0.5)]
    assert loss["validation"] == [(1, 2.1), (2, 1.5), (3, 1.8)]
    assert accuracy["training"] == [(1, 0.3), (2, 0.7), (3, 0.9)]
    assert accuracy["validation"] == [(1, 0.2), (2, 0.5), (3, 0.4)]
    assert "kept: epoch 2" in loss


def test_curves_of_what_was_recorded() -> None:
    """Networks that blend genres record no training accuracy; some are not validated."""
    bare = [{**entry, "accuracy": None} for entry in HISTORY]
    figure = curves_figure(bare, None)
    assert figure is not None
    assert set(lines(figure.axes[1])) == {"validation"}
    unvalidated = [{"epoch": 1, "loss": 1.0, "valid_loss": None, "valid_accuracy": None}]
    figure = curves_figure(unvalidated, None)
    assert figure is not None
    assert len(figure.axes) == 1
    assert png(figure)
    assert curves_figure([], None) is None


def test_genres_are_ranked_by_f1() -> None:
    probabilities = np.eye(3)[[0, 0, 1, 1, 2, 0]]
    evaluation = score(probabilities, np.array([0, 0, 1, 1, 2, 2]), ("a", "b", "c"))
    axes = genres_figure(evaluation).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        *("c (n = 2)", "a (n = 2)", "b (n = 2)")
    ]
    drawn = {str(dots.get_label()): dots.get_offsets() for dots in axes.collections}
    assert np.allclose(drawn["F1"], [(2 / 3, 0), (0.8, 1), (1.0, 2)])
    assert np.allclose(drawn["precision"], [(1.0, 0), (2 / 3, 1), (1.0, 2)])
    assert np.allclose(drawn["recall"], [(0.5, 0), (1.0, 1), (1.0, 2)])


def predictions(confidences: list[float], right: list[bool]) -> list[Prediction]:
    return [
        Prediction(Path("x"), "a", "a" if is_right else "b", confidence)
        for confidence, is_right in zip(confidences, right, strict=True)
    ]


def test_reliability_bins() -> None:
    bins = reliability(predictions([0.55, 0.58, 0.95, 1.0], [True, False, True, True]))
    assert [(own.low, own.high, own.n) for own in bins] == [(0.5, 0.6, 2), (0.9, 1.0, 2)]
    assert bins[0].confidence == pytest.approx(0.565)
    assert (bins[0].accuracy, bins[1].accuracy) == (0.5, 1.0)
    axes, counts = reliability_figure(bins, 0.1).axes
    measured = axes.containers[0].lines[0]
    assert np.allclose(measured.get_xydata(), [(0.565, 0.5), (0.975, 1.0)])
    assert [bar.get_height() for bar in counts.patches] == [2, 2]


def test_the_bins_add_up_to_the_calibration_error() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 200)
    targets = rng.integers(0, 4, 200)
    given = probabilities.argmax(axis=1)
    bins = reliability(predictions(list(probabilities.max(axis=1)), list(given == targets)))
    gap = sum(own.n * abs(own.confidence - own.accuracy) for own in bins) / 200
    assert gap == pytest.approx(expected_calibration_error(probabilities, targets))
