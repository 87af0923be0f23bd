"""Compressed mel from log-mel: what both spectrograms of one sound have in common."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from recsys.classifier.log_mel import MEL, USUAL_DEVIATION_DB, LogMel, from_log_mel
from recsys.demo import SAMPLE_RATE, STYLES, render
from recsys.mel import USUAL_POWER, CompressedMel
from recsys.one_librosa import librosa
from recsys.types import FloatArray

TARGET = CompressedMel()


def at_rate(sound: FloatArray, settings: LogMel | CompressedMel, rate: int) -> FloatArray:
    """One window, resampled to what the settings want, shape (1, n_samples)."""
    resampled = soxr.resample(sound, rate, settings.sample_rate)
    return resampled[np.newaxis, : settings.window_length].astype(np.float32)


def both_ways(sound: FloatArray, rate: int) -> tuple[FloatArray, FloatArray]:
    """The compressed mel of a sound: made from it, and from its log-mel."""
    made = TARGET.compute(at_rate(sound, TARGET, rate))
    return made[0], from_log_mel(MEL.compute(at_rate(sound, MEL, rate)))[0]


@pytest.mark.parametrize("style", STYLES)
def test_music_looks_alike_both_ways(style: str) -> None:
    sound = render(STYLES[style], np.random.default_rng(3), 3.1)
    made, converted = both_ways(sound, SAMPLE_RATE)
    assert np.corrcoef(made.ravel(), converted.ravel())[0, 1] > 0.85


def test_the_values_are_those_of_the_stated_rule() -> None:
    """Power between centres of bands, compressed values between times of frames, one by one."""
    rng = np.random.default_rng(0)
    decibels = rng.normal(0, USUAL_DEVIATION_DB, MEL.shape)
    windows = ((decibels - decibels.mean()) / decibels.std())[np.newaxis].astype(np.float32)
    decibels = USUAL_DEVIATION_DB * (windows[0] - windows[0].max()).astype(np.float64)
    centres = [
        librosa.mel_frequencies(n_mels=s.n_mels + 2, fmin=0, fmax=s.sample_rate / 2)[1:-1]
        for s in (MEL, TARGET)
    ]
    power = np.stack(
        [10 ** (np.interp(centres[1], centres[0], column) / 10) for column in decibels.T], axis=1
    )
    compressed = np.log10(1 + 10_000 * power * USUAL_POWER / power.mean())
    times_s = np.arange(MEL.frames) * MEL.hop_length / MEL.sample_rate
    wanted = np.arange(TARGET.frames) * TARGET.hop_length / TARGET.sample_rate
    expected = np.stack([np.interp(wanted, times_s, row) for row in compressed])
    np.testing.assert_allclose(from_log_mel(windows)[0], expected, atol=2e-3)


@pytest.mark.parametrize("frequency", [250.0, 1000.0, 4000.0])
def test_a_tone_stays_at_its_pitch(frequency: float) -> None:
    time = np.arange(3 * MEL.sample_rate + 200) / MEL.sample_rate
    hiss = 0.003 * np.random.default_rng(0).standard_normal(len(time))
    made, converted = both_ways(0.4 * np.sin(2 * np.pi * frequency * time) + hiss, MEL.sample_rate)
    assert abs(int(made.mean(axis=1).argmax()) - int(converted.mean(axis=1).argmax())) <= 1


@pytest.mark.parametrize("moment_s", [0.5, 1.5, 2.7])
def test_a_click_stays_at_its_moment(moment_s: float) -> None:
    sound = 0.003 * np.random.default_rng(0).standard_normal(3 * MEL.sample_rate + 200)
    place = round(moment_s * MEL.sample_rate)
    sound[place : place + 30] += 0.9
    _, converted = both_ways(sound, MEL.sample_rate)
    found_s = converted.mean(axis=0).argmax() * TARGET.hop_length / TARGET.sample_rate
    assert found_s == pytest.approx(moment_s, abs=MEL.hop_length / MEL.sample_rate)


def test_what_is_flat_stays_flat() -> None:
    flat = from_log_mel(np.zeros((1, *MEL.shape), dtype=np.float32))
    np.testing.assert_allclose(flat, np.log10(1 + 10_000 * USUAL_POWER), rtol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_shapes(n: int) -> None:
    windows = np.random.default_rng(0).standard_normal((n, *MEL.shape)).astype(np.float32)
    converted = from_log_mel(windows)
    assert converted.shape == (n, *TARGET.shape)
    assert converted.dtype == np.float32


def test_a_window_is_converted_by_itself() -> None:
    windows = np.random.default_rng(0).standard_normal((3, *MEL.shape)).astype(np.float32)
    windows[1] *= 3
    alone = np.concatenate([from_log_mel(window[np.newaxis]) for window in windows])
    np.testing.assert_allclose(from_log_mel(windows), alone, atol=1e-5)


def test_other_targets() -> None:
    smaller = CompressedMel(n_mels=48, hop_length=512)
    windows = np.random.default_rng(0).standard_normal((2, *MEL.shape)).astype(np.float32)
    assert from_log_mel(windows, target=smaller).shape == (2, 48, 94)
