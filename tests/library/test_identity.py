"""Two sounds are two, one sound is one, whatever its tags and its place."""

from __future__ import annotations

import errno
import io
import os
import shutil
import struct
from pathlib import Path

import av
import mutagen
import numpy as np
import pytest

from recsys.errors import PassingError
from recsys.library import audio_hash, earlier_audio_hash, is_earlier_identity
from recsys.library.containers import sound_layout
from tests.library.films import film
from tests.sounds import encode, staircase, write

RATE = 44_100
CODECS = {".m4a": "aac", ".opus": "libopus", ".wma": "wmav2", ".wv": "wavpack", ".aac": "aac"}


def sound_file(path: Path, samples: np.ndarray) -> Path:
    codec = CODECS.get(path.suffix)
    if path.suffix == ".opus":
        return encode(path, samples[: len(samples) // 2 * 2], "libopus", 48_000)
    return encode(path, samples, codec, RATE) if codec else write(path, samples, RATE)


def noise(duration_s: float, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (0.1 * generator.standard_normal(round(duration_s * RATE))).astype(np.float32)


@pytest.mark.parametrize("name", ["a.flac", "a.wav", "a.mp3", "a.ogg", "a.m4a"])
def test_stems_that_begin_with_the_same_silence_are_two(tmp_path: Path, name: str) -> None:
    silence = np.zeros(40 * RATE, dtype=np.float32)
    stems = [np.concatenate([silence, noise(10, seed), silence]) for seed in (1, 2)]
    hashes = {
        audio_hash(sound_file(tmp_path / f"{number}{name}", stem))
        for number, stem in enumerate(stems)
    }
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("name", "at_s"),
    [
        *(("a.wav", 34.0), ("a.wav", 71.0), ("a.wav", 108.0), ("a.flac", 34.0), ("a.flac", 108.0)),
        *(("a.mp3", 71.0), ("a.ogg", 71.0), ("a.m4a", 71.0)),
    ],
)
def test_three_seconds_that_differ_make_another_sound(
    tmp_path: Path, name: str, at_s: float
) -> None:
    one = noise(120, 3)
    other = one.copy()
    start = round(at_s * RATE)
    other[start : start + 3 * RATE] = noise(3, 4)
    hashes = {
        audio_hash(sound_file(tmp_path / f"{number}{name}", samples))
        for number, samples in enumerate((one, other))
    }
    assert len(hashes) == 2


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".m4a"])
def test_long_stems_that_are_silent_but_for_a_moment_are_as_many_sounds(
    tmp_path: Path, suffix: str
) -> None:
    """Ten minutes with a moment of sound: two at different times, two at the same one."""
    moment, hashes = noise(0.5, 1), []
    for number, (at_s, louder) in enumerate(((101.3, 1), (101.3, 0.9), (333.7, 1), (512.1, 1))):
        samples = np.zeros(600 * RATE // 4, dtype=np.float32)  # at a quarter of the rate
        start = round(at_s * RATE / 4)
        samples[start : start + len(moment)] = moment * louder
        path = tmp_path / f"{number}{suffix}"
        if suffix in {".wav", ".flac"}:
            write(path, samples, RATE // 4)
        else:
            encode(path, samples, "aac", RATE // 4)
        hashes.append(audio_hash(path))
    assert len(set(hashes)) == 4


def test_flac_without_a_checksum_of_its_own_is_read_whole(tmp_path: Path) -> None:
    path = sound_file(tmp_path / "a.flac", noise(60, 1))
    content = bytearray(path.read_bytes())
    content[26:42] = bytes(16)  # of STREAMINFO, the last 16 bytes
    path.write_bytes(content)
    before = audio_hash(path)
    for place in range(len(content) - 900_000, len(content), 100_001):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert audio_hash(path) != before


@pytest.mark.parametrize("name", ["a.flac", "a.wav", "a.aiff", "a.mp3", "a.ogg", "a.wma", "a.wv"])
def test_a_file_that_was_cut_off_is_another(tmp_path: Path, name: str) -> None:
    whole = sound_file(tmp_path / name, 0.1 * staircase(30, RATE))
    cut = tmp_path / f"cut{name}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 9 // 10])
    assert audio_hash(cut) != audio_hash(whole)


FORMATS = (".flac", ".wav", ".aiff", ".mp3", ".ogg", ".opus", ".m4a", ".wma", ".wv")


def retag(path: Path, title: str) -> None:
    file = mutagen.File(path)
    if path.suffix in {".wav", ".aiff", ".mp3"}:
        from mutagen.id3 import TIT2

        if file.tags is None:
            file.add_tags()
        file.tags.setall("TIT2", [TIT2(encoding=3, text=title)])
    else:
        key = {".m4a": "\xa9nam", ".wma": "Title"}.get(path.suffix, "Title")
        file[key] = title
    file.save()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("duration_s", [3, 40])
def test_tags_that_grow_and_shrink_keep_it(tmp_path: Path, suffix: str, duration_s: float) -> None:
    path = sound_file(tmp_path / f"a{suffix}", 0.1 * staircase(duration_s, RATE))
    before = audio_hash(path)
    for title in ("short", "long " * 40_000, "short again"):
        retag(path, title)
        assert audio_hash(path) == before


REWRITTEN = {".m4a": "ipod", ".ogg": "ogg", ".opus": "ogg", ".flac": "flac", ".wav": "wav"}
REWRITTEN |= {".mp3": "mp3", ".aiff": "aiff", ".mka": "matroska", ".webm": "webm", ".wma": "asf"}


@pytest.mark.parametrize("suffix", REWRITTEN)
def test_a_program_that_writes_the_same_packets_anew_keeps_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix in {".mka", ".webm"}:
        film(path, moving=False, duration_s=40)
    else:
        sound_file(path, 0.1 * staircase(40, RATE))
    anew = tmp_path / f"anew{suffix}"
    # The tags of MP4 go to its start, pages of Ogg and clusters of Matroska begin elsewhere.
    options = {"movflags": "faststart", "page_duration": "300000", "cluster_time_limit": "700"}
    kept = {key: value for key, value in options.items() if key[:4] in _OPTIONS_OF.get(suffix, ())}
    with (
        av.open(str(path)) as source,
        av.open(str(anew), "w", format=REWRITTEN[suffix], options=kept) as target,
    ):
        target.metadata["title"] = "another title " * 30
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert anew.read_bytes() != path.read_bytes()
    assert audio_hash(anew) == audio_hash(path)


_OPTIONS_OF = {
    ".m4a": ("movf",),
    ".ogg": ("page",),
    ".opus": ("page",),
    ".mka": ("clus",),
    ".webm": ("clus",),
}


def test_every_kind_of_tag_around_an_mp3_keeps_it(tmp_path: Path) -> None:
    path = sound_file(tmp_path / "a.mp3", 0.1 * staircase(60, RATE))
    before, content = audio_hash(path), path.read_bytes()
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, 32 + 9, 1, 1 << 31) + bytes(8)
    item = struct.pack("<II", 1, 0) + b"T\0" + b"x"
    footer = b"APETAGEX" + struct.pack("<IIII", 2000, len(item) + 32, 1, 1 << 31) + bytes(8)
    lyrics = b"LYRICSBEGIN" + b"LYR00005hello" + b"000024LYRICS200"
    id3v1 = b"TAG" + bytes(125)
    id3 = b"ID3\3\0\0" + bytes([0, 0, 2, 0]) + bytes(256)
    for front in (b"", id3, id3 + id3):
        for back in (b"", id3v1, ape + item + footer, ape + item + footer + lyrics + id3v1):
            path.write_bytes(front + content + back)
            assert audio_hash(path) == before, (front[:3], back[:8])


def test_an_index_that_a_program_wrote_into_an_mp3_keeps_it(tmp_path: Path) -> None:
    path = sound_file(tmp_path / "a.mp3", 0.1 * staircase(60, RATE))
    before, content = audio_hash(path), path.read_bytes()
    start = content.index(b"\xff\xfb")
    frame = bytearray(content[start : start + 417])
    frame[4:] = bytes(413)
    frame[36:40] = b"Info"
    assert audio_hash(path) == before
    if b"Xing" not in content[:500] and b"Info" not in content[:500]:
        path.write_bytes(content[:start] + frame + content[start:])
        assert audio_hash(path) == before


def test_new_tags_keep_that_of_matroska(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving=False, duration_s=20)
    before, content = audio_hash(path), bytearray(path.read_bytes())
    place = content.index(b"\x1f\x43\xb6\x75")
    segment = content.index(b"\x18\x53\x80\x67") + 4
    assert content[segment] == 0x01  # a size of eight bytes
    size = int.from_bytes(content[segment + 1 : segment + 8]) + 1000
    content[segment + 1 : segment + 8] = size.to_bytes(7)
    path.write_bytes(content[:place] + b"\xec\x43\xe5" + bytes(997) + content[place:])
    assert audio_hash(path) == before


def test_it_is_marked_and_told_apart_from_those_of_before(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", staircase(2))
    assert len(audio_hash(path)) == len(earlier_audio_hash(path)) == 32
    assert is_earlier_identity(earlier_audio_hash(path))
    assert not is_earlier_identity(audio_hash(path))


def test_the_earlier_identity_is_what_it_was(tmp_path: Path) -> None:
    """A WAV of known samples, whose hash recsys 0.1 stored."""
    path = tmp_path / "a.wav"
    samples = np.arange(-8000, 8000, dtype="<i2").tobytes()
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + len(samples),
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        8000,
        16000,
        2,
        16,
        b"data",
        len(samples),
    )
    path.write_bytes(head + samples)
    assert earlier_audio_hash(path) == EARLIER


EARLIER = "ff4a34616cc548f05b5a9ed1a5f5910c"


class Failing(io.FileIO):
    """A disk that fails after some bytes."""

    def read(self, size: int | None = -1) -> bytes | None:
        left = 4096 - self.tell()
        if left <= 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(left if size is None or size < 0 else min(size, left))


@pytest.mark.parametrize("suffix", [".flac", ".wav", ".mp3", ".ogg", ".m4a"])
def test_a_disk_that_fails_gives_no_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = sound_file(tmp_path / f"a{suffix}", noise(20, 1))
    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Failing(path))
    with pytest.raises(PassingError, match="cannot be read now"):
        audio_hash(path)


def test_any_bytes_have_an_identity(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    path = tmp_path / "a.mp3"
    heads = (
        *(
            b"",
            b"fLaC",
            b"OggS\0\2",
            b"RIFF\xff\xff\xff\xffWAVE",
            b"\0\0\0\0ftypM4A ",
            b"ID3\4\0\x10",
        ),
        *(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"\x1a\x45\xdf\xa3", b"FORM0000AIFF", b"FRM8"),
        *(b"DSD ", b"caff", b".RMF", b"riff\x2e\x91\xcf\x11"),
    )
    seen = set()
    for head in heads:
        for count in (0, 1, 5, 30, 300, 5000):
            path.write_bytes(head + generator.bytes(count))
            with path.open("rb") as file:
                assert 0 <= sound_layout(file).length <= path.stat().st_size
            seen.add(audio_hash(path))
    assert len(seen) > 60


def test_a_copy_under_another_name_is_the_same_sound(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", moving=False)
    shutil.copy(path, tmp_path / "b")
    assert audio_hash(tmp_path / "b") == audio_hash(path)
