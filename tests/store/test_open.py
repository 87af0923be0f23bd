"""Files that are no library are refused with a reason, and left as they were."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import LibraryBusyError, StoreError
from recsys.store import Store
from recsys.store import connection as store_connection
from recsys.store.connection import APPLICATION_ID, store_error
from tests.stored import analysed, model_info, new_library, record


def refused(path: Path, *, create: bool = True, read_only: bool = False) -> StoreError:
    with pytest.raises(StoreError) as caught:
        Store.open(path, create=create, read_only=read_only)
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value


def folder_state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def filled(folder: Path, count: int = 50) -> Path:
    with new_library(folder) as store:
        store.write([record(f"/{i}", analysed("jazz", i)) for i in range(count)])
        return store.path


def test_a_library_that_is_not_there_is_only_made_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "library.db"
    assert "no library" in refused(path, create=False).message
    assert "no library" in refused(path, read_only=True).message
    assert not path.parent.exists()
    with Store.open(path, create=True) as store:
        assert store.path == path
    with Store.open(path):
        pass


def test_a_folder_is_no_library(tmp_path: Path) -> None:
    assert "folder" in refused(tmp_path).message


def test_a_file_where_a_folder_belongs_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file" / "library.db")


def test_an_empty_file_may_become_a_library(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    path.touch()
    assert "no library" in refused(path, create=False).message
    with Store.open(path, create=True) as store:
        assert store.counts()["tracks"] == 0


@pytest.mark.parametrize("content", [b"x", b"not a database " * 500, b"SQLite format 2\x00" * 20])
def test_a_file_of_another_kind_is_refused_untouched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "library.db"
    path.write_bytes(content)
    assert "not a recsys library" in refused(path).message
    assert folder_state(tmp_path) == {"library.db": content}


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_a_database_of_another_program_is_refused_untouched(tmp_path: Path, journal: str) -> None:
    path = tmp_path / "library.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA journal_mode = {journal}")
        other.execute("CREATE TABLE tracks (id INTEGER PRIMARY KEY)")
        other.commit()
    before = folder_state(tmp_path)
    for read_only in (False, True):
        assert "another program" in refused(path, read_only=read_only).message
    assert folder_state(tmp_path) == before


def test_a_foreign_database_whose_tables_are_still_in_its_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE t (x)")
        other.commit()
        before = folder_state(tmp_path)
        assert "another program" in refused(path).message
        assert folder_state(tmp_path) == before


def test_an_empty_database_may_become_a_library(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("VACUUM")
    assert path.stat().st_size
    with Store.open(path) as store:
        assert store.integrity_problems() == []


def test_a_library_of_a_newer_recsys_is_refused_untouched(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    for read_only in (False, True):
        error = refused(path, read_only=read_only)
        assert "newer recsys" in error.message
        assert "Update recsys" in error.hint
    assert path.read_bytes() == before


def test_a_library_is_marked_as_ours_in_its_header(tmp_path: Path) -> None:
    path = filled(tmp_path)
    assert path.read_bytes()[68:72] == APPLICATION_ID.to_bytes(4, "big") == b"recs"
    with Store.open(path) as store:
        store.vacuum()
    assert path.read_bytes()[68:72] == b"recs"


def test_damaged_pages_are_an_error_that_names_file_and_remedy(tmp_path: Path) -> None:
    path = filled(tmp_path, 500)
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreError) as caught, Store.open(path) as store:
        list(store.all_tracks())
    assert str(path) in caught.value.message
    assert "backup" in caught.value.hint


def test_the_doctor_is_told_of_damage_instead_of_failing(tmp_path: Path) -> None:
    path = filled(tmp_path, 500)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = bytes(20_000)
    path.write_bytes(content)
    with Store.open(path) as store:
        assert store.integrity_problems()


def test_a_truncated_library_is_an_error(tmp_path: Path) -> None:
    path = filled(tmp_path, 500)
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(StoreError) as caught, Store.open(path) as store:
        list(store.all_tracks())
    assert str(path) in caught.value.message


def test_a_sound_library_has_no_problems(tmp_path: Path) -> None:
    with Store.open(filled(tmp_path)) as store:
        assert store.integrity_problems() == []


def test_an_embedding_of_the_wrong_length_is_found(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE analyses SET embedding = x'00' WHERE rowid = 3")
        connection.commit()
    with Store.open(path) as store:
        (problem,) = store.integrity_problems()
        assert problem.text.startswith("Damaged analyses, not numbers or of the wrong length: 1 (/")
        ((ids, _, _),) = store.iter_embeddings()
        assert (len(ids), 3 in ids) == (49, False)  # one row costs no answer


def test_read_only_does_not_write(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with Store.open(path, read_only=True) as store:
        assert store.counts()["tracks"] == 50
        with pytest.raises(StoreError, match="cannot be written") as caught:
            store.write([record("/new", analysed())])
    assert "permissions" in caught.value.hint


def test_a_read_only_file_system_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(tmp_path)
    before = folder_state(tmp_path)
    connection = store_connection._connection

    def read_only_disk(path: Path, mode: str) -> sqlite3.Connection:
        # What SQLite says where the files that go with WAL cannot be made.
        if "immutable" not in mode:
            raise sqlite3.OperationalError("unable to open database file")
        return connection(path, mode)

    monkeypatch.setattr(store_connection, "_connection", read_only_disk)
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)
    with Store.open(path, read_only=True) as store:
        assert [track.id for track in store.all_tracks()] == list(range(1, 51))
    assert folder_state(tmp_path) == before
    assert "read-only" in refused(path, create=False).message


def test_a_log_that_was_left_on_a_read_only_file_system_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(tmp_path)
    path.with_name("library.db-wal").write_bytes(b"changes that belong to the library")

    def unable(path: Path, mode: str) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(store_connection, "_connection", unable)
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)
    refused(path, read_only=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not hold back root")
def test_a_library_without_write_permission_is_reported(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.chmod(0o444)
    assert "read-only" in refused(path).message


def test_a_full_disk_is_reported_and_what_was_stored_before_is_safe(tmp_path: Path) -> None:
    with new_library(tmp_path) as store:
        store.write([record("/first", analysed())])
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages}").fetchone()
        with pytest.raises(StoreError, match="disk is full") as caught:
            store.write([record(f"/{i}" + "x" * 200, analysed()) for i in range(200)])
        assert "Free some space" in caught.value.hint
        assert [track.path.name for track in store.all_tracks()] == ["first"]
        store._db.execute("PRAGMA max_page_count = 1000000").fetchone()
        store.write([record("/second", analysed())])
        assert store.counts()["tracks"] == 2


def test_on_a_full_disk_a_library_is_read_and_an_error_says_that_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says "disk I/O error" where the memory that processes share has no room."""
    with new_library(tmp_path) as store:
        store.write([record("/a", analysed())])
        path = store.path
    failure = sqlite3.OperationalError("disk I/O error")
    failure.sqlite_errorcode = sqlite3.SQLITE_IOERR
    connection_to = store_connection._connection

    def failing(path: Path, mode: str) -> sqlite3.Connection:
        if mode == "mode=ro":
            raise failure
        return connection_to(path, mode)

    monkeypatch.setattr(store_connection, "_connection", failing)
    assert "Check the disk" in refused(path, create=False, read_only=True).hint
    usage = shutil.disk_usage(tmp_path)._replace(free=4096)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "the disk is full" in store_error(path, failure).message
    with Store.open(path, read_only=True) as store:
        assert store.counts()["tracks"] == 1
    Path(f"{path}-wal").write_bytes(b"changes")
    assert "holds changes" in refused(path, create=False, read_only=True).message


def test_closing_twice_is_fine_and_using_a_closed_library_is_an_error(tmp_path: Path) -> None:
    store = new_library(tmp_path)
    store.close()
    store.close()
    with pytest.raises(StoreError):
        store.counts()


def test_the_name_of_a_library_may_hold_any_bytes(tmp_path: Path) -> None:
    for name in ("a b#c?d%41&e=f.db", "müsic.db", "\udcff.db"):
        path = tmp_path / name
        with Store.open(path, create=True) as store:
            store.set_model(model_info(), "{}")
            store.write([record("/a", analysed())])
        with Store.open(path, read_only=True) as store:
            assert store.counts()["tracks"] == 1
        assert path.exists()


def test_a_copy_of_a_library_is_a_library(tmp_path: Path) -> None:
    path = filled(tmp_path)
    copy = Path(shutil.copy(path, tmp_path / "copy.db"))
    with Store.open(copy) as store:
        assert store.counts()["tracks"] == 50


# A library that its owner, or its place, works against


@pytest.mark.parametrize("how", ["deleted", "replaced", "log deleted"])
def test_a_file_that_is_deleted_or_replaced_is_noticed(tmp_path: Path, how: str) -> None:
    path = filled(tmp_path)
    with Store.open(path) as store:
        store.write([record("/1", analysed())])
        store.check_in_place()
        if how == "log deleted":
            path.with_name(path.name + "-wal").unlink()
        else:
            path.unlink()
        if how == "replaced":
            path.write_bytes(b"")
        for attempt in (store.check_in_place, lambda: store.write([record("/2", analysed())])):
            with pytest.raises(StoreError, match="was deleted or replaced") as caught:
                attempt()
            assert "run the command again" in caught.value.hint


def test_a_moved_library_is_still_read(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with Store.open(path, read_only=True) as store:
        path.rename(tmp_path / "moved.db")
        assert store.counts()["tracks"] == 50


def journal_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def test_the_journal_is_kept_in_the_library(tmp_path: Path) -> None:
    path = filled(tmp_path)
    assert journal_of(path) == "wal"
    for journal in ("delete", "wal"):
        with Store.open(path) as store:
            store.set_journal(journal)
        for _ in range(2):
            with Store.open(path) as store:
                store.write([record("/again", analysed())])
                assert store.journal() == journal
            assert journal_of(path) == journal


def test_the_journal_of_a_library_in_use_is_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.store.connection.BUSY_TIMEOUT_S", 0.0)
    path = filled(tmp_path)
    with Store.open(path, read_only=True) as reader:
        reader.counts()
        with Store.open(path) as store, pytest.raises(LibraryBusyError):
            store.set_journal("delete")
    with Store.open(path) as store:
        assert store.journal() == "wal"


def test_a_new_library_on_a_network_does_without_wal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = filled(tmp_path)
    monkeypatch.setattr("recsys.store.connection.network_file_system", lambda _: "nfs4")
    with Store.open(tmp_path / "new.db", create=True) as store, Store.open(local) as older:
        assert (store.journal(), older.journal()) == ("delete", "wal")
        monkeypatch.setattr("recsys.store.store.network_file_system", lambda _: "nfs4")
        assert store.journal_problem() is None
        assert "recsys index --journal delete" in str(older.journal_problem())
    assert journal_of(tmp_path / "new.db") == "delete"
    error = sqlite3.OperationalError("locking protocol")
    error.sqlite_errorcode = sqlite3.SQLITE_PROTOCOL
    assert "--journal delete" in store_error(local, error).hint


def test_analyses_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    nan = np.full(4, np.nan, dtype=np.float32)
    with Store.open(filled(tmp_path)) as store:
        with pytest.raises(StoreError, match="no numbers"):
            store.write([record("/nan", analysed(embedding=nan))])
        assert store.counts()["tracks"] == 50


def test_damaged_rows_cost_no_other_answer_and_are_made_again(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        for row, column in enumerate(("embedding", "probabilities"), start=1):
            connection.execute(
                f"UPDATE analyses SET {column} = ? WHERE rowid = ?",
                (b"\0\0\xc0\x7f" * 4, row),
            )
        connection.commit()
    with Store.open(path) as store:
        assert len(store.damaged_analyses()) == 2
        damaged = {track_id for track_id, _ in store.damaged_analyses()}
        assert set(store.analyses(range(1, 51))) == set(range(1, 51)) - damaged
        ((ids, _, embeddings),) = store.iter_embeddings()
        assert len(ids) == 49
        assert np.isfinite(embeddings).all()
        revision = store.revision
        store.delete_analyses(damaged)
        assert set(store.changes_since(revision).removed) == damaged
        assert store.unanalysed() == 2
        assert store.damaged_analyses() == []
