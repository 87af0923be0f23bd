"""Several processes use one library at once, and any of them may be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from recsys.errors import LibraryBusyError
from recsys.store import Store
from recsys.store import connection as store_connection
from tests.stored import analysed, new_library, record

if TYPE_CHECKING:
    from pathlib import Path

WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.stored import analysed, record
from recsys.store import Store
with Store.open(Path(sys.argv[1])) as store:
    for number in range(100_000):
        ids = store.write([record(f"/{number}/{i}", analysed("jazz", i)) for i in range(16)])
        sys.stdout.write(f"{len(ids)}\\n")
        sys.stdout.flush()
"""


def test_readers_read_while_a_writer_writes(tmp_path: Path) -> None:
    with new_library(tmp_path) as writer:
        writer.write([record("/a", analysed())])
        with Store.open(writer.path, read_only=True) as reader:
            writer._db.execute("BEGIN IMMEDIATE")
            writer._db.execute("DELETE FROM tracks")
            assert reader.counts()["tracks"] == 1
            writer._db.execute("COMMIT")
            assert reader.counts()["tracks"] == 0


def test_a_second_writer_is_told_that_the_library_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_connection, "BUSY_TIMEOUT_S", 0.01)
    with new_library(tmp_path) as first, Store.open(first.path) as second:
        first._db.execute("BEGIN IMMEDIATE")
        with pytest.raises(LibraryBusyError, match="another process") as caught:
            second.write([record("/a", analysed())])
        assert "Wait" in caught.value.hint
        first._db.execute("ROLLBACK")
        second.write([record("/a", analysed())])


def test_a_killed_writer_loses_at_most_the_batch_in_flight(tmp_path: Path) -> None:
    with new_library(tmp_path) as store:
        path = store.path
    here = os.path.dirname(__file__)  # noqa: PTH120
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), here], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for _ in range(20):
            assert writer.stdout.readline() == "16\n"
        writer.send_signal(signal.SIGKILL)
        said = 20 + len(writer.stdout.readlines())
    with Store.open(path) as store:
        assert store.integrity_problems() == []
        tracks = store.counts()["tracks"]
        assert tracks % 16 == 0
        assert said <= tracks // 16 <= said + 1
        assert store.revision == 1 + tracks // 16
