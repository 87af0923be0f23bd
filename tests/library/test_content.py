"""What a scan takes, what it counts, and what it never opens."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import pytest

from recsys.errors import RecsysError
from recsys.library import ScanReport, ScanRules, scan
from recsys.types import PassedOver
from tests.library.films import VIDEO, film
from tests.sounds import staircase, write


def scanned(root: Path, **rules: object) -> tuple[list[str], PassedOver]:
    report = ScanReport()
    found = scan(root, report, ScanRules(**rules))  # type: ignore[arg-type]
    names = [file.path.relative_to(root).as_posix() for file in found]
    assert report.found == len(names)
    return names, report.passed_over()


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", sorted(VIDEO))
def test_sound_alone_is_taken_and_a_video_only_if_wanted(tmp_path: Path, suffix: str) -> None:
    film(tmp_path / f"sound{suffix}", moving=False)
    film(tmp_path / f"video{suffix}", moving=True)
    names, passed = scanned(tmp_path)
    assert names == [f"sound{suffix}"]
    assert passed == PassedOver(videos=1)
    names, passed = scanned(tmp_path, video=True)
    assert names == [f"sound{suffix}", f"video{suffix}"]
    assert passed == PassedOver()


def test_cover_art_is_no_moving_picture(tmp_path: Path) -> None:
    from mutagen.mp4 import MP4, MP4Cover

    path = film(tmp_path / "a.mp4", moving=False)
    file = MP4(path)
    file.tags["covr"] = [MP4Cover(b"\xff\xd8\xff" + bytes(5000))]
    file.save()
    assert scanned(tmp_path)[0] == ["a.mp4"]


@pytest.mark.parametrize("name", ["a", "Vol. 2", "a.xyz", "a.mp3.bin"])
@pytest.mark.parametrize("kind", [".flac", ".mp3", ".wav", ".ogg"])
def test_names_that_say_nothing_are_taken_by_their_bytes(
    tmp_path: Path, name: str, kind: str
) -> None:
    write(tmp_path / f"b{kind}", staircase(1, 44_100), 44_100).rename(tmp_path / name)
    touch(tmp_path / "other", b"\xff\xfb" + bytes(3000))  # one frame is chance
    touch(tmp_path / "empty", b"")
    names, passed = scanned(tmp_path)
    assert names == [name]
    assert passed.extensions == {"": 2}


def test_what_is_known_as_something_else_is_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("a.jpg", "b.PDF", "c.txt", "d.log", "e.nfo", "f.cue", "g.m3u8", "h.zip", "i.mid")
    for name in (*names, "j.mp3", "._k.mp3", "._l.mp4", "m.mp3.part", ".n.mp4", "o.mp4.crdownload"):
        touch(tmp_path / name)
    monkeypatch.setattr("recsys.library.scanning._content", lambda path, _: pytest.fail(path))
    assert scanned(tmp_path)[0] == ["j.mp3"]


def test_every_extension_is_counted_the_most_frequent_first(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "a/2.JPG", "b/3.jpg", "b/x.log", "b/y.log", "z.xyz", "none", "c.mp3"):
        touch(tmp_path / name)
    _, passed = scanned(tmp_path)
    assert list(passed.extensions.items()) == [(".jpg", 3), (".log", 2), ("", 1), (".xyz", 1)]
    assert passed.files == "3 .jpg, 2 .log, 1 without extension, 1 .xyz"


def test_leftovers_are_counted_by_their_kind(tmp_path: Path) -> None:
    unfinished = ("a.mp3.part", "b.flac.crdownload", "c.!qB", "d.tmp", "e.partial", "f.download")
    unfinished += ("a.webm.part-Frag3", "INCOMPLETE~a.mp3", f"INCOMPLETE{'0f' * 16}a.mp3")
    for name in (
        *unfinished,
        "a.mp3~",
        "a.mp3.bak",
        "Song.mp3.download/Song.mp3",
        "._a.mp3",
        "._b",
        "Thumbs.db",
        "desktop.ini",
        ".DS_Store",
        "a.mp3",
    ):
        touch(tmp_path / name)
    names, passed = scanned(tmp_path)
    assert names == ["a.mp3"]
    assert passed.leftovers == {
        "unfinished download": 10,
        "backup": 2,
        "AppleDouble file": 2,
        "system file": 3,
    }
    text = "10 unfinished downloads, 3 system files, 2 AppleDouble files, 2 backups"
    assert passed.kinds == text


BINS = (
    *("#recycle", "$RECYCLE.BIN", "System Volume Information", ".Trash-1000", "#snapshot"),
    *("@Recently-Snapshot", "@Recycle", ".snapshot", "lost+found", "@eaDir", "RECYCLER"),
)


@pytest.mark.parametrize("name", BINS)
def test_bins_and_snapshots_are_passed_over_and_counted(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "good" / "a.mp3")
    touch(tmp_path / "good" / name / "sub" / "b.mp3")
    names, passed = scanned(tmp_path)
    assert names == ["good/a.mp3"]
    assert passed == PassedOver(folders={name: 1})
    inside = tmp_path / "good" / name
    assert scanned(inside)[0] == ["sub/b.mp3"]  # it was asked for
    assert scanned(tmp_path, named=frozenset({inside}))[0] == [
        "good/a.mp3",
        f"good/{name}/sub/b.mp3",
    ]


ALBUMS = ("...And Justice for All", ".5: The Gray Chapter", "...Baby One More Time", ". . .", "..x")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX file names")
@pytest.mark.parametrize("name", ALBUMS)
def test_albums_that_begin_with_dots_are_music(tmp_path: Path, name: str) -> None:
    touch(tmp_path / name / f"{name}.mp3")
    assert scanned(tmp_path) == ([f"{name}/{name}.mp3"], PassedOver())


def test_hidden_names_are_counted_and_those_with_music_named(tmp_path: Path) -> None:
    for name in (".git/config", ".hack/SIGN/01.mp3", ".a.mp3", "b.mp3"):
        touch(tmp_path / name)
    names, passed = scanned(tmp_path)
    assert names == ["b.mp3"]
    assert (passed.hidden, passed.hidden_music) == (3, (str(tmp_path / ".hack"),))
    assert f"index one by its name: {tmp_path / '.hack'}" in passed.hints[0]


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*.wav", ["Live/a.mp3", "Old/Live/b.mp3", "Podcasts/c.mp3", "d.mp3"]),
        ("Live", ["Podcasts/c.mp3", "d.mp3", "d.wav"]),
        ("/Live", ["Old/Live/b.mp3", "Podcasts/c.mp3", "d.mp3", "d.wav"]),
        ("Podcasts/", ["Live/a.mp3", "Old/Live/b.mp3", "d.mp3", "d.wav"]),
        ("d.mp3/", ["Live/a.mp3", "Old/Live/b.mp3", "Podcasts/c.mp3", "d.mp3", "d.wav"]),
        ("Old/**/b.*", ["Live/a.mp3", "Podcasts/c.mp3", "d.mp3", "d.wav"]),
        ("[dD].?p3", ["Live/a.mp3", "Old/Live/b.mp3", "Podcasts/c.mp3", "d.wav"]),
    ],
)
def test_patterns_exclude_as_in_gitignore(tmp_path: Path, pattern: str, left: list[str]) -> None:
    for name in ("Live/a.mp3", "Old/Live/b.mp3", "Podcasts/c.mp3", "d.mp3", "d.wav"):
        touch(tmp_path / name)
    names, passed = scanned(tmp_path, exclude=(pattern,))
    assert sorted(names) == left
    assert (passed.excluded > 0) == (len(left) < 5)


def test_a_pattern_may_begin_with_a_hash_and_another_may_take_back(tmp_path: Path) -> None:
    for name in ("#1 Hits/a.mp3", "b.mp3", "c.mp3"):
        touch(tmp_path / name)
    assert scanned(tmp_path, exclude=("#1 Hits",))[0] == ["b.mp3", "c.mp3"]
    assert scanned(tmp_path, exclude=("*.mp3", "!c.mp3"))[0] == ["c.mp3"]


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(RecsysError, match="'!'"):
        ScanRules(exclude=("!",))


def page(content: bytes, flags: int, number: int) -> bytes:
    head = b"OggS\0" + bytes([flags]) + bytes(8) + number.to_bytes(4, "little") + bytes(8)
    return head + bytes([1, len(content)]) + content


def test_streams_of_ogg_and_names_of_programs(tmp_path: Path) -> None:
    theora, vorbis = page(b"\x80theora" + bytes(30), 2, 1), page(b"\x01vorbis" + bytes(23), 2, 2)
    touch(tmp_path / "film.ogv", theora + vorbis + page(b"x", 0, 1))
    touch(tmp_path / "silent.ogv", theora + page(vorbis, 0, 1))
    touch(tmp_path / "sound.ogv", vorbis + page(b"x", 0, 2))
    touch(tmp_path / "program.ts", b"export const a = 1;\n" * 100)
    names, passed = scanned(tmp_path)
    assert names == ["sound.ogv"]
    assert passed == PassedOver(videos=1, extensions={".ogv": 1, ".ts": 1})


def test_a_film_that_cannot_be_read_now_is_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise OSError(5, "Input/output error")

    touch(tmp_path / "a.mp4")
    touch(tmp_path / "b")
    monkeypatch.setattr("recsys.library.scanning.streams", fail)
    assert scanned(tmp_path) == (["a.mp4"], PassedOver(extensions={"": 1}))


def test_albums_in_one_file_are_counted(tmp_path: Path) -> None:
    tracks = "".join(f"  TRACK {n:02} AUDIO\n    INDEX 01 0{n}:00:00\n" for n in (1, 2, 3))
    for folder, files in {
        "one": ("album.flac", 'FILE "album.wav" WAVE\n' + tracks),
        "two": ("album.ape", 'FILE "C:\\\\rips\\\\other.wav" WAVE\n' + tracks),
        "each": ("1.flac", "".join(f'FILE "{n}.flac" WAVE\n  TRACK 0{n} AUDIO\n' for n in (1, 2))),
        "gone": ("1.mp3", 'FILE "album.flac" WAVE\n' + tracks),
    }.items():
        name, sheet = files
        touch(tmp_path / folder / name)
        touch(tmp_path / folder / "album.cue", sheet.encode())
    passed = scanned(tmp_path)[1]
    assert passed.cue_sheets == 2
    assert passed.hints == ("2 albums in one file with a CUE sheet are each one track",)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_without_an_extension_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.mp4")
    assert scanned(tmp_path) == ([], PassedOver(extensions={"": 1, ".mp4": 1}))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_named_like_sound_and_is_no_file_is_counted(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp3")
    os.mkfifo(tmp_path / "y.flac")
    (tmp_path / "x.mp3").symlink_to(tmp_path / "gone.mp3")
    (tmp_path / "z.mp3").symlink_to("z.mp3")  # to itself
    (tmp_path / "b.mp3").symlink_to("a.mp3")
    names, passed = scanned(tmp_path)
    assert names == ["a.mp3", "b.mp3"]
    assert passed == PassedOver(leftovers={"broken link": 2, "special file": 1})
    assert passed.kinds == "2 broken links, 1 special file"


def test_a_folder_whose_files_cannot_be_seen_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unseen:
        name, path = "a.mp3", str(tmp_path / "a.mp3")

        def is_dir(self) -> bool:
            return False

        def is_symlink(self) -> bool:
            return False

        def stat(self) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", lambda _: contextlib.nullcontext([Unseen()]))
    report = ScanReport()
    assert list(scan(tmp_path, report)) == []
    assert report.unreadable == {tmp_path: "Permission denied"}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".flv", ".rm", ".ts", ".webm"])
def test_damaged_films_never_stop_a_scan(tmp_path: Path, suffix: str) -> None:
    whole = film(tmp_path / f"whole{suffix}", moving=True).read_bytes()
    for number in range(0, 600, 7):
        content = bytearray(whole[: len(whole) * number // 600])
        for place in range(number, min(len(content), 400), 13):
            content[place] ^= 0xFF
        (tmp_path / f"{number}{suffix}").write_bytes(content)
    names, passed = scanned(tmp_path)
    assert len(names) + passed.videos + sum(passed.extensions.values()) == 87


def test_counts_of_two_folders_add_up() -> None:
    one = PassedOver({".a": 2, ".b": 1}, 1, {"x": 1}, {}, 1, ("/h",), 0, 1)
    other = PassedOver({".b": 3}, 0, {"x": 2}, {"y": 1}, 1, (), 2, 0)
    assert one + other == PassedOver({".b": 4, ".a": 2}, 1, {"x": 3}, {"y": 1}, 2, ("/h",), 2, 1)


def test_the_same_film_in_a_name_of_sound_is_taken_by_its_name(tmp_path: Path) -> None:
    shutil.move(film(tmp_path / "a.mp4", moving=True), tmp_path / "a.m4a")
    assert scanned(tmp_path)[0] == ["a.m4a"]
