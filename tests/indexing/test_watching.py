from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from recsys.indexing import watching
from recsys.indexing.watching import Changed, Watcher
from recsys.library import ScanRules
from tests.sounds import staircase, write


def test_passed_over_paths_are_not_shown(tmp_path: Path) -> None:
    shown = ("a.mp3", "b/c.FLAC", "gone-folder", "Vol.2", "a.jpg", "...And/a.mp3")
    hidden = ("b/.hidden/c.mp3", "._a.mp3", "#recycle/a.mp3", "x.download/a.mp3")
    assert all(ScanRules().shows(tmp_path / name, tmp_path) for name in shown)
    assert not any(ScanRules().shows(tmp_path / name, tmp_path) for name in hidden)


def test_passed_over_folders_are_shown_where_they_were_named(tmp_path: Path) -> None:
    rules = ScanRules(named=frozenset({tmp_path, tmp_path / "b/.demos"}))
    assert rules.shows(tmp_path / "b/.demos/a.mp3", tmp_path)
    assert not rules.shows(tmp_path / "b/.demos/.more/a.mp3", tmp_path)
    assert not rules.shows(tmp_path / "b/.other/a.mp3", tmp_path)


@pytest.mark.usefixtures("hasty")
def test_changes_in_a_hidden_folder_that_was_named_are_told(tmp_path: Path) -> None:
    (tmp_path / ".demos").mkdir()
    (tmp_path / ".other").mkdir()
    named = ScanRules(named=frozenset({tmp_path, tmp_path / ".demos"}))
    changes = iter(Watcher([tmp_path], named))
    assert next(changes).whole
    (tmp_path / ".other/a.mp3").touch()
    (tmp_path / ".demos/a.mp3").touch()
    assert next(changes) == Changed((tmp_path / ".demos/a.mp3",))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing wait: a path is quiet at once, and folders are polled at every tick."""
    for name, value in {"QUIET_S": 0.0, "TICK_S": 0.01, "POLL_S": 0.0, "POLL_SHARE": 1e9}.items():
        monkeypatch.setattr(watching, name, value)


@pytest.mark.usefixtures("hasty")
def test_changes_are_named_and_the_first_ones_are_all_folders(tmp_path: Path) -> None:
    changes = iter(Watcher([tmp_path]))
    assert next(changes) == Changed((tmp_path,), whole=True)
    (tmp_path / "Vol.2").mkdir()
    assert next(changes) == Changed((tmp_path / "Vol.2",))


@pytest.mark.usefixtures("hasty")
def test_a_disk_that_goes_and_comes_is_told_of(tmp_path: Path) -> None:
    music, away = tmp_path / "music", tmp_path / "away"
    music.mkdir()
    changes = iter(Watcher([music]))
    for move in (None, (music, away), (away, music)):
        if move:
            move[0].rename(move[1])
        assert any(change == Changed((music,), whole=True) for change in changes)
    (music / "a.mp3").touch()  # and is watched again
    assert any(music / "a.mp3" in change.paths for change in changes)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "error", [OSError("OS file watch limit reached."), RuntimeError("error in underlying watcher")]
)
def test_folders_are_polled_where_the_system_cannot_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: Any, **__: Any) -> Iterator[Any]:
        raise error
        yield

    monkeypatch.setattr("watchfiles.watch", refuse)
    changes = iter(Watcher([tmp_path]))
    note = next(changes).note
    assert note is not None
    assert str(error) in note
    assert "max_user_watches" in note
    for _ in range(3):
        assert next(changes) == Changed((tmp_path,), whole=True)


@pytest.mark.usefixtures("hasty")
def test_network_folders_are_polled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "network_file_system", lambda _: "nfs4")
    changes = iter(Watcher([tmp_path]))
    note = next(changes).note
    assert note is not None
    assert f"{tmp_path} is on a network (nfs4)" in note
    for _ in range(3):
        assert next(changes) == Changed((tmp_path,), whole=True)


def test_a_path_is_told_once_it_is_quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("recsys.indexing.watching.time.monotonic", lambda: now[0])
    watcher = Watcher([tmp_path])
    watcher.wait_for([tmp_path / "a.mp3"])
    assert watcher._quiet() == []
    now[0] += 0.9 * watching.QUIET_S
    watcher.wait_for([tmp_path / "a.mp3"])  # written to again
    now[0] += 0.9 * watching.QUIET_S
    assert watcher._quiet() == []
    now[0] += watching.QUIET_S
    assert watcher._quiet() == [tmp_path / "a.mp3"]
    assert watcher._quiet() == []


def test_a_name_that_is_not_utf_8_stands_for_its_folder(tmp_path: Path) -> None:
    watcher = Watcher([tmp_path])
    watcher._note({("added", str(tmp_path / "a" / "b\ufffd.mp3"))}, [tmp_path])  # type: ignore[arg-type]
    assert [*watcher._waiting] == [tmp_path / "a"]


def test_watch_follows_files_as_they_come_and_go(tmp_path: Path) -> None:
    music = tmp_path / "music"
    write(music / "first.flac", staircase(3))
    command = [
        *(sys.executable, "-m", "recsys", "index", music, "--watch", "--json", "--workers", "1"),
        *("--db", tmp_path / "l.db"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines: Queue[dict[str, Any]] = Queue()

    def collect() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(json.loads(line))

    reader = threading.Thread(target=collect)
    reader.start()
    try:
        assert next_pass(lines) == {"first.flac": "indexed"}
        write(music / "Vol.1" / "second.ogg", staircase(4), 22_050)
        assert next_pass(lines) == {"second.ogg": "indexed"}
        (music / "Vol.1").rename(music / "Vol.2")
        assert next_pass(lines) == {"second.ogg": "moved"}
        (music / "first.flac").touch()
        assert next_pass(lines) == {"first.flac": "indexed"}
        (music / "Vol.2").rename(tmp_path / "Vol.2")
        assert next_pass(lines) == {"second.ogg": "removed"}
    finally:
        process.terminate()
        process.wait()
        reader.join()
        assert process.stdout is not None
        process.stdout.close()


def next_pass(lines: Queue[dict[str, Any]]) -> dict[str, str]:
    """What the next pass did, by file name."""
    done = {}
    try:
        while "summary" not in (line := lines.get(timeout=60)):
            done[Path(line["path"]).name] = line["status"]
    except Empty:
        pass
    return done
