"""Compressed mel: the formula of MusiCNN, at the level of an ordinary recording."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recsys.mel import USUAL_POWER, CompressedMel, compress, expand, normalise_level
from recsys.one_librosa import librosa
from recsys.types import FloatArray

MEL = CompressedMel()


def tone(bin_number: int, amplitude: float = 0.5, windows: int = 1) -> FloatArray:
    """A cosine in the middle of a bin of the FFT."""
    n = np.arange(windows * MEL.window_length)
    sound = amplitude * np.cos(2 * np.pi * bin_number / MEL.n_fft * n)
    return sound.reshape(windows, -1).astype(np.float32)


@pytest.mark.parametrize("bin_number", [14, 32, 100])
def test_a_tone_gives_the_power_that_a_hann_window_gives(bin_number: int) -> None:
    """A cosine of amplitude a has |X| = a N / 4 in its bin and half of that in either neighbour."""
    power = expand(MEL.compute(tone(bin_number)))[0].astype(np.float64)
    spectrum = np.zeros(1 + MEL.n_fft // 2)
    spectrum[bin_number - 1 : bin_number + 2] = [0.25, 1.0, 0.25]
    filters = librosa.filters.mel(sr=MEL.sample_rate, n_fft=MEL.n_fft, n_mels=MEL.n_mels)
    expected = filters @ spectrum
    inner = power[:, 2:-2]
    shares = expected[:, np.newaxis] / expected.sum() * np.ones(inner.shape[1])
    np.testing.assert_allclose(inner / inner.sum(axis=0), shares, atol=1e-4)
    assert power.mean() == pytest.approx(USUAL_POWER, rel=1e-4)


def test_compression_is_that_of_the_original() -> None:
    power = np.asarray([0.0, 1e-4, 0.0999, 0.9999], dtype=np.float32)
    expected = [0.0, np.log10(2.0), 3.0, 4.0]
    np.testing.assert_allclose(compress(power), expected, atol=1e-5)


@given(arrays.arrays(np.float32, 7, elements=st.floats(0, 1000, width=32)))
def test_expanding_undoes_compressing(power: FloatArray) -> None:
    np.testing.assert_allclose(expand(compress(power)), power, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("gain", [0.01, 0.25, 2.0])
def test_level_does_not_count(gain: float) -> None:
    rng = np.random.default_rng(0)
    sound = 0.1 * rng.standard_normal((2, MEL.window_length)).astype(np.float32)
    np.testing.assert_allclose(MEL.compute(gain * sound), MEL.compute(sound), atol=1e-4)


def test_windows_of_a_track_keep_their_levels() -> None:
    """What is ten times as loud has a hundred times the power, in the same track."""
    sound = np.concatenate([tone(32, 0.05), tone(32, 0.5)])
    quiet, loud = expand(MEL.compute(sound)).mean(axis=(1, 2))
    assert loud / quiet == pytest.approx(100, rel=1e-3)
    assert (loud + quiet) / 2 == pytest.approx(USUAL_POWER, rel=1e-4)


def test_silence_is_nothing_and_stays_so() -> None:
    assert not MEL.compute(np.zeros((2, MEL.window_length), dtype=np.float32)).any()
    assert not normalise_level(np.full((4, 5), 1e-14, dtype=np.float32)).any()


def test_a_window_of_three_seconds_has_188_frames() -> None:
    assert MEL.shape == (96, 188)
    assert MEL.compute(tone(32, windows=3)).shape == (3, 96, 188)


@pytest.mark.parametrize("shape", [(0, 48_000), (48_000,), (1, 0), (1, 2, 24_000)])
def test_samples_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="samples must have shape"):
        MEL.compute(np.zeros(shape, dtype=np.float32))
