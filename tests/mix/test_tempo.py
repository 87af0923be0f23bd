from __future__ import annotations

import numpy as np
import pytest

from recsys.mix.tempo import LEAST_STRENGTH, comb_tempo, same_tempo

RATE = 86.13


def beats(tempo: float, seconds: float = 30.0) -> np.ndarray:
    onsets = np.zeros(round(seconds * RATE), dtype=np.float32)
    times = np.arange(0, seconds - 1, 60 / tempo)
    onsets[np.round(times * RATE).astype(int)] = 1
    return np.convolve(onsets, [0.3, 1, 0.6, 0.2], "same").astype(np.float32)


@pytest.mark.parametrize("tempo", [84.0, 97.0, 110.0, 123.5, 140.0])
def test_a_pulse_has_its_tempo(tempo: float) -> None:
    found = comb_tempo(beats(tempo), RATE)
    assert found is not None
    assert found.tempo == pytest.approx(tempo, rel=0.01)


def test_what_does_not_repeat_is_below_the_threshold() -> None:
    noise = np.random.default_rng(0).random(3000).astype(np.float32)
    found = comb_tempo(noise, RATE)
    assert found is not None
    assert found.strength < LEAST_STRENGTH


def test_silence_and_a_moment_have_no_tempo() -> None:
    assert comb_tempo(np.zeros(3000, dtype=np.float32), RATE) is None
    assert comb_tempo(beats(120, 4), RATE) is None


def test_the_tolerance_is_four_percent() -> None:
    assert same_tempo(124.0, 120.0)
    assert not same_tempo(126.0, 120.0)
