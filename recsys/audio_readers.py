"""Two ways to read an audio file, behind one interface: libsndfile and FFmpeg.

libsndfile is quicker where it can read a file at all; FFmpeg reads everything else (AAC, ALAC,
WMA, AC-3, WavPack and so on), reads Opus twice as fast, and gets past damaged places.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import av
import numpy as np
import soundfile

from recsys.errors import AudioError, PassingError

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.types import FloatArray

av.logging.set_level(av.logging.PANIC)

SEEK_MARGIN_S = 0.1
"""FFmpeg is asked for a place this much earlier, and the surplus is dropped by time stamp."""

READ_THROUGH_S = 90.0
"""Files up to this long are decoded in one go by FFmpeg, which shows damage between windows."""

READ_OVER_S = 0.5
"""libsndfile is made to read over gaps up to this long instead of seeking."""

BARE_STREAMS = frozenset({"aac", "ac3", "eac3", "mp3"})
"""Formats without a container: FFmpeg estimates their length from the bit rate."""


class AudioReader(Protocol):
    """An open audio file.

    Attributes
    ----------
    sample_rate : int
        Hz, of the file.
    duration_s : float or None
        What the file promises, seconds; None where it does not say.
    duration_is_exact : bool
        False where the promise is an estimate from the bit rate.
    """

    sample_rate: int
    duration_s: float | None
    duration_is_exact: bool

    def read(self, offset_s: float, length_s: float) -> FloatArray:
        """Return mono samples, shape (n,), from `offset_s` on; fewer if the file ends there."""

    def read_all(self, limit_s: float) -> tuple[FloatArray, int]:
        """Return all mono samples that can be decoded and the number of damaged places."""

    def close(self) -> None:
        """Close the file."""


class SoundFileReader:
    """Reads through libsndfile; interface as in :class:`AudioReader`."""

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
        self.duration_is_exact = True

    def read(self, offset_s: float, length_s: float) -> FloatArray:
        """Return mono samples, shape (n,), from `offset_s` on; fewer if the file ends there."""
        try:
            self._go_to(round(offset_s * self.sample_rate))
            return self._mono(round(length_s * self.sample_rate))
        except soundfile.LibsndfileError as error:
            raise AudioError(f"cannot read at {offset_s:.1f} s: {error}") from error

    def read_all(self, limit_s: float) -> tuple[FloatArray, int]:
        """Return the samples up to the first damaged place."""
        self._file.seek(0)
        blocks: list[FloatArray] = []
        try:
            while sum(map(len, blocks)) < limit_s * self.sample_rate:
                block = self._mono(self.sample_rate)
                if len(block) == 0:
                    return _join(blocks), 0
                blocks.append(block)
        except soundfile.LibsndfileError:
            return _join(blocks), 1
        return _join(blocks), 0

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


class AvReader:
    """Reads through FFmpeg; interface as in :class:`AudioReader`."""

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
        self.duration_s = self._promised_duration()
        self.duration_is_exact = self._container.format.name not in BARE_STREAMS
        self._start_s = float((self._stream.start_time or 0) * (self._stream.time_base or 0))
        self._whole: FloatArray | None = None

    def _promised_duration(self) -> float | None:
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
            raise AudioError(f"seeking to {target_s - self._start_s:.1f} s missed its place")
        return max(0, round((target_s - time_s) * self.sample_rate))

    def read_all(self, limit_s: float) -> tuple[FloatArray, int]:
        """Return all samples that decode, up to `limit_s`, and the number of damaged places."""
        with contextlib.suppress(av.FFmpegError):
            self._container.seek(0)
        self._damaged = 0
        blocks: list[FloatArray] = []
        length = 0
        for block in self._decoded():
            blocks.append(block)
            length += len(block)
            if length >= limit_s * self.sample_rate:
                break
        return _join(blocks), self._damaged

    def _decoded(self) -> Iterator[FloatArray]:
        """Yield mono samples, about a second at a time, past what cannot be decoded."""
        joined = av.AudioFifo()
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    self._damaged += 1
                    continue
                for frame in frames:
                    frame.pts = None
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


def open_container(path: Path) -> av.container.InputContainer:
    """Open a file with FFmpeg, whatever bytes its name has.

    Raises
    ------
    AudioError
        If FFmpeg does not recognise it.
    """
    try:
        try:
            return av.open(f"file:{os.fspath(path)}", "r", metadata_errors="ignore")
        except UnicodeEncodeError:
            # PyAV takes names as UTF-8 only; a file object goes round the name.
            return av.open(path.open("rb"), "r", metadata_errors="ignore")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise AudioError(f"FFmpeg cannot read it: {error}") from error


@contextlib.contextmanager
def open_readers(path: Path) -> Iterator[Iterator[AudioReader]]:
    """Open a file with one library after the other, the preferred one first.

    Each is opened when the iteration arrives at it, because most files never need a second, and
    closed at the end of the block.

    Raises
    ------
    AudioError
        At once if the file cannot be opened or is empty; at the end of the iteration if no
        library recognises it.
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
