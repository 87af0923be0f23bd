"""Asking about spectrograms: the shipped model, log-mel models, and what cannot be asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.classifier import log_mel, predict_mel
from recsys.classifier.calibrate import softmax
from recsys.classifier.card import ModelCard, load_card
from recsys.classifier.inference import Classifier, pooled_outputs
from recsys.classifier.log_mel import MEL, LogMel, from_log_mel
from recsys.classifier.training.architectures import TorchNetwork, build_model, save_model
from recsys.errors import ModelError
from recsys.mel import CompressedMel, Features
from recsys.papers.features import Stft
from recsys.types import FloatArray
from tests.classifier.planted_genres import LABELS, TINY, spectrogram


@pytest.fixture(scope="module")
def windows() -> FloatArray:
    """Two windows of each planted genre."""
    return np.concatenate([spectrogram(genre, seed) for genre in LABELS for seed in (1, 2)])


def save_tiny(folder: Path, features: Features) -> tuple[Path, torch.nn.Module]:
    """A model with random weights for windows of these features."""
    torch.manual_seed(0)
    card = ModelCard(
        name="tiny",
        architecture="cnn",
        config=TINY["cnn"],
        labels=LABELS,
        features=features,
        dimension=16,
        temperature=1.7,
        thresholds=(0.5, 0.5, 0.5),
        confusion=tuple(tuple(row) for row in np.eye(3).tolist()),
    )
    model = build_model("cnn", 3, features.shape, TINY["cnn"])
    path = folder / f"{features.kind}-{features.window_s:g}.safetensors"
    save_model(path, model, card)
    return path, model


def test_a_log_mel_model_sees_the_windows_as_they_are(tmp_path: Path, windows: FloatArray) -> None:
    """Every row is a track of its own, and the probabilities are calibrated."""
    path, model = save_tiny(tmp_path, MEL)
    expected = pooled_outputs(
        TorchNetwork(model, torch.device("cpu")), list(windows[:, np.newaxis])
    )
    probabilities, embeddings = predict_mel(windows, path, "cpu")
    np.testing.assert_allclose(probabilities, softmax(expected.logits, 1.7), atol=1e-5)
    np.testing.assert_allclose(embeddings, expected.embeddings, atol=1e-5)


def test_a_model_that_was_trained_again_is_loaded_again(
    tmp_path: Path, windows: FloatArray
) -> None:
    path, _ = save_tiny(tmp_path, MEL)
    before, _ = predict_mel(windows, path, "cpu")
    torch.manual_seed(5)
    other = build_model("cnn", 3, MEL.shape, TINY["cnn"])
    save_model(path, other, load_card(path))
    after, _ = predict_mel(windows, path, "cpu")
    expected = pooled_outputs(
        TorchNetwork(other, torch.device("cpu")), list(windows[:, np.newaxis])
    )
    np.testing.assert_allclose(after, softmax(expected.logits, 1.7), atol=1e-5)
    assert not np.allclose(before, after, atol=1e-3)


def test_the_shipped_model_sees_them_converted(windows: FloatArray) -> None:
    probabilities, embeddings = predict_mel(windows, device="cpu")
    labels = load_card().labels
    assert (probabilities.shape, embeddings.shape) == ((6, len(labels)), (6, 128))
    assert probabilities.dtype == embeddings.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    analyses = Classifier.load(device="cpu").analyse(list(from_log_mel(windows)[:, np.newaxis]))
    for row, analysis in enumerate(analyses):
        np.testing.assert_allclose(probabilities[row], analysis.probabilities, atol=2e-3)
        assert float(embeddings[row] @ analysis.embedding) > 0.999


def test_the_shipped_model_separates_sounds(windows: FloatArray) -> None:
    """The nearest neighbour of each window is the other one of its planted genre."""
    _, embeddings = predict_mel(windows, device="cpu")
    cosines = embeddings @ embeddings.T - 2 * np.eye(6)
    assert cosines.argmax(axis=1).tolist() == [1, 0, 3, 2, 5, 4]


def test_a_row_does_not_depend_on_the_others(
    windows: FloatArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = predict_mel(windows, device="cpu")
    monkeypatch.setattr(log_mel, "_WINDOWS_PER_BATCH", 4)
    apart = predict_mel(windows, device="cpu")
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)


def test_numbers_of_double_precision_will_do(windows: FloatArray) -> None:
    for one, other in zip(
        predict_mel(windows.astype(np.float64), device="cpu"),
        predict_mel(windows, device="cpu"),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_no_windows() -> None:
    probabilities, embeddings = predict_mel(np.empty((0, 128, 130), np.float32), device="cpu")
    assert (probabilities.shape, embeddings.shape) == ((0, len(load_card().labels)), (0, 128))


@pytest.mark.parametrize("shape", [(128, 130), (2, 130, 128), (2, 1, 128, 130), (2, 96, 188)])
def test_windows_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must have shape \(n, 128, 130\)") as caught:
        predict_mel(np.zeros(shape, np.float32))
    assert str(shape) in str(caught.value)


def test_whole_numbers_are_refused() -> None:
    """They would be spectrograms that were not restored, 24 times too large."""
    with pytest.raises(ValueError, match="floats, got int8"):
        predict_mel(np.zeros((1, 128, 130), np.int8))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    windows = np.zeros((2, 128, 130), np.float32)
    windows[1, 5, 5:8] = bad
    with pytest.raises(ValueError, match="finite numbers, got 3 that are not"):
        predict_mel(windows)


@pytest.mark.parametrize("features", [Stft(), LogMel(window_s=5.0)])
def test_a_model_that_looks_at_something_else(
    features: Features, tmp_path: Path, windows: FloatArray
) -> None:
    path, _ = save_tiny(tmp_path, features)
    with pytest.raises(ModelError, match=f"the input of tiny is {features.kind}") as caught:
        predict_mel(windows, path, "cpu")
    assert caught.value.hint


def test_another_resolution_of_compressed_mel_is_made(tmp_path: Path, windows: FloatArray) -> None:
    path, _ = save_tiny(tmp_path, CompressedMel(n_mels=64))
    assert predict_mel(windows, path, "cpu")[1].shape == (6, 16)


def test_the_package_is_imported_without_pytorch() -> None:
    code = "import sys, recsys.classifier; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_nothing_else_is_offered() -> None:
    import recsys.classifier

    with pytest.raises(AttributeError, match="predict_sound"):
        _ = recsys.classifier.predict_sound
