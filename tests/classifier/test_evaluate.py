"""`recsys evaluate --report`, and the figures behind it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from sklearn.metrics import f1_score

from recsys.bootstrap import bootstrap_interval
from recsys.classifier.calibrate import wilson_interval
from recsys.classifier.card import ModelCard
from recsys.classifier.inference import Classifier
from recsys.classifier.log_mel import MEL
from recsys.classifier.training.architectures import build_model, save_model
from recsys.classifier.training.datasets import find_tracks, load_windows
from recsys.classifier.training.evaluate import evaluate_files, score
from recsys.cli import evaluate
from recsys.errors import RecsysError
from tests.classifier.planted_genres import LABELS, TINY

HISTORY = [
    {"epoch": epoch, "loss": 1 / epoch, "valid_loss": 2 / epoch, "valid_accuracy": 0.2 * epoch}
    for epoch in (1, 2, 3)
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model whose card remembers a training."""
    torch.manual_seed(0)
    card = ModelCard(
        name="tiny", architecture="cnn", config=TINY["cnn"], labels=LABELS, features=MEL,
        dimension=16, temperature=1.0, thresholds=(0.5, 0.5, 0.5),
        confusion=((0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8)),
        training={"history": HISTORY, "best_epoch": 3, "seed": 4, "split": "planted"},
    )  # fmt: skip
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(path, build_model("cnn", 3, MEL.shape, TINY["cnn"]), card)
    return path


def run(*arguments: object) -> Result:
    # A command remembers the names of its help option: they must be those it has in the group.
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(evaluate.command, words, help_option_names=["-h", "--help"])


def test_f1_is_averaged_both_ways() -> None:
    """Absent genres count in neither; scikit-learn is the oracle."""
    rng = np.random.default_rng(0)
    targets = rng.choice(3, 50, p=(0.7, 0.2, 0.1))
    probabilities = rng.dirichlet(np.ones(4), 50)
    found = score(probabilities, targets, ("a", "b", "c", "absent"))
    given = probabilities.argmax(axis=1)
    present = {"labels": [0, 1, 2], "zero_division": 0.0}
    assert found.macro_f1 == pytest.approx(f1_score(targets, given, average="macro", **present))
    weighted = f1_score(targets, given, average="weighted", **present)
    assert found.weighted_f1 == pytest.approx(weighted)
    assert found.weighted_f1 != pytest.approx(found.macro_f1)


def test_the_interval_is_of_whole_artists() -> None:
    """Ten artists of ten tracks, each right in all or none: as wide as that of ten tracks."""
    targets = np.zeros(100, np.int64)
    right = np.repeat(np.arange(10) < 7, 10)
    probabilities = np.where(right[:, np.newaxis], (0.9, 0.1), (0.1, 0.9))
    artists = np.repeat(np.arange(10), 10)
    whole = score(probabilities, targets, ("a", "b"), artists)
    tracks = score(probabilities, targets, ("a", "b"))
    assert (whole.artists, tracks.artists) == (10, None)
    assert whole.interval == bootstrap_interval(right.astype(float), artists)
    assert tracks.interval == wilson_interval(70, 100)
    alone = score(probabilities, targets, ("a", "b"), np.arange(100))
    assert (alone.interval, alone.artists) == (tracks.interval, 100)
    assert np.ptp(whole.interval) > 2.5 * np.ptp(tracks.interval)


def test_report_and_command_agree(music: Path, model: Path, tmp_path: Path) -> None:
    for genre in LABELS:
        (tmp_path / "in" / genre).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / genre).symlink_to(music / genre)
    (tmp_path / "in" / "polka").symlink_to(music / "tone")
    (tmp_path / "in" / "silence").mkdir()
    out = tmp_path / "in" / "report"
    result = run(tmp_path / "in", "--model", model, "--report", out, "--json", "--workers", 1)
    assert result.exit_code == 0, (result.output, result.exception)
    summary = json.loads(result.stdout)
    written = json.loads((out / "report.json").read_text())
    for key in ("n", "accuracy", "interval", "macro_f1", "weighted_f1", "ece", "confusion"):
        assert written[key] == summary[key], key
    assert written["unknown_genres"] == {"polka": 4}
    assert written["empty_genres"] == ["silence"]
    assert written["history"] == HISTORY
    assert written["model"]["seed"] == 4
    predictions = written["predictions"]
    assert len(predictions) == summary["n"] == 12
    right = sum(own["genre"] == own["given"] for own in predictions)
    assert right / 12 == pytest.approx(summary["accuracy"])
    assert all(Path(own["path"]).parent.name == own["genre"] for own in predictions)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert len(re.findall('<img src="data:image/png', page)) == 4
    assert written["model"]["fingerprint"] in page
    assert "index.html" in result.stderr


def test_windows_can_be_judged_on_their_own(music: Path, model: Path) -> None:
    files = find_tracks(music)
    classifier = Classifier.load(model, "cpu")
    whole = evaluate_files(classifier, files, workers=1)
    alone = evaluate_files(classifier, files, workers=1, by_window=True)
    windows = dict(load_windows([f.path for f in files], 1, MEL))
    assert whole.evaluation.n == len(files)
    assert alone.evaluation.n == sum(map(len, windows.values()))
    assert {own.path for own in alone.predictions} == {file.path for file in files}
    assert alone.evaluation.artists == whole.evaluation.artists  # windows of a track are one
    of_first = [own.given for own in alone.predictions if own.path == files[0].path]
    found = classifier.analyse(np.split(windows[files[0].path], len(of_first)))
    wanted = [classifier.info.labels[int(one.probabilities.argmax())] for one in found]
    assert of_first == wanted


def test_a_report_of_a_list_names_failures(music: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "tone").mkdir(parents=True)
    (tmp_path / "in" / "tone" / "good.wav").symlink_to(music / "tone" / "tone.00.wav")
    (tmp_path / "in" / "tone" / "bad.wav").write_text("no music")
    wanted = tmp_path / "list.txt"
    wanted.write_text("tone/good.wav\ntone/bad.wav\ntone/lost.wav\n")
    result = run(tmp_path / "in", "--split", wanted, "--model", model, "--report", tmp_path / "out")
    assert result.exit_code == 3, (result.output, result.exception)
    assert "weighted F1" in result.stdout
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (written["n"], written["missing"], written["split"]) == (1, 1, str(wanted))
    assert [Path(own["path"]).name for own in written["failed"]] == ["bad.wav"]
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "bad.wav: not an audio file" in page
    assert "1 tracks of the list are not in the folder" in page


def test_a_report_that_cannot_be_written_stops_before_the_work(
    music: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object) -> None:
        raise AssertionError("the work was begun")

    monkeypatch.setattr("recsys.classifier.training.evaluate.evaluate_files", work)
    taken = tmp_path / "taken"
    taken.write_text("mine")
    result = run(music, "--model", model, "--report", taken)
    assert isinstance(result.exception, RecsysError)
    assert "is a file" in result.exception.message
    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = run(music, "--model", model, "--report", tmp_path / "out")
    assert isinstance(result.exception, RecsysError)
    assert "[papers]" in result.exception.hint
