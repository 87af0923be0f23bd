from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from recsys.indexing.session import changed_folders
from tests.sounds import staircase, write


def test_what_concerns_audio(tmp_path: Path) -> None:
    from recsys.indexing.session import _may_be_audio

    (tmp_path / "folder.v2").mkdir()
    wanted = ("a.mp3", "b/c.FLAC", "gone-folder", "folder.v2", "a.mp4", "a.xyz", "...And/a.mp3")
    unwanted = ("a.jpg", "b/.hidden/c.mp3", "._a.mp3", "list.m3u8", "#recycle/a.mp3", "a.mp3.part")
    assert all(_may_be_audio(tmp_path / name, [tmp_path]) for name in wanted)
    assert not any(_may_be_audio(tmp_path / name, [tmp_path]) for name in unwanted)


def test_roots_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    with pytest.raises(StopIteration):
        next(changed_folders([tmp_path / "none"]))


def test_watch_follows_files_as_they_come_and_go(tmp_path: Path) -> None:
    music = tmp_path / "music"
    write(music / "first.flac", staircase(3))
    command = [
        sys.executable,
        "-m",
        "recsys",
        "index",
        music,
        "--watch",
        "--json",
        "--workers",
        "1",
    ]
    process = subprocess.Popen(
        [*command, "--db", tmp_path / "l.db"], stdout=subprocess.PIPE, text=True
    )
    lines: Queue[dict[str, Any]] = Queue()

    def collect() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(json.loads(line))

    reader = threading.Thread(target=collect)
    reader.start()
    try:
        assert next_pass(lines) == {"first.flac": "indexed"}
        new = write(music / "album" / "second.ogg", staircase(4), 22_050)
        assert until(lines, "second.ogg") == "indexed"
        new.rename(music / "moved.ogg")
        assert until(lines, "moved.ogg") == "moved"
        (music / "moved.ogg").unlink()
        assert until(lines, "moved.ogg", not_status="moved") == "removed"
    finally:
        process.terminate()
        process.wait()
        reader.join()
        assert process.stdout is not None
        process.stdout.close()


def next_pass(lines: Queue[dict[str, Any]]) -> dict[str, str]:
    """What one pass did, by file name."""
    done = {}
    while "summary" not in (line := lines.get(timeout=60)):
        done[Path(line["path"]).name] = line["status"]
    return done


def until(lines: Queue[dict[str, Any]], name: str, not_status: str = "unchanged") -> str:
    """The next news of a file, whatever else is told before it."""
    try:
        while True:
            line = lines.get(timeout=60)
            told = Path(line.get("path", "")).name == name
            if told and line["status"] not in (not_status, "unchanged"):
                return str(line["status"])
    except Empty:
        return "nothing was told"
