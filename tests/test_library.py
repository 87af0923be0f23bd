from __future__ import annotations

import os
import shutil
import struct
import sys
from dataclasses import replace
from pathlib import Path

import mutagen
import numpy as np
import pytest

from recsys.errors import AudioError, RecsysError
from recsys.library import ScanReport, audio_hash, outermost, read_tags, scan
from recsys.types import Tags
from tests.sounds import encode, staircase, write

posix_only = pytest.mark.skipif(os.name == "nt", reason="needs POSIX file names or links")


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def names(root: Path) -> list[str]:
    return [file.path.relative_to(root).as_posix() for file in scan(root)]


def test_scan_finds_audio_by_extension_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b/2.MP3", "b/1.flac", "a.ogg", "c.jpg", "notes.txt", "b/no-extension", "z.m4a"):
        touch(tmp_path / name)
    assert names(tmp_path) == ["a.ogg", "z.m4a", "b/1.flac", "b/2.MP3"]


def test_scan_reports_size_and_time(tmp_path: Path) -> None:
    path = touch(tmp_path / "a.mp3")
    os.utime(path, ns=(5, 1_700_000_000_123_456_789))
    (file,) = scan(tmp_path)
    assert (file.size, file.mtime_ns) == (1, path.stat().st_mtime_ns)


def test_scan_passes_over_hidden_names(tmp_path: Path) -> None:
    for name in (".hidden/a.mp3", "b/._a.mp3", "b/c.mp3"):
        touch(tmp_path / name)
    assert names(tmp_path) == ["b/c.mp3"]


def test_a_hidden_root_that_is_asked_for_is_scanned(tmp_path: Path) -> None:
    touch(tmp_path / ".music" / "a.mp3")
    assert names(tmp_path / ".music") == ["a.mp3"]


@posix_only
def test_scan_survives_link_loops_and_visits_every_folder_once(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1.mp3")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert names(tmp_path) == ["a/1.mp3"]


@posix_only
def test_scan_follows_links_to_files_and_skips_broken_ones(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "1.mp3")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link.mp3").symlink_to(tmp_path / "elsewhere" / "1.mp3")
    (tmp_path / "root" / "broken.mp3").symlink_to(tmp_path / "nowhere.mp3")
    assert names(tmp_path / "root") == ["link.mp3"]


@posix_only
def test_scan_takes_only_regular_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    (tmp_path / "folder.mp3").mkdir()
    touch(tmp_path / "folder.mp3" / "a.mp3")
    assert names(tmp_path) == ["folder.mp3/a.mp3"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_scan_keeps_names_of_any_bytes(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff\n\xe9.mp3"
    with open(raw, "wb") as file:
        file.write(b"x")
    (found,) = scan(tmp_path)
    assert os.fsencode(found.path) == raw


def test_scan_of_a_missing_folder_reports_it(tmp_path: Path) -> None:
    report = ScanReport()
    assert list(scan(tmp_path / "none", report)) == []
    assert list(report.unreadable) == [tmp_path / "none"]


TAGS = Tags(
    artist="Nÿme",
    album_artist="Various",
    album="Été",
    title="Séculaire",
    track_number=3,
    year=1987,
    genre_tag="chanson",
    language="fra",
)


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3", "a.opus", "a.m4a"])
def test_tags_of_common_formats(tmp_path: Path, name: str) -> None:
    path = sample(tmp_path / name)
    file = mutagen.File(path, easy=True)
    if file.tags is None:
        file.add_tags()
    file["artist"], file["albumartist"], file["album"] = TAGS.artist, TAGS.album_artist, TAGS.album
    file["title"], file["genre"], file["date"] = TAGS.title, TAGS.genre_tag, "1987-05-01"
    file["tracknumber"] = "3/12"
    has_language = not name.endswith(".m4a")  # it has no field for it
    if has_language:
        file["language"] = TAGS.language
    file.save()
    assert read_tags(path) == (TAGS if has_language else replace(TAGS, language=None))


def test_tags_in_asf_and_ape(tmp_path: Path) -> None:
    wma = encode(tmp_path / "a.wma", staircase(2, 44_100), "wmav2")
    file = mutagen.File(wma)
    file["Author"], file["Title"], file["WM/AlbumTitle"] = TAGS.artist, TAGS.title, TAGS.album
    file["WM/AlbumArtist"], file["WM/Year"] = TAGS.album_artist, "1987"
    file["WM/TrackNumber"], file["WM/Genre"] = "3", TAGS.genre_tag
    file["WM/Language"] = TAGS.language
    file.save()
    assert read_tags(wma) == TAGS
    wv = encode(tmp_path / "a.wv", staircase(2, 44_100), "wavpack")
    file = mutagen.File(wv)
    file["Artist"], file["Title"], file["Album"] = TAGS.artist, TAGS.title, TAGS.album
    file["Album Artist"], file["Year"], file["Track"] = TAGS.album_artist, "1987", "3"
    file["Genre"], file["Language"] = TAGS.genre_tag, TAGS.language
    file.save()
    assert read_tags(wv) == TAGS


def test_several_artists_are_joined_and_repetitions_dropped(tmp_path: Path) -> None:
    path = sample(tmp_path / "a.flac")
    file = mutagen.File(path)
    file["artist"] = ["One", "Two", "One"]
    file.save()
    assert read_tags(path).artist == "One; Two"


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = sample(tmp_path / "a.flac")
    file = mutagen.File(path)
    file["title"] = "a\x1b[31m\x00b\n  c"
    file.save()
    assert read_tags(path).title == "a [31m b c"


@pytest.mark.parametrize("content", [b"", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f", b"fLaC" + bytes(50)])
def test_broken_tags_are_no_tags(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    assert read_tags(path) == Tags()


def test_whatever_mutagen_raises_the_file_has_no_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst(*_: object, **__: object) -> None:
        raise struct.error("unpack requires a buffer of 11 bytes")

    monkeypatch.setattr(mutagen, "File", burst)
    assert read_tags(write(tmp_path / "a.flac", staircase(1))) == Tags()


def test_an_empty_path_is_refused() -> None:
    with pytest.raises(RecsysError, match="empty path"):
        outermost([""])


def test_one_folder_may_be_given_alone(tmp_path: Path) -> None:
    assert outermost(str(tmp_path)) == outermost(tmp_path) == [tmp_path]
    assert outermost([tmp_path / "a", tmp_path, tmp_path / "a" / "b"]) == [tmp_path]
    # "a b" sorts before "a/b" as text.
    names = ("a", "a b", "a/b", "a-b", "a/b/c")
    assert outermost(tmp_path / name for name in names) == [
        tmp_path / name for name in ("a", "a b", "a-b")
    ]


def test_a_file_that_was_cut_off_is_told_apart(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mp3", 0.1 * staircase(120, 44_100), 44_100)
    cut = tmp_path / "cut.mp3"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 9 // 10])
    assert audio_hash(cut) != audio_hash(whole)


def sample(path: Path, duration_s: float = 4) -> Path:
    sound = staircase(duration_s, 48_000)
    codec = {".opus": "libopus", ".m4a": "aac", ".wma": "wmav2", ".aac": "aac"}.get(path.suffix)
    if codec:
        return encode(path, sound, codec, 48_000)
    return write(path, sound, 48_000)


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3", "a.opus", "a.m4a", "a.wma"])
@pytest.mark.parametrize("duration_s", [4, 90])
def test_retagging_keeps_the_identity(tmp_path: Path, name: str, duration_s: float) -> None:
    path = sample(tmp_path / name, duration_s)
    before = audio_hash(path)
    file = mutagen.File(path, easy=True)
    if file.tags is None:
        file.add_tags()
    file["Title" if name == "a.wma" else "title"] = "another title " * 1000
    file.save()
    assert audio_hash(path) == before


def test_wav_tags_keep_the_identity(tmp_path: Path) -> None:
    from mutagen.id3 import TIT2

    path = sample(tmp_path / "a.wav")
    before = audio_hash(path)
    file = mutagen.File(path)
    file.add_tags()
    file.tags.add(TIT2(encoding=3, text="title" * 500))
    file.save()
    assert audio_hash(path) == before


def test_id3v1_ape_and_cover_art_keep_the_identity_of_an_mp3(tmp_path: Path) -> None:
    from mutagen.apev2 import APEv2
    from mutagen.id3 import APIC, ID3

    path = sample(tmp_path / "a.mp3", 90)
    before = audio_hash(path)
    ape = APEv2()
    ape["Title"] = "y" * 20_000
    ape.save(path)
    tags = ID3()
    tags.add(APIC(encoding=3, mime="image/jpeg", type=3, desc="", data=os.urandom(300_000)))
    tags.save(path, v1=2)
    assert audio_hash(path) == before


def test_the_name_does_not_matter_and_the_sound_does(tmp_path: Path) -> None:
    one = write(tmp_path / "one.flac", staircase(5))
    shutil.copy(one, tmp_path / "copy.flac")
    louder = write(tmp_path / "louder.flac", 1.5 * staircase(5))
    assert audio_hash(tmp_path / "copy.flac") == audio_hash(one)
    assert audio_hash(louder) != audio_hash(one)


@pytest.mark.parametrize("changed_at_s", [2.0, 45.0, 66.0, 128.0])
def test_recordings_that_differ_late_are_told_apart(tmp_path: Path, changed_at_s: float) -> None:
    rate = 44_100
    one = 0.1 * staircase(140, rate)
    other = one.copy()
    start = round(changed_at_s * rate)
    other[start:] = np.roll(one, 7777)[start:]
    hashes = {
        audio_hash(write(tmp_path / name, sound, rate))
        for name, sound in (("one.mp3", one), ("other.mp3", other))
    }
    assert len(hashes) == 2


def test_a_longer_version_is_told_apart(tmp_path: Path) -> None:
    sound = 0.1 * staircase(120, 44_100)
    long = write(tmp_path / "long.ogg", sound, 44_100)
    short = write(tmp_path / "short.ogg", sound[: 110 * 44_100], 44_100)
    assert audio_hash(long) != audio_hash(short)


def test_what_ffmpeg_cannot_take_apart_is_known_by_its_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "a.mp3", tmp_path / "b.mp3"
    one.write_bytes(b"no sound")
    other.write_bytes(b"no sound here either")
    assert audio_hash(one) != audio_hash(other)
    assert len(audio_hash(one)) == 32


def test_a_file_that_is_not_there_is_an_audio_error(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="No such file"):
        audio_hash(tmp_path / "none.mp3")
