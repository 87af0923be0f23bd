"""`recsys train` and `recsys evaluate` as a user meets them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from recsys.classifier.card import ModelCard
from recsys.classifier.log_mel import MEL
from recsys.classifier.training.architectures import build_model, load_model, save_model
from recsys.cli import evaluate, train
from recsys.errors import ModelError, RecsysError
from tests.classifier.planted_genres import LABELS, TINY


def run(command: Any, *arguments: object) -> Result:
    # A command remembers the names of its help option: they must be those it has in the group.
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(command, words, help_option_names=["-h", "--help"])


def failure(command: Any, *arguments: object) -> RecsysError:
    """Run what must fail, and return the error that the boundary in `main` would show."""
    result = run(command, *arguments)
    assert isinstance(result.exception, RecsysError), result.output
    assert result.exception.hint
    return result.exception


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of the planted genres."""
    torch.manual_seed(0)
    card = ModelCard(
        name="tiny",
        architecture="cnn",
        config=TINY["cnn"],
        labels=LABELS,
        features=MEL,
        dimension=16,
        temperature=1.0,
        thresholds=(0.5, 0.5, 0.5),
        confusion=((0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8)),
    )
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(path, build_model("cnn", 3, MEL.shape, TINY["cnn"]), card)
    return path


def test_evaluate_json(music: Path, model: Path) -> None:
    result = run(evaluate.command, music, "--model", model, "--json", "--workers", 1)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["n"] == 12
    assert set(found["per_genre"]) == set(found["confusion"]) == set(LABELS)
    assert all(
        set(own) == {"precision", "recall", "f1", "n"} for own in found["per_genre"].values()
    )
    right = sum(found["confusion"][genre][genre] for genre in LABELS)
    assert found["accuracy"] == pytest.approx(right / 12)
    assert sum(sum(row.values()) for row in found["confusion"].values()) == 12
    f1 = [own["f1"] for own in found["per_genre"].values()]
    assert found["macro_f1"] == pytest.approx(sum(f1) / 3)
    assert 0 <= found["ece"] <= 1
    assert found["interval"][0] < found["accuracy"] + 1e-9
    assert (found["missing"], found["failed"], found["skipped"]) == (0, 0, 0)
    assert found["learned"] is None
    (warning,) = found["warnings"]
    assert "does not list its training tracks" in warning


def test_evaluate_a_list(music: Path, model: Path, tmp_path: Path) -> None:
    wanted = tmp_path / "list.txt"
    wanted.write_text("tone/tone.00.au\nnoise/noise.01.wav\ntone/lost.wav\n")
    result = run(evaluate.command, music, "--split", wanted, "--model", model, "--json")
    found = json.loads(result.stdout)
    assert (found["n"], found["missing"]) == (2, 1)
    assert set(found["per_genre"]) == {"tone", "noise"}
    assert "1 tracks of the list are not in the folder" in result.stderr


def test_evaluate_reports_skipped_files(music: Path, model: Path, tmp_path: Path) -> None:
    for genre in LABELS[1:]:
        (tmp_path / genre).symlink_to(music / genre)
    (tmp_path / "polka").symlink_to(music / "tone")
    (tmp_path / "clicks").mkdir()
    (tmp_path / "clicks" / "broken.wav").write_text("no music")
    result = run(evaluate.command, tmp_path, "--model", model, "--json")
    assert result.exit_code == 3
    found = json.loads(result.stdout)
    assert (found["n"], found["failed"], found["skipped"]) == (8, 1, 4)
    assert "'polka': 4 tracks left out" in result.stderr
    assert "broken.wav" in result.stderr


def test_evaluate_reports_training_tracks(music: Path, model: Path, tmp_path: Path) -> None:
    assert (
        "does not list" in failure(evaluate.command, music, "--model", model, "--held-out").message
    )
    network, card = load_model(model)
    keys = {"train": ["tone/tone.00", "noise/noise.01"], "valid": ["clicks/clicks.00"], "test": []}
    training = {"keys": keys, "leaky": True}
    known = tmp_path / "known.safetensors"
    save_model(known, network, replace(card, training=training))
    whole = run(evaluate.command, music, "--model", known, "--json", "--workers", 1)
    assert (json.loads(whole.stdout)["n"], json.loads(whole.stdout)["learned"]) == (12, 3)
    assert "trained or selected on 3 of these 12 tracks" in whole.stderr
    assert "LEAKY" in whole.stderr
    leaky, known_tracks = json.loads(whole.stdout)["warnings"]
    assert leaky.startswith("LEAKY")
    assert "3 of these 12 tracks: the figures are too good. --held-out" in known_tracks
    table = run(evaluate.command, music, "--model", known, "--workers", 1)
    assert "trained on 3 of these tracks" in table.stdout
    rest = run(evaluate.command, music, "--model", known, "--held-out", "--json", "--workers", 1)
    assert (json.loads(rest.stdout)["n"], json.loads(rest.stdout)["learned"]) == (9, 0)
    assert "trained or selected on" not in rest.stderr
    assert json.loads(rest.stdout)["warnings"] == [leaky]


def test_evaluate_for_people(music: Path, model: Path) -> None:
    result = run(evaluate.command, music, "--model", model, "--workers", 1)
    assert result.exit_code == 0, result.output
    for word in ("tiny", "precision", "clicks", "12 tracks: accuracy", "confusion"):
        assert word in result.stdout


def test_evaluate_what_cannot_be(music: Path, model: Path, tmp_path: Path) -> None:
    assert "does not exist" in failure(evaluate.command, tmp_path / "no").message
    (tmp_path / "polka").symlink_to(music / "tone")
    assert (
        "none of the genres polka" in failure(evaluate.command, tmp_path, "--model", model).message
    )
    wanted = tmp_path / "list.txt"
    wanted.write_text("tone/elsewhere.wav\n")
    assert (
        "none of the 1 tracks"
        in failure(evaluate.command, music, "--split", wanted, "--model", model).message
    )
    for name in ("tone", "noise"):
        (tmp_path / "bad" / name).mkdir(parents=True)
        (tmp_path / "bad" / name / "a.wav").write_text("no music")
    assert (
        "none of 2 tracks" in failure(evaluate.command, tmp_path / "bad", "--model", model).message
    )


@pytest.mark.parametrize("command", [train.command, evaluate.command])
def test_wrong_usage(command: Any) -> None:
    assert run(command).exit_code == 2
    assert run(command, "--help").exit_code == 0


def test_errors_are_model_errors(tmp_path: Path) -> None:
    assert isinstance(failure(evaluate.command, tmp_path), ModelError)
