from __future__ import annotations

import sys
from pathlib import Path

import pytest

from recsys.errors import MissingExtraError, RecsysError
from recsys.reports.drawing import check_ready, write_file


def test_the_folder_is_made(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    check_ready(out)
    assert list(out.iterdir()) == []


def test_a_file_in_the_way(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(RecsysError, match="taken is a file"):
        check_ready(taken)
    with pytest.raises(RecsysError, match="cannot be written to"):
        check_ready(taken / "below")
    assert taken.read_text() == "mine"


def test_a_missing_library_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError) as caught:
        check_ready(tmp_path / "out")
    assert "recsys[papers]" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_names_that_are_no_text_are_written_as_escapes(tmp_path: Path) -> None:
    assert write_file(tmp_path / "x", "caf\udce9").read_bytes() == b"caf\\udce9"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(RecsysError, match="cannot be written"):
        write_file(tmp_path / "x", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
