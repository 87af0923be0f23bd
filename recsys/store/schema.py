# ruff: noqa: S608 (all names are those of this module)
"""The schema of the library database and its migrations, by sqlite-utils.

Imported only where a database is made or brought up to date, and where tables are written: loading
sqlite-utils takes longer than answering a query.

A released migration is never edited, only followed by another; :data:`SCHEMA_VERSION` in
:mod:`recsys.store.connection` counts them.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from recsys.store.numbers import compute_numbers
from recsys.store.rows import MIX_COLUMNS, is_intact, key_path
from recsys.store.search import file_text, name_key, normalise, search_keys
from recsys.taste.events import EventKind, Subject
from recsys.types import MOOD_NUMBERS, NOT_MUSIC, Effort, GenreSource, Kind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from enum import StrEnum


@contextmanager
def _without_pandas() -> Iterator[None]:
    """Let pandas count as not installed, unless it is loaded already."""
    modules = cast("dict[str, Any]", sys.modules)
    hidden = "pandas" not in modules
    if hidden:
        modules["pandas"] = None  # what Python takes for a module that is not there
    try:
        yield
    finally:
        if hidden:
            del modules["pandas"]


# It would be loaded for column types that recsys does not use: half a second and 50 MB.
with _without_pandas():
    from sqlite_utils import Database, Migrations

migrations = Migrations("recsys")


def tables_of(connection: sqlite3.Connection) -> Database:
    """Return the sqlite-utils database of a connection; plugins and triggers stay as they are."""
    return Database(connection, recursive_triggers=False, execute_plugins=False)


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the missing migrations; the caller holds the write transaction."""
    # sqlite-utils reads inside the lock which are missing: another process may have been faster.
    migrations.apply(tables_of(connection))


def _one_of(kinds: type[StrEnum]) -> str:
    return ", ".join(f"'{kind}'" for kind in kinds)


_TABLES = (
    # The effort is part of the identity of a model: see recsys.types.Effort.
    f"""CREATE TABLE models (
        id INTEGER PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        effort TEXT NOT NULL CHECK (effort IN ({_one_of(Effort)})),
        info TEXT NOT NULL, -- JSON: recsys.types.ModelInfo
        card TEXT NOT NULL, -- JSON: the model card
        checkpoint, -- path; NULL for the model that comes with recsys
        UNIQUE (fingerprint, effort))""",
    # One row. The revision rises with every transaction that changes the contents of the index; the
    # id is unique to this library.
    """CREATE TABLE library (
        id TEXT NOT NULL DEFAULT (lower(hex(randomblob(16)))),
        revision INTEGER NOT NULL DEFAULT 0,
        model INTEGER REFERENCES models (id),
        genre_source TEXT NOT NULL DEFAULT 'model'
            CHECK (genre_source IN ('model', 'tags', 'own')))""",
    "INSERT INTO library DEFAULT VALUES",
    # Paths have no declared type: TEXT where they are UTF-8, BLOB where they are not.
    # A volume is a disk that was mounted inside a root.
    """CREATE TABLE roots (
        path PRIMARY KEY NOT NULL,
        root INTEGER NOT NULL DEFAULT 0,
        volume INTEGER NOT NULL DEFAULT 0)""",
    # AUTOINCREMENT: the id of a removed track is never used again.
    """CREATE TABLE tracks (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        path NOT NULL UNIQUE,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        audio_hash TEXT NOT NULL,
        missing INTEGER NOT NULL DEFAULT 0,
        revision INTEGER NOT NULL,
        artist TEXT, album_artist TEXT, album TEXT, title TEXT,
        track_number INTEGER, year INTEGER, genre_tag TEXT,
        own_genre TEXT, -- genre tag in the library's spelling; kept only while it sorts
        -- Normalised by recsys.store.search.normalise, which does more than the tokenizer.
        search_artist TEXT NOT NULL, search_title TEXT NOT NULL,
        search_album TEXT NOT NULL, search_genre TEXT NOT NULL,
        search_keys TEXT NOT NULL)""",
    "CREATE INDEX tracks_by_hash ON tracks (audio_hash)",
    "CREATE INDEX tracks_by_revision ON tracks (revision)",
    # Short columns come before the arrays, so that reading them does not touch the arrays.
    """CREATE TABLE analyses (
        audio_hash TEXT NOT NULL,
        model INTEGER NOT NULL REFERENCES models (id),
        genre TEXT NOT NULL,
        style TEXT, -- the strongest style among the tags; NULL where the model has none
        duration_s REAL NOT NULL,
        warning TEXT,
        probabilities BLOB NOT NULL, embedding BLOB NOT NULL, tag_scores BLOB, -- float32
        PRIMARY KEY (audio_hash, model))""",
    """CREATE TABLE failures (
        path PRIMARY KEY NOT NULL,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        reason TEXT NOT NULL,
        version TEXT NOT NULL, -- of the program that recorded it: another version tries again
        retry INTEGER NOT NULL DEFAULT 0)""",
    "CREATE TABLE removals (track_id INTEGER PRIMARY KEY, revision INTEGER NOT NULL)",
    "CREATE INDEX removals_by_revision ON removals (revision)",
    "CREATE TABLE own_genres (key TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID",
    # Every track with its analysis by the current model; genre is NULL where there is none yet.
    """CREATE VIEW tracks_with_analysis AS SELECT t.*,
        a.genre, a.duration_s, a.warning, a.probabilities, a.embedding, a.tag_scores, a.model,
        CASE (SELECT genre_source FROM library)
            WHEN 'tags' THEN coalesce(a.style, a.genre)
            WHEN 'own' THEN coalesce(t.own_genre, 'untagged')
            ELSE a.genre END AS genre_group
        FROM tracks t LEFT JOIN analyses a
        ON a.audio_hash = t.audio_hash AND a.model = (SELECT model FROM library)""",
    # The tracks of answers, with the columns of recsys.store.rows.track_of.
    """CREATE VIEW analysed_tracks AS SELECT id, path, audio_hash, missing, genre, duration_s,
        warning, genre_group, artist, album_artist, album, title, track_number, year, genre_tag
        FROM tracks_with_analysis WHERE genre IS NOT NULL""",
)

_SEARCHED = ("search_artist", "search_title", "search_album", "search_genre", "search_keys")
_COLUMNS = ", ".join(_SEARCHED)
_NEW = ", ".join(f"new.{name}" for name in _SEARCHED)
_OLD = ", ".join(f"old.{name}" for name in _SEARCHED)
_CHANGED = " OR ".join(f"old.{name} IS NOT new.{name}" for name in _SEARCHED)

# Not enable_fts of sqlite-utils: it takes no prefix index, and its trigger would write the words of
# every track whenever a change of the model changes their revision.
_SEARCH = (
    # prefix: without an index of its own, the beginning of a word that every track holds takes
    # 100 ms at a million tracks, with one 1 ms. Marks count as letters: vowels of Indic scripts.
    f"""CREATE VIRTUAL TABLE tracks_fts USING fts5 ({_COLUMNS},
        content = 'tracks', content_rowid = 'id', prefix = '1 2 3 4 5 6',
        tokenize = "unicode61 remove_diacritics 2 categories 'L* N* M* Co'")""",
    f"""CREATE TRIGGER tracks_fts_insert AFTER INSERT ON tracks BEGIN
        INSERT INTO tracks_fts (rowid, {_COLUMNS}) VALUES (new.id, {_NEW}); END""",
    f"""CREATE TRIGGER tracks_fts_delete AFTER DELETE ON tracks BEGIN
        INSERT INTO tracks_fts (tracks_fts, rowid, {_COLUMNS})
        VALUES ('delete', old.id, {_OLD}); END""",
    f"""CREATE TRIGGER tracks_fts_update AFTER UPDATE OF {_COLUMNS} ON tracks WHEN {_CHANGED} BEGIN
        INSERT INTO tracks_fts (tracks_fts, rowid, {_COLUMNS})
        VALUES ('delete', old.id, {_OLD});
        INSERT INTO tracks_fts (rowid, {_COLUMNS}) VALUES (new.id, {_NEW}); END""",
)


@migrations()
def first_schema(db: Database) -> None:
    """Make the tables of recsys 0.1."""
    for statement in (*_TABLES, *_SEARCH):
        db.execute(statement)


_RADIO = (
    # Seeds and tracks are hashes of their sound, so that a session outlasts moves and new tags.
    """CREATE TABLE radio_sessions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        started TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
        seeds TEXT NOT NULL)""",  # JSON: recsys.types.Blend
    """CREATE TABLE radio_tracks (
        session INTEGER NOT NULL REFERENCES radio_sessions (id),
        position INTEGER NOT NULL, -- from 1
        audio_hash TEXT NOT NULL,
        PRIMARY KEY (session, position)) WITHOUT ROWID""",
)


@migrations()
def radio_and_whole_names(db: Database) -> None:
    """Add radio sessions, and index the names by which a track is found as a whole."""
    for statement in _RADIO:
        db.execute(statement)
    columns = "id, path, search_artist, search_title, search_album, search_genre"
    for track_id, path, *texts in db.execute(f"SELECT {columns} FROM tracks").fetchall():
        keys = search_keys((*texts, file_text(key_path(path))))
        db.execute("UPDATE tracks SET search_keys = ? WHERE id = ?", (keys, track_id))


@migrations()
def preferences_and_blends(db: Database) -> None:
    """Add the default filters of the lists, and queries that are kept under a name."""
    for statement in (
        # JSON, by the names of the fields of recsys.recommender.filters.Filters.
        "CREATE TABLE preferences (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE blends (
            key TEXT PRIMARY KEY, -- recsys.store.search.name_key of the name
            name TEXT NOT NULL,
            seeds TEXT NOT NULL) -- JSON: recsys.types.Blend
            WITHOUT ROWID""",
    ):
        db.execute(statement)


_EVENTS = (
    # The key is an audio hash, an artist, an album, or a folder: a path as in roots.
    f"""CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        time TEXT NOT NULL, -- UTC: recsys.taste.events.time_text
        kind TEXT NOT NULL CHECK (kind IN ({_one_of(EventKind)})),
        subject TEXT NOT NULL CHECK (subject IN ({_one_of(Subject)})),
        key NOT NULL,
        name TEXT NOT NULL,
        source TEXT NOT NULL,
        tracks TEXT NOT NULL, -- JSON: the audio hashes of the sounds that it stands for
        UNIQUE (key, time, kind, subject, source))""",
    "CREATE INDEX events_by_time ON events (time)",
    f"""CREATE INDEX bans_by_time ON events (time)
        WHERE kind IN ('{EventKind.BAN}', '{EventKind.UNBAN}')""",
)


@migrations()
def add_events(db: Database) -> None:
    """Make the table of what listeners said of tracks."""
    for statement in _EVENTS:
        db.execute(statement)


@migrations()
def language_and_time_of_addition(db: Database) -> None:
    """Keep the language tag, read when a file is read again, and when a track was added.

    Both are NULL for the tracks of before.
    """
    for statement in (
        "ALTER TABLE tracks ADD COLUMN language TEXT",
        "ALTER TABLE tracks ADD COLUMN added INTEGER",  # seconds since the epoch
        "DROP VIEW analysed_tracks",
        """CREATE VIEW analysed_tracks AS SELECT id, path, audio_hash, missing, genre, duration_s,
            warning, genre_group, added, artist, album_artist, album, title, track_number, year,
            genre_tag, language
            FROM tracks_with_analysis WHERE genre IS NOT NULL""",
    ):
        db.execute(statement)


@migrations()
def radio_by_words(db: Database) -> None:
    """Let a radio session have words for sound."""
    db.execute("ALTER TABLE radio_sessions ADD COLUMN words TEXT")


@migrations()
def origins_of_results(db: Database) -> None:
    """Keep what made an analysis, what helps with a failure, and the journal of the library.

    Analyses that are not numbers are deleted: the next run makes them again.
    """
    for statement in (
        "ALTER TABLE failures ADD COLUMN hint TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE analyses ADD COLUMN version TEXT",  # NULL for those of before
        "ALTER TABLE library ADD COLUMN journal TEXT NOT NULL DEFAULT 'wal'"
        " CHECK (journal IN ('wal', 'delete'))",
        "DROP VIEW tracks_with_analysis",
        # With the version of an analysis.
        """CREATE VIEW tracks_with_analysis AS SELECT t.*, a.genre, a.duration_s, a.warning,
            a.probabilities, a.embedding, a.tag_scores, a.model, a.version,
            CASE (SELECT genre_source FROM library)
                WHEN 'tags' THEN coalesce(a.style, a.genre)
                WHEN 'own' THEN coalesce(t.own_genre, 'untagged')
                ELSE a.genre END AS genre_group
            FROM tracks t LEFT JOIN analyses a
            ON a.audio_hash = t.audio_hash AND a.model = (SELECT model FROM library)""",
    ):
        db.execute(statement)
    arrays = "SELECT audio_hash, model, probabilities, embedding, tag_scores FROM analyses"
    damaged = [row[:2] for row in db.execute(arrays) if not is_intact(*row[2:])]
    if damaged:
        db.execute("UPDATE library SET revision = revision + 1")
    for sound, model in damaged:
        db.execute("DELETE FROM analyses WHERE audio_hash = ? AND model = ?", (sound, model))
        db.execute(
            "UPDATE tracks SET revision = (SELECT revision FROM library) WHERE audio_hash = ?",
            (sound,),
        )


@migrations()
def change_times_and_scan_rules(db: Database) -> None:
    """Keep when a file was last changed, what the library excludes, and what a scan passed over.

    All are NULL for what was there before.
    """
    for statement in (
        "ALTER TABLE tracks ADD COLUMN ctime_ns INTEGER",
        "ALTER TABLE library ADD COLUMN scan_rules TEXT",  # JSON: recsys.library.ScanRules
        "ALTER TABLE roots ADD COLUMN passed_over TEXT",  # JSON: recsys.types.PassedOver
    ):
        db.execute(statement)


@migrations()
def plain_letters(db: Database) -> None:
    """Find letters with strokes, and ligatures, as a keyboard without them types them.

    What is stored was normalised without that, and to normalise it again is enough.
    """
    names = ("search_artist", "search_title", "search_album", "search_genre")
    rows = db.execute(f"SELECT id, path, {', '.join(names)} FROM tracks").fetchall()
    for track_id, path, *texts in rows:
        renewed = ["\n".join(map(normalise, text.split("\n"))) for text in texts]
        file = file_text(key_path(path))
        if renewed == texts and file.isascii() and os.fsencode(path).isascii():
            continue
        values = dict(zip(names, renewed, strict=True))
        values["search_keys"] = search_keys((*renewed, file))
        assignments = ", ".join(f"{name} = :{name}" for name in values)
        db.execute(f"UPDATE tracks SET {assignments} WHERE id = :id", {**values, "id": track_id})
    for key, name in db.execute("SELECT key, name FROM blends").fetchall():
        # Of two that are spelt alike now, the other one keeps its key, and is listed all the same.
        db.execute("UPDATE OR IGNORE blends SET key = ? WHERE key = ?", (name_key(name), key))


@migrations()
def numbers_of_moods(db: Database) -> None:
    """Add energy, valence and other numbers, and compute them from the tag scores that are stored.

    The settings of :mod:`recsys.mood` are the library's; a model has the key of those with which
    its analyses were computed.
    """
    numbers = ", ".join(MOOD_NUMBERS)
    for statement in (
        *(f"ALTER TABLE analyses ADD COLUMN {name} REAL" for name in MOOD_NUMBERS),
        "ALTER TABLE library ADD COLUMN mood_settings TEXT",  # JSON: recsys.mood; NULL: as shipped
        "ALTER TABLE models ADD COLUMN mood_key TEXT",
        "DROP VIEW analysed_tracks",
        "DROP VIEW tracks_with_analysis",
        f"""CREATE VIEW tracks_with_analysis AS SELECT t.*, a.genre, a.duration_s, a.warning,
            a.probabilities, a.embedding, a.tag_scores, a.model, a.version, {numbers},
            CASE (SELECT genre_source FROM library)
                WHEN 'tags' THEN coalesce(a.style, a.genre)
                WHEN '{GenreSource.OWN}' THEN coalesce(t.own_genre, 'untagged')
                ELSE a.genre END AS genre_group
            FROM tracks t LEFT JOIN analyses a
            ON a.audio_hash = t.audio_hash AND a.model = (SELECT model FROM library)""",
        f"""CREATE VIEW analysed_tracks AS SELECT id, path, audio_hash, missing, genre, duration_s,
            warning, genre_group, added, {numbers}, artist, album_artist, album, title,
            track_number, year, genre_tag, language
            FROM tracks_with_analysis WHERE genre IS NOT NULL""",
    ):
        db.execute(statement)
    compute_numbers(db.conn)


@migrations()
def tempo_key_and_loudness(db: Database) -> None:
    """Add what is measured on request: by the sound, whatever its file and the model.

    A column ``..._by`` that is not NULL says that this was measured, also where nothing was found.
    """
    measured = ", ".join(MIX_COLUMNS)
    numbers = ", ".join(MOOD_NUMBERS)
    for statement in (
        """CREATE TABLE mixes (
            audio_hash TEXT PRIMARY KEY,
            tempo REAL, tempo_confidence REAL, tempo_by TEXT,
            key TEXT, key_confidence REAL, key_by TEXT,
            loudness REAL, true_peak REAL, loudness_by TEXT,
            failure TEXT, failed_with TEXT) -- reason, and what made it: recsys.store.made_by
            WITHOUT ROWID""",
        "DROP VIEW analysed_tracks",
        f"""CREATE VIEW analysed_tracks AS SELECT id, path, audio_hash, missing, genre, duration_s,
            warning, genre_group, added, {numbers}, {measured}, artist, album_artist, album, title,
            track_number, year, genre_tag, language
            FROM tracks_with_analysis LEFT JOIN mixes USING (audio_hash) WHERE genre IS NOT NULL""",
    ):
        db.execute(statement)


@migrations()
def genres_among_all(db: Database) -> None:
    """Keep the genre of each analysis among all that its model knows, which sorts a new library.

    One of before keeps the genres of the model's head until ``recsys index --genres all``. The
    column of styles, by which nothing is sorted any more, takes the name; its values are replaced
    before they are used.
    """
    names = ("tracks_with_analysis", "analysed_tracks")
    views = [
        db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0]
        for name in names
    ]
    source, model = db.execute("SELECT genre_source, model FROM library").fetchone()
    for name in reversed(names):
        db.execute(f"DROP VIEW {name}")
    db.execute("ALTER TABLE analyses RENAME COLUMN style TO label")
    db.execute("ALTER TABLE library DROP COLUMN genre_source")
    db.execute(
        f"ALTER TABLE library ADD COLUMN genre_source TEXT NOT NULL DEFAULT '{GenreSource.ALL}'"
        f" CHECK (genre_source IN ({_one_of(GenreSource)}))"
    )
    for sql in views:
        db.execute(sql.replace("'tags' THEN coalesce(a.style", "'all' THEN coalesce(a.label"))
    if model is not None:
        kept = GenreSource.OWN if source == "own" else GenreSource.MODEL
        db.execute("UPDATE library SET genre_source = ?", (str(kept),))
        if source == "tags":  # every track changes its group
            db.execute("UPDATE library SET revision = revision + 1")
            db.execute("UPDATE tracks SET revision = (SELECT revision FROM library)")


@migrations()
def kinds_of_tracks(db: Database) -> None:
    """Keep whether a track is music, and how much of it is sung.

    All are NULL for analyses of before, till :meth:`recsys.store.Store.find_kinds`.
    """
    # Genre and group of what is no music are its kind, so that it makes no tier; what the files say
    # of their own group is kept.
    no_music = f"a.kind IN ({', '.join(map(repr, map(str, NOT_MUSIC)))})"
    source = "(SELECT genre_source FROM library)"
    numbers, measured = ", ".join(MOOD_NUMBERS), ", ".join(MIX_COLUMNS)
    for statement in (
        f"ALTER TABLE analyses ADD COLUMN kind TEXT CHECK (kind IN ({_one_of(Kind)}))",
        "ALTER TABLE analyses ADD COLUMN kind_probability REAL",  # of this kind
        "ALTER TABLE analyses ADD COLUMN vocals REAL",  # in [0, 1]
        # The head that found the kinds of all analyses of a model: recsys.kinds.head_name.
        "ALTER TABLE models ADD COLUMN kind_head TEXT",
        "DELETE FROM preferences WHERE name = 'no_speech'",  # now it is so without
        "DROP VIEW analysed_tracks",
        "DROP VIEW tracks_with_analysis",
        f"""CREATE VIEW tracks_with_analysis AS SELECT t.*,
            CASE WHEN {no_music} THEN a.kind ELSE a.genre END AS genre,
            a.duration_s, a.warning, a.probabilities, a.embedding, a.tag_scores, a.model,
            a.version, {numbers}, a.kind, a.kind_probability, a.vocals,
            CASE WHEN {source} = '{GenreSource.OWN}' THEN coalesce(t.own_genre, 'untagged')
                WHEN {no_music} THEN a.kind
                WHEN {source} = '{GenreSource.ALL}' THEN coalesce(a.label, a.genre)
                ELSE a.genre END AS genre_group
            FROM tracks t LEFT JOIN analyses a
            ON a.audio_hash = t.audio_hash AND a.model = (SELECT model FROM library)""",
        f"""CREATE VIEW analysed_tracks AS SELECT id, path, audio_hash, missing, genre, duration_s,
            warning, genre_group, kind, kind_probability, vocals, added, {numbers}, {measured},
            artist, album_artist, album, title, track_number, year, genre_tag, language
            FROM tracks_with_analysis LEFT JOIN mixes USING (audio_hash) WHERE genre IS NOT NULL""",
    ):
        db.execute(statement)


@migrations()
def playlists_and_waveforms(db: Database) -> None:
    """Add saved playlists, the waveforms that players show, and what steers a radio session."""
    for statement in (
        """CREATE TABLE playlists (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL,
            made TEXT NOT NULL, -- UTC, ISO 8601
            changed TEXT NOT NULL,
            recipe TEXT, -- JSON: how it is made again; NULL where it was put together by hand
            tracks TEXT NOT NULL)""",  # JSON: audio hashes, so that it outlasts moves and new tags
        # What was said of its tracks, apart from its seeds, by which a session is found again.
        "ALTER TABLE radio_sessions ADD COLUMN steering TEXT",  # JSON: recsys.types.Blend
        # Peaks from 0 to 255, over the whole sound.
        "CREATE TABLE waveforms (audio_hash TEXT PRIMARY KEY, peaks BLOB NOT NULL) WITHOUT ROWID",
    ):
        db.execute(statement)
