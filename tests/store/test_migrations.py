"""A library is brought up to date by all migrations that it lacks, or by none."""

from __future__ import annotations

import copy
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recsys.errors import StoreError
from recsys.store import Store, schema
from recsys.store import connection as store_connection
from recsys.store.connection import SCHEMA_VERSION
from recsys.store.rows import array_blob
from recsys.types import Blend
from tests.stored import analysed, new_library, record

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with new_library(tmp_path) as store:
        store.write([record("/a", analysed())])
        return store.path


@pytest.fixture
def later(path: Path, monkeypatch: pytest.MonkeyPatch) -> Migrations:
    """A recsys to come, with one more migration than made the library at `path`."""
    assert path.exists()
    migrations = copy.deepcopy(schema.migrations)

    @migrations()
    def add_mood(db: Database) -> None:
        db.table("tracks").add_column("mood", str)
        db.execute("UPDATE tracks SET mood = 'calm'")

    monkeypatch.setattr(schema, "migrations", migrations)
    monkeypatch.setattr(store_connection, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    return migrations


def test_the_version_counts_the_migrations(path: Path) -> None:
    with Store.open(path) as store:
        applied = schema.migrations.applied(schema.tables_of(store._db))
        assert schema.migrations.pending(schema.tables_of(store._db)) == []
    assert len(applied) == SCHEMA_VERSION == version(path)


@pytest.mark.usefixtures("later")
def test_an_older_library_is_brought_up_to_date_and_keeps_its_tracks(path: Path) -> None:
    with pytest.raises(StoreError, match="older recsys") as caught:
        Store.open(path, read_only=True)
    assert "recsys index" in caught.value.hint
    for _ in range(2):
        with Store.open(path) as store:
            assert store._rows("SELECT path, mood FROM tracks") == [("/a", "calm")]
        assert version(path) == SCHEMA_VERSION + 1
    with Store.open(path, read_only=True) as store:
        assert store.counts()["tracks"] == 1
        assert len(store.find_tracks("a")) == 1


def test_a_migration_that_fails_leaves_the_library_as_it_was(path: Path, later: Migrations) -> None:
    @later()
    def fail_half_way(db: Database) -> None:
        db.execute("UPDATE tracks SET mood = 'wild'")
        raise sqlite3.OperationalError("the second half fails")

    before = dump(path)
    with pytest.raises(StoreError, match="second half"):
        Store.open(path)
    assert (dump(path), version(path)) == (before, SCHEMA_VERSION)


def test_a_library_of_the_first_schema_gets_radio_and_whole_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlite_utils import Migrations

    first = Migrations("recsys")
    first()(schema.first_schema)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", first)
        patch.setattr(store_connection, "SCHEMA_VERSION", 1)
        with new_library(tmp_path) as store:
            # As the first schema had them.
            store._db.execute(
                "INSERT INTO tracks (path, size, mtime_ns, audio_hash, revision, search_artist,"
                " search_title, search_album, search_genre, search_keys)"
                " VALUES ('/music/So What.mp3', 1, 1, 'h', 1, '', 'so what', '', '', '')"
            )
            known = analysed()
            store._db.execute(
                "INSERT INTO analyses (audio_hash, model, genre, duration_s, probabilities,"
                " embedding) VALUES ('h', (SELECT model FROM library), 'jazz', 60, ?, ?)",
                (array_blob(known.probabilities), array_blob(known.embedding)),
            )
            path = store.path
    with Store.open(path) as store:
        assert [track.id for track in store.find_tracks("sowhat")] == [1]
        assert store.start_radio(Blend(("a",))) == 1
        track = store.track(1)
        assert track is not None
        assert track.added_s is None  # not known
