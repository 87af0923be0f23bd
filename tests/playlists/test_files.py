"""Playlist files: round trips, awkward names, and writes that are whole or not at all."""

from __future__ import annotations

import configparser
import io
import json
import os
import stat
from pathlib import Path
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import QueryError, RecsysError
from recsys.playlists.files import (
    FORMATS,
    XSPF_NAMESPACE,
    ListFile,
    RootMap,
    resolve_format,
    write,
)
from recsys.types import Playlist, Tags, Track

NOT_UTF8 = os.fsdecode(b"/music/caf\xe9.mp3")


def track(
    path: str | Path = "/music/a.flac",
    track_id: int = 1,
    duration_s: float = 61.6,
    **tags: str | None,
) -> Track:
    return Track(track_id, Path(path), Tags(**tags), duration_s, "hash", "jazz")


def playlist(*tracks: Track, name: str = "Evening") -> Playlist:
    steps = (None, *[0.25] * (len(tracks) - 1))[: len(tracks)]
    seeds, note = tracks[:1], "as far as it goes"
    return Playlist(name, tracks, seeds=seeds, seed=7, note=note, similarities=steps)


def written(content: Playlist, file_format: str) -> bytes:
    stream = io.BytesIO()
    write(content, stream, file_format)
    return stream.getvalue()


def read_m3u(path: Path) -> list[Path]:
    """Read a playlist as a player does: comments apart, paths relative to its folder."""
    lines = path.read_bytes().split(b"\n")
    names = [os.fsdecode(line) for line in lines if line and not line.startswith(b"#")]
    return [Path(os.path.normpath(path.parent / name)) for name in names]


def xspf_tracks(content: bytes) -> list[dict[str, str | None]]:
    root = ElementTree.fromstring(content)
    assert root.tag == f"{{{XSPF_NAMESPACE}}}playlist"
    assert root.attrib == {"version": "1"}
    names = {"xspf": XSPF_NAMESPACE}
    return [
        {element.tag.removeprefix(f"{{{XSPF_NAMESPACE}}}"): element.text for element in entry}
        for entry in root.findall("xspf:trackList/xspf:track", names)
    ]


def test_m3u8_to_the_letter() -> None:
    content = playlist(
        track("/music/a.flac", artist="Nina Simone", title="Sinnerman", duration_s=619.6),
        track("/music/Ænima/β.mp3"),
    )
    assert written(content, "m3u8").decode() == (
        "#EXTM3U\n"
        "#PLAYLIST:Evening\n"
        "#EXTINF:620,Nina Simone - Sinnerman\n"
        "/music/a.flac\n"
        "#EXTINF:62,β\n"
        "/music/Ænima/β.mp3\n"
    )


def test_m3u_is_m3u8_under_its_other_name() -> None:
    content = playlist(track("/music/Ænima/β.mp3"), track(NOT_UTF8))
    assert written(content, "m3u") == written(content, "m3u8")


def test_pls_to_the_letter() -> None:
    content = playlist(
        track("/music/a.flac", artist="Nina Simone", title="Sinnerman", duration_s=619.6),
        track(NOT_UTF8),
    )
    assert written(content, "pls") == (
        b"[playlist]\n"
        b"File1=/music/a.flac\n"
        b"Title1=Nina Simone - Sinnerman\n"
        b"Length1=620\n"
        b"File2=/music/caf\xe9.mp3\n"
        b"Title2=caf?\n"
        b"Length2=62\n"
        b"NumberOfEntries=2\n"
        b"Version=2\n"
    )


def test_pls_is_what_a_parser_of_ini_files_reads() -> None:
    stream = configparser.ConfigParser(interpolation=None)
    stream.read_string(written(playlist(track("/music/a=b;c.mp3", title="[x]")), "pls").decode())
    assert stream["playlist"]["file1"] == "/music/a=b;c.mp3"
    assert stream["playlist"]["title1"] == "[x]"


HOME = Path("/home/me/Music")


@pytest.mark.parametrize(
    ("target", "path", "url"),
    [
        ("/music", b"/music/a b/\xc3\xa9.mp3", "file:///music/a%20b/%C3%A9.mp3"),
        ("/music/", b"/music/a b/\xc3\xa9.mp3", "file:///music/a%20b/%C3%A9.mp3"),
        ("/", b"/a b/\xc3\xa9.mp3", "file:///a%20b/%C3%A9.mp3"),
        ("", b"a b/\xc3\xa9.mp3", "a%20b/%C3%A9.mp3"),
        ("Z:\\Music", b"Z:\\Music\\a b\\\xc3\xa9.mp3", "file:///Z:/Music/a%20b/%C3%A9.mp3"),
        (
            "\\\\nas\\music",
            b"\\\\nas\\music\\a b\\\xc3\xa9.mp3",
            "file://nas/music/a%20b/%C3%A9.mp3",
        ),
        (
            "smb://nas/music",
            b"smb://nas/music/a%20b/%C3%A9.mp3",
            "smb://nas/music/a%20b/%C3%A9.mp3",
        ),
    ],
)
def test_roots_are_mapped_and_back(target: str, path: bytes, url: str) -> None:
    root, song = RootMap(HOME, target), track(HOME / "a b" / "é.mp3")
    stream = io.BytesIO()
    write(playlist(song), stream, "paths", roots=[root])
    assert stream.getvalue() == path + b"\n"
    stream = io.BytesIO()
    write(playlist(song), stream, "xspf", roots=[root])
    assert xspf_tracks(stream.getvalue())[0]["location"] == url
    stream = io.BytesIO()
    write(playlist(song), stream, "json", roots=[root])
    assert json.loads(stream.getvalue())["tracks"][0]["path"] == os.fsdecode(path)
    assert root.here(os.fsdecode(path)) == song.path
    assert root.here("http://elsewhere/x.mp3") is None


def test_the_innermost_root_counts_and_the_rest_keeps_its_path() -> None:
    roots = [RootMap(HOME, "/music"), RootMap(HOME / "flac", "/flac")]
    songs = [track(HOME / "flac" / "a.flac", 1), track(HOME / "b.mp3", 2), track("/other/c.mp3", 3)]
    stream = io.BytesIO()
    result = write(playlist(*songs), stream, "paths", roots=roots)
    assert stream.getvalue() == b"/flac/a.flac\n/music/b.mp3\n/other/c.mp3\n"
    assert result.unmapped == (songs[2],)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (
            "a.m3u8",
            b"#EXTM3U\n#EXTVLCOPT:x\n\n/old.mp3\n",
            b"#EXTM3U\n#EXTVLCOPT:x\n\n/old.mp3\n#EXTINF:62,a\n/music/a.flac\n",
        ),
        ("a.m3u", b"/old.mp3", b"/old.mp3\n/music/a.flac\n"),
        (
            "a.m3u",
            b"#EXTM3U\r\nC:\\old\xe9.mp3\r\n",
            b"#EXTM3U\r\nC:\\old\xe9.mp3\r\n#EXTINF:62,a\r\n/music/a.flac\r\n",
        ),
        ("a.txt", b"/old.mp3\n", b"/old.mp3\n/music/a.flac\n"),
    ],
)
def test_a_list_keeps_its_lines_when_it_grows(
    tmp_path: Path, name: str, before: bytes, after: bytes
) -> None:
    file = tmp_path / name
    file.write_bytes(before)
    ListFile.read(file).append(playlist(track()), relative=False)
    assert file.read_bytes() == after


def test_the_entries_of_a_list(tmp_path: Path) -> None:
    file = tmp_path / "a.m3u8"
    file.write_bytes(
        b"\xef\xbb\xbf#EXTM3U\r\n#EXTINF:1,x\r\n/music/caf\xe9.mp3\r\n\r\nsub/../b.mp3\r\n"
        b"file:///music/a%20b.mp3\r\nhttp://radio/stream\r\n/mpd/c.mp3"
    )
    assert ListFile.read(file).files([RootMap(HOME, "/mpd")]) == [
        Path(NOT_UTF8),
        tmp_path / "b.mp3",
        Path("/music/a b.mp3"),
        None,
        HOME / "c.mp3",
    ]


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    songs = [track(tmp_path / "music" / name, i) for i, name in enumerate(["a b.mp3", "#1.mp3"])]
    for relative in (False, True):
        file = tmp_path / "list.m3u8"
        write(playlist(*songs), file, relative=relative)
        assert ListFile.read(file).is_relative() == relative
        assert ListFile.read(file).files() == [song.path for song in songs]


@pytest.mark.parametrize("name", ["a.pls", "a.xspf", "a.json"])
def test_other_formats_cannot_grow(tmp_path: Path, name: str) -> None:
    write(playlist(track()), tmp_path / name)
    with pytest.raises(QueryError, match="cannot be continued") as caught:
        ListFile.read(tmp_path / name)
    assert caught.value.hint


def test_paths_to_the_letter() -> None:
    content = playlist(track("/music/a b.flac"), track(NOT_UTF8))
    assert written(content, "paths") == b"/music/a b.flac\n/music/caf\xe9.mp3\n"


def test_json_to_the_letter() -> None:
    known = track("/music/a.flac", 5, artist="A", title="T", album="B", genre_tag="Bebop")
    assert set(known.numbers.values()) == set(known.mix.fields().values()) == {None}
    content = json.loads(written(playlist(known, track("/music/b.flac", 6)), "json"))
    first = {
        "path": "/music/a.flac",
        "genre": "jazz",
        "genre_tag": "Bebop",
        "artist": "A",
        "title": "T",
        "album": "B",
        "duration_s": 61.6,
        "track_id": 5,
        **known.numbers,
        **known.mix.fields(),
    }
    assert content == {
        "name": "Evening",
        "seed": 7,
        "seeds": [first],
        "tracks": [
            {**first, "similarity": None},
            {
                **first,
                "similarity": 0.25,
                "path": "/music/b.flac",
                "genre_tag": None,
                "artist": None,
                "title": "b",
                "album": None,
                "track_id": 6,
            },
        ],
        "note": "as far as it goes",
        "readings": [],
    }


def test_xspf_to_the_letter() -> None:
    known = track("/music/a b&c#d.flac", artist="A & B", title="<T>", album="L")
    assert xspf_tracks(written(playlist(known, track("/music/b.flac")), "xspf")) == [
        {
            "location": "file:///music/a%20b%26c%23d.flac",
            "title": "<T>",
            "creator": "A & B",
            "album": "L",
            "duration": "61600",
        },
        {"location": "file:///music/b.flac", "title": "b", "duration": "61600"},
    ]


def test_xspf_names_itself() -> None:
    root = ElementTree.fromstring(written(playlist(name="A & B"), "xspf"))
    assert root.findtext(f"{{{XSPF_NAMESPACE}}}title") == "A & B"
    assert root.find(f"{{{XSPF_NAMESPACE}}}trackList") is not None


def test_names_that_are_not_utf8_keep_their_bytes() -> None:
    content = playlist(track(NOT_UTF8))
    m3u8 = written(content, "m3u8").split(b"\n")
    assert m3u8[2] == b"#EXTINF:62,caf?"
    assert m3u8[3] == b"/music/caf\xe9.mp3"
    assert json.loads(written(content, "json"))["tracks"][0]["path"] == NOT_UTF8
    (entry,) = xspf_tracks(written(content, "xspf"))
    assert entry["location"] == "file:///music/caf%E9.mp3"
    assert entry["title"] == "caf"


def test_json_is_readable_utf8() -> None:
    content = written(playlist(track("/music/β.mp3", title="Σ"), track(NOT_UTF8)), "json")
    assert "Σ" in content.decode()
    assert rb"/music/caf\udce9.mp3" in content


@pytest.mark.parametrize("file_format", ["m3u8", "pls", "paths"])
@pytest.mark.parametrize("name", ["/music/a\nb.mp3", "/music/a\rb.mp3"])
def test_paths_with_line_breaks_are_left_out_and_reported(file_format: str, name: str) -> None:
    odd, plain = track(name, 1), track("/music/b.mp3", 2)
    stream = io.BytesIO()
    result = write(playlist(odd, plain), stream, file_format)
    assert result.tracks == (plain,)
    assert result.left_out == (odd,)
    assert b"a" not in stream.getvalue().splitlines()[-1].removeprefix(b"/music/")


@pytest.mark.parametrize("file_format", ["xspf", "json"])
def test_formats_that_can_hold_line_breaks_leave_nothing_out(file_format: str) -> None:
    odd = track("/music/a\nb.mp3")
    assert write(playlist(odd), io.BytesIO(), file_format).left_out == ()


def test_tags_with_line_breaks_stay_on_their_line() -> None:
    odd = track(artist="A\nB", title="T\r\n#EXTINF:0,x\u2028y")
    lines = written(playlist(odd, name="x\ny"), "m3u8").decode().splitlines()
    assert lines == [
        "#EXTM3U",
        "#PLAYLIST:x y",
        "#EXTINF:62,A B - T #EXTINF:0,x y",
        "/music/a.flac",
    ]


def test_characters_that_xml_cannot_hold_are_dropped() -> None:
    odd = track(title="a\x00b\x1bc\ud800d\ufffee\U0001f3b5", artist="\x01")
    (entry,) = xspf_tracks(written(playlist(odd), "xspf"))
    assert entry["title"] == "abcde\U0001f3b5"


@pytest.mark.parametrize(
    ("song", "line"),
    [
        ("music/x.mp3", b"x.mp3"),
        ("music/#1.mp3", b"./#1.mp3"),
        ("music/ x.mp3", b"./ x.mp3"),
        ("music/http:x.mp3", b"./http:x.mp3"),
        ("music/deep/a:b.mp3", b"deep/a:b.mp3"),
        ("other/x.mp3", b"../other/x.mp3"),
    ],
)
def test_relative_paths_start_from_the_folder_of_the_file(
    tmp_path: Path, song: str, line: bytes
) -> None:
    tmp_path = tmp_path.resolve()
    (tmp_path / "music").mkdir()
    target = tmp_path / "music" / "list.m3u8"
    write(playlist(track(tmp_path / song)), target, relative=True)
    assert target.read_bytes().split(b"\n")[3] == line
    assert read_m3u(target) == [tmp_path / song]


def test_relative_paths_lead_out_of_where_a_link_points_to(tmp_path: Path) -> None:
    tmp_path = tmp_path.resolve()
    (tmp_path / "disk" / "lists").mkdir(parents=True)
    (tmp_path / "disk" / "music").mkdir()
    song = tmp_path / "disk" / "music" / "x.mp3"
    song.touch()
    (tmp_path / "lists").symlink_to(tmp_path / "disk" / "lists")
    (tmp_path / "music").symlink_to(tmp_path / "disk" / "music")
    target = tmp_path / "lists" / "a.m3u8"
    write(playlist(track(tmp_path / "music" / "x.mp3")), target, relative=True)
    line = target.read_bytes().split(b"\n")[3]
    assert line == b"../music/x.mp3"
    assert (target.parent / os.fsdecode(line)).samefile(song)


def test_a_stream_is_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stream = io.BytesIO()
    write(playlist(track(tmp_path / "x.mp3")), stream, "paths", relative=True)
    assert stream.getvalue() == b"x.mp3\n"


def test_xspf_can_be_relative_and_json_is_always_absolute(tmp_path: Path) -> None:
    song = track(tmp_path / "a b.mp3")
    write(playlist(song), tmp_path / "list.xspf", relative=True)
    (entry,) = xspf_tracks((tmp_path / "list.xspf").read_bytes())
    assert entry["location"] == "a%20b.mp3"
    write(playlist(song), tmp_path / "list.json", relative=True)
    content = json.loads((tmp_path / "list.json").read_bytes())
    assert content["tracks"][0]["path"] == str(tmp_path / "a b.mp3")


path_bytes = st.binary(min_size=1, max_size=30).filter(
    lambda name: not set(name) & set(b"\0/\n\r") and name not in (b".", b"..")
)


@given(names=st.lists(path_bytes, max_size=5), relative=st.booleans())
def test_any_path_survives_an_m3u8(
    tmp_path_factory: pytest.TempPathFactory, names: list[bytes], relative: bool
) -> None:
    folder = tmp_path_factory.mktemp("lists").resolve()
    paths = [folder / "music" / os.fsdecode(name) for name in names]
    target = folder / "list.m3u8"
    write(playlist(*map(track, paths)), target, relative=relative)
    assert read_m3u(target) == paths


@given(names=st.lists(st.binary(min_size=1, max_size=30), max_size=5))
def test_any_path_and_tag_survive_json_and_xspf(names: list[bytes]) -> None:
    names = [name.replace(b"\0", b"_").replace(b"/", b"_") for name in names]
    tracks = [
        track(Path("/music") / ("x" + os.fsdecode(name)), title=os.fsdecode(name)) for name in names
    ]
    listed = json.loads(written(playlist(*tracks), "json"))["tracks"]
    assert [entry["path"] for entry in listed] == [str(song.path) for song in tracks]
    assert [entry["title"] for entry in listed] == [song.title for song in tracks]
    entries = xspf_tracks(written(playlist(*tracks), "xspf"))
    locations = [unquote_to_bytes(str(entry["location"])) for entry in entries]
    assert locations == [b"file://" + os.fsencode(song.path) for song in tracks]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.m3u8", "m3u8"),
        ("a.M3U", "m3u"),
        ("a.pls", "pls"),
        ("a.xspf", "xspf"),
        ("a.json", "json"),
        ("a.txt", "paths"),
    ],
)
def test_the_extension_gives_the_format(name: str, expected: str) -> None:
    assert resolve_format(Path(name)) == expected
    assert resolve_format(Path(name), "json") == "json"


@pytest.mark.parametrize(
    ("path", "file_format", "message"),
    [
        (Path("a.odd"), None, "the name 'a.odd' has no extension of a playlist format"),
        (Path("evening"), None, "the name 'evening' has no extension of a playlist format"),
        (None, None, "a stream has no extension of a playlist format"),
        (Path("a.m3u8"), "odd", "unknown playlist format 'odd'"),
    ],
)
def test_a_format_that_nobody_names_is_refused(
    path: Path | None, file_format: str | None, message: str
) -> None:
    with pytest.raises(QueryError, match=message) as caught:
        resolve_format(path, file_format)
    assert all(known in caught.value.hint for known in FORMATS)


def test_a_file_is_replaced_and_keeps_its_permissions(tmp_path: Path) -> None:
    target = tmp_path / "list.m3u8"
    target.write_text("#EXTM3U\n")
    target.chmod(0o640)
    write(playlist(track()), target)
    assert target.read_bytes().startswith(b"#EXTM3U")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_keeps_pointing_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "real.m3u8").write_text("/music/old.mp3\n")
    link = tmp_path / "list.m3u8"
    link.symlink_to("real.m3u8")
    write(playlist(track()), link)
    assert link.is_symlink()
    assert (tmp_path / "real.m3u8").read_bytes().startswith(b"#EXTM3U")


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "list.m3u8"
    target.write_text("/old.mp3")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(RecsysError, match=r"list\.m3u8: No space left on device"):
        write(playlist(track()), target)
    assert target.read_text() == "/old.mp3"
    assert list(tmp_path.iterdir()) == [target]


def test_what_is_no_file_is_written_to_directly() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as pipe:
        write(playlist(track()), Path(f"/dev/fd/{writer}"), "paths")
        os.close(writer)
        assert pipe.read() == b"/music/a.flac\n"


@pytest.mark.parametrize("name", ["absent/list.m3u8", "folder.m3u8", "file/list.m3u8"])
def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.m3u8").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(RecsysError, match=r"cannot write the playlist|is a folder") as caught:
        write(playlist(track()), tmp_path / name)
    assert name.split("/")[-1] in caught.value.message
    assert caught.value.hint
