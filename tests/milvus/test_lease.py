"""Two who push to one place: the second one is told, unless the first one is gone."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from recsys.errors import SharedLibraryError
from recsys.milvus import layout as leases
from recsys.milvus.connection import Connection, parse_place
from recsys.milvus.layout import LEASE_NOTE, LEASE_S, Lease, Notes
from recsys.milvus.push import push
from tests.milvus.libraries import make_library, open_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with Connection(parse_place(tmp_path / "shared.db"), create=True) as connection:
        Notes(connection).make()
        yield connection


@pytest.fixture
def notes(connection: Connection) -> Notes:
    return Notes(connection)


def lease(connection: Connection) -> Lease:
    return Lease(Notes(connection), connection.place)


def elsewhere(notes: Notes, **changed: Any) -> dict[str, Any]:
    """Leave the note of somebody on another machine."""
    note = {**notes.read(LEASE_NOTE)[LEASE_NOTE], "host": "attic", "pid": 4711, "key": "theirs"}
    notes.write(LEASE_NOTE, note | changed)
    return note | changed


def test_a_second_push_is_told_who_pushes(connection: Connection, tmp_path: Path) -> None:
    library = make_library(tmp_path, 20)
    told: list[SharedLibraryError] = []

    def meanwhile(done: int, _total: int) -> None:
        if not done:
            with pytest.raises(SharedLibraryError, match=r"process \d+ on .* is pushing") as caught:
                push(library.store, connection)
            told.append(caught.value)

    assert push(library.store, connection, on_progress=meanwhile).tracks == 24
    (error,) = told
    assert str(connection.place) in error.message
    assert "10 minutes" in error.hint
    assert push(library.store, connection).unchanged == 24


def test_a_push_that_ends_in_an_error_holds_nobody_up(connection: Connection, notes: Notes) -> None:
    with pytest.raises(KeyboardInterrupt), lease(connection):
        raise KeyboardInterrupt
    assert notes.read(LEASE_NOTE) == {LEASE_NOTE: None}
    with lease(connection):
        pass


def test_one_that_was_killed_is_forgotten(
    connection: Connection, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lease(connection):
        note = elsewhere(notes)
    # Its note is not ours to take away.
    assert notes.read(LEASE_NOTE)[LEASE_NOTE] == note
    with pytest.raises(SharedLibraryError, match="process 4711 on attic"), lease(connection):
        pass
    later = leases.time.time() + LEASE_S + 1
    with monkeypatch.context() as patch:
        patch.setattr(leases.time, "time", lambda: later)
        with lease(connection):
            pass


def test_a_process_of_this_machine_that_is_gone_is_forgotten_at_once(
    connection: Connection, notes: Notes
) -> None:
    host = leases.platform.node()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        with lease(connection):
            elsewhere(notes, host=host, pid=process.pid)
        with pytest.raises(SharedLibraryError, match=f"process {process.pid}"), lease(connection):
            pass
        process.kill()
        process.wait()
        with lease(connection):
            # One of this process whose server was gone when it was to take its note away.
            elsewhere(notes, host=host, pid=leases.os.getpid())
        with lease(connection):
            pass


def test_who_loses_it_stops(
    connection: Connection, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lease(connection) as held:
        first = notes.read(LEASE_NOTE)[LEASE_NOTE]["until"]
        held.renew()
        assert notes.read(LEASE_NOTE)[LEASE_NOTE]["until"] == first
        monkeypatch.setattr(leases, "RENEW_S", 0.0)
        held.renew()
        assert notes.read(LEASE_NOTE)[LEASE_NOTE]["until"] > first
        elsewhere(notes)
        with pytest.raises(SharedLibraryError, match="process 4711 on attic"):
            held.renew()


def test_a_push_that_loses_it_shows_nothing_to_readers(
    connection: Connection, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = make_library(tmp_path, 20)

    def meanwhile(done: int, total: int) -> None:
        if done == total:
            elsewhere(notes)

    with pytest.raises(SharedLibraryError, match="process 4711 on attic"):
        push(library.store, connection, on_progress=meanwhile)
    with pytest.raises(SharedLibraryError, match="no library yet"):
        open_at(str(connection.place))
