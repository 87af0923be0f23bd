"""Decoding: a few windows of mono sound out of any audio file.

Only what is needed is read: the file is opened once, and each window is sought. Files that end
early or are damaged in the middle are decoded from the start, past the damage, and come back with
a warning. A file without any sound is an :class:`~recsys.errors.AudioError`.

libsndfile (soundfile) parses the files, and FFmpeg (PyAV) those that it cannot read.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

import av
import numpy as np
import soundfile

from recsys.errors import AudioError, PassingError
from recsys.mel import Features
from recsys.types import Waveform

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.types import FloatArray

# FFmpeg reports damage line by line on standard error; here it becomes one warning per file.
av.logging.set_level(av.logging.PANIC)

SEEK_MARGIN_S = 0.1
"""FFmpeg seeks this much earlier; the surplus is dropped by time stamp."""

READ_THROUGH_S = 90.0
"""FFmpeg decodes files up to this long as a whole, which shows damage between windows."""

READ_OVER_S = 0.5
"""libsndfile reads over gaps up to this long instead of seeking."""

BARE_STREAMS = frozenset({"aac", "ac3", "eac3", "mp3"})
"""Formats without a container: FFmpeg estimates their length from the bit rate."""

MIN_DURATION_S = 0.5
"""Shorter tracks hold too little to recognise a genre."""

SHORTFALL_S = 0.25
"""How much of a window may be missing before the file counts as damaged."""

MAX_SALVAGE_S = 20 * 60.0
"""Upper limit of decoding a damaged file whose windows cannot be sought."""

MAX_WHOLE_S = 600.0
"""A track is decoded up to here: features of ten minutes take about a gigabyte."""

SILENCE_PEAK = 1e-5
"""Peak amplitude (-100 dBFS) under which a recording is silent."""


# Readers: libsndfile and FFmpeg behind one interface


class AudioReader(ABC):
    """An open audio file."""

    sample_rate: int  # of the file, Hz
    duration_s: float | None  # as the file states it; None where it does not
    duration_is_exact: bool = True  # False for an estimate from the bit rate
    _damaged = 0  # pieces that did not decode

    @abstractmethod
    def read(self, offset_s: float, length_s: float) -> FloatArray:
        """Return mono samples, shape (n,), from `offset_s` on; fewer if the file ends there."""

    def read_all(self, limit_s: float) -> tuple[FloatArray, int]:
        """Return all mono samples that decode, and the number of damaged pieces."""
        self._damaged, length = 0, 0
        blocks: list[FloatArray] = []
        for block in self._blocks():
            blocks.append(block)
            length += len(block)
            if length >= limit_s * self.sample_rate:
                break
        return _join(blocks), self._damaged

    @abstractmethod
    def _blocks(self) -> Iterator[FloatArray]:
        """Yield mono samples from the start, about a second at a time, and count damage."""

    @abstractmethod
    def close(self) -> None:
        """Close the file."""


class SoundFileReader(AudioReader):
    """Reads through libsndfile."""

    def __init__(self, path: Path) -> None:
        name = os.fspath(path) if os.name == "nt" else os.fsencode(path)
        try:
            self._file = soundfile.SoundFile(name)
        except (soundfile.LibsndfileError, TypeError) as error:
            raise AudioError(f"libsndfile cannot read it: {error}") from error
        self.sample_rate: int = self._file.samplerate
        frames = self._file.frames
        # libsndfile reports an absurd count for streams of unknown length.
        known = 0 <= frames < 2**48 and self.sample_rate > 0
        self.duration_s = frames / self.sample_rate if known else None

    def read(self, offset_s: float, length_s: float) -> FloatArray:
        """Return mono samples, shape (n,), from `offset_s` on; fewer if the file ends there."""
        try:
            self._go_to(round(offset_s * self.sample_rate))
            return self._mono(round(length_s * self.sample_rate))
        except soundfile.LibsndfileError as error:
            raise AudioError(f"cannot read at {offset_s:.1f} s: {error}") from error

    def _blocks(self) -> Iterator[FloatArray]:
        """Yield samples up to the first damage, behind which libsndfile does not decode."""
        self._file.seek(0)
        try:
            while len(block := self._mono(self.sample_rate)):
                yield block
        except soundfile.LibsndfileError:
            self._damaged += 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _go_to(self, frame: int) -> None:
        """Seek, or read over a short gap: that is cheaper in a compressed file."""
        gap = frame - self._file.tell()
        if 0 <= gap <= READ_OVER_S * self.sample_rate:
            self._file.read(gap)
        else:
            self._file.seek(frame)

    def _mono(self, count: int) -> FloatArray:
        block: FloatArray = self._file.read(count, dtype="float32", always_2d=True)
        channels = block.shape[1]
        if channels == 1:
            return block[:, 0]
        # As a product, because a mean over so short an axis takes longer than decoding.
        mono: FloatArray = block @ np.full(channels, 1.0 / channels, dtype=np.float32)
        return mono


class AvReader(AudioReader):
    """Reads through FFmpeg."""

    def __init__(self, path: Path) -> None:
        self._container = open_container(path)
        streams = self._container.streams.audio
        if not streams:
            self._container.close()
            raise AudioError("it has no audio stream")
        self._stream = streams[0]
        try:
            self.sample_rate = int(self._stream.sample_rate or 0)
        except AttributeError:  # no decoder for this codec
            self.sample_rate = 0
        if self.sample_rate <= 0:
            self._container.close()
            raise AudioError("its audio stream has no decoder or no sample rate")
        self.duration_s = self._stated_duration()
        self.duration_is_exact = self._container.format.name not in BARE_STREAMS
        self._start_s = float((self._stream.start_time or 0) * (self._stream.time_base or 0))
        self._whole: FloatArray | None = None

    def _stated_duration(self) -> float | None:
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        if self._container.duration is not None:
            return self._container.duration / av.time_base
        return None

    def read(self, offset_s: float, length_s: float) -> FloatArray:
        """Return mono samples, shape (n,), from `offset_s` on; fewer if the file ends there."""
        if self.duration_s is not None and self.duration_s <= READ_THROUGH_S:
            if self._whole is None:
                self._whole, damaged = self.read_all(READ_THROUGH_S * 2)
                if damaged:
                    raise AudioError(f"{damaged} damaged places")
            start = round(offset_s * self.sample_rate)
            return self._whole[start : start + round(length_s * self.sample_rate)]
        return self._seek_and_read(offset_s, length_s)

    def _seek_and_read(self, offset_s: float, length_s: float) -> FloatArray:
        wanted = round(length_s * self.sample_rate)
        target_s = self._start_s + offset_s
        # Frames are short: joined by FFmpeg and turned into one array they take half the time.
        joined, surplus = av.AudioFifo(), 0
        try:
            self._container.seek(round(max(0.0, target_s - SEEK_MARGIN_S) * av.time_base))
            for frame in self._container.decode(self._stream):
                if joined.samples == 0:
                    surplus = self._surplus(frame.time, target_s)
                    if surplus >= frame.samples:
                        continue
                frame.pts = None  # else the queue insists on time stamps without a gap
                joined.write(frame)
                if joined.samples >= surplus + wanted:
                    break
            samples = _mono(joined)
        except (av.FFmpegError, ValueError) as error:
            raise AudioError(f"cannot read at {offset_s:.1f} s: {error}") from error
        return samples[surplus:][:wanted]

    def _surplus(self, time_s: float | None, target_s: float) -> int:
        """Return how many samples to drop of what was decoded first after seeking."""
        if time_s is None or time_s > target_s + SEEK_MARGIN_S:
            raise AudioError(f"seeking to {target_s - self._start_s:.1f} s missed it")
        return max(0, round((target_s - time_s) * self.sample_rate))

    def _blocks(self) -> Iterator[FloatArray]:
        """Yield samples past pieces that do not decode."""
        with contextlib.suppress(av.FFmpegError):  # a stream that cannot seek is at its start
            self._container.seek(0)
        joined = av.AudioFifo()
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    self._damaged += 1
                    continue
                for frame in frames:
                    frame.pts = None  # as above
                    try:
                        joined.write(frame)
                    except ValueError:  # from here on it has another rate, format or layout
                        yield _mono(joined)
                        joined = av.AudioFifo()
                        joined.write(frame)
                if joined.samples >= self.sample_rate:
                    yield _mono(joined)
        except (av.FFmpegError, ValueError):  # the container is damaged from here on
            self._damaged += 1
        yield _mono(joined)

    def close(self) -> None:
        """Close the file."""
        self._container.close()


def open_container(path: Path, metadata_errors: str = "ignore") -> av.container.InputContainer:
    """Open a file with FFmpeg, whatever bytes its name has; AudioError for an unknown format."""
    try:
        try:
            return av.open(f"file:{os.fspath(path)}", "r", metadata_errors=metadata_errors)
        except UnicodeEncodeError:
            # PyAV takes names as UTF-8 only, but opens file objects of any name.
            return av.open(path.open("rb"), "r", metadata_errors=metadata_errors)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise AudioError(f"FFmpeg cannot read it: {error}") from error


@contextlib.contextmanager
def open_readers(path: Path) -> Iterator[Iterator[AudioReader]]:
    """Open a file with one library after the other, the preferred one first.

    The iteration opens them, because most files never need a second; the block closes them.
    AudioError at once if the file cannot be opened or is empty, or at the end of the iteration if
    no library recognises it.
    """
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):  # a FIFO waits for its writer
            raise AudioError("it is not a regular file")
        with path.open("rb") as file:
            if not file.read(1):
                raise AudioError("the file is empty (0 bytes)", "Delete it or replace it.")
    except OSError as error:
        raise PassingError(f"cannot open it: {error.strerror}") from error
    with contextlib.ExitStack() as at_the_end:
        yield _readers(path, at_the_end)


def _readers(path: Path, at_the_end: contextlib.ExitStack) -> Iterator[AudioReader]:
    kinds: list[type[SoundFileReader | AvReader]] = [SoundFileReader, AvReader]
    if path.suffix.lower() == ".opus":
        kinds = [AvReader]
    recognised = False
    for kind in kinds:
        try:
            reader = kind(path)
        except AudioError:
            continue
        at_the_end.callback(reader.close)
        recognised = True
        yield reader
    if not recognised:
        raise AudioError(
            "not an audio file that can be read, whatever its name says",
            "It may be damaged from the first byte or be something else; replace or rename it.",
        )


def _mono(joined: av.AudioFifo) -> FloatArray:
    """Empty a queue of decoded frames; return the mean of its channels."""
    frame = joined.read(0, partial=True)
    if frame is None:
        return np.zeros(0, dtype=np.float32)
    planar = av.AudioResampler(format="fltp")
    return _join([part.to_ndarray().mean(axis=0) for part in planar.resample(frame)])


def _join(blocks: list[FloatArray]) -> FloatArray:
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)


# A few windows of a track


def plan_offsets(
    duration_s: float, window_s: float, max_windows: int, overlap: float = 0.0
) -> list[float]:
    """Return offsets in seconds, ascending, that spread windows evenly over a track.

    Each window is centred in one of `count` equal parts of the track, so that a few more samples
    at the start (a codec's delay) move no window by more than that. `overlap` is the share of a
    window that it has in common with the next, where the track is too short for separate windows.

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


def decode(path: Path, settings: Features) -> Waveform:
    """Decode evenly spread windows of a track to mono at the model's sample rate.

    The result has a warning when the file is damaged, ends early, is shorter than a window or
    holds samples that are not numbers. AudioError if the file holds no sound that can be decoded,
    is silent, or is shorter than 0.5 s.
    """
    with open_readers(path) as readers:
        windows, offsets, duration_s, warnings = _read_windows(readers, settings)
    windows, not_finite = _replace_not_finite(windows)
    _check_audible(windows, duration_s, not_finite)
    warnings += not_finite
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
    """Read the planned windows with the first reader that can, or salvage the rest of the file."""
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
            "Too little for an analysis; the file may be cut off.",
        )


def _seek_all(
    reader: AudioReader, offsets: list[float], window_s: float
) -> list[FloatArray] | None:
    """Read every planned window, or return None if any of them is incomplete."""
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
    """Decode a damaged file from its start, and cut the windows out of the result."""
    samples, damaged = reader.read_all(MAX_SALVAGE_S)
    duration_s = len(samples) / reader.sample_rate
    if len(samples) == 0:
        raise _nothing_decoded()
    _check_duration(duration_s)
    offsets = _offsets(duration_s, settings)
    length = round(settings.window_s * reader.sample_rate)
    starts = [round(offset * reader.sample_rate) for offset in offsets]
    chunks = [samples[start : start + length] for start in starts]
    warnings = _damage(reader, duration_s, damaged)
    return _to_windows(chunks, reader.sample_rate, settings), offsets, duration_s, warnings


def _to_windows(chunks: list[FloatArray], sample_rate: int, settings: Features) -> FloatArray:
    """Resample all windows and bring them to the exact length."""
    windows = np.zeros((len(chunks), max(map(len, chunks))), dtype=np.float32)
    for window, chunk in zip(windows, chunks, strict=True):
        window[: len(chunk)] = chunk
    windows = np.stack([_resample(window, sample_rate, settings.sample_rate) for window in windows])
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
    with open_readers(path) as readers:
        samples, rate, warnings = _read_whole(readers)
    samples, not_finite = _replace_not_finite(samples)
    duration_s = len(samples) / rate
    _check_duration(duration_s)
    _check_audible(samples, duration_s, not_finite)
    warnings += not_finite
    return Waveform(
        windows=_resample(samples, rate, sample_rate)[np.newaxis],
        sample_rate=sample_rate,
        offsets_s=(0.0,),
        duration_s=duration_s,
        warning="; ".join(warnings) or None,
    )


def _read_whole(readers: Iterator[AudioReader]) -> tuple[FloatArray, int, list[str]]:
    """Read with the first reader that meets no damage, or else with the one that gets furthest."""
    samples, rate, warnings = np.zeros(0, dtype=np.float32), 1, [""]
    for reader in readers:
        try:
            # A little more, to see whether the track is longer.
            decoded, damaged = reader.read_all(MAX_WHOLE_S + 1)
        except RuntimeError:  # libsndfile, where it cannot even seek to the start
            continue
        if len(decoded) / reader.sample_rate > len(samples) / rate:
            samples, rate = decoded, reader.sample_rate
            warnings = _damage(reader, len(samples) / rate, damaged, MAX_WHOLE_S)
        if not warnings:
            break
    if len(samples) == 0:
        raise _nothing_decoded()
    length = round(MAX_WHOLE_S * rate)
    if len(samples) > length:
        warnings.append(f"only the first {MAX_WHOLE_S / 60:.0f} minutes were analysed")
    return samples[:length], rate, warnings


# Both: damage, silence, sample rates


def _damage(
    reader: AudioReader, duration_s: float, damaged: int, limit_s: float = math.inf
) -> list[str]:
    """Return warnings for a track of which `duration_s` were decoded, up to `limit_s`."""
    stated_s = reader.duration_s
    # A length estimated from the bit rate is off by a few per cent in an intact file.
    tolerance_s = SHORTFALL_S if reader.duration_is_exact else 0.1 * duration_s
    if stated_s is not None and min(stated_s, limit_s) - duration_s > tolerance_s:
        return [f"ends early or is damaged: {duration_s:.1f} s of {stated_s:.1f} s read"]
    if damaged:
        return [f"damaged: {damaged} pieces could not be decoded and were left out"]
    return []


def _nothing_decoded() -> AudioError:
    return AudioError(
        "no sound could be decoded", "The file is damaged beyond its header; replace it."
    )


def _replace_not_finite(samples: FloatArray) -> tuple[FloatArray, list[str]]:
    """Replace NaN and infinite samples by 0; return a warning with their share."""
    finite = np.isfinite(samples)
    share = 1.0 - float(finite.mean())
    if share == 0.0:
        return samples, []
    if share > 0.5:
        raise AudioError(
            f"{share:.0%} of the samples are not numbers (NaN or infinite)",
            "The file was written by a faulty program; replace it.",
        )
    silenced: FloatArray = np.where(finite, samples, np.float32(0))
    return silenced, [f"{share:.1%} of the samples are not numbers; they were silenced"]


def _check_audible(samples: FloatArray, duration_s: float, warnings: list[str]) -> None:
    peak = float(np.max(np.abs(samples)))
    if peak < SILENCE_PEAK:
        silent = f"silent: {duration_s:.1f} s without a sound (peak amplitude {peak:.1g})"
        raise AudioError(
            "; ".join([silent, *warnings]), "The file holds no sound; delete it or replace it."
        )


def _resample(samples: FloatArray, rate: int, wanted: int) -> FloatArray:
    if rate == wanted:
        return samples
    import soxr

    result: FloatArray = soxr.resample(samples, rate, wanted, quality="HQ")
    return result
