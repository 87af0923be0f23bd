"""``recsys milvus push``, and ``--index`` for readers of the copy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recsys.cli.main import cli
from recsys.milvus.client import Connection, parse_place
from tests.cli.conftest import IndexedLibrary
from tests.cli.documented import documented
from tests.cli.running import call

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def place(indexed: IndexedLibrary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("milvus") / "shared.db"
    result = CliRunner().invoke(cli, ["milvus", "push", str(place), "--db", str(indexed.database)])
    assert result.exit_code == 0, result.output
    assert "16 tracks; 16 written, 0 unchanged, 0 removed" in result.stderr
    return place


def test_pushing_again_says_that_nothing_changed(run: Run, place: Path) -> None:
    result = run("milvus", "push", place, "--json")
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert printed.keys() == documented("milvus push")[0].keys()
    assert (printed["place"], printed["tracks"], printed["unchanged"]) == (str(place), 16, 16)


@pytest.mark.parametrize(
    "question",
    [
        ("similar", "chamber band number 0", "--json", "--explain", "--k", "12"),
        ("similar", "chamber band number 0", "--genre", "rock", "--strategy", "similarity"),
        ("similar", "chamber band number 0", "offbeat band number 1", "--tag", "mellow", "--paths"),
        ("playlist", "chamber band number 0", "--length", "9", "--format", "json"),
        ("playlist", "--cycle", "auto", "--length", "8", "--diversity", "0.4"),
        ("playlist", "--tag", "mellow", "--length", "4"),
        ("playlist", "--from", "chamber band number 0", "--to", "offbeat band number 1"),
        ("similar", "number 0"),
        ("similar", "nothing like this"),
        ("similar", "chamber band number 0", "--genre", "polka"),
    ],
)
def test_readers_get_the_answers_of_the_library(
    question: tuple[str, ...], run: Run, place: Path
) -> None:
    ours, theirs = run(*question), call(*question, "--index", place)
    assert theirs.exit_code == ours.exit_code, theirs.stderr
    assert theirs.stdout == ours.stdout
    assert theirs.stderr == ours.stderr


def test_a_path_of_the_library_and_a_new_file_are_queries(
    indexed: IndexedLibrary, run: Run, place: Path, tmp_path: Path
) -> None:
    known = indexed.track("chamber")
    new = tmp_path / f"new{known.suffix}"
    new.write_bytes(known.read_bytes() + b"\0" * 16)
    for path in (known, new):
        question = ("similar", path, "--json")
        ours, theirs = run(*question), call(*question, "--index", place)
        assert (theirs.exit_code, theirs.stdout) == (ours.exit_code, ours.stdout)


def test_the_environment_may_name_the_place(
    run: Run, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = run("similar", "chamber band number 0").stdout
    monkeypatch.setenv("RECSYS_INDEX", str(place))
    assert call("similar", "chamber band number 0").stdout == wanted
    # What is typed wins over the environment.
    assert run("similar", "chamber band number 0").stdout == wanted
    empty = call("similar", "chamber band number 0", "--db", tmp_path / "none.db")
    assert empty.exit_code == 1
    assert "none.db" in empty.stderr


def test_status_describes_the_copy(run: Run, indexed: IndexedLibrary, place: Path) -> None:
    home = json.loads(run("status", "--json").stdout)
    printed = json.loads(call("status", "--index", place, "--json").stdout)
    assert printed["place"] == str(place)
    for name in ("model", "tracks", "genres_from", "genres", "tags"):
        assert printed[name] == home[name]
    assert printed["roots"] == [str(indexed.music)]
    assert printed.keys() == documented("status --index")[0].keys()
    text = call("status", "--index", place).stdout
    assert f"Place:     {place}" in text
    assert f"Folder:    {indexed.music}" in text
    assert call("status", "--index", place, "--tags").exit_code == 2


def test_db_and_index_exclude_each_other(place: Path, tmp_path: Path) -> None:
    result = call("similar", "words", "--db", tmp_path / "library.db", "--index", place)
    assert result.exit_code == 2
    assert "exclude each other" in result.stderr


def test_an_invalid_address_is_an_error(run: Run, indexed: IndexedLibrary, tmp_path: Path) -> None:
    for place in ("http://localhost", "shared", tmp_path / "none.db", indexed.database):
        result = call("similar", "words", "--index", place)
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: ")
        assert len(result.stderr.splitlines()) == 2
    assert run("milvus", "push", indexed.database).exit_code == 1
    assert run("milvus", "push").exit_code == 2


def test_an_empty_library_is_not_pushed(tmp_path: Path) -> None:
    result = call("milvus", "push", tmp_path / "shared.db", "--db", tmp_path / "none.db")
    assert result.exit_code == 1
    assert not (tmp_path / "shared.db").exists()


def test_a_file_that_another_process_has_open_is_reported(place: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "recsys", "similar", "chamber", "--index", str(place)]
    with Connection(parse_place(place)):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "in use by another process" in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("library", ["pymilvus", "milvus_lite"])
def test_without_the_extra_it_is_named(
    library: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    result = call("similar", "words", "--index", place)
    assert result.exit_code == 1
    assert "pip install" in result.stderr
    assert "[milvus]" in result.stderr
