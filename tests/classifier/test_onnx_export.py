"""A model of ours as an ONNX file: the same answers, or a clear word why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from recsys.classifier.card import ModelCard, load_card, write_model
from recsys.classifier.inference import NETWORK_PREFIX, Classifier
from recsys.classifier.log_mel import MEL
from recsys.classifier.onnx import OnnxSession, description_path
from recsys.classifier.onnx_export import export_onnx
from recsys.classifier.training.architectures import build_model, save_model
from recsys.cli.main import cli
from recsys.errors import ModelError, QueryError
from recsys.learned import training_keys
from tests.classifier.modules import torch_classifier
from tests.classifier.planted_genres import LABELS, TINY, spectrogram
from tests.cli.documented import documented

DESCRIPTION = "name = 1\nlabels = 2\nthresholds = 3\n[features]\n"


def make_card(architecture: str, **changes: Any) -> ModelCard:
    card = ModelCard(
        name='a "tiny" one',
        architecture=architecture,
        config=TINY[architecture],
        labels=LABELS,
        features=MEL,
        dimension=16,
        temperature=1.5,
        thresholds=(0.2, 0.3, 0.4),
        confusion=((0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.2, 0.1, 0.7)),
    )
    return replace(card, **changes)


def save_tiny(path: Path, architecture: str = "cnn") -> Path:
    torch.manual_seed(2)
    model = build_model(architecture, 3, MEL.shape, TINY[architecture])
    save_model(path, model, make_card(architecture))
    return path


@pytest.mark.parametrize("architecture", ["cnn", "cnn-lstm"])
def test_the_outputs_are_those_of_the_model(tmp_path: Path, architecture: str) -> None:
    source = save_tiny(tmp_path / "tiny.safetensors", architecture)
    out = tmp_path / "tiny.onnx"
    export_onnx(source, out)
    ours, theirs = Classifier.load(source, "cpu"), Classifier.load(out)
    tracks = [np.concatenate([spectrogram("tone", i)] * (i + 1)) for i in range(3)]
    for mine, other in zip(ours.analyse(tracks), theirs.analyse(tracks), strict=True):
        np.testing.assert_allclose(mine.probabilities, other.probabilities, atol=1e-4)
        np.testing.assert_allclose(mine.embedding, other.embedding, atol=1e-4)
    before, after = load_card(source), load_card(out)
    for name in ("name", "labels", "features", "temperature", "thresholds", "confusion", "licence"):
        assert getattr(after, name) == getattr(before, name)
    assert after.fingerprint != before.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*("tiny.json", "tiny.safetensors"), *("tiny.onnx", "tiny.toml")]
    )


def test_the_training_tracks_go_along(tmp_path: Path) -> None:
    torch.manual_seed(2)
    source, out = tmp_path / "tiny.safetensors", tmp_path / "tiny.onnx"
    keys = {
        "train": ["tone/a", 'tone/"b"', "noise/\udcff"],
        "valid": ["noise/d"],
        "test": ["noise/e"],
    }
    model = build_model("cnn", 3, MEL.shape, TINY["cnn"])
    save_model(source, model, make_card("cnn", training={"keys": keys}))
    written = {"tone/a", 'tone/"b"', "noise/\udcff", "noise/d"}  # a name that is not UTF-8
    assert training_keys(load_card(source).training) == written
    export_onnx(source, out)
    exported = load_card(out)
    assert training_keys(exported.training) == {"tone/a", 'tone/"b"', "noise/\\udcff", "noise/d"}
    # They change no output, so they do not change the fingerprint.
    text = description_path(out).read_text()
    description_path(out).write_text(text.partition("[training]")[0])
    assert training_keys(load_card(out).training) is None
    assert load_card(out).fingerprint == exported.fingerprint


@pytest.mark.parametrize("quick", [False, True])
def test_the_model_that_ships_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: bool
) -> None:
    """Also where a processor computes in bfloat16, which ONNX does not."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": quick})
    out = tmp_path / "shipped.onnx"
    export_onnx(None, out)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    ours, theirs = Classifier.load(None, "cpu"), Classifier.load(out)
    windows = np.random.default_rng(0).uniform(0, 3, (5, *ours.features.shape))
    track = [windows.astype(np.float32)]
    mine, other = ours.analyse(track)[0], theirs.analyse(track)[0]
    np.testing.assert_allclose(mine.probabilities, other.probabilities, atol=1e-4)
    np.testing.assert_allclose(mine.embedding, other.embedding, atol=1e-4)
    np.testing.assert_allclose(mine.tags, other.tags, atol=1e-4)


class _WithTags(nn.Module):
    """A tiny network with a second head."""

    def __init__(self) -> None:
        super().__init__()
        self.network = build_model("cnn", 3, MEL.shape, TINY["cnn"])
        self.tags = nn.Linear(16, 2)

    def forward(self, windows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        logits, embedding = self.network(windows)
        return logits, embedding, self.tags(embedding)


def test_tags_go_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    card = make_card("cnn", tags=("a", "b"), tag_means=(-1.0, 0.5), tag_deviations=(1.0, 2.0))
    model = _WithTags().eval()
    monkeypatch.setattr("recsys.classifier.onnx_export.load_model", lambda _: (model, card))
    out = tmp_path / "tags.onnx"
    export_onnx(None, out)
    info = load_card(out).info()
    assert (info.tags, info.tag_means, info.tag_deviations) == (
        *(("a", "b"), (-1.0, 0.5)),
        (1.0, 2.0),
    )
    ours = torch_classifier(model, card)
    track = [spectrogram("noise", 1)]
    np.testing.assert_allclose(
        Classifier.load(out).analyse(track)[0].tags, ours.analyse(track)[0].tags, atol=1e-4
    )


def test_a_head_on_tracks_is_refused(tmp_path: Path) -> None:
    network = build_model("cnn", 3, MEL.shape, TINY["cnn"])
    config = {**TINY["cnn"], "track_head": {"dimension": 16, "network_genres": 3}}
    tensors = {f"{NETWORK_PREFIX}{name}": v.numpy() for name, v in network.state_dict().items()}
    head = {"genres.weight": np.zeros((3, 16), "f4"), "genres.bias": np.zeros(3, "f4")}
    card = make_card("cnn", config=config)
    write_model(tmp_path / "own.safetensors", {**tensors, **head}, card)
    with pytest.raises(ModelError, match="has a head over whole tracks"):
        export_onnx(tmp_path / "own.safetensors", tmp_path / "own.onnx")
    assert not (tmp_path / "own.onnx").exists()


class _Growing(nn.Module):
    """A network that tracing gets wrong: its outputs depend on the number of windows."""

    def forward(self, windows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        sums = windows.mean(dim=2)[:, :3]
        return (sums, sums) if len(windows) == 1 else (sums + 9, sums)


def test_a_pair_with_other_outputs_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "recsys.classifier.onnx_export.load_model",
        lambda _: (_Growing().eval(), make_card("cnn", dimension=3)),
    )
    with pytest.raises(ModelError, match="gives another logits"):
        export_onnx(None, tmp_path / "grown.onnx")
    assert list(tmp_path.iterdir()) == []


class _Odd(nn.Module):
    """A network with an operation that ONNX lacks, or that it takes two steps to write."""

    def __init__(self, operation: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.operation = operation

    def forward(self, windows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        means = windows.mean(dim=2)[:, :3]
        return self.operation(means, -means), means


def test_sums_of_exponentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far apart and close together, on either side."""
    card = make_card("cnn", dimension=3)
    model = _Odd(lambda a, b: torch.logaddexp(50 * a, b)).eval()
    monkeypatch.setattr("recsys.classifier.onnx_export.load_model", lambda _: (model, card))
    export_onnx(None, tmp_path / "odd.onnx")
    windows = 10 * np.random.default_rng(1).standard_normal((20, *MEL.shape)).astype(np.float32)
    windows += np.linspace(-5, 5, 20, dtype=np.float32)[:, np.newaxis, np.newaxis]
    (theirs, _) = OnnxSession(tmp_path / "odd.onnx").of_windows(windows)
    with torch.inference_mode():
        np.testing.assert_allclose(theirs, model(torch.from_numpy(windows))[0], rtol=1e-4)


def test_an_operation_that_onnx_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _Odd(lambda a, _: torch.special.bessel_j0(a)).eval()
    monkeypatch.setattr(
        "recsys.classifier.onnx_export.load_model", lambda _: (model, make_card("cnn", dimension=3))
    )
    with pytest.raises(ModelError, match=r"cannot be written as ONNX.*bessel"):
        export_onnx(None, tmp_path / "odd.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    source = save_tiny(tmp_path / "tiny.safetensors")
    with pytest.raises(ModelError, match="cannot be written"):
        export_onnx(source, tmp_path / "no" / "tiny.onnx")


@pytest.mark.parametrize("there", [("tiny.onnx",), ("tiny.toml",), ("tiny.onnx", "tiny.toml")])
def test_nothing_is_replaced_unasked(tmp_path: Path, there: tuple[str, ...]) -> None:
    source = save_tiny(tmp_path / "source.safetensors")
    mine = {"tiny.onnx": "\x08mine", "tiny.toml": DESCRIPTION}
    for name in there:
        (tmp_path / name).write_text(mine[name])
    out = tmp_path / "tiny.onnx"
    arguments = ["model", "export", str(source), "--onnx", str(out)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert all(str(tmp_path / name) in result.stderr for name in there)
    assert "--force" in result.stderr
    left = {path.name: path.read_text() for path in tmp_path.glob("tiny.*")}
    assert left == {name: mine[name] for name in there}
    result = CliRunner().invoke(cli, [*arguments, "--force"])
    if "tiny.toml" in there:
        assert result.exit_code == 0
        assert load_card(out).labels == LABELS
    else:  # no description makes it a model of another program
        assert "not an ONNX model with its description tiny.toml" in result.stderr
        assert out.read_text() == mine["tiny.onnx"]


@pytest.mark.parametrize("name", ["tiny.onnx", "tiny.toml"])
def test_force_replaces_models_alone(tmp_path: Path, name: str) -> None:
    source = save_tiny(tmp_path / "source.safetensors")
    (tmp_path / name).write_text("a song")
    with pytest.raises(QueryError, match="it was left as it is"):
        export_onnx(source, tmp_path / "tiny.onnx", overwrite=True)
    assert (tmp_path / name).read_text() == "a song"


@pytest.mark.parametrize("after", [0, 1])
def test_an_interruption_never_pairs_a_network_with_the_description_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    source, out = save_tiny(tmp_path / "source.safetensors"), tmp_path / "tiny.onnx"
    out.write_bytes(b"\x08old")
    description_path(out).write_text(DESCRIPTION)
    replace_file, done = Path.replace, []

    def broken(path: Path, target: Path) -> Path:
        if len(done) == after:
            raise OSError(28, "No space left on device")
        done.append(path)
        return replace_file(path, target)

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(ModelError, match="No space left"):
        export_onnx(source, out, overwrite=True)
    assert (out.read_bytes() == b"\x08old") == (after == 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("source.json", "source.safetensors"),
        "tiny.onnx",
    ]


def test_the_command(tmp_path: Path) -> None:
    source = save_tiny(tmp_path / "tiny.safetensors")
    out = tmp_path / "tiny.onnx"
    result = CliRunner().invoke(cli, ["model", "export", str(source), "--onnx", str(out), "--json"])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert set(summary) == set(documented("model export")[0])
    assert summary == {
        "model": str(out),
        "description": str(description_path(out)),
        "labels": list(LABELS),
        "tags": [],
    }
    result = CliRunner().invoke(cli, ["model", "export", "--onnx", str(tmp_path / "tiny.pt")])
    assert result.exit_code == 1
    assert "must end in .onnx" in result.stderr
