"""Readers: libsndfile (soundfile) and FFmpeg (PyAV) behind one interface."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeAlias

import av
import numpy as np
import soundfile

from recsys.audio.contents import (
    Mp3Table,
    header_bytes,
    is_disguised,
    is_disguised_wav,
    mp3_table,
    ogg_links,
    refuse_what_is_no_sound,
    share_of_holes,
    warn_of_holes,
)
from recsys.audio.files import (
    BARREN_BYTES,
    HEADER_BYTES,
    AudioFile,
    Stretch,
    container_of,
    open_audio,
    out_of_memory,
)
from recsys.audio.samples import Mixdown, join, resample
from recsys.errors import AudioError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recsys.types import FloatArray

SEEK_MARGIN_S = 0.1
"""FFmpeg seeks this much earlier; the surplus is dropped by time stamp."""

READ_THROUGH_S = 90.0
"""FFmpeg decodes files up to this long as a whole, which shows damage between windows."""

READ_THROUGH_SAMPLES = 20_000_000
"""And no more than that at once: a quarter of 400 MB."""

READ_OVER_S = 0.5
"""libsndfile reads over gaps up to this long instead of seeking."""

SAMPLES_AT_ONCE = 2**24
"""Of all channels together, which bounds the memory for files of very many channels."""

DISGUISE_FRAMES = 4096
"""Samples in which DTS or AC-3 would show in a FLAC file."""

BYTES_AT_MOST = 8
"""Of one sample in a file."""

FEW_CHANNELS = 7
"""PyAV looks for the samples of more channels where there are none, and crashes."""

BARE_STREAMS = frozenset({"aac", "ac3", "dts", "eac3", "loas", "mp3", "truehd"})
"""Formats without a container: FFmpeg estimates their length from the bit rate."""

EARNED_PER_S = {"aac": 100_000, "ac3": 100_000, "mp3": 100_000}
"""Bytes that a second of sound allows to be read in vain: random bytes look like a sound of these
formats now and then."""

EARNED_OTHERWISE = 4_000_000
"""The same for other formats without a container."""

MP3_FRAME = 1152
"""Samples in a frame of an MP3, and half of it below a rate."""

MP3_HALF_BELOW_HZ = 32_000

DAMAGED_PER_S = 4000
"""What has more damaged pieces than this for a second of sound only looks like sound here and
there: a second of an intact MP3 has 38 pieces."""

RATES_HZ = range(1000, 3_000_001)
"""Sample rates of sound: from below those of telephones to that of DSD512."""

SIZE_TOLERANCE = 0.03
"""By how much an MP3 may be larger or smaller than its length tells."""


class AudioReader(ABC):
    """An open recording."""

    sample_rate: int  # of the file, Hz
    duration_s: float | None  # as far as it is known; None where it is not
    stated_s: float | None  # as the header states it; None for none and for estimates

    def __init__(self) -> None:
        self.mix = Mixdown()
        self.damaged = 0  # pieces that did not decode

    @abstractmethod
    def read(self, offset_s: float, length_s: float) -> FloatArray:
        """Return mono samples, shape (n,), from `offset_s` on; fewer if the file ends there."""

    @abstractmethod
    def blocks(self) -> Iterator[FloatArray]:
        """Yield mono samples from the start, about a second at a time, and count damage."""

    @abstractmethod
    def close(self) -> None:
        """Close what was opened; not the file."""

    def length_is_plausible(self) -> bool:
        """Whether what was read so far agrees with the length."""
        return True

    def take_loudest(self) -> None:
        """Read the loudest channel from now on, not the mean."""
        self.mix.take_loudest()

    def read_all(self, limit_s: float) -> FloatArray:
        """Return all mono samples that decode, up to about a limit."""
        length, blocks = 0, []
        for block in self.blocks():
            blocks.append(block)
            length += len(block)
            if length >= limit_s * self.sample_rate:
                break
        return join(blocks)


def is_sound(seconds: float, damaged: int) -> bool:
    """Whether what was decoded is more than chance."""
    return seconds > 0 and damaged <= DAMAGED_PER_S * seconds


Kinds: TypeAlias = "tuple[type[SoundFileReader | AvReader], ...]"


def _check_rate(rate: int) -> None:
    if rate not in RATES_HZ:
        raise AudioError(
            f"a sample rate of {rate} Hz: its header is damaged",
            f"Sound has {RATES_HZ[0]} to {RATES_HZ[-1]} samples per second; replace the file.",
        )


class _UndecodableError(AudioError):
    """What another library could only read as noise."""


class SoundFileReader(AudioReader):
    """Reads through libsndfile."""

    def __init__(self, source: AudioFile | Stretch, file: AudioFile) -> None:
        super().__init__()
        self._source, self._owner = source, file
        file.allowance = HEADER_BYTES
        try:
            self._file, self._table = self._opened(source)
        except (soundfile.LibsndfileError, TypeError) as error:
            _check_memory(error)
            raise AudioError(f"libsndfile cannot read it: {error}") from error
        self.sample_rate: int = self._file.samplerate
        try:
            _check_rate(self.sample_rate)
            self._check_kind()
        except AudioError:
            self.close()
            raise
        frames = self._file.frames
        # libsndfile reports none or an absurd count for streams of unknown length.
        self.duration_s = frames / self.sample_rate if 0 < frames < 2**48 else None
        estimated = self._table is not None and self._table.size is None
        self.stated_s = None if estimated else self.duration_s
        self.mix.bounded = self._file.subtype.startswith("PCM")
        self._time_s = 0.0  # where reading has ended
        self._at_once = max(1, SAMPLES_AT_ONCE // self._file.channels)

    def _opened(self, source: AudioFile | Stretch) -> tuple[soundfile.SoundFile, Mp3Table | None]:
        start = self._owner.peek_at(0, 3)
        source.seek(0)
        if start == b"ID3" or start.startswith(b"\xff"):
            # libmpg123 reads frame by frame: through Python that takes a tenth longer. An error of
            # the disk makes it fail, and FFmpeg, which then reads the file, remembers it.
            file = soundfile.SoundFile(os.dup(self._owner.fileno()))
            if file.format == "MP3":
                return file, _trusted_table(self._owner)
            file.close()
            source.seek(0)
        return soundfile.SoundFile(source), None

    def _check_kind(self) -> None:
        if self._file.format != "FLAC" or self._file.channels != 2:
            return
        if self._file.subtype == "PCM_16" and is_disguised(
            self._file.read(DISGUISE_FRAMES, dtype="int16").tobytes()
        ):
            raise _UndecodableError(
                "DTS or AC-3 stored as FLAC: played as it is, it is noise",
                "Unpack it to WAV (flac -d), and index that.",
            )

    def read(self, offset_s: float, length_s: float) -> FloatArray:
        """Return mono samples, shape (n,), from `offset_s` on; fewer if the file ends there."""
        try:
            self._go_to(round(offset_s * self.sample_rate))
            samples = self._mono(round(length_s * self.sample_rate))
        except (soundfile.LibsndfileError, RuntimeError) as error:
            _check_memory(error)
            raise AudioError(f"cannot read at {offset_s:.1f} s: {error}") from error
        self._time_s = offset_s + length_s
        return samples

    def blocks(self) -> Iterator[FloatArray]:
        """Yield samples up to the first damage, behind which libsndfile does not decode."""
        self.damaged = 0
        try:
            self._file.seek(0)
            while len(block := self._mono(min(self.sample_rate, self._at_once))):
                yield block
        except (soundfile.LibsndfileError, RuntimeError) as error:
            _check_memory(error)
            self.damaged += 1

    def length_is_plausible(self) -> bool:
        """Whether an MP3 is as long as it says, or as its bit rate so far tells."""
        if self._table is None or self.duration_s is None or self._time_s <= 0:
            return True
        start, _, size = self._table
        if size is None:
            share = min(1.0, self._time_s / self.duration_s)
            size = round((self._source.tell() - start) / share)
        return _is_size(start + size, self._source.size)

    def close(self) -> None:
        """Close libsndfile's side."""
        self._file.close()

    def _go_to(self, frame: int) -> None:
        """Seek, or read over a short gap: that is cheaper in a compressed file."""
        gap = frame - self._file.tell()
        self._allow(max(0, gap))
        if 0 <= gap <= READ_OVER_S * self.sample_rate:
            self._file.read(gap)
        else:
            self._file.seek(frame)

    def _allow(self, frames: int) -> None:
        # libFLAC searches for the next frame behind damage, however far.
        self._owner.allowance = BARREN_BYTES + frames * self._file.channels * BYTES_AT_MOST

    def _mono(self, count: int) -> FloatArray:
        blocks = []
        while True:
            wanted = min(count, self._at_once)
            self._allow(wanted)
            block = self._file.read(wanted, dtype="float32", always_2d=True)
            blocks.append(self.mix.interleaved(block))
            count -= len(block)
            if len(block) < wanted or count <= 0:
                return blocks[0] if len(blocks) == 1 else join(blocks)


def _is_size(expected: int, size: int) -> bool:
    return abs(expected - size) < SIZE_TOLERANCE * size + 2**16


def _trusted_table(file: AudioFile) -> Mp3Table:
    """Return what an MP3 says of its length; AudioError for what libmpg123 takes hours to read."""
    table = mp3_table(file)
    if table.size is not None and not _is_size(table.start + table.size, file.size):
        raise AudioError("not of the size that it says")
    if (table.size is None or file.size > BARREN_BYTES) and share_of_holes(file) > 0:
        raise AudioError("it has holes")
    return table


_MALLOC_FAILED = 17


def _check_memory(error: Exception) -> None:
    if getattr(error, "code", None) == _MALLOC_FAILED:
        raise MemoryError(str(error)) from error


class AvReader(AudioReader):
    """Reads through FFmpeg."""

    def __init__(self, source: AudioFile | Stretch, file: AudioFile) -> None:
        super().__init__()
        self._file, self._source = file, source  # the file counts what is read without a sound
        self._open()
        try:
            self.sample_rate = int(self._stream.sample_rate or 0)
            if self.sample_rate <= 0:
                raise AudioError("its audio stream has no decoder or no sample rate")
            _check_rate(self.sample_rate)
        except AudioError:
            self.close()
            raise
        self._start_s = float((self._stream.start_time or 0) * (self._stream.time_base or 0))
        self._whole: FloatArray | None = None
        self.duration_s = self.stated_s = self._stated_duration()
        if self._container.format.name in BARE_STREAMS:
            self.duration_s = None
            self.stated_s = None
            if self._container.format.name == "mp3" and (frames := mp3_table(source).frames):
                per_frame = MP3_FRAME if self.sample_rate >= MP3_HALF_BELOW_HZ else MP3_FRAME // 2
                self.stated_s = frames * per_frame / self.sample_rate
        if self.duration_s is None:
            self.duration_s = self._measured_duration()

    def _open(self) -> None:
        self._file.allowance = header_bytes(self._file)
        self._container = container_of(self._source)
        try:
            self._stream = main_stream(self._container)
        except AudioError:
            self.close()
            raise
        self._used = False

    def _stated_duration(self) -> float | None:
        if self._stream.duration and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        if self._container.duration:
            return self._container.duration / av.time_base
        return None

    def _measured_duration(self) -> float | None:
        """Return the sum of all packets, which also teaches FFmpeg where to seek."""
        total, time_base = 0, self._stream.time_base
        if time_base is None or not self._decodes():
            return None
        with contextlib.suppress(av.FFmpegError):
            for packet in self._container.demux(self._stream):
                if packet.size:
                    if not packet.duration:
                        return None
                    total += packet.duration
                    self._earn(float(packet.duration * time_base))
        return float(total * time_base) or None

    def _earn(self, sound_s: float) -> None:
        """Allow more to be read, because there was a sound."""
        name = self._container.format.name
        if name in BARE_STREAMS and self._file.allowance is not None:
            earned = round(sound_s * EARNED_PER_S.get(name, EARNED_OTHERWISE))
            self._file.allowance = min(BARREN_BYTES, self._file.allowance + earned)
        else:
            self._file.allowance = BARREN_BYTES

    def _decodes(self) -> bool:
        """Whether there is a sound near the start: anything looks like packets of a bare stream."""
        first = next((len(block) for block in self.blocks() if len(block)), 0)
        seconds, damaged = first / self.sample_rate, self.damaged
        self._start()
        return is_sound(seconds, damaged)

    def _start(self) -> None:
        """Go back to the start. Not by seeking: decoders have crashed on damage, once rewound."""
        if self._used:
            self.close()
            self._open()
        self._used = True
        self._file.allowance = BARREN_BYTES

    def read(self, offset_s: float, length_s: float) -> FloatArray:
        """Return mono samples, shape (n,), from `offset_s` on; fewer if the file ends there."""
        limit_s = min(READ_THROUGH_S, READ_THROUGH_SAMPLES / self.sample_rate)
        if self.duration_s is not None and self.duration_s <= limit_s:
            if self._whole is None:
                self._whole = self.read_all(limit_s * 2)
                if self.damaged:
                    raise AudioError(f"{self.damaged} damaged places")
            start = round(offset_s * self.sample_rate)
            return self._whole[start : start + round(length_s * self.sample_rate)]
        return self._seek_and_read(offset_s, length_s)

    def take_loudest(self) -> None:
        """Read the loudest channel from now on, not the mean."""
        self._whole = None
        self.mix.take_loudest()

    def _seek_and_read(self, offset_s: float, length_s: float) -> FloatArray:
        wanted = round(length_s * self.sample_rate)
        target_s = self._start_s + offset_s
        # Frames are short: joined by FFmpeg and turned into one array they take half the time.
        joined, surplus = av.AudioFifo(), 0
        first = True
        mono: list[FloatArray] = []
        length = 0
        self._used = True
        self._file.allowance = BARREN_BYTES
        try:
            self._container.seek(round(max(0.0, target_s - SEEK_MARGIN_S) * av.time_base))
            for frame in self._container.decode(self._stream):
                self._earn(frame.samples / self.sample_rate)
                if first:
                    surplus = self._surplus(frame.time, target_s)
                    if surplus >= frame.samples:
                        continue
                    first = False
                frame.pts = None  # else the queue insists on time stamps without a gap
                _append(joined, frame)
                if joined.samples * frame.layout.nb_channels >= SAMPLES_AT_ONCE // 4:
                    mono.append(self._mono(joined))
                    length += len(mono[-1])
                if length + joined.samples >= surplus + wanted:
                    break
            mono.append(self._mono(joined))
        except (av.FFmpegError, ValueError) as error:
            out_of_memory(error)
            raise AudioError(f"cannot read at {offset_s:.1f} s: {error}") from error
        samples = mono[0] if len(mono) == 1 else join(mono)
        return samples[surplus:][:wanted]

    def _surplus(self, time_s: float | None, target_s: float) -> int:
        """Return how many samples to drop of what was decoded first after seeking."""
        if time_s is None or time_s > target_s + SEEK_MARGIN_S:
            raise AudioError(f"seeking to {target_s - self._start_s:.1f} s missed it")
        return max(0, round((target_s - time_s) * self.sample_rate))

    def blocks(self) -> Iterator[FloatArray]:
        """Yield samples past pieces that do not decode."""
        self.damaged = 0
        self._start()
        joined = av.AudioFifo()
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except av.FFmpegError as error:
                    out_of_memory(error)
                    self.damaged += 1
                    continue
                for frame in frames:
                    self._earn(frame.samples / self.sample_rate)
                    frame.pts = None  # as above
                    try:
                        _append(joined, frame)
                    except ValueError:  # from here on it has another rate, format or layout
                        yield self._mono(joined)
                        joined = av.AudioFifo()
                        joined.write(frame)
                    if joined.samples * frame.layout.nb_channels >= SAMPLES_AT_ONCE // 4:
                        yield self._mono(joined)
                if joined.samples >= self.sample_rate:
                    yield self._mono(joined)
        except (av.FFmpegError, ValueError) as error:  # the container is damaged from here on
            out_of_memory(error)
            self.damaged += 1
        yield self._mono(joined)

    def _mono(self, joined: av.AudioFifo) -> FloatArray:
        """Empty a queue of decoded frames into one channel, at the rate of the file."""
        frame = joined.read(0, partial=True)
        if frame is None:
            return np.zeros(0, dtype=np.float32)
        channels, rate = frame.layout.nb_channels, frame.sample_rate
        planar = channels <= FEW_CHANNELS
        blocks: list[FloatArray] = []
        for part in av.AudioResampler(format="fltp" if planar else "flt").resample(frame):
            block = part.to_ndarray().astype(np.float32, copy=False)
            if planar:
                blocks.append(self.mix.planar(block))
            else:
                blocks.append(self.mix.interleaved(block.reshape(-1, channels)))
        return resample(join(blocks), rate, self.sample_rate)

    def close(self) -> None:
        """Close FFmpeg's side."""
        self._container.close()


def main_stream(container: av.container.InputContainer) -> av.AudioStream:
    """Return the audio stream that a player would play; AudioError if there is none."""
    streams = container.streams.audio
    if not streams:
        raise AudioError("it has no audio stream", "A film without sound, or a picture.")
    playable = [stream for stream in streams if _has_decoder(stream)]
    if not playable:
        raise AudioError(
            f"FFmpeg has no decoder for its sound ({_codec(streams[0])})",
            "It may be protected against copying (DRM), or of a rare kind: convert it.",
        )
    marked = (stream for stream in playable if stream.disposition & av.stream.Disposition.default)
    return next(marked, playable[0])


def _has_decoder(stream: av.AudioStream) -> bool:
    # PyAV has no codec context without a decoder.
    return getattr(stream, "codec_context", None) is not None


def _codec(stream: av.AudioStream) -> str:
    return getattr(getattr(stream, "codec", None), "name", None) or "unknown"


class ChainReader(AudioReader):
    """Reads several recordings in one Ogg file, one behind the other."""

    def __init__(self, parts: list[Stretch], kinds: Kinds, file: AudioFile) -> None:
        super().__init__()
        self._kinds, self._file = kinds, file
        self._links: list[tuple[float, float, Stretch]] = []  # start and end in seconds
        self._open: tuple[Stretch, AudioReader] | None = None
        self.sample_rate, end_s = 0, 0.0
        for part in parts:
            with contextlib.suppress(AudioError):
                reader = self._reader(part)
                if reader.duration_s is not None:
                    self._links.append((end_s, end_s + reader.duration_s, part))
                    end_s += reader.duration_s
                    self.sample_rate = self.sample_rate or reader.sample_rate
        if not self._links:
            raise AudioError("none of its recordings can be read")
        self.duration_s = self.stated_s = end_s
        self._broken = self.damaged = len(parts) - len(self._links)

    def _reader(self, part: Stretch) -> AudioReader:
        """Return the reader of a recording; only the last one stays open."""
        if self._open is not None and self._open[0] is part:
            return self._open[1]
        self.close()
        reader = next(_opened(self._kinds, part, self._file, []), None)
        if reader is None:
            raise AudioError("one of its recordings cannot be read")
        reader.mix = self.mix
        self._open = part, reader
        return reader

    def read(self, offset_s: float, length_s: float) -> FloatArray:
        """Return mono samples, shape (n,), from `offset_s` on; fewer if the file ends there."""
        pieces = []
        for start_s, end_s, part in self._links:
            from_s = max(offset_s, start_s)
            to_s = min(offset_s + length_s, end_s)
            if from_s < to_s:
                reader = self._reader(part)
                samples = reader.read(from_s - start_s, to_s - from_s)
                pieces.append(resample(samples, reader.sample_rate, self.sample_rate))
        return join(pieces)

    def blocks(self) -> Iterator[FloatArray]:
        """Yield samples of all recordings."""
        self.damaged = self._broken
        for _, _, part in self._links:
            reader = self._reader(part)
            for block in reader.blocks():
                yield resample(block, reader.sample_rate, self.sample_rate)
            self.damaged += reader.damaged

    def take_loudest(self) -> None:
        """Read the loudest channel from now on, not the mean."""
        self.mix.take_loudest()
        self.close()

    def close(self) -> None:
        """Close the recording that is open."""
        if self._open is not None:
            self._open[1].close()
            self._open = None


def readers_of(
    file: AudioFile, head: bytes, source: AudioFile | Stretch, at_the_end: contextlib.ExitStack
) -> Iterator[AudioReader]:
    """Open a file with one library after the other, the preferred one first.

    The iteration opens them, because most files never need a second. AudioError at its end if no
    library recognises the file.
    """
    kinds: Kinds = (SoundFileReader, AvReader)
    if str(file.name).lower().endswith(".opus") or is_disguised_wav(file, head):
        kinds = (AvReader,)
    parts = [Stretch(file, start, end) for start, end in ogg_links(file, head)]
    if len(parts) > 1:
        with contextlib.suppress(AudioError):
            chain = ChainReader(parts, kinds, file)
            at_the_end.callback(chain.close)
            yield chain
            return
    refused: list[AudioError] = []
    for reader in _opened(kinds, source, file, refused):
        at_the_end.callback(reader.close)
        yield reader
    if len(refused) == len(kinds):
        warn_of_holes(file)
        raise _unreadable(refused[-1])


def _opened(
    kinds: Kinds, source: AudioFile | Stretch, file: AudioFile, refused: list[AudioError]
) -> Iterator[SoundFileReader | AvReader]:
    for kind in kinds:
        try:
            yield kind(source, file)
        except _UndecodableError as error:
            raise AudioError(error.message, error.hint) from error
        except AudioError as error:
            refused.append(error)


def _unreadable(reason: AudioError) -> AudioError:
    """Return why no library can read a file; only FFmpeg says something that helps."""
    if reason.hint:
        return reason
    return AudioError(
        "not an audio file that can be read, whatever its name says",
        "It may be damaged from the first byte or be something else; replace or rename it.",
    )


def _append(joined: av.AudioFifo, frame: av.AudioFrame) -> None:
    """Append a frame to a queue; ValueError if it has another rate, format or layout.

    PyAV compares all but the layout, and reads past the end of a frame with fewer channels.
    """
    if joined.samples_written and joined.layout.nb_channels != frame.layout.nb_channels:
        raise ValueError("another number of channels")
    joined.write(frame)


@contextlib.contextmanager
def open_container(
    path: Path, metadata_errors: str = "ignore", at_most: int | None = HEADER_BYTES
) -> Iterator[av.container.InputContainer]:
    """Open a file with FFmpeg for its packets or tags, and read `at_most` so many bytes of it.

    AudioError for an unknown format. PassingError, at the end too, for trouble that is not the
    file's own: what was read until then says nothing about the file.
    """
    with open_audio(path) as file:
        refuse_what_is_no_sound(file)
        file.allowance = header_bytes(file)
        with container_of(file, metadata_errors) as container:
            file.allowance = at_most
            yield container
