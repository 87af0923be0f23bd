"""Decoding: a few windows of mono sound out of any audio file.

Only what is needed is read: the file is opened once, and each window is sought. Files that end
early or are damaged in the middle are read from the start, past what cannot be decoded, and
come back with a warning; what holds no sound at all is an :class:`~recsys.errors.AudioError`.

Parsing is left to libsndfile (through soundfile) and to FFmpeg (through PyAV), see
:mod:`recsys.audio_readers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.audio_readers import AudioReader, open_readers
from recsys.errors import AudioError
from recsys.features import MEL, Features
from recsys.types import Waveform

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recsys.types import FloatArray

MIN_DURATION_S = 0.5
"""Shorter than this there is nothing to recognise a genre by."""

SHORTFALL_S = 0.25
"""How much of a window may be missing before the file counts as damaged."""

MAX_SALVAGE_S = 20 * 60.0
"""How much of a damaged file is read at most when its windows cannot be sought."""

SILENCE_PEAK = 1e-5
"""Peak amplitude (-100 dBFS) under which a recording is silent."""


def plan_offsets(
    duration_s: float, window_s: float, max_windows: int, overlap: float = 0.0
) -> list[float]:
    """Spread windows evenly over a track.

    The track is cut into equal parts and each window sits in the middle of its part, so that a
    few samples more at the start (a codec's delay, say) move no window by more than that.

    Parameters
    ----------
    duration_s, window_s : float
        Seconds.
    max_windows : int
        Upper limit.
    overlap : float
        Share of a window that it has in common with the next, where the track is too short for
        windows that keep apart.

    Returns
    -------
    list of float
        Offsets in seconds, ascending. A track shorter than a window gives ``[0.0]``.

    Examples
    --------
    >>> plan_offsets(12.0, 3.0, 10)
    [0.0, 3.0, 6.0, 9.0]
    >>> plan_offsets(1.0, 3.0, 10)
    [0.0]
    >>> len(plan_offsets(3600.0, 3.0, 10))
    10
    >>> plan_offsets(7.5, 3.0, 10, overlap=0.5)
    [0.0, 1.5, 3.0, 4.5]
    """
    step = window_s * (1.0 - overlap)
    count = min(max_windows, max(1, round((duration_s - overlap * window_s) / step)))
    last = max(0.0, duration_s - window_s)
    if overlap and count > 1 and count * window_s > duration_s:
        return [last * i / (count - 1) for i in range(count)]
    part = duration_s / count
    return [min(last, max(0.0, (i + 0.5) * part - window_s / 2)) for i in range(count)]


def decode(path: Path, settings: Features = MEL) -> Waveform:
    """Decode evenly spread windows of a track to mono at the model's sample rate.

    Parameters
    ----------
    path : Path
        Any file that libsndfile or FFmpeg can read.
    settings : Features
        Gives the sample rate, and length, number and overlap of the windows.

    Returns
    -------
    Waveform
        With a warning when the file is damaged, ends early, is shorter than a window or holds
        samples that are not numbers.

    Raises
    ------
    AudioError
        If the file holds no sound that can be decoded, is silent, or is shorter than 0.5 s.
    """
    with open_readers(path) as readers:
        windows, offsets, duration_s, warnings = _read_windows(readers, settings)
    windows, not_numbers = _replace_not_numbers(windows)
    warnings += not_numbers
    peak = float(np.max(np.abs(windows)))
    if peak < SILENCE_PEAK:
        but = f"; {not_numbers[0]}" if not_numbers else ""
        raise AudioError(
            f"silent: {duration_s:.1f} s without a sound (peak amplitude {peak:.1g}){but}",
            "There is nothing to hear in this file; delete it or replace it.",
        )
    if duration_s < settings.window_s:
        warnings.append(
            f"only {duration_s:.1f} s long; repeated to fill a window of {settings.window_s:g} s"
        )
    return Waveform(
        windows=windows,
        sample_rate=settings.sample_rate,
        offsets_s=tuple(offsets),
        duration_s=duration_s,
        warning="; ".join(warnings) or None,
    )


def _read_windows(
    readers: Iterator[AudioReader], settings: Features
) -> tuple[FloatArray, list[float], float, list[str]]:
    """Read the planned windows with the first reader that can, or salvage what is there."""
    for reader in readers:
        last = reader
        if reader.duration_s is None:
            continue
        _check_duration(reader.duration_s)
        offsets = _offsets(reader.duration_s, settings)
        chunks = _seek_all(reader, offsets, settings.window_s)
        if chunks is not None:
            return _to_windows(chunks, reader.sample_rate, settings), offsets, reader.duration_s, []
    return _salvage(last, settings)


def _offsets(duration_s: float, settings: Features) -> list[float]:
    return plan_offsets(duration_s, settings.window_s, settings.max_windows, settings.overlap)


def _check_duration(duration_s: float) -> None:
    if duration_s < MIN_DURATION_S:
        raise AudioError(
            f"too short: {duration_s:.2f} s of sound, at least {MIN_DURATION_S} s are needed",
            "Too little to recognise anything by; the file may be cut off.",
        )


def _seek_all(
    reader: AudioReader, offsets: list[float], window_s: float
) -> list[FloatArray] | None:
    """Read every window where it was planned, or return None if any of them is not there."""
    expected_s = window_s if reader.duration_s is None else min(window_s, reader.duration_s)
    chunks = []
    for offset in offsets:
        try:
            chunk = reader.read(offset, window_s)
        except AudioError:
            return None
        if len(chunk) < (expected_s - SHORTFALL_S) * reader.sample_rate:
            return None
        chunks.append(chunk)
    return chunks


def _salvage(
    reader: AudioReader, settings: Features
) -> tuple[FloatArray, list[float], float, list[str]]:
    """Read a damaged file from its start, and take the windows from what could be decoded."""
    samples, damaged = reader.read_all(MAX_SALVAGE_S)
    duration_s = len(samples) / reader.sample_rate
    if len(samples) == 0:
        raise AudioError(
            "no sound could be decoded", "The file is damaged beyond its header; replace it."
        )
    _check_duration(duration_s)
    offsets = _offsets(duration_s, settings)
    length = round(settings.window_s * reader.sample_rate)
    starts = [round(offset * reader.sample_rate) for offset in offsets]
    chunks = [samples[start : start + length] for start in starts]
    warnings = []
    promised_s = reader.duration_s
    tolerance_s = SHORTFALL_S if reader.duration_is_exact else 0.1 * duration_s
    if promised_s is not None and promised_s - duration_s > tolerance_s:
        warnings.append(f"ends early or is damaged: {duration_s:.1f} s of {promised_s:.1f} s read")
    elif damaged:
        warnings.append(f"damaged: {damaged} pieces could not be decoded and were left out")
    return _to_windows(chunks, reader.sample_rate, settings), offsets, duration_s, warnings


def _to_windows(chunks: list[FloatArray], sample_rate: int, settings: Features) -> FloatArray:
    """Resample all windows and bring them to the exact length."""
    windows = np.zeros((len(chunks), max(map(len, chunks))), dtype=np.float32)
    for window, chunk in zip(windows, chunks, strict=True):
        window[: len(chunk)] = chunk
    if sample_rate != settings.sample_rate:
        import soxr

        resampled = [
            soxr.resample(window, sample_rate, settings.sample_rate, quality="HQ")
            for window in windows
        ]
        windows = np.stack(resampled)
    missing = settings.window_length - windows.shape[1]
    if missing > SHORTFALL_S * settings.sample_rate:
        windows = np.pad(windows, ((0, 0), (0, missing)), mode="wrap")
    elif missing > 0:
        windows = np.pad(windows, ((0, 0), (0, missing)))
    return np.ascontiguousarray(windows[:, : settings.window_length], dtype=np.float32)


def _replace_not_numbers(windows: FloatArray) -> tuple[FloatArray, list[str]]:
    """Silence NaN and infinite samples, and say how many there were."""
    finite = np.isfinite(windows)
    share = 1.0 - float(finite.mean())
    if share == 0.0:
        return windows, []
    if share > 0.5:
        raise AudioError(
            f"{share:.0%} of the samples are not numbers (NaN or infinite)",
            "The file was written by a faulty program; replace it.",
        )
    return np.where(finite, windows, np.float32(0)), [
        f"{share:.1%} of the samples are not numbers; they were silenced"
    ]
