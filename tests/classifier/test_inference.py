"""Inference: calibrated probabilities, unit embeddings, independent of the batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.classifier.calibrate import softmax
from recsys.classifier.card import ModelCard
from recsys.classifier.inference import Classifier
from recsys.classifier.log_mel import MEL
from recsys.classifier.training.architectures import build_model, resolve_device, save_model
from recsys.errors import ModelError
from tests.classifier.modules import module_of, torch_classifier
from tests.classifier.planted_genres import LABELS, TINY, synthesise


def tiny_classifier(architecture: str, temperature: float = 1.0) -> Classifier:
    torch.manual_seed(1)
    model = build_model(architecture, 3, MEL.shape, TINY[architecture])
    card = ModelCard(
        name="tiny",
        architecture=architecture,
        config=TINY[architecture],
        labels=LABELS,
        features=MEL,
        dimension=16,
        temperature=temperature,
        thresholds=(0.5, 0.5, 0.5),
        confusion=tuple(tuple(row) for row in np.eye(3).tolist()),
        fingerprint="0123456789abcdef",
    )
    return torch_classifier(model, card)


@pytest.fixture(params=["cnn", "cnn-lstm"])
def classifier(request: pytest.FixtureRequest) -> Classifier:
    return tiny_classifier(request.param)


@pytest.fixture(scope="module")
def tracks() -> list[np.ndarray]:
    """Ninety windows in tracks of several lengths, so that batches cut through tracks."""
    rng = np.random.default_rng(0)
    lengths = (1, 10, 3, 40, 30, 6)
    return [rng.standard_normal((n, 128, 130)).astype(np.float32) for n in lengths]


def test_analyses_are_well_formed(classifier: Classifier, tracks: list[np.ndarray]) -> None:
    for analysis in classifier.analyse(tracks):
        assert analysis.probabilities.dtype == analysis.embedding.dtype == np.float32
        assert analysis.probabilities.sum() == pytest.approx(1.0, abs=1e-5)
        assert np.linalg.norm(analysis.embedding) == pytest.approx(1.0, abs=1e-5)
        assert analysis.fingerprint == "0123456789abcdef"


def test_a_track_does_not_depend_on_its_company(
    classifier: Classifier, tracks: list[np.ndarray]
) -> None:
    together = classifier.analyse(tracks)
    for track, expected in zip(tracks, together, strict=True):
        (alone,) = classifier.analyse([track])
        np.testing.assert_allclose(alone.embedding, expected.embedding, atol=1e-5)
        np.testing.assert_allclose(alone.probabilities, expected.probabilities, atol=1e-5)


def test_pooling_is_the_mean_over_windows(classifier: Classifier, tracks: list[np.ndarray]) -> None:
    track = tracks[1]
    singles = [classifier.scores([window[np.newaxis]])[0][0] for window in track]
    logits = classifier.scores([track]).logits
    np.testing.assert_allclose(logits[0], np.mean(singles, axis=0), atol=1e-5)


def test_the_temperature_is_that_of_the_number_of_windows(tracks: list[np.ndarray]) -> None:
    plain = tiny_classifier("cnn")
    card = replace(plain.card, temperatures=(4.0, 2.0))
    cooled = Classifier(plain.network, card)
    logits = plain.scores(tracks).logits
    assert {len(windows) for windows in tracks} >= {1, 10}
    for windows, row, analysis in zip(tracks, logits, cooled.analyse(tracks), strict=True):
        wanted = softmax(row, {1: 4.0}.get(len(windows), 2.0))
        np.testing.assert_allclose(analysis.probabilities, wanted, rtol=1e-5)


def test_the_temperature_flattens_and_keeps_the_order(tracks: list[np.ndarray]) -> None:
    sharp, flat = (tiny_classifier("cnn", t).analyse(tracks)[0].probabilities for t in (0.2, 5.0))
    assert sharp.max() > flat.max()
    assert sharp.argsort().tolist() == flat.argsort().tolist()


def test_no_tracks(classifier: Classifier) -> None:
    assert classifier.analyse([]) == []


@pytest.mark.parametrize("shape", [(0, 128, 130), (2, 64, 130), (2, 128, 131), (128, 130)])
def test_windows_of_another_size(classifier: Classifier, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="windows must have shape"):
        classifier.analyse([np.zeros(shape, dtype=np.float32)])


def test_a_saved_model_has_the_same_outputs(tmp_path: Path, tracks: list[np.ndarray]) -> None:
    original = tiny_classifier("cnn-lstm")
    model = build_model("cnn-lstm", 3, MEL.shape, TINY["cnn-lstm"])
    model.load_state_dict(module_of(original).state_dict())
    path = tmp_path / "tiny.safetensors"
    save_model(path, model, original.card)
    loaded = Classifier.load(path, "cpu")
    expected, found = original.analyse(tracks)[3], loaded.analyse(tracks)[3]
    np.testing.assert_allclose(found.embedding, expected.embedding, atol=1e-6)


def test_devices() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device().type in {"cpu", "cuda", "mps"}
    with pytest.raises(ModelError, match="abacus"):
        resolve_device("abacus")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="cuda") as caught:
        Classifier.load(device="cuda")
    assert "--device cpu" in caught.value.hint


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    return Classifier.load(device="cpu")


def windows_of(classifier: Classifier, genre: str, seed: int, level: float = 1.0) -> np.ndarray:
    """What a model looks at of two windows of a planted genre."""
    sound = synthesise(genre, seed, seconds=6.0, sample_rate=classifier.features.sample_rate)
    return classifier.features.compute(level * sound.reshape(2, -1))


def test_the_shipped_model_is_deaf_to_level(shipped: Classifier) -> None:
    quiet, loud = shipped.analyse(
        [windows_of(shipped, "clicks", 5, level) for level in (0.25, 0.5)]
    )
    assert float(quiet.embedding @ loud.embedding) > 0.9999
    np.testing.assert_allclose(quiet.probabilities, loud.probabilities, atol=1e-3)


def test_the_shipped_model_separates_sounds(shipped: Classifier) -> None:
    """Two tones, or two noises, are nearer to each other than a tone is to a noise."""
    tone_a, tone_b, noise_a, noise_b = (
        analysis.embedding
        for analysis in shipped.analyse(
            [windows_of(shipped, genre, seed) for genre in ("tone", "noise") for seed in (1, 2)]
        )
    )
    across = float(tone_a @ noise_a)
    assert float(noise_a @ noise_b) > across
    assert float(tone_a @ tone_b) > across
