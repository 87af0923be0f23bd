"""A library is brought up to date by all migrations that it lacks, or by none."""

from __future__ import annotations

import copy
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recsys import Library
from recsys.errors import StoreError
from recsys.store import Store, schema, search
from recsys.store import connection as store_connection
from recsys.store.connection import SCHEMA_VERSION
from recsys.types import MOOD_NUMBERS, Blend, PassedOver, Tags
from tests.stored import analysed, new_library, record

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


KIND_COLUMNS = ("kind", "kind_probability", "vocals")


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


def test_a_library_of_the_first_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    with new_library(tmp_path) as store:
        store.write([record("/music/So What.mp3", analysed()), record("/nan", analysed())])
        path = store.path
        nan = b"\0\0\xc0\x7f" * 4  # as recsys once stored it
        store._db.execute("UPDATE analyses SET embedding = ? WHERE rowid = 2", (nan,))
        revision = store.revision
        all_tracks, analysed_tracks = schema._TABLES[-2:]  # the views of then
        later = (
            *("mixes", "events", "preferences", "blends", "radio_tracks", "radio_sessions"),
            *("playlists", "waveforms"),
        )
        for statement in (
            "DROP VIEW analysed_tracks",
            "DROP VIEW tracks_with_analysis",
            *(f"ALTER TABLE analyses DROP COLUMN {name}" for name in MOOD_NUMBERS),
            "ALTER TABLE library DROP COLUMN mood_settings",
            "ALTER TABLE models DROP COLUMN mood_key",
            "ALTER TABLE failures DROP COLUMN hint",
            "ALTER TABLE analyses DROP COLUMN version",
            "ALTER TABLE library DROP COLUMN journal",
            "ALTER TABLE tracks DROP COLUMN language",
            "ALTER TABLE tracks DROP COLUMN added",
            "ALTER TABLE tracks DROP COLUMN ctime_ns",
            "ALTER TABLE library DROP COLUMN scan_rules",
            "ALTER TABLE roots DROP COLUMN passed_over",
            *(f"ALTER TABLE analyses DROP COLUMN {name}" for name in KIND_COLUMNS),
            "ALTER TABLE models DROP COLUMN kind_head",
            "ALTER TABLE analyses RENAME COLUMN label TO style",
            "ALTER TABLE library DROP COLUMN genre_source",
            "ALTER TABLE library ADD COLUMN genre_source TEXT NOT NULL DEFAULT 'tags'",
            all_tracks,
            analysed_tracks,
            *(f"DROP TABLE {table}" for table in later),
            "UPDATE tracks SET search_keys = ''",  # without whole names
            "DELETE FROM _sqlite_migrations WHERE name <> 'first_schema'",
            "PRAGMA user_version = 1",
        ):
            store._db.execute(statement)
        store._db.commit()
    assert "added" not in analysed_tracks
    with Store.open(path) as store:
        (found,) = store.find_tracks("sowhat")
        assert (found.id, found.added_s, found.tags.language) == (1, None, None)
        assert store.start_radio(Blend(("a",))) == 1
        assert store.preferences() == {}
        assert store.blends() == {}
        assert not store.bans()
        assert store.unanalysed() == 1  # is made again
        assert list(store.changes_since(revision).removed) == [2]
        assert list(map(str, store.integrity_problems())) == [
            "Tracks without an analysis by the current model: 1."
        ]
        assert store.genre_source() == "model"  # the styles that sorted it are not known any more
        assert store.scan_rules() == {}
        assert store.passed_over() == PassedOver()
        (file,) = store.lookups([Path("/music/So What.mp3")])
        assert file is not None
        assert file.ctime_ns is None
    assert version(path) == SCHEMA_VERSION


def test_why_an_older_library_could_not_be_brought_up_to_date_is_said(
    path: Path, later: Migrations
) -> None:
    @later()
    def fail(db: Database) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with Library(path) as library, pytest.raises(StoreError, match="disk is full"):
        library.status()


def test_names_are_found_as_they_are_typed_after_a_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = search._PLAIN_LETTERS
    with monkeypatch.context() as before:
        before.setattr(search, "_PLAIN_LETTERS", {})
        search.name_key.cache_clear()
        with new_library(tmp_path) as store:
            tags = Tags(artist="Røyksopp", album_artist="Łona", title="Eple", album="Melody")
            store.write([replace(record("/a", analysed()), tags=tags)])
            store.write([record("/ængel.mp3", analysed())])
            store.save_blend("Bølge", Blend(("a",)))
            path = store.path
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION - 1}")
            connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'plain_letters'")
            connection.commit()
    search.name_key.cache_clear()
    assert search._PLAIN_LETTERS is table
    with Store.open(path) as store:
        assert version(path) == SCHEMA_VERSION
        for words in ("royksopp", "Røyksopp", "lona", "lona eple"):
            assert [track.id for track in store.find_tracks(words)] == [1], words
        assert [track.id for track in store.find_tracks("aengel")] == [2]
        assert store.blend("bolge") == store.blend("Bølge") == Blend(("a",))
        assert store.integrity_problems() == []
