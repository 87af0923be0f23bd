"""The tempo of a sound: sonara's own estimate beside a comb over its onset strength.

Each finds what the other misses: the comb the pulse of music that is syncopated or has soft onsets,
sonara the level of the pulse that people tap. Where they agree, the tempo is rarely wrong, so that
their agreement tells how certain it is. The figures are in ``docs/results/mix.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from types import ModuleType

    from recsys.types import FloatArray

TEMPI = np.geomspace(40.0, 240.0, 721)
"""Candidates, beats per minute, a quarter of a percent apart."""

PERIODS = 4
"""Periods over which a candidate must repeat."""

USUAL_TEMPO, SPREAD = 110.0, 0.9
"""Centre and deviation, in octaves, of the tempi that are preferred (log-normal)."""

AGREEMENT = 0.04
"""Tolerance within which two tempi are the same: that of the field (Gouyon et al. 2006)."""


class Comb(NamedTuple):
    """The best candidate of a comb."""

    tempo: float
    strength: float  # mean autocorrelation over its periods, at most 1


def comb_tempo(onsets: FloatArray, rate: float) -> Comb | None:
    """Return the tempo whose first periods the onsets repeat best; None without onsets.

    Onset strength, shape (n,), has `rate` values a second.
    """
    centred = np.asarray(onsets, dtype=np.float64) - np.mean(onsets)
    n = len(centred)
    spectrum = np.fft.rfft(centred, 2 * n)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[:n]
    if n < rate * 60 / TEMPI[0] * PERIODS or correlation[0] <= 0:
        return None
    # Fewer values overlap the longer the lag: without this, fast tempi would be preferred.
    correlation /= correlation[0] * np.maximum(1 - np.arange(n) / n, 0.2)
    lags = rate * 60 / TEMPI[:, np.newaxis] * np.arange(1, PERIODS + 1)
    strengths = np.interp(lags, np.arange(n), correlation).mean(axis=1)
    usual = np.exp(-0.5 * (np.log2(TEMPI / USUAL_TEMPO) / SPREAD) ** 2)
    best = int(np.argmax(strengths * usual))
    return Comb(float(TEMPI[best]), float(strengths[best]))


def same_tempo(one: float, other: float) -> bool:
    """Return whether two tempi are the same within :data:`AGREEMENT`."""
    return abs(one / other - 1) <= AGREEMENT


LEAST_STRENGTH = 0.1
"""Music without a beat stays below 0.05, and with one above 0.25."""

HOP_LENGTH = 256
"""Samples between two values of the onset strength: 86 a second."""

CONFIDENCE = {"same": 0.65, "octave": 0.46, "other": 0.32}
"""Share of tempi that are right where sonara's own is the same, half or double, or another.

Of 168 pieces of ``tests/benchmarks/compare_mix.py``, seed 1. Nearly all others are half or double
of what is right.
"""


class FoundTempo(NamedTuple):
    """A tempo, and the share of tempi found like it that are right."""

    tempo: float
    confidence: float


def find_tempo(
    sonara: ModuleType, sound: FloatArray, rate_hz: int, its_own: float
) -> FoundTempo | None:
    """Return the tempo of mono sound, given sonara's own estimate; None without a beat."""
    onsets = np.asarray(sonara.onset_strength(sound, sr=rate_hz, hop_length=HOP_LENGTH))
    comb = comb_tempo(onsets, rate_hz / HOP_LENGTH)
    if comb is None or comb.strength < LEAST_STRENGTH:
        return None
    if same_tempo(comb.tempo, its_own):
        relation = "same"
    elif any(same_tempo(comb.tempo, its_own * factor) for factor in (0.5, 2.0)):
        relation = "octave"
    else:
        relation = "other"
    return FoundTempo(round(comb.tempo, 2), CONFIDENCE[relation])
