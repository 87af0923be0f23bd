"""A library is brought up to date one whole step at a time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from recsys.errors import StoreError
from recsys.store import Store
from recsys.store import connection as store_connection
from recsys.store.migrations import MIGRATIONS, migrate, schema_number
from tests.stored import heard, new_library, record

if TYPE_CHECKING:
    from pathlib import Path


def add_mood(db: sqlite3.Connection) -> None:
    db.execute("ALTER TABLE tracks ADD COLUMN mood TEXT")
    db.execute("UPDATE tracks SET mood = 'calm'")


def fail_half_way(db: sqlite3.Connection) -> None:
    add_mood(db)
    raise sqlite3.OperationalError("the second half fails")


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with new_library(tmp_path) as store:
        store.write([record("/a", heard())])
        return store.path


def test_every_migration_is_recorded_once_in_order(path: Path) -> None:
    with Store.open(path) as store:
        rows = store._db.execute("SELECT number, name FROM migrations ORDER BY number").fetchall()
    assert rows == [(i + 1, migration.__name__) for i, migration in enumerate(MIGRATIONS)]


def test_an_older_library_is_brought_up_to_date_and_keeps_its_tracks(path: Path) -> None:
    with Store.open(path) as store:
        migrate(store._db, path, (*MIGRATIONS, add_mood))
        assert schema_number(store._db) == len(MIGRATIONS) + 1
        migrate(store._db, path, (*MIGRATIONS, add_mood))
        assert store._db.execute("SELECT path, mood FROM tracks").fetchall() == [("/a", "calm")]


def test_a_migration_that_fails_leaves_the_library_as_it_was(path: Path) -> None:
    before = dump(path)
    with Store.open(path) as store:
        with pytest.raises(sqlite3.OperationalError, match="second half"):
            migrate(store._db, path, (*MIGRATIONS, fail_half_way))
        assert schema_number(store._db) == len(MIGRATIONS)
    assert dump(path) == before


def test_the_steps_before_the_failing_one_count(path: Path) -> None:
    with Store.open(path) as store:
        with pytest.raises(sqlite3.OperationalError):
            migrate(store._db, path, (*MIGRATIONS, add_mood, fail_half_way))
        assert schema_number(store._db) == len(MIGRATIONS) + 1


def test_opening_migrates_and_opening_read_only_asks_for_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = (*MIGRATIONS, add_mood)
    monkeypatch.setattr(store_connection, "MIGRATIONS", newer)
    monkeypatch.setattr(migrate, "__defaults__", (newer,))
    with pytest.raises(StoreError, match="older recsys") as caught:
        Store.open(path, read_only=True)
    assert "recsys index" in caught.value.hint
    with Store.open(path) as store:
        assert schema_number(store._db) == len(newer)
    with Store.open(path, read_only=True) as store:
        assert store.counts()["tracks"] == 1
