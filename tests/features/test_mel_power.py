"""Mel power, with librosa as the oracle."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from recsys.mel import mel_filters, mel_power
from recsys.one_librosa import librosa
from tests.sounds import staircase

SETTINGS = [(16_000, 512, 256, 96), (22_050, 2048, 512, 128), (44_100, 1000, 300, 40)]


@pytest.mark.parametrize(("rate", "n_fft", "hop", "n_mels"), SETTINGS)
def test_power_is_that_of_librosa(rate: int, n_fft: int, hop: int, n_mels: int) -> None:
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.standard_normal((3, rate + 17)).astype(np.float32)
    noise[1] = staircase(2.0, rate)[: rate + 17]
    expected = librosa.feature.melspectrogram(
        y=noise, sr=rate, n_fft=n_fft, hop_length=hop, n_mels=n_mels
    )
    power = mel_power(noise, rate, n_fft, hop, n_mels)
    assert power.dtype == np.float32
    np.testing.assert_allclose(power, expected, rtol=1e-4, atol=1e-6 * expected.max())


@pytest.mark.parametrize(
    ("rate", "n_fft", "n_mels"), [(16_000, 512, 96), (22_050, 2048, 128), (1_600, 64, 8)]
)
def test_filters_are_those_of_librosa(rate: int, n_fft: int, n_mels: int) -> None:
    expected = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels)
    np.testing.assert_allclose(mel_filters(rate, n_fft, n_mels), expected, rtol=1e-5, atol=1e-9)


def test_filters_are_shared_and_safe() -> None:
    filters = mel_filters(16_000, 512, 96)
    assert mel_filters(16_000, 512, 96) is filters
    with pytest.raises(ValueError, match="read-only"):
        filters[0, 0] = 1


def test_librosa_is_not_loaded_for_the_features_of_the_shipped_model() -> None:
    program = """
import sys
import numpy as np
from recsys.mel import CompressedMel
mel = CompressedMel()
mel.compute(np.zeros((1, mel.window_length), np.float32))
print("librosa" in sys.modules, mel.uses_librosa)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"], done.stderr
