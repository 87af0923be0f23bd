"""The schema of the library database, as numbered steps that are never edited, only added to.

Each step runs in one transaction together with its row in the table ``migrations``: a step that
fails, or is killed, leaves the database as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from recsys.errors import StoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Migration: TypeAlias = Callable[["sqlite3.Connection"], None]

APPLICATION_ID = 0x72656373
"""``recs`` in ASCII, kept in the header of the file: how recsys knows its own databases."""

_FIRST_SCHEMA = (
    # revision: rises with every transaction that changes what the index must hold.
    # model: fingerprint of the current model. library: tells this library from any other.
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "INSERT INTO meta (key, value) VALUES ('revision', 0), ('model', NULL),"
    " ('library', lower(hex(randomblob(16))))",
    "CREATE TABLE models (fingerprint TEXT PRIMARY KEY, name TEXT NOT NULL, labels TEXT NOT NULL,"
    " thresholds TEXT NOT NULL, confusion BLOB NOT NULL, dimension INTEGER NOT NULL,"
    " card TEXT NOT NULL, checkpoint)",
    # Paths have no declared type: TEXT where they are UTF-8, BLOB where they are not.
    # A volume is a disk that was mounted inside a root.
    "CREATE TABLE roots (path PRIMARY KEY NOT NULL, root INTEGER NOT NULL DEFAULT 0,"
    " volume INTEGER NOT NULL DEFAULT 0)",
    # AUTOINCREMENT: an id that was removed never comes back as another track.
    "CREATE TABLE tracks (id INTEGER PRIMARY KEY AUTOINCREMENT, path NOT NULL UNIQUE,"
    " size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, audio_hash TEXT NOT NULL,"
    " missing INTEGER NOT NULL DEFAULT 0, revision INTEGER NOT NULL,"
    " artist TEXT, album_artist TEXT, album TEXT, title TEXT, track_number INTEGER,"
    " year INTEGER, genre_tag TEXT, search TEXT NOT NULL)",
    "CREATE INDEX tracks_by_hash ON tracks (audio_hash)",
    "CREATE INDEX tracks_by_revision ON tracks (revision)",
    # The short columns stand before the arrays, so that reading them does not touch the arrays.
    "CREATE TABLE analyses (audio_hash TEXT NOT NULL,"
    " fingerprint TEXT NOT NULL REFERENCES models (fingerprint), genre TEXT NOT NULL,"
    " duration_s REAL NOT NULL, warning TEXT, probabilities BLOB NOT NULL,"
    " embedding BLOB NOT NULL, PRIMARY KEY (audio_hash, fingerprint))",
    "CREATE TABLE failures (path PRIMARY KEY NOT NULL, size INTEGER NOT NULL,"
    " mtime_ns INTEGER NOT NULL, reason TEXT NOT NULL)",
    "CREATE TABLE removals (track_id INTEGER PRIMARY KEY, revision INTEGER NOT NULL)",
    "CREATE INDEX removals_by_revision ON removals (revision)",
    # Every track with what the current model heard in it; genre is NULL where it heard nothing yet.
    "CREATE VIEW heard AS SELECT t.id, t.path, t.size, t.mtime_ns, t.audio_hash, t.missing,"
    " t.revision, t.artist, t.album_artist, t.album, t.title, t.track_number, t.year, t.genre_tag,"
    " t.search, a.genre, a.duration_s, a.warning, a.probabilities, a.embedding, a.fingerprint"
    " FROM tracks t LEFT JOIN analyses a ON a.audio_hash = t.audio_hash"
    " AND a.fingerprint = (SELECT value FROM meta WHERE key = 'model')",
    # What may stand in an answer, with the columns of recsys.types.Track in their order.
    "CREATE VIEW listed AS SELECT id, path, audio_hash, missing, genre, duration_s, warning,"
    " artist, album_artist, album, title, track_number, year, genre_tag"
    " FROM heard WHERE genre IS NOT NULL",
)


def first_schema(db: sqlite3.Connection) -> None:
    """Make the tables of recsys 0.1 and mark the file as ours."""
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in _FIRST_SCHEMA:
        db.execute(statement)


_TAGS = (
    # JSON: [[name, mean, deviation], ...], empty for a model without tags.
    "ALTER TABLE models ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'",
    # NULL where the model has no tags.
    "ALTER TABLE analyses ADD COLUMN tags BLOB",
    "DROP VIEW listed",
    "DROP VIEW heard",
    _FIRST_SCHEMA[-2].replace("a.embedding,", "a.embedding, a.tags,"),
    _FIRST_SCHEMA[-1],
)


def tags(db: sqlite3.Connection) -> None:
    """Make room for the scores of a model's second head."""
    for statement in _TAGS:
        db.execute(statement)


_PARTS = (
    # genres: which labels sort the tracks into parts, see recsys.types.GENRE_SOURCES.
    "INSERT INTO meta (key, value) VALUES ('genres', 'gtzan')",
    # The strongest style among the tags; NULL where the model has none.
    "ALTER TABLE analyses ADD COLUMN style TEXT",
    # The genre that the file names, in the library's spelling; kept only while it sorts.
    "ALTER TABLE tracks ADD COLUMN own_genre TEXT",
    "CREATE TABLE own_genres (key TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID",
    "DROP VIEW listed",
    "DROP VIEW heard",
    _TAGS[-2].replace(
        "a.embedding,",
        "a.embedding, CASE (SELECT value FROM meta WHERE key = 'genres')"
        " WHEN 'tags' THEN coalesce(a.style, a.genre)"
        " WHEN 'own' THEN coalesce(t.own_genre, 'untagged') ELSE a.genre END AS part,",
    ),
    _FIRST_SCHEMA[-1].replace("warning,", "warning, part,"),
)


def parts(db: sqlite3.Connection) -> None:
    """Let the library be sorted by other labels than the model's genres."""
    for statement in _PARTS:
        db.execute(statement)


MIGRATIONS: tuple[Migration, ...] = (first_schema, tags, parts)
"""In order; the number of a migration is its place in the list, counted from 1."""


@contextmanager
def write_transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock from the first statement on; all that is done inside counts, or nothing.

    ``IMMEDIATE`` because a transaction that reads first and asks for the lock later can be refused
    without being allowed to wait.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        # SQLite has rolled back by itself after some errors, a full disk for one.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def schema_number(db: sqlite3.Connection) -> int:
    """Return the number of the last migration that was applied, 0 for an empty database."""
    found = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone()
    if found is None:
        return 0
    return int(db.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()[0])


def migrate(
    db: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS
) -> None:
    """Bring a database up to date.

    Parameters
    ----------
    db : sqlite3.Connection
        Open for writing, outside any transaction.
    path : Path
        Of the database, for messages.
    migrations : sequence of callables, optional
        The steps; the application's own unless a test says otherwise.

    Raises
    ------
    StoreError
        The database was written by a newer recsys.
    """
    while (number := schema_number(db)) < len(migrations):
        with write_transaction(db):
            # Another process may have been quicker while this one waited for the lock.
            if schema_number(db) == number:
                _apply(db, number, migrations[number])
    if number > len(migrations):
        raise StoreError(
            f"{path} was written by a newer recsys (schema {number}, known here: "
            f"{len(migrations)}).",
            "Update recsys, or choose another library with --db.",
        )


def _apply(db: sqlite3.Connection, number: int, migration: Migration) -> None:
    if number == 0:
        db.execute(
            "CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
            " applied TEXT NOT NULL)"
        )
    migration(db)
    db.execute(
        "INSERT INTO migrations (number, name, applied) VALUES (?, ?, ?)",
        (number + 1, migration.__name__, datetime.now(UTC).isoformat(timespec="seconds")),
    )
