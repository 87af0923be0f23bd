"""A replaced file is the old one or the new one, whatever happens in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys import atomic


def test_a_file_is_made_and_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    atomic.write_bytes(path, b"one")
    assert path.read_bytes() == b"one"
    path.chmod(0o640)
    atomic.write_text(path, "caf\udce9 ä")
    assert path.read_bytes() == b"caf\\udce9 \xc3\xa4"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(b"old")

    def half() -> None:
        with atomic.replacing(path, suffix=".flac") as unfinished:
            unfinished.write_bytes(b"half")
            assert unfinished.parent == tmp_path
            assert unfinished.name.startswith(".")
            assert unfinished.suffix == ".flac"
            assert path.read_bytes() == b"old"
            raise error

    with pytest.raises(error):
        half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "a.txt"
    target.write_bytes(b"old")
    link = tmp_path / "link.txt"
    link.symlink_to(target)
    atomic.write_bytes(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_what_cannot_be_replaced_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        atomic.write_bytes(tmp_path / "folder", b"x")
    with pytest.raises(FileNotFoundError):
        atomic.write_bytes(tmp_path / "away" / "a.txt", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
