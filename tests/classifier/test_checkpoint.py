"""Model files: round trips, and errors for damaged ones."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys.classifier.card import CARD_VERSION, DEFAULT_MODEL, ModelCard, card_path, load_card
from recsys.classifier.log_mel import MEL
from recsys.classifier.training.architectures import build_model, load_model, save_model
from recsys.classifier.training.make import limits_of
from recsys.errors import ModelError
from recsys.mel import CompressedMel
from tests.classifier.planted_genres import LABELS, TINY


def make_card(architecture: str = "cnn", **changes: Any) -> ModelCard:
    known: dict[str, Any] = {
        "name": "tiny",
        "architecture": architecture,
        "config": TINY[architecture],
        "labels": LABELS,
        "features": MEL,
        "dimension": 16,
        "temperature": 1.25,
        "thresholds": (0.2, 0.3, 0.4),
        "confusion": ((0.8, 0.1, 0.1), (0.2, 0.6, 0.2), (0.1, 0.2, 0.7)),
        "training": {"seed": 3},
        "metrics": {"n": 5},
    }
    return ModelCard(**{**known, **changes})


def make_model(architecture: str = "cnn") -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model(architecture, 3, MEL.shape, TINY[architecture]).eval()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_model(path, make_model(), make_card())
    return path


@pytest.mark.parametrize("architecture", ["cnn", "cnn-lstm"])
def test_round_trip(tmp_path: Path, architecture: str) -> None:
    path = tmp_path / "model.safetensors"
    model = make_model(architecture)
    written = save_model(path, model, make_card(architecture))
    loaded, card = load_model(path)
    assert card == written
    windows = torch.randn(2, 128, 130)
    for one, other in zip(model(windows), loaded(windows), strict=True):
        assert torch.equal(one, other)
    assert not loaded.training
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_the_card_comes_back_as_it_was(saved: Path) -> None:
    card = load_card(saved)
    assert replace(card, fingerprint="") == make_card()
    assert len(card.fingerprint) == 16
    assert ModelCard.from_json(card.to_json()) == card


def test_what_the_recommender_gets(saved: Path) -> None:
    card = load_card(saved)
    info = card.info()
    assert (info.labels, info.dimension, info.thresholds) == (LABELS, 16, (0.2, 0.3, 0.4))
    assert info.fingerprint == card.fingerprint
    np.testing.assert_allclose(info.confusion.sum(axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ("a", "b", "c")},
        {"temperature": 2.0},
        {"thresholds": (0.2, 0.3, 0.5)},
        {"features": replace(MEL, top_db=60.0)},
    ],
)
def test_changes_of_the_outputs_change_the_fingerprint(
    saved: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    other = save_model(tmp_path / "other.safetensors", make_model(), make_card(**change))
    assert other.fingerprint != load_card(saved).fingerprint


def test_text_does_not_change_the_fingerprint(saved: Path, tmp_path: Path) -> None:
    other = save_model(tmp_path / "o.safetensors", make_model(), make_card(name="renamed"))
    assert other.fingerprint == load_card(saved).fingerprint


def test_limits_are_kept(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "limited.safetensors"
    other = save_model(path, make_model(), make_card(limits={"bad_at": ["Polka."]}))
    assert other.fingerprint == load_card(saved).fingerprint
    assert load_model(path)[1].limits == {"bad_at": ["Polka."]}
    assert load_card(saved).limits == {}


def test_a_card_from_before_there_were_limits(saved: Path) -> None:
    card = json.loads(card_path(saved).read_text())
    del card["limits"]
    card_path(saved).write_text(json.dumps(card))
    assert load_model(saved)[1].limits == {}


def edit_card(path: Path, **changes: Any) -> None:
    card = json.loads(card_path(path).read_text())
    card.update(changes)
    card_path(path).write_text(json.dumps(card))


@pytest.mark.parametrize(
    "change", [{"labels": ["x", "y", "z"]}, {"temperature": 9.0}, {"fingerprint": "0" * 16}]
)
def test_a_card_that_was_changed(saved: Path, change: dict[str, Any]) -> None:
    edit_card(saved, **change)
    with pytest.raises(ModelError, match="do not belong together"):
        load_model(saved)


def test_another_feature_setting(saved: Path) -> None:
    edit_card(
        saved, features={**json.loads(card_path(saved).read_text())["features"], "n_mels": 64}
    )
    with pytest.raises(ModelError, match="do not belong together"):
        load_model(saved)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_truncated_weights(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(ModelError, match="do not belong together") as caught:
        load_model(saved)
    assert caught.value.hint


def test_weights_of_another_architecture(tmp_path: Path) -> None:
    """Even with a fingerprint that fits, the tensors must be those of the card."""
    path = tmp_path / "model.safetensors"
    save_model(path, make_model("cnn"), make_card("cnn-lstm"))
    with pytest.raises(ModelError, match="does not hold the weights"):
        load_model(path)


def test_weights_that_are_not_safetensors(tmp_path: Path) -> None:
    from recsys.classifier.card import fingerprint

    path = tmp_path / "model.safetensors"
    path.write_bytes(b"hello")
    card = replace(make_card(), fingerprint=fingerprint(b"hello", make_card()))
    card_path(path).write_text(card.to_json())
    with pytest.raises(ModelError, match="does not hold the weights"):
        load_model(path)


def test_a_newer_card(saved: Path) -> None:
    edit_card(saved, version=CARD_VERSION + 1)
    with pytest.raises(ModelError, match="format") as caught:
        load_card(saved)
    assert "Update recsys" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"version": "1"}', '{"version": 1}', "\ufeff\x00"]
)
def test_foreign_cards(saved: Path, text: str) -> None:
    card_path(saved).write_text(text, encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        load_card(saved)
    assert str(card_path(saved)) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ["one"]},
        {"labels": ["same", "same", "other"]},
        {"thresholds": [0.5]},
        {"confusion": [[1.0]]},
        {"confusion": [[1.0, 0.0, 0.0], [1.0], [0.0]]},
        {"features": {"bogus": 1}},
        {"wings": 2},
        {"thresholds": ["high", "low", "none"]},
    ],
)
def test_cards_that_contradict_themselves(saved: Path, change: dict[str, Any]) -> None:
    edit_card(saved, **change)
    with pytest.raises(ModelError):
        load_card(saved)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperature": 0}, "temperature: 0 must be finite and above 0"),
        ({"temperature": float("nan")}, "temperature: nan"),
        ({"temperature": "hot"}, "cannot be used"),
        ({"thresholds": [0.2, 5, 0.4]}, "thresholds: 5 of noise must be from 0 to 1"),
        ({"confusion": [[float("nan")] * 3] * 3}, "confusion: nan in the row of"),
        ({"confusion": [[0.5, 0.1, 0.1]] * 3}, "sums to 0.7, not to 1"),
        ({"tags": ["a"], "tag_means": [float("inf")], "tag_deviations": [1]}, "mean inf of"),
        ({"tags": ["a"], "tag_means": [0], "tag_deviations": [0]}, "deviation 0 of"),
        ({"tags": ["a"], "tag_means": [0], "tag_deviations": []}, "1 names, 1 means, 0 dev"),
    ],
)
def test_numbers_that_cannot_be(saved: Path, change: dict[str, Any], words: str) -> None:
    edit_card(saved, **change)
    with pytest.raises(ModelError, match=words) as caught:
        load_card(saved)
    assert str(card_path(saved)) in caught.value.message


def test_an_embedding_of_another_length(tmp_path: Path) -> None:
    """Even with a fingerprint that fits: an index of that length could hold nothing."""
    path = tmp_path / "model.safetensors"
    save_model(path, make_model(), make_card(dimension=64))
    with pytest.raises(ModelError, match=r"dimension: 64, but the embedding .* has 16"):
        load_model(path)


def test_missing_files(saved: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(saved.with_name("nothing.safetensors"))
    card_path(saved).unlink()
    with pytest.raises(ModelError, match="card"):
        load_model(saved)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be written"):
        save_model(tmp_path / "no" / "model.safetensors", make_model(), make_card())


def test_the_shipped_model_is_whole() -> None:
    model, card = load_model()
    assert (card.architecture, card.dimension, len(card.tags)) == ("musicnn", 128, 106)
    assert DEFAULT_MODEL.stat().st_size <= 4_000_000
    assert card.features == CompressedMel()
    logits, embedding, tags = model(torch.zeros(1, *card.features.shape))
    assert (logits.shape, embedding.shape, tags.shape) == ((1, 10), (1, 128), (1, 106))
    np.testing.assert_allclose(np.sum(card.confusion, axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("judged", ["valid", "valid_clips", "cross_validation"])
def test_the_figures_of_the_shipped_model_agree_with_each_other(judged: str) -> None:
    figures = load_card().metrics[judged]
    low, high = figures["interval"]
    assert 0 < low < figures["accuracy"] < high < 1
    low, high = figures["ece_interval"]
    assert 0 < low < high < 1
    per_genre = figures["per_genre"].values()
    assert sum(genre["n"] for genre in per_genre) == figures["n"]
    right = sum(genre["recall"] * genre["n"] for genre in per_genre)
    assert right / figures["n"] == pytest.approx(figures["accuracy"])


def test_the_shipped_model_names_the_tags_it_kept() -> None:
    card = load_card()
    kept = [tag for tag, found in card.metrics["tags"].items() if found["kept"]]
    assert list(card.tags) == kept
    assert len(card.tag_means) == len(card.tag_deviations) == len(kept)


def test_the_shipped_card_holds_its_limits() -> None:
    """As the recipe that made it words them, from the figures in the same card."""
    card = load_card()
    assert card.limits == limits_of(card.metrics, CompressedMel(), taught_twice=True)
    bad_at = " ".join(card.limits["bad_at"])
    assert "22% of 640 tracks" in bad_at
    assert "rock (51%)" in bad_at
    assert "disco, hiphop, pop, reggae, fewer than 20" in bad_at
    assert "people or money" in card.limits["not_to_be_used_for"][0]


def test_the_card_is_read_without_pytorch() -> None:
    code = (
        "import sys; from recsys.classifier.card import load_card;"
        "info = load_card().info(); print(len(info.labels));"
        "heavy = {'torch', 'librosa', 'sklearn', 'scipy'} & set(sys.modules);"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "10"
