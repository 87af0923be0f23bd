"""Sound that is there is used, whatever the header says of it."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import pytest
import soundfile

from recsys.audio import decode, decode_whole
from recsys.audio.contents import is_disguised
from recsys.classifier.log_mel import MEL
from recsys.errors import AudioError
from recsys.types import FloatArray, Waveform
from tests.audio.test_decoding import assert_windows_in_place
from tests.sounds import add_stream, encode, fill, noise, staircase, write

RATE = 44_100


def assert_all_of_it_was_used(waveform: Waveform, duration_s: float, *, warned: bool) -> None:
    assert waveform.duration_s == pytest.approx(duration_s, abs=0.5)
    assert max(waveform.offsets_s) > 0.8 * duration_s
    assert (waveform.warning is not None) == warned, waveform.warning
    assert_windows_in_place(waveform)


# Headers of recordings that were interrupted, or written to a pipe


@pytest.fixture
def recording(tmp_path: Path) -> bytearray:
    return bytearray(write(tmp_path / "whole.wav", staircase(40, RATE), RATE).read_bytes())


@pytest.mark.parametrize(
    ("size", "warned"),
    [
        (0, True),
        (5 * 2 * RATE, True),  # the size was written now and then, the last time after 5 s
        (0xFFFFFFFF, False),
        (0x7FFFF000, False),  # SoX
        (0x80000000, False),
    ],
)
@pytest.mark.parametrize("riff", ["as it was", 0, 0xFFFFFFFF])
def test_a_wav_is_read_to_its_end(
    tmp_path: Path, recording: bytearray, size: int, warned: bool, riff: int | str
) -> None:
    place = recording.index(b"data")
    recording[place + 4 : place + 8] = struct.pack("<I", size)
    if isinstance(riff, int):
        recording[4:8] = struct.pack("<I", riff)
    path = tmp_path / "a.wav"
    path.write_bytes(recording)
    assert_all_of_it_was_used(decode(path, MEL), 40, warned=warned)


@pytest.mark.skipif(sys.platform != "linux", reason="needs files with holes")
@pytest.mark.parametrize(
    ("size", "warned"), [(0xFFFFFFFF, False), (6 * 10**9 % 2**32, True), (0, True)]
)
def test_a_wav_of_more_than_four_gigabytes_is_read_to_its_end(
    tmp_path: Path, recording: bytearray, size: int, warned: bool
) -> None:
    place = recording.index(b"data")
    recording[place + 4 : place + 8] = struct.pack("<I", size)
    path = tmp_path / "a.wav"
    with path.open("wb") as file:
        file.write(recording[: place + 8])
        file.seek(6 * 10**9)
        file.write(recording[place + 8 :])
    waveform = decode(path, MEL)
    duration_s = path.stat().st_size / (2 * RATE)
    assert waveform.duration_s == pytest.approx(duration_s, abs=0.1)
    assert (waveform.warning is not None) == warned
    # The hole is silence: all windows lie in the last 40 s.
    assert min(waveform.offsets_s) > duration_s - 44


def test_a_wav_with_more_chunks_behind_its_sound_is_as_long_as_it_says(
    tmp_path: Path, recording: bytearray
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(bytes(recording) + b"LIST" + struct.pack("<I", 10**6) + bytes(10**6))
    assert_all_of_it_was_used(decode(path, MEL), 40, warned=False)
    path.write_bytes(bytes(recording) + b"ID3\x04" + bytes(10**6))
    assert_all_of_it_was_used(decode(path, MEL), 40, warned=False)


def test_a_wav_that_ends_early_says_so(tmp_path: Path, recording: bytearray) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(recording[: len(recording) // 2])
    waveform = decode(path, MEL)
    assert_all_of_it_was_used(waveform, 20, warned=True)
    assert "ends early: 1.76 MB of 3.53 MB" in str(waveform.warning)


@pytest.mark.parametrize("size", [0, 10**6])
def test_an_rf64_is_read_to_its_end(tmp_path: Path, recording: bytearray, size: int) -> None:
    place = recording.index(b"data")
    sizes = struct.pack("<IQQQI", 28, size, size, 0, 0)
    start = b"RF64\xff\xff\xff\xffWAVEds64" + sizes + bytes(recording[12:place])
    path = tmp_path / "a.wav"
    path.write_bytes(start + b"data\xff\xff\xff\xff" + recording[place + 8 :])
    assert_all_of_it_was_used(decode(path, MEL), 40, warned=True)


@pytest.mark.parametrize("size", [24, 10**6])
def test_a_w64_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.w64"
    soundfile.write(path, staircase(40, RATE), RATE, subtype="PCM_16", format="W64")
    content = bytearray(path.read_bytes())
    place = content.index(b"data\xf3\xac\xd3\x11")
    content[place + 16 : place + 24] = struct.pack("<Q", size)
    path.write_bytes(content)
    assert_all_of_it_was_used(decode(path, MEL), 40, warned=True)


@pytest.mark.parametrize("zeroed", ["COMM", "SSND", "both"])
def test_an_aiff_is_read_to_its_end(tmp_path: Path, zeroed: str) -> None:
    path = write(tmp_path / "a.aiff", staircase(40, RATE), RATE)
    content = bytearray(path.read_bytes())
    if zeroed != "SSND":
        place = content.index(b"COMM")
        content[place + 10 : place + 14] = bytes(4)
    if zeroed != "COMM":
        place = content.index(b"SSND")
        content[place + 4 : place + 8] = bytes(4)
    path.write_bytes(content)
    waveform = decode(path, MEL)
    assert waveform.duration_s == pytest.approx(40, abs=0.1)
    assert_windows_in_place(waveform)


def test_a_flac_of_unknown_length_is_measured(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", staircase(100, RATE), RATE)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the number of samples: 36 bits
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert_all_of_it_was_used(decode(path, MEL), 100, warned=False)
    assert decode_whole(path).duration_s == pytest.approx(100)


@pytest.mark.parametrize(
    ("form", "codec", "rate"),
    [("webm", "libopus", 48_000), ("matroska", "flac", RATE), ("adts", "aac", RATE)],
)
def test_what_was_written_to_a_pipe_is_measured(
    tmp_path: Path, form: str, codec: str, rate: int
) -> None:
    class Pipe:
        """A file that cannot seek back to complete its header."""

        def __init__(self, file: BinaryIO) -> None:
            self.write = file.write

    path = tmp_path / "a.sound"
    with path.open("wb") as file, av.open(Pipe(file), "w", format=form) as container:
        fill(container, add_stream(container, codec, rate), staircase(100, rate))
    assert_all_of_it_was_used(decode(path, MEL), 100, warned=False)


# Several recordings in one file


def ogg(path: Path, samples: FloatArray, codec: str, rate: int) -> bytes:
    if codec == "vorbis":
        return write(path.with_suffix(".ogg"), samples, rate).read_bytes()
    return encode(path.with_suffix(".ogg"), samples, codec, rate).read_bytes()


@pytest.mark.parametrize("codec", ["vorbis", "libopus", "flac"])
@pytest.mark.parametrize("lengths", [(20, 30), (2, 20, 18)])
def test_a_chained_ogg_is_read_through_all_its_links(
    tmp_path: Path, codec: str, lengths: tuple[int, ...]
) -> None:
    rate = 48_000
    samples = staircase(sum(lengths), rate)
    parts, start = [], 0
    for number, length in enumerate(lengths):
        piece = samples[start : start + length * rate]
        part = bytearray(ogg(tmp_path / f"{number}", piece, codec, rate))
        parts.append(bytes(part))
        start += length * rate
    path = tmp_path / ("chain.opus" if codec == "libopus" else "chain.ogg")
    path.write_bytes(b"".join(parts))
    waveform = decode(path, MEL)
    assert_all_of_it_was_used(waveform, sum(lengths), warned=False)
    whole = decode_whole(path)
    assert whole.duration_s == pytest.approx(sum(lengths), abs=0.2)
    assert whole.warning is None


def test_links_of_other_rates_and_channels_are_brought_to_those_of_the_first(
    tmp_path: Path,
) -> None:
    samples = staircase(100, RATE)
    first = ogg(tmp_path / "1", samples[: 50 * RATE], "vorbis", RATE)
    second = samples[50 * RATE :: 2]
    other = ogg(tmp_path / "2", np.stack([second, second], axis=1), "vorbis", RATE // 2)
    path = tmp_path / "a.ogg"
    path.write_bytes(first + other)
    assert_all_of_it_was_used(decode(path, MEL), 100, warned=False)


def test_mp3s_one_behind_the_other_are_read_to_the_end(tmp_path: Path) -> None:
    samples = staircase(200, RATE)
    path = tmp_path / "a.mp3"
    path.write_bytes(
        write(tmp_path / "1.mp3", samples[: 80 * RATE], RATE).read_bytes()
        + write(tmp_path / "2.mp3", samples[80 * RATE :], RATE).read_bytes()
    )
    waveform = decode(path, MEL)
    assert waveform.duration_s == pytest.approx(200, abs=0.3)
    assert_windows_in_place(waveform)


# MP3 without a table


def mp3(path: Path, samples: FloatArray, kbps: int) -> bytes:
    """Return bare frames of one bit rate."""
    with av.open(str(path), "w", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        fill(container, add_stream(container, "libmp3lame", RATE, kbps=kbps), samples)
    return path.read_bytes()


@pytest.mark.parametrize("rates", [(320, 32), (32, 320), (128, 128), (64, 64, 320)])
def test_the_length_of_an_mp3_without_a_table_is_right(
    tmp_path: Path, rates: tuple[int, ...]
) -> None:
    samples = staircase(120, RATE)
    length = len(samples) // len(rates)
    path = tmp_path / "a.mp3"
    pieces = [
        mp3(path, samples[i * length : (i + 1) * length], kbps) for i, kbps in enumerate(rates)
    ]
    path.write_bytes(b"".join(pieces))
    waveform = decode(path, MEL)
    assert waveform.duration_s == pytest.approx(120, abs=0.5)
    assert waveform.warning is None
    assert_windows_in_place(waveform)


# One-bit recordings


def one_bit(duration_s: float, rate: int = 64 * RATE) -> np.ndarray:
    """Return a tone of 440 Hz as bits whose mean is its level, 64 at a time."""
    t = np.arange(round(duration_s * RATE)) / RATE
    ones = np.round(32 + 16 * np.sin(2 * np.pi * 440 * t)).astype(int)
    return (np.arange(64) * 37 % 64 < ones[:, np.newaxis]).astype(np.uint8).ravel()


@pytest.mark.parametrize("name", ["a.dsf", "a.dff"])
def test_dsd_is_decoded(tmp_path: Path, name: str) -> None:
    rate, bits, block = 64 * RATE, one_bit(4), 4096
    if name == "a.dsf":
        data = np.packbits(bits, bitorder="little")
        data = np.pad(data, (0, -len(data) % block)).tobytes()
        form = struct.pack("<QIIIIIIQII", 52, 1, 0, 1, 1, rate, 1, len(bits), block, 0)
        chunks = b"fmt " + form + b"data" + struct.pack("<Q", 12 + len(data)) + data
        content = b"DSD " + struct.pack("<QQQ", 28, 28 + len(chunks), 0) + chunks
    else:

        def chunk(kind: bytes, data: bytes) -> bytes:
            return kind + struct.pack(">Q", len(data)) + data + b"\0" * (len(data) % 2)

        properties = (
            chunk(b"FS  ", struct.pack(">I", rate))
            + chunk(b"CHNL", struct.pack(">H", 1) + b"C000")
            + chunk(b"CMPR", b"DSD \x0enot compressed\0")
        )
        content = chunk(
            b"FRM8",
            b"DSD "
            + chunk(b"FVER", struct.pack(">I", 0x01050000))
            + chunk(b"PROP", b"SND " + properties)
            + chunk(b"DSD ", np.packbits(bits).tobytes()),
        )
    path = tmp_path / name
    path.write_bytes(content)
    waveform = decode(path, MEL)
    assert waveform.duration_s == pytest.approx(4, abs=0.1)
    assert waveform.warning is None
    window = waveform.windows[0]
    peak = np.argmax(np.abs(np.fft.rfft(window * np.hanning(len(window)))))
    assert peak * waveform.sample_rate / len(window) == pytest.approx(440, abs=1)


# Sound in disguise


@pytest.fixture
def disguised(tmp_path: Path) -> np.ndarray:
    """AC-3 as it goes over a digital cable, as 16-bit samples of two channels."""
    path = tmp_path / "a.spdif"
    with av.open(str(path), "w", format="spdif") as container:
        fill(container, add_stream(container, "ac3", 48_000), staircase(12, 48_000))
    content = path.read_bytes()
    return np.frombuffer(content[: len(content) // 4 * 4], dtype="<i2").reshape(-1, 2)


def test_a_film_sound_in_a_wav_is_no_noise(tmp_path: Path, disguised: np.ndarray) -> None:
    soundfile.write(tmp_path / "a.wav", disguised, 48_000, subtype="PCM_16")
    waveform = decode(tmp_path / "a.wav", MEL)
    assert waveform.duration_s == pytest.approx(12, abs=0.2)
    assert_windows_in_place(waveform)


def test_a_film_sound_in_a_flac_is_refused_by_name(tmp_path: Path, disguised: np.ndarray) -> None:
    soundfile.write(tmp_path / "a.flac", disguised, 48_000, subtype="PCM_16")
    with pytest.raises(AudioError, match="DTS or AC-3 stored as FLAC"):
        decode(tmp_path / "a.flac", MEL)


@pytest.mark.parametrize("sync", ["7ffe8001", "fe7f0180", "1fffe800", "ff1f00e8", "72f81f4e"])
def test_the_beginnings_of_dts_are_known(sync: str) -> None:
    stream = (bytes.fromhex(sync) + bytes(2044)) * 4
    assert is_disguised(bytes(1000) + stream)
    assert not is_disguised(bytes(1000) + stream[:2048])


# Which stream


def test_the_default_stream_is_used(tmp_path: Path) -> None:
    path = tmp_path / "a.mka"
    with av.open(str(path), "w") as container:
        streams = [add_stream(container, "flac", RATE) for _ in range(2)]
        streams[0].disposition = av.stream.Disposition(0)
        streams[1].disposition = av.stream.Disposition.default
        fill(container, streams[0], noise(12, RATE))
        fill(container, streams[1], staircase(12, RATE))
    assert_windows_in_place(decode(path, MEL))


def test_the_sound_of_a_film_is_used(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        film = container.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p")
        sound = add_stream(container, "aac", RATE)
        for _ in range(300):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(film.encode(picture))
        container.mux(film.encode(None))
        fill(container, sound, staircase(12, RATE))
    assert_windows_in_place(decode(path, MEL))


# Memory

MEASURE = """
import re, sys
from pathlib import Path
from recsys.audio import decode, decode_whole
from recsys.classifier.log_mel import MEL
path = Path(sys.argv[1])
waveform = decode_whole(path) if sys.argv[2:] else decode(path, MEL)
highest = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(int(highest[1]) // 1024, waveform.warning)
"""


def megabytes(path: Path, *whole: str) -> tuple[int, str]:
    """Return the memory that decoding took in a process of its own, and the warning."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, path, *whole],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    size, _, warning = done.stdout.partition(" ")
    return int(size), warning


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_long_recording_that_is_cut_off_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    block = (noise(1, 192_000) * 0.5).astype(np.float32)
    with soundfile.SoundFile(path, "w", 192_000, 2, "PCM_16", compression_level=0) as file:
        for _ in range(60):
            file.write(np.stack([block, block], axis=1))
    os.truncate(path, path.stat().st_size * 2 // 3)
    size, warning = megabytes(path)
    assert "ends early or is damaged: 40" in warning
    assert size < 250
    size, warning = megabytes(path, "whole")
    assert "ends early or is damaged: 40" in warning
    assert size < 250


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_many_channels_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    block = np.repeat(noise(1, 48_000)[:, np.newaxis], 500, axis=1)
    with soundfile.SoundFile(path, "w", 48_000, 500, "PCM_16") as file:
        for _ in range(5):
            file.write(block)
    size, warning = megabytes(path)
    assert warning == "None\n"
    assert size < 400
