"""Decoding: a few windows of mono sound out of any audio file, or all of it.

Only what is needed is read: the file is opened once, and each window is sought. Files that end
early or are damaged in the middle are decoded from the start, past the damage, and come back with
a warning. A file without any sound is an :class:`~recsys.errors.AudioError`; one that cannot be
read now, because of the disk or because it is being written, a
:class:`~recsys.errors.PassingError`.

libsndfile (soundfile) parses the files, and FFmpeg (PyAV) those that it cannot read.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.audio.contents import EMPTY_BYTES, refuse_what_is_no_sound, repaired_wav, warn_of_holes
from recsys.audio.files import AudioFile, open_audio
from recsys.audio.readers import is_sound, readers_of
from recsys.audio.samples import join, resample
from recsys.audio.windows import plan_offsets, where_there_is_sound
from recsys.errors import AudioError
from recsys.types import Waveform

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recsys.audio.readers import AudioReader
    from recsys.mel import Features
    from recsys.types import FloatArray

MIN_DURATION_S = 0.5
"""Shorter tracks hold too little to recognise a genre."""

SHORTFALL_S = 0.25
"""How much of a window may be missing before the file counts as damaged."""

MAX_SALVAGE_S = 3600.0
"""Upper limit of decoding a damaged file whose windows cannot be sought."""

MAX_WHOLE_S = 600.0
"""A track is decoded up to here: features of ten minutes take about a gigabyte."""

HIGH_RATE_HZ = 96_000
"""Whole tracks of higher rates are resampled while they are read."""

SILENCE_PEAK = 1e-5
"""Peak amplitude (-100 dBFS) under which a recording is silent."""

QUIET_PEAK = 1e-3
"""Peak amplitude (-60 dBFS) under which a window is silent, if others are not."""


@dataclass(frozen=True, slots=True)
class _Windows:
    samples: FloatArray  # (n_windows, window_length), at the model's rate
    offsets_s: list[float]
    duration_s: float  # of the whole track
    warnings: list[str]


def decode(path: Path, settings: Features) -> Waveform:
    """Decode evenly spread windows of a track to mono at the model's sample rate.

    Silent windows are replaced by others if there is sound elsewhere. The result has a warning when
    the file is damaged, ends early, is shorter than a window or holds samples that cannot be sound.
    AudioError if the file holds no sound that can be decoded, is silent, or is shorter than 0.5 s.
    PassingError if it cannot be read now, or is being written.
    """
    with open_audio(path) as file, _readers(file) as (readers, warnings):
        found = _read_windows(file, readers, settings)
    warnings += found.warnings
    _check_audible(found.samples, found.duration_s, warnings)
    if found.duration_s < settings.window_s:
        warnings.append(
            f"only {found.duration_s:.1f} s long; repeated to fill a window of"
            f" {settings.window_s:g} s"
        )
    return Waveform(
        windows=found.samples,
        sample_rate=settings.sample_rate,
        offsets_s=tuple(found.offsets_s),
        duration_s=found.duration_s,
        warning="; ".join(warnings) or None,
    )


@contextlib.contextmanager
def _readers(file: AudioFile) -> Iterator[tuple[Iterator[AudioReader], list[str]]]:
    """Return what opens a file with one library after the other, and warnings of its header."""
    head = refuse_what_is_no_sound(file)
    repaired = repaired_wav(file, head)
    with contextlib.ExitStack() as at_the_end:
        readers = readers_of(file, head, repaired.source, at_the_end)
        yield readers, [repaired.warning] if repaired.warning else []


class _Incomplete(Exception):  # noqa: N818 (no error: another way follows)
    """A window of a track cannot be read by seeking."""


def _read_windows(file: AudioFile, readers: Iterator[AudioReader], settings: Features) -> _Windows:
    """Read the planned windows with the first reader that can, or salvage the rest of the file."""
    for reader in readers:
        last = reader
        if reader.duration_s is not None:
            _check_duration(reader.duration_s, file)
            with contextlib.suppress(_Incomplete):
                return _seek_all(reader, reader.duration_s, settings)
    return _salvage(file, last, settings)


def _offsets(duration_s: float, settings: Features) -> list[float]:
    return plan_offsets(duration_s, settings.window_s, settings.max_windows, settings.overlap)


def _check_duration(duration_s: float, file: AudioFile) -> None:
    if duration_s < MIN_DURATION_S:
        if file.size >= EMPTY_BYTES:  # a shorter file may be silence, of which samples are zeros
            warn_of_holes(file)
        raise AudioError(
            f"too short: {duration_s:.2f} s of sound, at least {MIN_DURATION_S} s are needed",
            "Too little for an analysis; the file may be cut off.",
        )


def _seek_all(reader: AudioReader, duration_s: float, settings: Features) -> _Windows:
    """Read every planned window, and others for silent ones; _Incomplete if any is missing.

    So it is if none of them has sound.
    """
    planned = _offsets(duration_s, settings)
    expected = (min(settings.window_s, duration_s) - SHORTFALL_S) * reader.sample_rate
    taken = _Taken(reader.sample_rate, settings)

    def audible(offset: float) -> bool:
        try:
            chunk = reader.read(offset, settings.window_s)
        except AudioError as error:
            raise _Incomplete from error
        if len(chunk) < expected:
            raise _Incomplete
        taken.add(offset, chunk)
        return _is_audible(chunk)

    sounds = {offset: audible(offset) for offset in planned}
    if reader.mix.cancels:
        reader.take_loudest()
        sounds = {offset: audible(offset) for offset in planned}
    if not reader.length_is_plausible():
        raise _Incomplete

    def audible_elsewhere(offset: float) -> bool:
        with contextlib.suppress(_Incomplete):
            return sounds[offset] if offset in sounds else audible(offset)
        return False

    offsets = planned
    if not all(sounds.values()):
        offsets = where_there_is_sound(planned, duration_s, settings.window_s, audible_elsewhere)
        if not any(map(audible_elsewhere, offsets)):
            raise _Incomplete  # a moment of sound may lie between the places that were looked at
    warnings = [*_damage(reader, duration_s), *reader.mix.warnings()]
    return _Windows(taken.windows(offsets), offsets, duration_s, warnings)


def _salvage(file: AudioFile, reader: AudioReader, settings: Features) -> _Windows:
    """Decode a file from its start, past damage, twice: to see what is there, and to take it.

    Only a block at a time is kept: all of it would take gigabytes.
    """
    spans = _survey(reader)
    if reader.mix.cancels:
        reader.take_loudest()
        spans = _survey(reader)
    duration_s = spans[-1][1] if spans else 0.0
    damage = _damage(reader, duration_s, MAX_SALVAGE_S)
    if not spans or (damage and _is_open_ended(reader, duration_s)):
        damage += warn_of_holes(file)
    if not is_sound(duration_s, reader.damaged):
        raise _nothing_decoded()
    _check_duration(duration_s, file)
    if duration_s >= MAX_SALVAGE_S:
        damage.append(f"only the first {MAX_SALVAGE_S / 60:.0f} minutes were analysed")

    def audible(offset: float) -> bool:
        end = offset + settings.window_s
        # Whole blocks: of one that begins in a window, the sound may lie behind it.
        return any(sounds for start, stop, sounds in spans if offset <= start and stop <= end)

    planned = _offsets(duration_s, settings)
    offsets = where_there_is_sound(planned, duration_s, settings.window_s, audible)
    if not any(map(audible, offsets)):
        last = max(0.0, duration_s - settings.window_s)
        offsets = [min(last, start) for start, _, sounds in spans if sounds][:1] or offsets
    reader.mix.start_over()
    windows = _cut(reader, offsets, settings)
    return _Windows(windows, offsets, duration_s, [*damage, *reader.mix.warnings()])


def _survey(reader: AudioReader) -> list[tuple[float, float, bool]]:
    """Decode all of a track; return the start and end of each block, and whether it is audible."""
    spans, length = [], 0
    for block in reader.blocks():
        start, length = length, length + len(block)
        if len(block):
            span = (start / reader.sample_rate, length / reader.sample_rate)
            spans.append((*span, _is_audible(block)))
        if length >= MAX_SALVAGE_S * reader.sample_rate:
            break
    return spans


def _cut(reader: AudioReader, offsets: list[float], settings: Features) -> FloatArray:
    """Decode a track again, and cut the windows out of it."""
    taken = _Taken(reader.sample_rate, settings)
    pieces: dict[float, list[FloatArray]] = {offset: [] for offset in offsets}
    starts = {offset: round(offset * reader.sample_rate) for offset in offsets}
    length = round(settings.window_s * reader.sample_rate)
    position = 0
    for block in reader.blocks():
        end = position + len(block)
        for offset in list(pieces):
            first, last = starts[offset] - position, starts[offset] + length - position
            if first < len(block) and last > 0:
                pieces[offset].append(block[max(0, first) : last].copy())
            if last <= len(block):
                taken.add(offset, join(pieces.pop(offset)))
        position = end
        if not pieces:
            break
    for offset, rest in pieces.items():  # at the end of the track
        taken.add(offset, join(rest))
    return taken.windows(offsets)


class _Taken:
    """Windows of a track, brought to the model's rate as soon as they are complete."""

    def __init__(self, rate: int, settings: Features) -> None:
        self._rate, self._settings = rate, settings
        self._length = round(settings.window_s * rate)
        self._resampled: dict[float, FloatArray] = {}
        self._short: dict[float, FloatArray] = {}

    def add(self, offset: float, chunk: FloatArray) -> None:
        """Take the samples from an offset on."""
        if len(chunk) < self._length:
            self._short[offset] = chunk
        else:
            self._resampled[offset] = resample(chunk, self._rate, self._settings.sample_rate)

    def windows(self, offsets: list[float]) -> FloatArray:
        """Return windows of the exact length, shape (n_windows, window_length)."""
        settings = self._settings
        short = {offset: self._short[offset] for offset in offsets if offset in self._short}
        complete = len(short) < len(offsets)
        length = self._length if complete else max(map(len, short.values()))
        for offset, chunk in short.items():
            padded = np.pad(chunk, (0, length - len(chunk)))
            self._resampled[offset] = resample(padded, self._rate, settings.sample_rate)
        windows = np.stack([self._resampled[offset] for offset in offsets])
        missing = settings.window_length - windows.shape[1]
        if missing > SHORTFALL_S * settings.sample_rate:
            # A short track is repeated: silence would change what the model takes it for.
            windows = np.pad(windows, ((0, 0), (0, missing)), mode="wrap")
        elif missing > 0:
            windows = np.pad(windows, ((0, 0), (0, missing)))
        return np.ascontiguousarray(windows[:, : settings.window_length], dtype=np.float32)


# A whole track


def decode_whole(path: Path, sample_rate: int = 22_050) -> Waveform:
    """Decode a whole track to mono, as one window.

    A file of the wanted rate is not resampled, and every sample of it is kept. Warnings and errors
    are those of :func:`decode`, and a track longer than ten minutes is cut with a warning.
    """
    with open_audio(path) as file, _readers(file) as (readers, warnings):
        samples, rate, damage = _read_whole(file, readers, sample_rate)
        duration_s = len(samples) / rate
        _check_duration(duration_s, file)
    warnings += damage
    _check_audible(samples, duration_s, warnings)
    return Waveform(
        windows=resample(samples, rate, sample_rate)[np.newaxis],
        sample_rate=sample_rate,
        offsets_s=(0.0,),
        duration_s=duration_s,
        warning="; ".join(warnings) or None,
    )


def _read_whole(
    file: AudioFile, readers: Iterator[AudioReader], wanted: int
) -> tuple[FloatArray, int, list[str]]:
    """Read with the first reader that meets no damage, or else with the one that gets furthest."""
    samples, rate, warnings, defects = np.zeros(0, dtype=np.float32), 1, [""], [""]
    for reader in readers:
        decoded, its_rate = _decode_all(reader, wanted)
        if reader.mix.cancels:
            reader.take_loudest()
            decoded, its_rate = _decode_all(reader, wanted)
        if len(decoded) / its_rate > len(samples) / rate:
            samples, rate = decoded, its_rate
            warnings = _damage(reader, len(samples) / rate, MAX_WHOLE_S)
            defects = reader.mix.warnings()
            if warnings and _is_open_ended(reader, len(samples) / rate):
                defects += warn_of_holes(file)
        if not warnings:
            break
    if len(samples) == 0:
        warn_of_holes(file)
        raise _nothing_decoded()
    length = round(MAX_WHOLE_S * rate)
    if len(samples) > length:
        warnings.append(f"only the first {MAX_WHOLE_S / 60:.0f} minutes were analysed")
    return samples[:length], rate, warnings + defects


def _decode_all(reader: AudioReader, wanted: int) -> tuple[FloatArray, int]:
    """Return all samples of a track and their rate: the wanted one if the file's is very high."""
    limit_s = MAX_WHOLE_S + 1  # a little more, to see whether the track is longer
    if reader.sample_rate <= HIGH_RATE_HZ:
        return reader.read_all(limit_s), reader.sample_rate
    import soxr

    # Ten minutes at 192 kHz would take a gigabyte.
    stream = soxr.ResampleStream(reader.sample_rate, wanted, 1, dtype="float32", quality="HQ")
    blocks, length = [], 0
    for block in reader.blocks():
        blocks.append(stream.resample_chunk(block))
        length += len(block)
        if length >= limit_s * reader.sample_rate:
            break
    blocks.append(stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
    return join(blocks), wanted


# Both: damage and silence


def _is_open_ended(reader: AudioReader, duration_s: float) -> bool:
    """Whether there may be more than the `duration_s` that were decoded."""
    return reader.stated_s is None or reader.stated_s - duration_s > SHORTFALL_S


def _damage(reader: AudioReader, duration_s: float, limit_s: float = math.inf) -> list[str]:
    """Return warnings for a track of which `duration_s` were decoded, up to `limit_s`."""
    stated_s = reader.stated_s
    if stated_s is not None and min(stated_s, limit_s) - duration_s > SHORTFALL_S:
        return [f"ends early or is damaged: {duration_s:.1f} s of {stated_s:.1f} s read"]
    if reader.damaged:
        return [f"damaged: {reader.damaged} pieces could not be decoded and were left out"]
    return []


def _nothing_decoded() -> AudioError:
    return AudioError(
        "no sound could be decoded", "The file is damaged beyond its header; replace it."
    )


def _is_audible(samples: FloatArray) -> bool:
    """Whether samples are louder than silence; a look at a few is mostly enough."""
    return any(
        len(some) > 0 and max(some.max(), -some.min()) >= QUIET_PEAK
        for some in (samples[::64], samples)
    )


def _check_audible(samples: FloatArray, duration_s: float, warnings: list[str]) -> None:
    peak = float(np.max(np.abs(samples)))
    if peak < SILENCE_PEAK:
        silent = f"silent: {duration_s:.1f} s without a sound (peak amplitude {peak:.1g})"
        raise AudioError(
            "; ".join([silent, *warnings]), "The file holds no sound; delete it or replace it."
        )
