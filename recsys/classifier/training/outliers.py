"""Sounds that are out of distribution: noise, hum, tones, impulses and babble, synthesised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recsys.types import FloatArray

Samples = npt.NDArray[np.float64]

DURATION_S = 10.0


def synthesise(count: int, seed: int, sample_rate: int) -> Iterator[FloatArray]:
    """Synthesise sounds, every kind about as often.

    Parameters
    ----------
    count : int
    seed : int
    sample_rate : int
        Hz.

    Yields
    ------
    ndarray of float32, shape (n_samples,)
        10 s each, at any level.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(round(DURATION_S * sample_rate)) / sample_rate
    for number in range(count):
        sound = KINDS[number % len(KINDS)](rng, time)
        # Recordings have a noise floor; exact silence between impulses would give them away.
        floor = 10 ** rng.uniform(-5, -2) * np.abs(sound).max()
        yield (sound + floor * rng.standard_normal(len(time))).astype(np.float32)


def coloured_noise(rng: np.random.Generator, time: Samples) -> Samples:
    """Noise whose spectrum falls or rises by a random slope, slowly swelling."""
    spectrum = np.fft.rfft(rng.standard_normal(len(time)))
    slope = rng.uniform(-1.2, 0.4)
    noise = np.fft.irfft(spectrum * np.arange(1, len(spectrum) + 1) ** slope, n=len(time))
    swell = 1.0 + rng.uniform(0, 0.9) * np.sin(2 * np.pi * rng.uniform(0.05, 1.0) * time)
    sound: Samples = noise / np.abs(noise).max() * swell
    return sound


def hum(rng: np.random.Generator, time: Samples) -> Samples:
    """Harmonics of a steady low pitch: mains, motors, fans."""
    # The mains of Europe and of America, or a machine.
    pitch = rng.choice([50.0, 60.0, rng.uniform(40, 300)])
    strength = rng.uniform(0, 1, 24) / np.arange(1, 25) ** rng.uniform(0.3, 1.5)
    waves = [
        gain * np.sin(2 * np.pi * pitch * order * time + rng.uniform(0, 6.3))
        for order, gain in enumerate(strength, 1)
    ]
    sound: Samples = np.sum(waves, axis=0)
    return sound


def tone(rng: np.random.Generator, time: Samples) -> Samples:
    """One sine, steady, gliding or beeping."""
    low, high = np.sort(np.exp(rng.uniform(np.log(60), np.log(9000), 2)))
    bend = rng.choice([0.0, 1.0]) * time / time[-1]
    sine = np.sin(2 * np.pi * np.cumsum(low + (high - low) * bend) * (time[1] - time[0]))
    beeping = np.sin(2 * np.pi * rng.uniform(0.3, 4) * time) > 0
    sound: Samples = sine * beeping if rng.random() < 0.4 else sine
    return sound


def impulses(rng: np.random.Generator, time: Samples) -> Samples:
    """Clicks, drops and crackle: short decaying bursts at even or random moments."""
    rate = np.exp(rng.uniform(np.log(0.5), np.log(400)))
    if rng.random() < 0.4:
        onsets = np.arange(0, len(time), max(1, int(len(time) / time[-1] / rate)))
    else:
        onsets = rng.integers(0, len(time), int(rate * time[-1]) + 1)
    strikes = np.zeros(len(time))
    strikes[onsets] = rng.uniform(0.2, 1.0, len(onsets))
    decay = np.exp(-np.arange(400) / rng.uniform(2, 120))
    ring = np.cos(np.arange(400) * rng.uniform(0.02, 2.5))
    return np.convolve(strikes, decay * ring, mode="same") + 1e-4 * rng.standard_normal(len(time))


def babble(rng: np.random.Generator, time: Samples) -> Samples:
    """Speech-like: pulses or breath through moving formants, in syllables with pauses."""
    from scipy.signal import lfilter

    rate = 1.0 / (time[1] - time[0])
    drift = np.interp(time, np.linspace(0, time[-1], 40), rng.normal(0, 0.12, 40))
    pitch = rng.uniform(80, 260) * np.exp(drift)
    voice = np.diff(np.floor(np.cumsum(pitch) / rate), prepend=0.0)
    voice += rng.uniform(0.01, 0.1) * rng.standard_normal(len(time))
    out = np.zeros(len(time))
    start = 0
    while start < len(time):
        stop = start + int(rate * rng.uniform(0.08, 0.35))
        syllable = voice[start:stop]
        if rng.random() < 0.2:
            syllable = 0.1 * rng.standard_normal(len(syllable))
        for centre in rng.uniform([250, 800, 1900], [850, 2200, 3300]):
            # A resonance of two poles, 60 to 200 Hz wide.
            radius = np.exp(-np.pi * rng.uniform(60, 200) / rate)
            turn = 2 * radius * np.cos(2 * np.pi * centre / rate)
            syllable = lfilter([1 - radius], [1, -turn, radius * radius], syllable)
        if rng.random() > 0.2:
            out[start:stop] = syllable * np.hanning(len(syllable)) * rng.uniform(0.3, 1.0)
        start = stop
    return out / max(float(np.abs(out).max()), 1e-9)


KINDS: tuple[Callable[[np.random.Generator, Samples], Samples], ...] = (
    coloured_noise,
    hum,
    tone,
    impulses,
    babble,
)
