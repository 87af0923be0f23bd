"""The page, the table and the JSON of an evaluation say the same, and what is true."""

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

from recsys.classifier.card import ModelCard
from recsys.classifier.log_mel import MEL
from recsys.classifier.training.evaluate import FolderEvaluation, Prediction, score
from recsys.reports.evaluation_page import EvaluationReport, write_report

LABELS = ("blues", "r&b")
GIVEN = (0, 0, 1, 1, 0)
TRUE = (0, 0, 1, 1, 1)


def card(**training: Any) -> ModelCard:
    return ModelCard(
        name="<tiny>", architecture="cnn", config={}, labels=LABELS, features=MEL, dimension=4,
        temperature=1.0, thresholds=(0.5, 0.5), confusion=((0.9, 0.1), (0.1, 0.9)),
        training=training, fingerprint="0123456789abcdef",
    )  # fmt: skip


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
        created=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
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


def test_the_page_tells_the_figures(written: Path) -> None:
    page = (written / "index.html").read_text(encoding="utf-8")
    rows = cells(page, "per-genre")
    assert rows[1] == ["blues", "2", "0.667", "1.000", "0.800"]
    assert rows[2] == ["r&b", "3", "1.000", "0.667", "0.800"]
    assert rows[-1] == ["weighted average", "5", "", "", "0.800"]
    assert "<b>5</b> tracks, <b>0.800</b>" in page
    facts = dict(cells(page, "facts"))
    assert facts["model"] == "<tiny>"
    assert facts["fingerprint"] == "0123456789abcdef"
    assert facts["seed of the training"] == "7"
    assert facts["tracks"] == "those in valid.txt"
    assert "02 January 2026, 03:04 UTC" in page


def test_the_page_names_what_was_left_out(written: Path) -> None:
    page = unescape((written / "index.html").read_text(encoding="utf-8"))
    for line in (
        "3 tracks of the list are not in the folder",
        "does not know the genre 'polka': 4 tracks",
        "the genre folder 'silence' holds no audio",
        "music/r&b/bad.wav: not an audio file",
    ):
        assert line in page


def test_the_page_stands_alone(written: Path) -> None:
    page = (written / "index.html").read_text(encoding="utf-8")
    sources = re.findall(r'<img src="([^"]{30})', page)
    assert len(sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in page


def test_csv_and_json_say_the_same(written: Path) -> None:
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
    assert "holds no history of its training" in page
    assert dict(cells(page, "facts"))["seed of the training"] == "not said in the card"
