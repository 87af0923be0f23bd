"""One process at a time writes to a library, and a dead one does not stand in the way."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recsys.errors import LibraryBusyError, StoreError
from recsys.store.connection import LibraryLock, holder_of

if TYPE_CHECKING:
    from collections.abc import Iterator

HOLDER = """
import sys
from pathlib import Path
from recsys.store import LibraryLock
with LibraryLock(Path(sys.argv[1]), 0.0):
    sys.stdout.write("held\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "library.db"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_told_who_holds_the_library(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(LibraryBusyError) as caught, LibraryLock(path, 0.0):
        pass
    assert str(path) in caught.value.message
    assert f"process {holder.pid} on {os.uname().nodename}" in caught.value.message
    assert caught.value.hint


def test_a_killed_holder_frees_the_library(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with LibraryLock(path, 0.0):
        assert f"process {os.getpid()} " in holder_of(path.with_name("library.db.lock"))


def test_a_waiting_writer_gets_the_library_as_soon_as_it_is_free(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    assert holder.stdin is not None
    threading.Timer(0.1, holder.stdin.close).start()
    with LibraryLock(path, None):
        holder.wait()


def test_the_library_can_be_locked_again_and_the_file_need_not_exist(path: Path) -> None:
    for wait_s in (0.0, None, 5.0):
        with LibraryLock(path, wait_s):
            assert not path.exists()


def test_a_lock_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    lock = LibraryLock(tmp_path / "file" / "library.db", 0.0)
    with pytest.raises(StoreError, match="cannot be written"), lock:
        pass


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "\udcff"])
def test_an_unreadable_lock_file_names_nobody(path: Path, content: str) -> None:
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert holder_of(path) == "another process"
    assert holder_of(Path("/nowhere")) == "another process"


def test_another_machine_is_asked_for_on_a_network(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_file = path.with_name("library.db.lock")
    lock_file.write_text('{"pid": 7, "host": "attic", "since": "2026-01-01T00:00:00+00:00"}')
    with LibraryLock(path, 0.0):  # here the lock itself tells
        pass
    assert lock_file.read_bytes() == b""  # nobody holds it
    monkeypatch.setattr("recsys.store.connection.network_file_system", lambda _: "cifs")
    with LibraryLock(path, 0.0):
        pass
    lock_file.write_text('{"pid": 7, "host": "attic", "since": "2026-01-01T00:00:00+00:00"}')
    with pytest.raises(LibraryBusyError, match="process 7 on attic") as caught:
        LibraryLock(path, 0.0).__enter__()
    assert f"delete {lock_file}" in caught.value.hint
    lock_file.unlink()
    with LibraryLock(path, 0.0):
        pass


def test_a_lock_on_a_full_disk_asks_for_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StoreError, match="cannot be written") as caught:
        LibraryLock(tmp_path / "library.db", 0.0).__enter__()
    assert "Free some space" in caught.value.hint
