"""Playlists of any tags and names parse back, and never replace what is no playlist."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import atomic
from recsys.errors import QueryError, RecsysError
from recsys.playlists.files import FORMATS, XSPF_NAMESPACE, ListFile, is_playlist, write
from recsys.types import Playlist, Tags, Track

OGG = b"OggS\0\x02" + bytes(20) + b"\x01vorbis" + bytes(range(256)) * 8

# What taggers, downloads and attackers put into a text.
nasty = st.sampled_from(
    [
        "\n/etc/passwd",
        "\r\n#EXTINF:1,x",
        "\x00",
        "\x1b[2J",
        "\u202egnp.exe",
        "\u2028",
        "\x85",
        "]]>",
    ]
)
texts = st.text(max_size=30) | st.lists(st.text(max_size=5) | nasty, max_size=5).map("".join)
names = (
    st.lists(
        st.characters(exclude_characters="/\0") | st.sampled_from("\n\r #:%\ufeff\udce9"),
        min_size=1,
    )
    .map("".join)
    .filter(lambda name: name not in {".", ".."})
)


def is_path(name: str) -> bool:
    """Whether the system can have a file of this name."""
    try:
        return os.fsdecode(os.fsencode(name)) == name
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return False


paths = st.lists(names.filter(is_path), min_size=1, max_size=3).map(lambda p: Path("/", *p))
tracks = st.builds(
    lambda path, artist, title, album, duration_s: Track(
        1, path, Tags(artist=artist, title=title, album=album), duration_s, "h", "jazz"
    ),
    paths,
    st.none() | texts,
    st.none() | texts,
    st.none() | texts,
    st.floats(0, 1e6) | st.sampled_from([float("nan"), float("inf")]),
)
playlists = st.builds(
    lambda name, held: Playlist(name, tuple(held), note=name),
    texts,
    st.lists(tracks, max_size=4),
)
many = settings(max_examples=60, deadline=None)


def written(content: Playlist, file_format: str) -> tuple[bytes, list[Path]]:
    """Return a file, and the tracks that it should name."""
    stream = io.BytesIO()
    done = write(content, stream, file_format)
    broken = [t for t in content.tracks if {"\n", "\r"} & set(str(t.path))]
    left_out = broken if FORMATS[file_format].line_per_path else []
    assert list(done.left_out) == left_out
    return stream.getvalue(), [t.path for t in content.tracks if t not in left_out]


@many
@given(content=playlists)
def test_no_line_of_a_list_of_paths_is_anything_but_a_comment_or_a_path(content: Playlist) -> None:
    for file_format in ("m3u8", "m3u", "paths"):
        data, expected = written(content, file_format)
        lines = data.decode("utf-8", "surrogateescape").split("\n")
        assert lines.pop() == ""
        comments = [line for line in lines if line.startswith("#")]
        assert [line for line in lines if not line.startswith("#")] == [str(p) for p in expected]
        if file_format == "paths":
            assert comments == []
        else:
            assert comments[0] == "#EXTM3U"
            assert all(re.fullmatch("#(PLAYLIST:|EXTINF:-?[0-9]+,).*", c) for c in comments[1:])
            assert len(comments) == 2 + len(expected)
        for comment in comments:
            assert not re.search(
                "[\0-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029\u2066-\u2069]", comment
            )


@many
@given(content=playlists)
def test_a_list_of_paths_is_read_back(content: Playlist) -> None:
    for file_format in ("m3u8", "m3u", "paths"):
        data, expected = written(content, file_format)
        read = ListFile(Path("/lists/a.m3u8"), data, file_format)
        assert read.files() == expected


@settings(max_examples=50, deadline=None)
@given(content=playlists)
def test_relative_paths_are_read_back(
    content: Playlist, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "relative"
    folder.mkdir(exist_ok=True)
    target = folder / "list.m3u8"
    target.unlink(missing_ok=True)
    done = write(content, target, relative=True)
    expected = [Path(os.path.abspath(t.path)) for t in done.tracks]  # noqa: PTH100
    assert ListFile(target, target.read_bytes(), "m3u8").files() == expected


@many
@given(content=playlists)
def test_pls_is_read_back(content: Playlist) -> None:
    data, expected = written(content, "pls")
    text = data.decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    assert len(lines) == 3 * len(expected) + 4
    section = dict(line.split("=", 1) for line in lines[1:-1])
    assert lines[0] == "[playlist]"
    assert section["NumberOfEntries"] == str(len(expected))
    assert [section[f"File{i + 1}"] for i in range(len(expected))] == [str(p) for p in expected]


@many
@given(content=playlists)
def test_xspf_is_read_back(content: Playlist) -> None:
    data, expected = written(content, "xspf")
    names = {"x": XSPF_NAMESPACE}
    root = ElementTree.fromstring(data)
    places = [e.text or "" for e in root.findall("x:trackList/x:track/x:location", names)]
    assert [unquote_to_bytes(place.removeprefix("file://")) for place in places] == [
        os.fsencode(path) for path in expected
    ]
    for element in root.iter():
        if element.tag.endswith(("title", "creator", "album")):
            assert "\n" not in (element.text or "")


@many
@given(content=playlists)
def test_json_is_read_back_and_cannot_change_a_terminal(content: Playlist) -> None:
    data, expected = written(content, "json")
    read = json.loads(data, parse_constant=pytest.fail)
    assert [track["path"] for track in read["tracks"]] == [str(path) for path in expected]
    assert read["name"] == content.name
    text = data.decode("utf-8")
    assert not re.search("[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


@many
@given(content=playlists)
def test_whatever_is_written_is_known_as_a_playlist(content: Playlist) -> None:
    for file_format in set(FORMATS) - {"paths"}:
        data, _ = written(content, file_format)
        assert is_playlist(data[: atomic.HEAD_BYTES]), file_format


def one(path: str = "/music/a.flac") -> Playlist:
    return Playlist("Evening", (Track(1, Path(path), Tags(), 60.0, "h", "jazz"),))


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_playlist_replaces_a_playlist_of_any_kind(tmp_path: Path, file_format: str) -> None:
    target = tmp_path / "list.m3u8"
    for before in FORMATS:
        write(one(), target, before)
        write(one("/music/b.flac"), target, file_format)
        assert b"/music/b.flac" in target.read_bytes()


NO_PLAYLISTS = {
    "song": OGG,
    "mp3": b"ID3\x04\0\0\0\0\0\0\xff\xfb\x90\x64",
    "library": b"SQLite format 3\0" + bytes(84),
    "notes": b"milk\nbread\n",
    "letter": b"Dear Nina,\nthe song is called a.mp3\n",
    "script": b"#!/bin/sh\nrm -rf /\n",
    "settings": b'{"name": "player", "volume": 3}\n',
    "page": b"<html><body>playlist</body></html>",
    "stream": b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:9,\nsegment0.ts\n",
    "folders": b"/home/me\n/home/you\n",
    "backup": b"/home/me/letters.odt\n/home/me/photos\n/home/me/song.mp3\n",
    "mover": b"#!/bin/sh\nmv /home/me/a.mp3 /home/me/b.mp3\n",
    "utf16": "#EXTM3U\n/music/a.mp3\n".encode("utf-16"),
    "spaces": b"\n\n  \n",
}


@pytest.mark.parametrize("kind", NO_PLAYLISTS)
@pytest.mark.parametrize("file_format", FORMATS)
def test_nothing_else_is_replaced(tmp_path: Path, kind: str, file_format: str) -> None:
    there = tmp_path / "there"
    there.write_bytes(NO_PLAYLISTS[kind])
    link = tmp_path / "link.m3u8"
    link.symlink_to(there)
    for target in (there, link):
        with pytest.raises(QueryError, match="not a playlist: it was left as it is") as caught:
            write(one(), target, file_format)
        assert "delete it first" in caught.value.hint
    assert there.read_bytes() == NO_PLAYLISTS[kind]
    assert sorted(tmp_path.iterdir()) == [link, there]


@pytest.mark.parametrize("kind", [kind for kind in NO_PLAYLISTS if kind != "spaces"])
@pytest.mark.parametrize("name", ["a.m3u8", "a.m3u", "a.txt"])
def test_nothing_else_is_continued(tmp_path: Path, kind: str, name: str) -> None:
    target = tmp_path / name
    target.write_bytes(NO_PLAYLISTS[kind])
    with pytest.raises(QueryError, match="no playlist of paths"):
        ListFile.read(target)


def test_a_folder_or_a_pipe_is_not_continued(tmp_path: Path) -> None:
    (tmp_path / "folder.m3u8").mkdir()
    os.mkfifo(tmp_path / "pipe.m3u8")
    for name in ("folder.m3u8", "pipe.m3u8", "absent.m3u8"):
        with pytest.raises(RecsysError, match=name):
            ListFile.read(tmp_path / name)


def test_devices_and_empty_files_are_written_to(tmp_path: Path) -> None:
    empty = tmp_path / "empty.m3u8"
    empty.touch()
    write(one(), empty)
    assert empty.read_bytes().startswith(b"#EXTM3U")
    write(one(), Path(os.devnull), "m3u8")


def test_a_file_that_cannot_be_looked_at_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "list.m3u8"
    target.write_text("#EXTM3U\n")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(QueryError, match="cannot be looked at before it is replaced"):
        write(one(), target)
