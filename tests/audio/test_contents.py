"""What is no sound is told by its first bytes, and by name; what never ends, by a few places."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from recsys.audio import decode, decode_whole, open_container
from recsys.audio.contents import ogg_links
from recsys.audio.files import AudioFile, open_audio
from recsys.classifier.log_mel import MEL
from recsys.errors import AudioError
from tests.sounds import encode, noise, staircase, write

MODULE = bytes(1080) + b"M.K." + bytes(4096)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"MThd\0\0\0\6\0\1\0\2\1\xe0MTrk" + bytes(5000), "MIDI file: notes, no sound"),
        (b"\x01" + MODULE[1:], r"tracker module \(MOD\)"),
        (b"Extended Module: song" + bytes(5000), r"tracker module \(XM\)"),
        (b"IMPMsong" + bytes(5000), r"tracker module \(IT\)"),
        (b"song".ljust(44, b"\1") + b"SCRM" + bytes(5000), r"tracker module \(S3M\)"),
        (b"\x89PNG\r\n\x1a\n" + bytes(5000), "picture"),
        (b"\xff\xd8\xff\xe0" + bytes(5000), "picture"),
        (b"%PDF-1.7\n" + bytes(5000), "PDF"),
        (b"\x1f\x8b\x08" + bytes(5000), "gzip"),
        (b"Rar!\x1a\x07\x01" + bytes(5000), "RAR"),
        (b"<!DOCTYPE html><html>404 not found</html>", "web page"),
        (b"\n <html>" + b"x" * 9000, "web page"),
        (b"#EXTM3U\nhttp://example.org/a.mp3\n", "playlist"),
        (b"[playlist]\nFile1=a.mp3\n", "playlist"),
        (b'<?xml version="1.0"?><playlist version="1"/>', "playlist"),
        (b"d8:announce35:udp://tracker.example.org", "torrent"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        ("Über den Wolken\n".encode() * 400, "text file"),
        ("Über den Wolken\n".encode("latin-1") * 400, "text file"),
        (("notes" * 20).encode("utf-16"), "text file"),
        (b"\x00\x05\x16\x07\x00\x02" + bytes(5000), "AppleDouble"),
        (b"\x7fELF" + bytes(5000), "program"),
    ],
)
def test_other_things_are_called_what_they_are(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    with pytest.raises(AudioError, match="^not an audio file: .*" + said) as caught:
        decode(path, MEL)
    assert caught.value.hint


def test_an_archive_of_songs_is_no_song(tmp_path: Path) -> None:
    song = write(tmp_path / "a.mp3", noise(5))
    with zipfile.ZipFile(tmp_path / "b.mp3", "w") as archive:
        archive.write(song)
    with pytest.raises(AudioError, match="not an audio file: a ZIP archive"):
        decode(tmp_path / "b.mp3", MEL)


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    # Behind a first line that hides what it is.
    song = write(tmp_path / "a.mp3", noise(5))
    path = tmp_path / "b.mp3"
    path.write_bytes(b"ffconcat version 1.0\nfile '" + os.fsencode(song) + b"'\n\x00")
    with pytest.raises(AudioError), open_container(path) as container:
        list(container.demux())


@pytest.mark.parametrize("byte", [b"\0", b"\xff"])
@pytest.mark.parametrize("size", [5000, 3_000_000])
def test_a_file_of_nothing_is_an_unfinished_download(
    tmp_path: Path, byte: bytes, size: int
) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(byte * size)
    with pytest.raises(AudioError, match=r"^unfinished download: ") as caught:
        decode(path, MEL)
    assert "finish" in caught.value.hint


class Counting(AudioFile):
    """Counts what is read."""

    read_bytes = 0

    def _allowed(self, count: int) -> bool:
        type(self).read_bytes += count
        return super()._allowed(count)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counting]:
    counting = type("Counted", (Counting,), {})
    monkeypatch.setattr("recsys.audio.files.AudioFile", counting)
    return counting


def test_of_twenty_gigabytes_of_zeros_one_megabyte_is_read(
    tmp_path: Path, counted: type[Counting]
) -> None:
    path = tmp_path / "a.mp3"
    path.touch()
    os.truncate(path, 20 * 10**9)
    for name in ("a.mp3", "a.flac", "a.m4a", "a.wav"):
        with pytest.raises(AudioError, match=r"unfinished download: 1\.05 MB of 20 GB"):
            decode(path.rename(path.with_name(name)), MEL)
        path = path.with_name(name)
    with pytest.raises(AudioError, match="unfinished download"), open_container(path):
        pass
    assert counted.read_bytes < 10 * 2**20


def begun(path: Path, share: float) -> Path:
    """Write a file of 3 GB of which only a share of the first megabytes has come."""
    if codec := {".aac": "aac", ".wv": "wavpack"}.get(path.suffix):
        encode(path, noise(20, 44_100), codec)
    else:
        write(path, noise(20, 44_100), 44_100)
    os.truncate(path, round(path.stat().st_size * share))
    os.truncate(path, 3 * 10**9)
    return path


@pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.ogg", "a.wv"])
def test_a_download_that_has_just_begun_is_unfinished(
    tmp_path: Path, counted: type[Counting], name: str
) -> None:
    path = begun(tmp_path / name, 0.5)
    with pytest.raises(AudioError, match=r"^unfinished download: about (94|100)% of the file"):
        decode(path, MEL)
    assert counted.read_bytes < 200 * 2**20


@pytest.mark.parametrize(
    ("name", "kept"),
    [("tag.mp3", 300), ("first.mp3", 3000), ("a.m4a", 3000), ("a.flac", 60), ("a.ogg", 3000)],
)
def test_a_download_without_a_piece_of_sound_is_unfinished(
    tmp_path: Path, name: str, kept: int
) -> None:
    path = tmp_path / name
    if name == "tag.mp3":
        path.write_bytes(b"ID3\x04\0\0\0\0\2\0" + b"TIT2\0\0\0\5\0\0\3Song" + bytes(300))
    elif name == "a.m4a":
        encode(path, noise(20, 44_100), "aac")
    else:
        write(path, noise(20, 44_100), 44_100)
    os.truncate(path, kept)
    os.truncate(path, 3 * 10**9)
    for analyse in (lambda: decode(path, MEL), lambda: decode_whole(path)):
        with pytest.raises(AudioError, match=r"^unfinished download: "):
            analyse()


def test_a_short_silence_is_no_download(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.zeros(13_000, dtype=np.float32), 44_100)
    with pytest.raises(AudioError, match="too short"):
        decode(path, MEL)


@pytest.mark.parametrize("name", ["a.mp3", "a.flac"])
def test_zeros_behind_a_whole_song_do_no_harm(
    tmp_path: Path, counted: type[Counting], name: str
) -> None:
    assert decode(begun(tmp_path / name, 1), MEL).duration_s == pytest.approx(20, abs=0.1)
    assert counted.read_bytes < 200 * 2**20


@pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.aac", "a.ogg", "a.wv", "a.m4a", "a.wav"])
def test_random_bytes_are_no_sound(tmp_path: Path, counted: type[Counting], name: str) -> None:
    path = tmp_path / name
    block = np.random.default_rng(1).bytes(2**20)
    with path.open("wb") as file:
        for _ in range(100):
            file.write(block)
    with pytest.raises(AudioError):
        decode(path, MEL)
    assert counted.read_bytes < 80 * 2**20


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").touch()
    with pytest.raises(AudioError, match="the file is empty"):
        decode(tmp_path / "a.mp3", MEL)


def wav(samples: np.ndarray, rate: int = 44_100, *, channels: int = 2, bits: int = 16) -> bytes:
    """Return a WAV whose header may say anything."""
    data = samples.astype("<i2").tobytes()
    align = channels * bits // 8
    form = struct.pack(
        "<HHIIHH", 1, channels, rate, min(rate * align, 2**32 - 1), align % 2**16, bits
    )
    chunks = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


SOME = (staircase(20, 44_100) * 32767).astype("<i2")


@pytest.mark.parametrize("rate", [0, 1, 100, 2_000_000_000, 2**32 - 1])
def test_absurd_sample_rates_are_refused(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(SOME, rate))
    with pytest.raises(AudioError):
        decode(path, MEL)


@pytest.mark.parametrize("channels", [0, 1025, 65_535])
def test_absurd_numbers_of_channels_are_refused(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(SOME, channels=channels))
    with pytest.raises(AudioError):
        decode(path, MEL)


def test_an_ogg_file_in_which_nothing_begins_has_no_links(tmp_path: Path) -> None:
    def page(serial: int) -> bytes:  # a version, no flag, and what a damaged page may hold
        return b"OggS" + bytes(10) + serial.to_bytes(4, "little") + bytes(9)

    path = tmp_path / "a.ogg"
    path.write_bytes(page(1) + page(2))
    with open_audio(path) as file:
        assert ogg_links(file, page(1)) == []
