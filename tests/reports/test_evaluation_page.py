"""The plots, the page, the table and the JSON of an evaluation agree, and are right."""

from __future__ import annotations

import csv
import json
import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.classifier.calibrate import expected_calibration_error
from recsys.classifier.card import ModelCard
from recsys.classifier.log_mel import MEL
from recsys.classifier.training.evaluate import FolderEvaluation, Prediction, reliability, score
from recsys.reports.drawing import png
from recsys.reports.evaluation_page import (
    EvaluationReport,
    confusion_figure,
    curves_figure,
    genres_figure,
    reliability_figure,
    write_report,
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


LABELS = ("blues", "r&b")
GIVEN = (0, 0, 1, 1, 0)
TRUE = (0, 0, 1, 1, 1)


def card(**training: Any) -> ModelCard:
    return ModelCard(
        name="<tiny>", architecture="cnn", config={}, labels=LABELS, features=MEL, dimension=4,
        temperature=1.0, thresholds=(0.5, 0.5), confusion=((0.9, 0.1), (0.1, 0.9)),
        training=training, fingerprint="0123456789abcdef",
    )  # fmt: skip


WARNING = "The model was trained or selected on 2 of these 6 tracks: the figures are too good."


def report(**training: Any) -> EvaluationReport:
    probabilities = np.full((5, 2), 0.25)
    probabilities[range(5), GIVEN] = 0.75
    result = FolderEvaluation(
        score(probabilities, np.array(TRUE), LABELS),
        ((Path("music/r&b/bad.wav"), "not an audio file"),),
        tuple(
            Prediction(Path(f"{number}.wav"), LABELS[true], LABELS[given], 0.75)
            for number, (true, given) in enumerate(zip(TRUE, GIVEN, strict=True))
        ),
    )
    return EvaluationReport(
        result=result, card=card(**training), directory=Path("music"), split=Path("valid.txt"),
        missing=3, unknown_genres={"polka": 4}, empty_genres=("silence",),
        created=datetime(2026, 1, 2, 3, 4, tzinfo=UTC), learned=2, warnings=(WARNING,),
    )  # fmt: skip


def cells(page: str, table: str) -> list[list[str]]:
    """Return the text of the cells of a table, row by row."""
    found = re.search(rf'<table id="{table}">(.*?)</table>', page, re.DOTALL)
    assert found
    rows = re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL)
    return [
        [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    history = [{"epoch": 1, "loss": 1.0, "valid_loss": 1.2, "valid_accuracy": 0.4}]
    write_report(report(seed=7, split="a fifth held out", history=history), out)
    return out


def test_all_files_are_there(written: Path) -> None:
    assert {path.name for path in written.iterdir()} == {
        *("index.html", "report.json", "per-genre.csv"),
        *("confusion.png", "curves.png", "per-genre.png", "reliability.png"),
    }


def test_the_page_has_the_figures(written: Path) -> None:
    page = (written / "index.html").read_text(encoding="utf-8")
    rows = cells(page, "per-genre")
    assert rows[1] == ["blues", "2", "0.667", "1.000", "0.800"]
    assert rows[2] == ["r&b", "3", "1.000", "0.667", "0.800"]
    assert rows[-1] == ["weighted average", "5", "", "", "0.800"]
    assert "<b>5</b> tracks, accuracy <b>0.800</b>" in page
    facts = dict(cells(page, "facts"))
    assert facts["model"] == "<tiny>"
    assert facts["fingerprint"] == "0123456789abcdef"
    assert facts["seed of the training"] == "7"
    assert facts["tracks"] == "those in valid.txt"
    assert facts["tracks it learned from"] == "2 of these 6"
    assert "02 January 2026, 03:04 UTC" in page


def test_page_and_json_begin_with_the_warning(written: Path) -> None:
    page = (written / "index.html").read_text(encoding="utf-8")
    assert page.index(WARNING) < page.index("accuracy <b>")
    numbers = json.loads((written / "report.json").read_text())
    assert numbers["warnings"] == [WARNING]
    assert numbers["learned"] == 2


def test_the_page_names_what_was_left_out(written: Path) -> None:
    page = unescape((written / "index.html").read_text(encoding="utf-8"))
    for line in (
        "3 tracks of the list are not in the folder",
        "does not know the genre 'polka': 4 tracks",
        "the genre folder 'silence' holds no audio",
        "music/r&b/bad.wav: not an audio file",
    ):
        assert line in page


def test_the_page_needs_no_other_file(written: Path) -> None:
    page = (written / "index.html").read_text(encoding="utf-8")
    sources = re.findall(r'<img src="([^"]{30})', page)
    assert len(sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in page


def test_csv_and_json_agree(written: Path) -> None:
    with (written / "per-genre.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["genre"]: row for row in csv.DictReader(file)}
    assert float(rows["blues"]["precision"]) == pytest.approx(2 / 3)
    assert rows["r&b"]["n"] == "3"
    numbers = json.loads((written / "report.json").read_text())
    assert numbers["weighted_f1"] == pytest.approx(0.8)
    assert numbers["per_genre"]["blues"]["precision"] == pytest.approx(2 / 3)
    assert numbers["confusion"] == {"blues": {"blues": 2, "r&b": 0}, "r&b": {"blues": 1, "r&b": 2}}
    assert numbers["reliability"][0]["accuracy"] == pytest.approx(0.8)
    assert numbers["predictions"][4] == {
        "path": "4.wav", "genre": "r&b", "given": "blues", "confidence": 0.75
    }  # fmt: skip
    assert numbers["failed"] == [{"path": "music/r&b/bad.wav", "reason": "not an audio file"}]
    assert numbers["model"]["seed"] == 7


def test_a_model_without_history_has_no_curves(tmp_path: Path) -> None:
    (tmp_path / "curves.png").write_bytes(b"of another model")
    write_report(report(), tmp_path)
    assert not (tmp_path / "curves.png").exists()
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "has no history of its training" in page
    assert dict(cells(page, "facts"))["seed of the training"] == "not in the card"
