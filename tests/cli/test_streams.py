"""Streams that are closed, full or unusual, and signals: what the real program does with them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recsys.api import Library
from tests.cli.conftest import IndexedLibrary
from tests.sounds import write

RECSYS = [sys.executable, "-m", "recsys"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="shell redirections of POSIX")


def redirected(
    *arguments: str | Path, how: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the program from a shell, with redirections."""
    return subprocess.run(
        ["/bin/sh", "-c", f'"$@" {how}', "sh", *RECSYS, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def noises(folder: Path, number: int) -> Path:
    """Make files of a second of noise, no two alike."""
    folder.mkdir()
    for i in range(number):
        noise = np.random.default_rng(i).uniform(-0.5, 0.5, 22_050).astype(np.float32)
        write(folder / f"{i:03}.wav", noise)
    return folder


@pytest.mark.parametrize("how", [">&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["similar", "status", "--help"])
def test_closed_streams_are_no_error(indexed: IndexedLibrary, command: str, how: str) -> None:
    query = [indexed.track("overdrive")] if command == "similar" else []
    place = [] if command == "--help" else ["--db", indexed.database]
    result = redirected(command, *query, *place, how=how)
    assert result.returncode == 0
    assert "unexpected" not in result.stderr


def test_an_index_without_streams_writes_the_library_and_nothing_into_it(tmp_path: Path) -> None:
    music = noises(tmp_path / "music", 2)
    (music / "bad.mp3").write_bytes(b"no sound")  # of which standard error would tell
    database = tmp_path / "library.db"
    result = redirected("index", music, "--db", database, how="<&- >&- 2>&-")
    assert result.returncode == 3
    with Library(database) as library:
        assert library.status().tracks == 2
        assert not library.doctor().problems


@pytest.mark.parametrize("command", ["similar", "--help"])
def test_a_reader_that_closes_the_pipe_ends_the_program(
    indexed: IndexedLibrary, command: str
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        query = [indexed.track("overdrive"), "--db", indexed.database]
        result = subprocess.run(
            [*RECSYS, command, *(query if command == "similar" else [])],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (result.returncode, result.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("command", ["status", "--help"])
def test_output_on_a_full_disk(indexed: IndexedLibrary, command: str) -> None:
    place = [] if command == "--help" else ["--db", indexed.database]
    result = redirected(command, *place, how=">/dev/full")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: the output could not be written: the disk is full")
    assert redirected(command, *place, how=">/dev/full 2>/dev/full").returncode == 1


def test_a_long_path_for_temporary_files(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)  # longer than the address of a socket may be
    long.mkdir()
    music = noises(tmp_path / "music", 1)
    result = redirected("index", music, "--db", tmp_path / "l.db", how="", TMPDIR=os.fspath(long))
    assert "1 indexed" in result.stdout


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_saves_the_index_and_ends_the_processes(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    music = noises(tmp_path / "music", 60)
    database = tmp_path / "library.db"
    process = subprocess.Popen(
        [*RECSYS, "index", music, "--db", database, "--json", "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["status"] == "indexed"
    children = descendants(process.pid)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr.splitlines()[0]) == (code, "Error: stopped")
    assert not [child for child in children if is_running(child)]
    with Library(database) as library:
        status = library.status()
    assert 0 < status.tracks < 60
    assert not status.index_problems


def is_running(pid: int) -> bool:
    """Return whether a process is there, and not only waits to be noticed by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid: int) -> list[int]:
    """Return the processes below a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *descendants(child)]
    return found
