"""Sounds that are no music: as many as asked, of every kind, always the same."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.classifier.training.outliers import KINDS, synthesise
from recsys.classifier.training.tune import outlier_responses
from recsys.mel import CompressedMel
from tests.classifier.training.small_network import FILTERS, small_network


@pytest.mark.parametrize("sample_rate", [16_000, 22_050])
def test_each_is_ten_seconds_of_sound(sample_rate: int) -> None:
    sounds = list(synthesise(2 * len(KINDS), 0, sample_rate))
    assert len(sounds) == 10
    for sound in sounds:
        assert sound.dtype == np.float32
        assert sound.shape == (10 * sample_rate,)
        assert np.isfinite(sound).all()
        assert sound.std() > 0


def test_a_seed_decides_the_sounds_and_their_number_changes_none() -> None:
    some, more, other = (list(synthesise(n, seed, 16_000)) for n, seed in ((3, 1), (5, 1), (3, 2)))
    for one, again, different in zip(some, more, other, strict=False):
        np.testing.assert_array_equal(one, again)
        assert not np.array_equal(one, different)


def test_kinds_take_turns() -> None:
    """The hum has its power in harmonics of its pitch; noise has it everywhere."""
    noise, hum = list(synthesise(2, 0, 16_000))
    peaks = [_share_of_strongest(sound, bins=240) for sound in (noise, hum)]
    assert peaks[1] > 0.9 > peaks[0]


def _share_of_strongest(sound: np.ndarray, bins: int) -> float:
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    return float(np.sort(power)[-bins:].sum() / power.sum())


def test_there_are_responses_to_three_windows_of_each() -> None:
    responses = outlier_responses(small_network(), 5, 0, CompressedMel())
    assert [windows.shape for windows in responses] == [(3, sum(FILTERS), 188)] * 5
    assert all(windows.dtype == np.float16 for windows in responses)
    assert outlier_responses(small_network(), 0, 0, CompressedMel()) == ()
