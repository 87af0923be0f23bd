"""What holds for every kind of features."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest

from recsys.classifier.log_mel import LogMel
from recsys.errors import ModelError
from recsys.mel import CompressedMel, Features, feature_kind, features_from_dict
from recsys.papers.features import ImageFeatures, Mfcc, PublicTable, Stft, Summary
from recsys.types import FloatArray

RATE = 22_050

KINDS = [
    LogMel(),
    CompressedMel(),
    Mfcc(),
    Summary(window_s=3.0, statistics=("mean", "var"), parts=("rms", "flatness", "chroma")),
    Summary(window_s=5.0),
    PublicTable(),
    Stft(),
    ImageFeatures(),
    ImageFeatures(content="centroid", height=48, width=72, fmax=8000.0),
    ImageFeatures(content="chroma", height=288, width=432),
]

BY_WINDOW = KINDS[2:]
"""Those that look at every window by itself; the first two even out the level of a track."""


def noise_and_tones(settings: Features) -> FloatArray:
    """Three windows of different sound and level."""
    rng = np.random.default_rng(0)
    t = np.arange(settings.window_length) / settings.sample_rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * t)
    noise = 0.1 * rng.standard_normal(len(t))
    clicks = np.where(np.arange(len(t)) % 11_025 < 50, 0.9, 0.0)
    return np.stack([tone, noise, clicks]).astype(np.float32)


def name_of(settings: Features) -> str:
    return f"{settings.kind}-{getattr(settings, 'content', settings.window_s)}"


@pytest.mark.parametrize("settings", KINDS, ids=name_of)
def test_values_are_finite_float32_of_the_stated_shape(settings: Features) -> None:
    values = settings.compute(noise_and_tones(settings))
    assert values.shape == (3, *settings.shape)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    if settings.half_precision:
        assert np.isfinite(values.astype(np.float16)).all()
        np.testing.assert_allclose(values.astype(np.float16), values, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("settings", KINDS, ids=name_of)
def test_silence_gives_finite_values_without_a_warning(settings: Features) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = settings.compute(np.zeros((1, settings.window_length), dtype=np.float32))
    assert np.isfinite(values).all()


@pytest.mark.parametrize("settings", BY_WINDOW, ids=name_of)
def test_a_window_is_computed_on_its_own(settings: Features) -> None:
    samples = noise_and_tones(settings)
    together = settings.compute(samples)
    alone = np.concatenate([settings.compute(samples[i : i + 1]) for i in (2, 1, 0)])
    np.testing.assert_array_equal(together, alone[::-1])


@pytest.mark.parametrize("settings", KINDS, ids=name_of)
def test_settings_survive_a_model_card(settings: Features) -> None:
    again = features_from_dict(json.loads(json.dumps(settings.as_dict())))
    assert again == settings
    assert hash(again) == hash(settings)


@pytest.mark.parametrize("settings", BY_WINDOW, ids=name_of)
@pytest.mark.parametrize("shape", [(0, 66_150), (1, 100), (66_150,)])
def test_samples_of_another_shape_are_refused(settings: Features, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="samples must have shape"):
        settings.compute(np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize(
    ("kind", "wrong", "said"),
    [
        ("compressed-mel", {"n_fft": 0}, "n_fft is 0"),
        ("compressed-mel", {"n_mels": 0}, "n_mels is 0"),
        ("mfcc", {"n_fft": 0}, "n_fft is 0"),
        ("mfcc", {"n_fft": "2048"}, "n_fft is '2048'"),
        ("mfcc", {"n_fft": 2048, "window_s": 0.05}, "n_fft is 2048"),
        ("mfcc", {"hop_length": -512}, "hop_length is -512"),
        ("mfcc", {"n_mfcc": 129}, "n_mfcc is 129"),
        ("mfcc", {"window_s": -3.0}, "window_s is -3.0"),
        ("mfcc", {"window_s": float("nan")}, "window_s is nan"),
        ("mfcc", {"overlap": 1.0}, "overlap is 1.0"),
        ("stft", {"sample_rate": 0}, "sample_rate is 0"),
        ("stft", {"max_windows": 2.5}, "max_windows is 2.5"),
        ("summary", {"parts": ["zcr", "loudness"]}, "'loudness' among parts"),
        ("summary", {"parts": []}, "at least one"),
        ("summary", {"parts": ["zcr", "zcr"]}, "each once"),
        ("summary", {"statistics": ["median"]}, "'median' among statistics"),
        ("summary", {"sample_rate": 11_025}, "contrast needs more"),
        ("public-table", {"hop_length": 0}, "hop_length is 0"),
        ("picture", {"content": "phase"}, "content is 'phase'"),
        ("picture", {"height": 0}, "height is 0"),
        ("picture", {"fmax": 12_000.0}, "fmax is 12000.0"),
    ],
)
def test_impossible_settings_are_refused(kind: str, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        feature_kind(kind)(**wrong)
    assert caught.value.hint
