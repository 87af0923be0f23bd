"""Decoding a track from beginning to end, for what is measured over all of it.

Models hear a few windows, see :mod:`recsys.audio`; tables of features describe whole tracks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.audio import MIN_DURATION_S, SHORTFALL_S, SILENCE_PEAK
from recsys.audio_readers import AudioReader, open_readers
from recsys.errors import AudioError
from recsys.types import Waveform

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recsys.types import FloatArray

MAX_WHOLE_S = 600.0
"""What lies beyond is not heard: ten minutes take about a gigabyte to describe."""


def decode_whole(path: Path, sample_rate: int = 22_050) -> Waveform:
    """Decode a track from its beginning to its end, to mono.

    Parameters
    ----------
    path : Path
        Any file that libsndfile or FFmpeg can read.
    sample_rate : int
        Hz. A file that has this rate is not resampled, and every sample of it is kept.

    Returns
    -------
    Waveform
        One window, as long as the track. With a warning when the file is damaged, ends early, is
        longer than ten minutes (the rest is left out) or holds samples that are not numbers.

    Raises
    ------
    AudioError
        If the file holds no sound that can be decoded, is silent, or is shorter than 0.5 s.
    """
    with open_readers(path) as readers:
        samples, rate, warnings = _read(readers)
    samples, not_numbers = _silence_what_is_no_number(samples)
    warnings += not_numbers
    duration_s = len(samples) / rate
    if duration_s < MIN_DURATION_S:
        raise AudioError(
            f"too short: {duration_s:.2f} s of sound, at least {MIN_DURATION_S} s are needed",
            "The file may be cut off; replace it or take it out.",
        )
    peak = float(np.max(np.abs(samples)))
    if peak < SILENCE_PEAK:
        raise AudioError(
            "; ".join([f"silent: {duration_s:.1f} s, peak amplitude {peak:.1g}", *not_numbers]),
            "There is nothing to hear in this file; delete it or replace it.",
        )
    return Waveform(
        windows=_resampled(samples, rate, sample_rate)[np.newaxis],
        sample_rate=sample_rate,
        offsets_s=(0.0,),
        duration_s=duration_s,
        warning="; ".join(warnings) or None,
    )


def _read(readers: Iterator[AudioReader]) -> tuple[FloatArray, int, list[str]]:
    """Read with the first reader that meets no damage, or else with the one that got furthest."""
    samples, rate, warnings = np.zeros(0, dtype=np.float32), 1, [""]
    for reader in readers:
        try:
            # A little more, to know that there is more.
            heard, damaged = reader.read_all(MAX_WHOLE_S + 1)
        except RuntimeError:  # libsndfile, where it cannot even go to the beginning
            continue
        if len(heard) / reader.sample_rate > len(samples) / rate:
            samples, rate = heard, reader.sample_rate
            warnings = _shortcomings(reader, len(samples) / rate, damaged)
        if not warnings:
            break
    if len(samples) == 0:
        raise AudioError(
            "no sound could be decoded", "The file is damaged beyond its header; replace it."
        )
    length = round(MAX_WHOLE_S * rate)
    if len(samples) > length:
        warnings.append(f"only the first {MAX_WHOLE_S / 60:.0f} minutes were heard")
    return samples[:length], rate, warnings


def _shortcomings(reader: AudioReader, duration_s: float, damaged: int) -> list[str]:
    promised_s = reader.duration_s
    tolerance_s = SHORTFALL_S if reader.duration_is_exact else 0.1 * duration_s
    if promised_s is not None and min(promised_s, MAX_WHOLE_S) - duration_s > tolerance_s:
        return [f"ends early or is damaged: {duration_s:.1f} s of {promised_s:.1f} s read"]
    if damaged:
        return [f"damaged: {damaged} pieces could not be decoded and were left out"]
    return []


def _silence_what_is_no_number(samples: FloatArray) -> tuple[FloatArray, list[str]]:
    finite = np.isfinite(samples)
    if finite.all():
        return samples, []
    share = 1.0 - float(finite.mean())
    if share > 0.5:
        raise AudioError(
            f"{share:.0%} of the samples are not numbers (NaN or infinite)",
            "The file was written by a faulty program; replace it.",
        )
    silenced: FloatArray = np.where(finite, samples, np.float32(0))
    return silenced, [f"{share:.1%} of the samples are not numbers; they were silenced"]


def _resampled(samples: FloatArray, rate: int, wanted: int) -> FloatArray:
    if rate == wanted:
        return samples
    import soxr

    result: FloatArray = soxr.resample(samples, rate, wanted, quality="HQ")
    return result
