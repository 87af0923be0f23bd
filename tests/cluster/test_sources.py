from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from recsys.cluster.sources import (
    SourceFile,
    check_place,
    fetched,
    file_system_error,
    list_files,
    normal_place,
)
from recsys.errors import PassingError, RecsysError
from recsys.library import ScanReport, scan


@pytest.fixture
def memory() -> Iterator[Any]:
    """A file system that is no folder of this machine, with some music in it."""
    system = fsspec.filesystem("memory")
    for name in (
        *("b/music/b/2.mp3", "b/music/b/1.FLAC", "b/music/a/x/deep.ogg", "b/music/top.wav"),
        *("b/music/.trash/gone.mp3", "b/music/a/.hidden.mp3", "b/music/a/cover.jpg"),
    ):
        system.pipe_file(name, b"sound of " + name.encode())
    yield system
    system.rm("b", recursive=True)


def test_a_folder_is_listed_as_the_local_engine_lists_it(tmp_path: Path) -> None:
    for name in ("b.mp3", "a/c.flac", ".hidden/d.mp3", "e.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    report = ScanReport()
    found = list(list_files(str(tmp_path), report))
    expected = [SourceFile(str(f.path), f.size, f.mtime_ns) for f in scan(tmp_path)]
    assert found == expected
    assert report.found == len(expected) == 2


def test_a_url_is_listed_by_the_same_rules(memory: Any) -> None:
    report = ScanReport()
    found = list(list_files("memory://b/music", report))
    names = [file.name.rpartition("music/")[2] for file in found]
    assert names == ["a/x/deep.ogg", "b/1.FLAC", "b/2.mp3", "top.wav"]
    assert all(file.mtime_ns > 10**18 for file in found)
    assert found[-1].size == len(b"sound of b/music/top.wav")
    assert report.found == 4


def test_every_version_of_a_file_has_a_key_of_its_own() -> None:
    versions = [
        SourceFile("/a.mp3", 1, 2),
        SourceFile("/b.mp3", 1, 2),
        SourceFile("/a.mp3", 2, 2),
        SourceFile("/a.mp3", 1, 3),
        SourceFile("/a.mp3", 1, 2, "tag"),
        SourceFile("/\udcef.mp3", 1, 2),
    ]
    assert len({file.key for file in versions}) == len(versions)
    assert SourceFile("/a.mp3", 1, 2).key == versions[0].key


def test_an_object_is_a_file_for_as_long_as_it_is_needed(memory: Any) -> None:
    file = SourceFile("memory://b/music/b/1.FLAC", 24, 1)
    with fetched(file) as here:
        assert here.path.read_bytes() == b"sound of b/music/b/1.FLAC"
        assert here.path.suffix == ".FLAC"
        assert here.size == 24
    assert not here.path.parent.exists()


def test_an_object_that_has_vanished_may_come_back(memory: Any) -> None:
    with (
        pytest.raises(PassingError, match="not there any more"),
        fetched(SourceFile("memory://b/music/none.mp3", 1, 1)),
    ):
        pass


def test_a_file_of_this_machine_is_not_copied(tmp_path: Path) -> None:
    with fetched(SourceFile(str(tmp_path / "a.mp3"), 1, 2)) as here:
        assert here.path == tmp_path / "a.mp3"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("memory://b/none", "memory://b/none is not there"),
        ("memory://b/music/top.wav", "not a folder: memory://b/music/top.wav"),
        ("nosuch://b/music", "cannot open nosuch://b/music: Protocol not known"),
        ("/no/such/folder", "no such file or folder"),
    ],
)
def test_sources_that_cannot_be_listed(memory: Any, place: str, message: str) -> None:
    with pytest.raises(RecsysError, match=message) as caught:
        check_place(place)
    assert caught.value.hint


def test_missing_and_forbidden_sources_have_messages() -> None:
    class NoCredentialsError(Exception):
        """As botocore has it."""

    for error, words in (
        (NoCredentialsError("Unable to locate credentials"), "no credentials for s3://b"),
        (PermissionError("Access Denied"), "s3://b may not be read or written"),
        (ConnectionError("refused"), "s3://b cannot be reached"),
    ):
        told = file_system_error(error, "s3://b")
        assert words in told.message
        assert told.hint
    kept = RecsysError("as it is")
    assert file_system_error(kept, "s3://b") is kept


def test_sources_have_one_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert normal_place("s3://b/music/") == "s3://b/music"
    assert normal_place("file:///music/") == "/music"
    assert normal_place("music") == str(tmp_path / "music")
    with pytest.raises(RecsysError, match="empty path"):
        normal_place("")
