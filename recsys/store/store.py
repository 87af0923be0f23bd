"""The library database as one class; see :mod:`recsys.store`."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property, lru_cache, reduce, wraps
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import numpy as np

from recsys.errors import DAMAGED_ANALYSES, StoreError
from recsys.kinds import head_name, kinds_of
from recsys.mounts import network_file_system
from recsys.names import first_genre, merge_spellings, spelling_key
from recsys.store.connection import (
    check_in_place,
    connect,
    set_journal,
    store_error,
    write_transaction,
)
from recsys.store.labels import find_labels, labels_of
from recsys.store.rows import (
    MIX_COLUMNS,
    Changes,
    StoredFile,
    TrackRecord,
    Unmeasured,
    analysis_of,
    are_units,
    array_blob,
    blend_of,
    blend_text,
    blob_array,
    blob_matrix,
    has_length,
    is_intact,
    key_path,
    model_dict,
    model_of,
    path_key,
    ranges_under,
    reading,
    record_dict,
    track_of,
)
from recsys.store.search import (
    MOST_MATCHES,
    file_text,
    full_text_queries,
    like_words,
    name_key,
    rank_matches,
    search_terms,
    search_texts,
    storable_text,
    text_matcher,
)
from recsys.taste import Bans, Event, EventKind, Subject
from recsys.taste.events import parse_time, time_text
from recsys.types import (
    CERTAIN_FROM,
    MOOD_NUMBERS,
    UNKNOWN,
    Blend,
    Failure,
    GenreSource,
    Kind,
    MixKind,
    PassedOver,
    Problem,
    SavedPlaylist,
    TrackFile,
)

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Container,
        Iterable,
        Iterator,
        Sequence,
    )
    from datetime import datetime

    import numpy.typing as npt
    from sqlite_utils import Database

    from recsys.kinds import JudgedKind
    from recsys.mood import MoodNumbers
    from recsys.store.rows import PathKey
    from recsys.types import Analysis, FloatArray, IdArray, Mix, ModelInfo, Range, Track

ORDERS: Mapping[str, tuple[str, ...]] = {
    "added": ("id",),
    "artist": ("search_artist", "search_album", "track_number", "search_title", "id"),
    "title": ("search_title", "search_artist", "id"),
    "album": ("search_album", "track_number", "search_title", "id"),
    "year": ("year", "search_artist", "search_album", "track_number", "id"),
    "duration": ("duration_s", "id"),
}
"""Orders of the tracks, by name, with their columns."""

_CERTAIN = f"coalesce(tempo_confidence, 1) >= {CERTAIN_FROM}"
_NUMBER_COLUMNS = {"tempo": f"CASE WHEN {_CERTAIN} THEN tempo END"}
"""What the numbers of tracks are in SQL, where that is not the column of their name."""

_NONE = type(None)

_PAGE = 1000
"""Rows read at a time, so that memory stays flat and the table may be written to in between."""

# Text paths are looked up together, as JSON; JSON has no bytes, so byte paths come one by one.
_LOOKUP_TRACKS = (
    "SELECT path, id, size, mtime_ns, audio_hash, genre, NULL, missing, warning,"
    # CASE: the version lies behind the arrays, and is read only where there is a warning.
    " CASE WHEN warning IS NULL THEN FALSE ELSE version IS NOT ?3 END, ctime_ns"
    " FROM tracks_with_analysis WHERE path IN (SELECT value FROM json_each(?1) UNION ALL SELECT ?2)"
)
_LOOKUP_FAILURES = (
    "SELECT path, NULL, size, mtime_ns, NULL, NULL, reason, FALSE, NULL, retry OR version <> ?3,"
    " NULL"
    " FROM failures WHERE path IN (SELECT value FROM json_each(?1) UNION ALL SELECT ?2)"
)
_MATCHES = "SELECT rowid FROM tracks_fts WHERE tracks_fts MATCH ? LIMIT ?"
_TEXTS = (
    "SELECT id, path, search_artist, search_title, search_album, search_genre FROM tracks"
    " WHERE id IN (SELECT value FROM json_each(?))"
)
_VOCABULARY = "SELECT term FROM temp.vocabulary WHERE term >= ? AND term < ?"
_EVENTS = "SELECT time, kind, subject, key, name, source, tracks FROM events"
_PLAYLISTS = "SELECT id, name, made, changed, recipe, tracks FROM playlists"
_RESTORE = "Restore the database from a backup, or move it elsewhere and index again."
_NAMED_AT_MOST = 3  # paths in the text of a problem
# Their texts, what helps, and what counts them.
_PROBLEMS: tuple[tuple[str, str, str], ...] = (
    (
        "Tracks, but no model",
        _RESTORE,
        "SELECT count(*) FROM tracks WHERE (SELECT model FROM library) IS NULL",
    ),
    (
        "Tracks without an analysis by the current model",
        "recsys index makes the missing analyses.",
        "SELECT count(*) FROM tracks_with_analysis WHERE genre IS NULL",
    ),
    (
        "Files that are both tracks and failures",
        _RESTORE,
        "SELECT count(*) FROM tracks JOIN failures USING (path)",
    ),
    (
        "Tracks with values of a wrong kind, which are left out",
        _RESTORE,
        # As recsys.store.rows.track_of replaces them.
        "SELECT count(*) FROM tracks WHERE "  # noqa: S608 (our own names)
        + " OR ".join(
            f"typeof({name}) NOT IN ('{kind}', 'null')"
            for kind, names in (
                ("text", ("artist", "album_artist", "album", "title", "genre_tag", "language")),
                ("integer", ("track_number", "year", "added")),
            )
            for name in names
        ),
    ),
)


P = ParamSpec("P")
R = TypeVar("R")


def _guarded(method: Callable[Concatenate[Store, P], R]) -> Callable[Concatenate[Store, P], R]:
    """Wrap a method so that errors of SQLite are raised as StoreError."""

    @wraps(method)
    def wrapper(self: Store, /, *args: P.args, **kwargs: P.kwargs) -> R:
        # A plain try costs nothing without an error, unlike a context manager: some of these
        # methods are called once per file.
        try:
            return method(self, *args, **kwargs)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise store_error(self.path, error) from error

    return wrapper


@lru_cache(maxsize=1)
def made_by() -> str:
    """Return the versions on which a result depends: of recsys, and of what decodes for it.

    The packages hold the libraries: soundfile has libsndfile, av has FFmpeg.
    """
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in ("recsys", "soundfile", "av", "soxr"))


@lru_cache(maxsize=4)
@reading
def _parsed_model(info: str) -> ModelInfo:
    """Return the model of a stored text; every query asks for it several times."""
    model = model_of(json.loads(info))
    model.confusion.flags.writeable = False  # shared by all who ask
    return model


class Store:
    """The library database, open. Make one with :meth:`Store.open`; close it, or use ``with``.

    One connection, which one thread uses. Any number of processes may read while one writes. It is
    a :class:`recsys.types.Catalogue`.
    """

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self._path = path
        self._db = database
        self._bans = (0, Bans())  # with the id of the last event that they know

    # Opening and closing

    @classmethod
    def open(cls, path: Path, *, create: bool = False, read_only: bool = False) -> Self:
        """Open a library, and migrate one of an older recsys.

        ``create`` makes a missing one, and its folder. ``read_only`` never writes, and works on a
        read-only file system.

        Raises
        ------
        StoreError
            The file is missing, a folder, no database, another program's, damaged, newer than
            this recsys, or cannot be written.
        """
        return cls(path, connect(path, create=create, read_only=read_only))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __del__(self) -> None:
        # With its last user: a thread that ended, or a query that outlived Library.close().
        self._db.close()

    @_guarded
    def close(self) -> None:
        """Close the database. Closing twice is fine."""
        self._db.close()

    @property
    def path(self) -> Path:
        """The database file."""
        return self._path

    @property
    def revision(self) -> int:
        """Counts the transactions that changed the contents of the index."""
        return int(self._value("SELECT revision FROM library"))

    @property
    def state(self) -> tuple[str, int, bytes]:
        """Differs after every change of tracks, analyses or tags: a key for what is made of them.

        New tags alone leave the revision as it is. The full-text index then writes its structure
        anew (its row 10), which is read at once, however many tracks there are.
        """
        words = self._value("SELECT block FROM tracks_fts_data WHERE id = 10")
        return self.library_id, self.revision, words

    @property
    def data_version(self) -> int:
        """Differs after every transaction of another connection, as long as this one is open."""
        return int(self._value("PRAGMA data_version"))

    @property
    def library_id(self) -> str:
        """Unique to this library; made with the database, 32 hexadecimal digits."""
        return str(self._value("SELECT id FROM library"))

    @_guarded
    def _rows(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        return self._db.execute(sql, parameters).fetchall()

    @_guarded
    def _row(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._db.execute(sql, parameters).fetchone()
        return row

    def _value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:  # noqa: ANN401
        row = self._row(sql, parameters)
        return None if row is None else row[0]

    def _pages(self, sql: str, bounds: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        """Read rows in pages; the first column is the key after which the next page starts."""
        last, *rest = bounds
        while rows := self._rows(sql, (last, *rest, _PAGE)):
            yield from rows
            last = rows[-1][0]

    @cached_property
    def _tables(self) -> Database:
        # Imported at the first write: loading sqlite-utils takes longer than a query.
        from recsys.store.schema import tables_of

        return tables_of(self._db)

    # The model

    def model(self) -> ModelInfo | None:
        """Return the library's current model, None before the first one is set."""
        info = self._value("SELECT info FROM models JOIN library ON models.id = model")
        return None if info is None else _parsed_model(info)

    def model_card(self) -> str | None:
        """Return the card of the current model, JSON."""
        card: str | None = self._value("SELECT card FROM models JOIN library ON models.id = model")
        return card

    def model_path(self) -> Path | None:
        """Return the checkpoint of the current model, None for the shipped one."""
        key = self._value("SELECT checkpoint FROM models JOIN library ON models.id = model")
        return None if key is None else key_path(key)

    @_guarded
    def set_model(self, info: ModelInfo, card_json: str, checkpoint: Path | None = None) -> None:
        """Make this the library's current model; no checkpoint means the shipped one.

        With another model or effort than before, every track counts as changed, and the index is
        rebuilt. Analyses of earlier models stay until :meth:`drop_orphans`.
        """
        with write_transaction(self._db):
            before = self._value("SELECT model FROM library")
            if before != self._put_model(info, card_json, checkpoint):
                self._change_all()
            self._compute_numbers()

    @_guarded
    def change_head(
        self,
        info: ModelInfo,
        card_json: str,
        checkpoint: Path,
        probabilities_of: Callable[[FloatArray], FloatArray],
        *,
        before: ModelInfo,
    ) -> int:
        """Make another track head over the same embeddings the library's model.

        One transaction copies every analysis of the model `before` with new probabilities, shape
        (n, n_genres), of embeddings, shape (n, d). The earlier analyses stay, as after every change
        of model. Returns the number of copies.

        Raises
        ------
        StoreError
            The library's model was changed meanwhile, or the database cannot be written.
        """
        with write_transaction(self._db):
            present, old = self.model(), self._value("SELECT model FROM library")
            same = present is not None and present.identity == before.identity
            if not same or before.dimension != info.dimension:
                raise StoreError(
                    f"The library's model is no longer {before.fingerprint} at effort"
                    f" {before.effort}; it was changed meanwhile.",
                    "Nothing was replaced; give the command again.",
                )
            new = self._put_model(info, card_json, checkpoint)
            count = self._rescore(info, old, new, probabilities_of)
            self._change_all()
            self._compute_numbers()
        return count

    def _put_model(self, info: ModelInfo, card_json: str, checkpoint: Path | None) -> int:
        """Write a model and make it the current one; return its id."""
        model: int = self._db.execute(
            "INSERT INTO models (fingerprint, effort, info, card, checkpoint)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (fingerprint, effort) DO UPDATE SET"
            " info = excluded.info, card = excluded.card, checkpoint = excluded.checkpoint"
            " RETURNING id",
            (
                *info.identity,
                json.dumps(model_dict(info)),
                card_json,
                None if checkpoint is None else path_key(checkpoint),
            ),
        ).fetchone()[0]
        self._db.execute("UPDATE library SET model = ?", (model,))
        return model

    def _rescore(
        self,
        info: ModelInfo,
        old: int,
        new: int,
        probabilities_of: Callable[[FloatArray], FloatArray],
    ) -> int:
        count = 0
        columns = "duration_s, warning, embedding, tag_scores, version"
        columns += ", kind, kind_probability, vocals"
        sql = (
            f"SELECT audio_hash, {columns} FROM analyses"  # noqa: S608 (our own columns)
            " WHERE model = ? AND audio_hash > ? ORDER BY audio_hash LIMIT ?"
        )
        last = ""
        while rows := self._rows(sql, (old, last, _PAGE)):
            last, count = rows[-1][0], count + len(rows)
            embeddings = blob_matrix([row[3] for row in rows], info.dimension)
            scores = np.asarray(probabilities_of(embeddings), dtype=np.float32)
            tags = [blob_array(row[4] or b"") for row in rows]
            self._tables.table("analyses").upsert_all(
                (
                    {
                        **dict(zip(("audio_hash", *columns.split(", ")), row, strict=True)),
                        "model": new,
                        "genre": info.top_genre(score),
                        "label": label,
                        "probabilities": array_blob(score),
                    }
                    for row, score, label in zip(
                        rows, scores, labels_of(info, scores, tags), strict=True
                    )
                ),
                pk=("audio_hash", "model"),
            )
        return count

    def _change_all(self) -> None:
        """Mark every track as changed."""
        self._db.execute("UPDATE library SET revision = revision + 1")
        self._db.execute("UPDATE tracks SET revision = (SELECT revision FROM library)")

    # Numbers of moods

    def moods(self) -> MoodNumbers:
        """Return how the library computes energy, valence and so on."""
        from recsys.mood.numbers import mood_numbers

        return mood_numbers(self._value("SELECT mood_settings FROM library"))

    @_guarded
    def set_moods(self, settings: str | None) -> int:
        """Store other settings, see :func:`recsys.mood.numbers.settings_text`; compute by them.

        Returns how many analyses have been computed.
        """
        with write_transaction(self._db):
            self._db.execute("UPDATE library SET mood_settings = ?", (settings,))
            return self._compute_numbers()

    @_guarded
    def compute_moods(self) -> int:
        """Compute the numbers of all analyses, unless they are of the present settings.

        Another version of recsys may have another table. Returns how many have been computed.
        """
        with write_transaction(self._db):
            return self._compute_numbers()

    def _compute_numbers(self) -> int:
        from recsys.store.numbers import compute_numbers

        return compute_numbers(self._db)

    def numbers(self) -> npt.NDArray[np.float64]:
        """Return the numbers of all analysed music by id, NaN where not known.

        Shape (n, n_numbers), in the order of ``MOOD_NUMBERS``.
        """
        names = ", ".join(MOOD_NUMBERS)
        sql = (
            f"SELECT {names} FROM tracks_with_analysis WHERE genre IS NOT NULL"  # noqa: S608 (ours)
            f" AND coalesce(kind, '{Kind.MUSIC}') = '{Kind.MUSIC}' ORDER BY id"
        )
        rows = self._rows(sql)
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(MOOD_NUMBERS))

    # Tempo, key and loudness

    def unmeasured(
        self, kinds: Collection[MixKind], roots: Iterable[Path], *, retry: bool = False
    ) -> list[Unmeasured]:
        """Return the sounds in some folders or files that lack some kinds, one file of each.

        Those that failed are left out, unless they did so with other versions, or with `retry`.
        """
        lacking = ", ".join(f"m.{kind}_by IS NULL AS no_{kind}" for kind in MixKind)
        wanted = " OR ".join(f"no_{kind}" for kind in sorted(kinds))
        select = (
            "SELECT path, audio_hash, duration_s, failure, failed_with, no_tempo, no_key,"  # noqa: S608 (ours)
            f" no_loudness FROM (SELECT t.path, t.audio_hash, t.duration_s, {lacking}, m.failure,"
            " m.failed_with FROM tracks_with_analysis t"
            " LEFT JOIN mixes m ON m.audio_hash = t.audio_hash"
            f" WHERE NOT t.missing AND ({wanted}))"
        )
        found: dict[str, Unmeasured] = {}
        for root in roots:
            for key, sound, duration_s, failure, failed_with, *lacks in self._rows_under(
                root, select
            ):
                if failure is not None and failed_with == made_by() and not retry:
                    continue
                own = [k for k, lack in zip(MixKind, lacks, strict=True) if lack and k in kinds]
                found.setdefault(
                    sound, Unmeasured(key_path(key), sound, duration_s or 0.0, tuple(own))
                )
        return [*found.values()]

    @_guarded
    def write_mixes(self, measured: Iterable[tuple[Unmeasured, Mix | str]]) -> None:
        """Store what was measured of some sounds, or why it could not be, in one transaction.

        Of a mix, the kinds that were wanted count.
        """
        with write_transaction(self._db):
            for wanted, result in measured:
                if isinstance(result, str):
                    row: dict[str, Any] = {
                        "failure": storable_text(result),
                        "failed_with": made_by(),
                    }
                else:
                    row = {"failure": None, "failed_with": None}
                    names = [n for n in MIX_COLUMNS if _kind_of(n) in wanted.kinds]
                    row |= {name: getattr(result, name) for name in names}
                columns, marks = ", ".join(row), ", ".join("?" * len(row))
                changes = ", ".join(f"{name} = excluded.{name}" for name in row)
                self._db.execute(
                    f"INSERT INTO mixes (audio_hash, {columns}) VALUES (?, {marks})"  # noqa: S608 (ours)
                    f" ON CONFLICT (audio_hash) DO UPDATE SET {changes}",
                    (wanted.audio_hash, *row.values()),
                )

    def mix_counts(self) -> dict[str, int]:
        """Return how many sounds have a ``tempo``, ``key`` and ``loudness``, and how many failed.

        A tempo or key counts where it is certain enough for lists.
        """
        certain = "({0} IS NOT NULL AND coalesce({0}_confidence, 1) >= ?1)"
        row = self._row(
            f"SELECT total({certain.format('tempo')}), total({certain.format('key')}),"  # noqa: S608 (ours)
            " count(loudness), count(failure) FROM mixes"
            " WHERE audio_hash IN (SELECT audio_hash FROM tracks)",
            (CERTAIN_FROM,),
        )
        names = (*map(str, MixKind), "failed")
        return {name: int(count) for name, count in zip(names, row or (), strict=True)}

    # Genre groups

    def genre_source(self) -> GenreSource:
        """Return the labels that sort the tracks into genre groups."""
        return reading(GenreSource)(self._value("SELECT genre_source FROM library"))

    def genre_counts(self) -> dict[str, int]:
        """Return the number of analysed tracks in each genre group, in the order of the names."""
        sql = (
            # Not of analysed_tracks, which joins what was measured.
            "SELECT genre_group, count(*) FROM tracks_with_analysis WHERE genre IS NOT NULL"
            " GROUP BY 1 ORDER BY 1"
        )
        return dict(self._rows(sql))

    @_guarded
    def set_genre_source(self, source: str) -> None:
        """Sort the tracks by other labels; the caller updates the index. Nothing is analysed again.

        Setting ``own`` again names the genres of the files by the spelling that is now the
        commonest. A name that is no :class:`~recsys.types.GenreSource` is a StoreError.
        """
        if source not in list(GenreSource):
            raise StoreError(
                f"A library cannot be sorted by {source!r}.", f"Known: {', '.join(GenreSource)}."
            )
        with write_transaction(self._db):
            if source == GenreSource.OWN:
                self._merge_own_genres()
            if source == GenreSource.ALL:
                find_labels(self._db)
            # Libraries call the genres of the head as they did when they were made.
            stored = "model" if source == GenreSource.GTZAN else str(source)
            self._db.execute("UPDATE library SET genre_source = ?", (stored,))
            self._change_all()

    def _own_genre(self, tag: str | None) -> str | None:
        """Return the library's spelling of the first name in a genre tag; None without one.

        It is the commonest one when the library was last sorted by these genres, else the first.
        """
        name = first_genre(storable_text(tag))
        if name is None:
            return None
        key = spelling_key(name)
        self._db.execute("INSERT OR IGNORE INTO own_genres (key, name) VALUES (?, ?)", (key, name))
        return str(self._value("SELECT name FROM own_genres WHERE key = ?", (key,)))

    def _merge_own_genres(self) -> None:
        """Name the genre of every track by the commonest spelling in the library."""
        tags = self._rows(
            "SELECT genre_tag, count(*) FROM tracks WHERE genre_tag IS NOT NULL GROUP BY genre_tag"
        )
        first = {tag: name for tag, _ in tags if (name := first_genre(tag))}
        merged = merge_spellings(
            first[tag] for tag, count in tags if tag in first for _ in range(count)
        )
        names = {genre.key: genre.name for genre in merged}
        self._db.execute("DELETE FROM own_genres")
        own = ({"key": key, "name": name} for key, name in names.items())
        self._tables.table("own_genres").insert_all(own)
        meant = {tag: names[spelling_key(name)] for tag, name in first.items()}
        self._db.execute("CREATE TEMP TABLE meant (tag TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID")
        self._db.executemany("INSERT INTO meant VALUES (?, ?)", meant.items())
        self._db.execute(
            "UPDATE tracks SET own_genre = (SELECT name FROM meant WHERE tag = genre_tag)"
        )
        self._db.execute("DROP TABLE meant")

    # Kinds

    def kinds_in_groups(self) -> dict[tuple[str, str | None], int]:
        """Return the number of analysed tracks of each genre group and kind, None without one."""
        sql = "SELECT genre_group, kind, count(*) FROM analysed_tracks GROUP BY 1, 2 ORDER BY 1, 2"
        return {(group, kind): count for group, kind, count in self._rows(sql)}

    def kind_counts(self) -> dict[str | None, int]:
        """Return the number of analysed tracks of each kind; None counts those without one."""
        counts: Counter[str | None] = Counter()
        for (_, kind), count in self.kinds_in_groups().items():
            counts[kind] += count
        return dict(counts)

    @_guarded
    def find_kinds(self) -> int:
        """Store the kind of every analysis by the current model, where another head found it.

        What is found anew in a library of before: nothing is decoded. Returns how many tracks
        changed their kind, which the index has to follow.
        """
        model = self.model()
        head = None if model is None else head_name(model)
        known = "SELECT kind_head FROM models JOIN library ON models.id = model"
        if model is None or head is None or self._value(known) == head:
            return 0
        changed: list[str] = []
        sql = (
            "SELECT rowid, audio_hash, kind, embedding, tag_scores FROM analyses WHERE rowid > ?"
            " AND model = (SELECT model FROM library) ORDER BY rowid LIMIT ?"
        )
        with write_transaction(self._db):
            last = -1
            while rows := self._rows(sql, (last, _PAGE)):
                last = rows[-1][0]
                rows = [row for row in rows if is_intact(b"", row[3], row[4])]
                rows = [row for row in rows if has_length(row[4], len(model.tags))]
                embeddings = blob_matrix([row[3] for row in rows], model.dimension)
                scores = blob_matrix([row[4] for row in rows], len(model.tags))
                found = [_kind_values(each) for each in kinds_of(model, embeddings, scores)]
                self._db.executemany(
                    "UPDATE analyses SET kind = ?, kind_probability = ?, vocals = ?"
                    " WHERE rowid = ?",
                    [(*values.values(), row[0]) for values, row in zip(found, rows, strict=True)],
                )
                changed += [
                    row[1]
                    for values, row in zip(found, rows, strict=True)
                    # Without a kind, a track was sorted as music.
                    if values["kind"] != (row[2] or Kind.MUSIC)
                ]
            self._db.execute(
                "UPDATE models SET kind_head = ? WHERE id = (SELECT model FROM library)", (head,)
            )
            if changed:
                self._db.execute("UPDATE library SET revision = revision + 1")
                self._db.execute(
                    "UPDATE tracks SET revision = (SELECT revision FROM library)"
                    " WHERE audio_hash IN (SELECT value FROM json_each(?))",
                    (json.dumps(changed),),
                )
        return len(changed)

    # Analyses

    def analysis(self, track_id: int) -> Analysis | None:
        """Return the analysis of a track by the current model, None where there is none yet."""
        return self.analyses([track_id]).get(int(track_id))

    def analyses(self, ids: Iterable[int]) -> dict[int, Analysis]:
        """Return the analyses of these tracks by the current model, where there are any."""
        model = self.model()
        if model is None:
            return {}
        sql = (
            "SELECT id, probabilities, embedding, coalesce(tag_scores, x'')"
            " FROM tracks_with_analysis"
            " WHERE id IN (SELECT value FROM json_each(?)) AND genre IS NOT NULL"
        )
        names = ("probabilities", "embedding", "tag_scores")
        return {
            track_id: analysis_of(
                dict(zip(names, map(blob_array, blobs), strict=True)), model.identity
            )
            for track_id, *blobs in self._rows(sql, (_json_ids(ids),))
            if is_intact(blobs[0], blobs[1], blobs[2], model)
        }

    def analysed_hash(self, audio_hash: str) -> bool:
        """Return whether there is an analysis of this sound by the current model, without warning.

        One with a warning does not count: the present file may be a repaired copy.
        """
        found = self._row(
            "SELECT 1 FROM analyses WHERE audio_hash = ? AND warning IS NULL"
            " AND model = (SELECT model FROM library)",
            (audio_hash,),
        )
        return found is not None

    def tag_scores(self, ids: Iterable[int]) -> dict[int, FloatArray]:
        """Return the tag scores of these tracks, shape (n_tags,); ids without any are left out."""
        sql = (
            "SELECT id, tag_scores FROM tracks_with_analysis"
            " WHERE tag_scores IS NOT NULL AND id IN (SELECT value FROM json_each(?))"
        )
        return {
            row[0]: blob_array(row[1])
            for row in self._rows(sql, (_json_ids(ids),))
            if is_intact(b"", b"", row[1])
        }

    def all_tag_scores(self) -> tuple[IdArray, FloatArray]:
        """See :meth:`recsys.types.Catalogue.all_tag_scores`."""
        model = self.model()
        rows = self._rows(
            "SELECT id, tag_scores FROM tracks_with_analysis WHERE tag_scores IS NOT NULL"
            " ORDER BY id"
        )
        length = len(model.tags) if model else 0
        rows = [row for row in rows if has_length(row[1], length)]  # as in _columns
        scores = blob_matrix([row[1] for row in rows], length)
        sound = np.asarray(np.isfinite(scores).all(axis=1))
        return np.array([row[0] for row in rows], dtype=np.int64)[sound], scores[sound]

    def all_labels(self) -> tuple[IdArray, list[str], FloatArray]:
        """See :meth:`recsys.types.Catalogue.all_labels`."""
        rows = self._rows(
            "SELECT id, genre_group, year FROM tracks_with_analysis WHERE genre IS NOT NULL"
            " ORDER BY id"
        )
        ids = np.array([row[0] for row in rows], dtype=np.int64)
        years = np.array([row[2] for row in rows], dtype=np.float32)  # None becomes NaN
        return ids, [row[1] for row in rows], years

    # Contents of the index

    def iter_embeddings(
        self, batch: int = 10_000
    ) -> Iterator[tuple[IdArray, list[str], FloatArray]]:
        """Iterate over the contents of the index in batches by id: ids, genre groups, embeddings.

        The embeddings are float32, shape (n, d), at most ``batch`` at a time.
        """
        last = -1
        sql = (
            "SELECT id, genre_group, embedding FROM tracks_with_analysis"
            " WHERE id > ? AND genre IS NOT NULL ORDER BY id LIMIT ?"
        )
        while rows := self._rows(sql, (last, batch)):
            yield self._columns(rows)
            last = rows[-1][0]

    def damaged_analyses(self) -> list[tuple[int, Path]]:
        """Return id and path of the tracks whose analysis is not numbers, or of a wrong length."""
        model = self.model()
        sql = (
            "SELECT id, path, probabilities, embedding, tag_scores FROM tracks_with_analysis"
            " WHERE id > ? AND genre IS NOT NULL ORDER BY id LIMIT ?"
        )
        return [
            (track_id, key_path(key))
            for track_id, key, probabilities, embedding, tag_scores in self._pages(sql, (-1,))
            if not is_intact(probabilities, embedding, tag_scores, model)
        ]

    @_guarded
    def delete_analyses(self, track_ids: Iterable[int]) -> None:
        """Delete the analyses of these tracks, which the next run makes again."""
        asked = (_json_ids(track_ids),)
        sounds = (
            "audio_hash IN (SELECT audio_hash FROM tracks"
            " WHERE id IN (SELECT value FROM json_each(?)))"
        )
        with write_transaction(self._db):
            self._db.execute("UPDATE library SET revision = revision + 1")
            self._db.execute(
                "UPDATE tracks SET revision = (SELECT revision FROM library)"  # noqa: S608 (ours)
                f" WHERE {sounds}",
                asked,
            )
            self._db.execute(f"DELETE FROM analyses WHERE {sounds}", asked)  # noqa: S608 (ours)

    def change_count(self, revision: int) -> int:
        """Return how many tracks :meth:`changes_since` would return."""
        return int(
            self._value(
                "SELECT (SELECT count(*) FROM tracks WHERE revision > ?1)"
                " + (SELECT count(*) FROM removals WHERE revision > ?1)",
                (revision,),
            )
        )

    def may_have_changed(self, sounds: Collection[str], revision: int) -> bool:
        """Return whether tracks of these sounds, by audio hash, may have changed since a revision.

        What was removed has no sound any more, and may have been of any.
        """
        if self._row("SELECT 1 FROM removals WHERE revision > ? LIMIT 1", (revision,)):
            return True
        rows = self._rows("SELECT audio_hash FROM tracks WHERE revision > ?", (revision,))
        return any(audio_hash in sounds for (audio_hash,) in rows)

    @_guarded
    def changes_since(self, revision: int) -> Changes:
        """Return the changes since the revision of an index of the current model.

        Tracks without an analysis by the current model count as removed.
        """
        # One read transaction: the revision and the rows are those of the same moment.
        self._db.execute("BEGIN")
        try:
            now = self.revision
            # +id: makes SQLite use the index on revisions, not read all rows in the order of ids.
            rows = self._rows(
                "SELECT id, genre_group, embedding FROM tracks_with_analysis"
                " WHERE revision > ? AND genre IS NOT NULL ORDER BY +id",
                (revision,),
            )
            gone = self._rows(
                "SELECT +id FROM tracks_with_analysis WHERE revision > ?1 AND genre IS NULL"
                " UNION SELECT +track_id FROM removals WHERE revision > ?1 ORDER BY 1",
                (revision,),
            )
            ids, genres, embeddings = self._columns(rows)
        finally:
            self._db.execute("COMMIT")
        removed = np.array([row[0] for row in gone], dtype=np.int64)
        return Changes(now, ids, tuple(genres), embeddings, removed)

    def _columns(self, rows: list[tuple[Any, ...]]) -> tuple[IdArray, list[str], FloatArray]:
        model = self.model()
        dimension = model.dimension if model else 0
        # One damaged row must not cost the answers of all others.
        rows = [row for row in rows if has_length(row[2], dimension)]
        embeddings = blob_matrix([row[2] for row in rows], dimension)
        units = are_units(embeddings)
        if not units.all():
            rows = [row for row, sound in zip(rows, units, strict=True) if sound]
            embeddings = embeddings[units]
        ids = np.array([row[0] for row in rows], dtype=np.int64)
        return ids, [row[1] for row in rows], embeddings

    # Roots and files, for scans

    def roots(self) -> list[Path]:
        """Return the folders that were indexed, in the order of their names."""
        rows = self._rows("SELECT path FROM roots WHERE root ORDER BY path")
        return [key_path(key) for (key,) in rows]

    def volumes(self) -> list[Path]:
        """Return the disks that were mounted inside roots, in the order of their names."""
        rows = self._rows("SELECT path FROM roots WHERE volume ORDER BY path")
        return [key_path(key) for (key,) in rows]

    def lookup(self, path: Path) -> StoredFile | None:
        """Return the stored state of a path; None for an unknown one."""
        return self.lookups([path])[0]

    @_guarded
    def lookups(self, paths: Sequence[Path]) -> list[StoredFile | None]:
        """Return the stored state of each path, in their order; None for unknown ones.

        Scans look up some hundred at a time: single queries cost more than their rows.
        """
        keys = [path_key(path) for path in paths]
        texts = json.dumps([key for key in keys if isinstance(key, str)])
        asked = [(texts, None), *(("[]", key) for key in keys if isinstance(key, bytes))]
        known: dict[PathKey, StoredFile] = {}
        # Failures first, so that a track overrides them.
        for sql in (_LOOKUP_FAILURES, _LOOKUP_TRACKS):
            for parameters in asked:
                for row in self._db.execute(sql, (*parameters, made_by())):
                    known[row[0]] = _stored_file(row)
        return [known.get(key) for key in keys]

    def holds_earlier_identities(self) -> bool:
        """Return whether a sound has an identity of before ``v2``, all of hexadecimal digits."""
        return self._row("SELECT 1 FROM tracks WHERE audio_hash < 'g' LIMIT 1") is not None

    def paths_of_hash(
        self, audio_hash: str, without: Container[int] = ()
    ) -> Iterator[tuple[int, Path]]:
        """Yield id and path of the tracks of one sound, except those in `without`.

        Lazily, because a sound may have very many copies.
        """
        rows = self._rows(
            "SELECT id, path FROM tracks WHERE audio_hash = ? ORDER BY id", (audio_hash,)
        )
        return ((track_id, key_path(key)) for track_id, key in rows if track_id not in without)

    def iter_tracks_under(
        self, root: Path, without: Container[int] = ()
    ) -> Iterator[tuple[int, Path]]:
        """Iterate over ``(id, path)`` of every track in a folder or below it, ordered by path.

        Whole components count: ``/a/b`` does not hold ``/a/bc``. Tracks without an analysis are
        included, those in `without` are not. The library may be written to meanwhile.
        """
        for key, track_id in self._rows_under(root, "SELECT path, id FROM tracks"):
            if track_id not in without:
                yield track_id, key_path(key)

    def iter_failures_under(self, root: Path) -> Iterator[Path]:
        """Iterate over the paths of recorded failures in a folder or below it, ordered by path."""
        return (key_path(key) for key, *_ in self._rows_under(root, "SELECT path FROM failures"))

    def count_under(self, folder: Path) -> int:
        """Return how many tracks lie in a folder or below it."""
        sql = "SELECT count(*) FROM tracks WHERE path = ? OR (path > ? AND path < ?)"
        return sum(int(self._value(sql, bounds)) for bounds in ranges_under(folder))

    def folders_in(self, folder: Path) -> Mapping[Path, int]:
        """Return the folders in a folder that hold tracks, with the numbers of theirs, by name."""
        counts: Counter[bytes] = Counter()
        for _, first, end in ranges_under(folder):
            sql = "SELECT path FROM tracks WHERE path > ? AND path < ? ORDER BY path LIMIT ?"
            start = len(os.fsencode(first))
            for (key,) in self._pages(sql, (first, end)):
                head, slash, _ = (os.fsencode(key) if isinstance(key, str) else key)[
                    start:
                ].partition(b"/")
                if slash:
                    counts[head] += 1
        return {folder / os.fsdecode(name): counts[name] for name in sorted(counts)}

    def artists(self, words: str | None = None) -> list[tuple[str, int]]:
        """Return the artists with their numbers of tracks, in the order of their names.

        With words, those of tracks that the full-text index has for them.
        """
        found = ""
        values: tuple[str, ...] = ()
        if words is not None:
            terms = search_terms(words)
            if not terms:
                return []
            found = " AND id IN (SELECT rowid FROM tracks_fts WHERE tracks_fts MATCH ?)"
            values = (full_text_queries(terms)[0],)
        name = "coalesce(nullif(artist, ''), album_artist)"
        sql = (
            f"SELECT {name} AS name, count(*), min(search_artist) AS sorted FROM tracks"  # noqa: S608 (our own conditions)
            f" WHERE name <> ''{found} GROUP BY name ORDER BY sorted, name"
        )
        return [(row[0], row[1]) for row in self._rows(sql, values)]

    def _rows_under(self, root: Path, select: str) -> Iterator[tuple[Any, ...]]:
        for exact, first, end in ranges_under(root):
            below = f"{select} WHERE path > ? AND path < ? ORDER BY path LIMIT ?"
            yield from chain(
                self._rows(f"{select} WHERE path = ?", (exact,)), self._pages(below, (first, end))
            )

    # Tracks

    def track(self, track_id: int) -> Track | None:
        """Return an analysed track, None where there is none of this id."""
        row = self._row("SELECT * FROM analysed_tracks WHERE id = ?", (int(track_id),))
        return None if row is None else track_of(row)

    def tracks(self, ids: Iterable[int]) -> dict[int, Track]:
        """Return the analysed tracks of these ids; ids without one are left out."""
        sql = "SELECT * FROM analysed_tracks WHERE id IN (SELECT value FROM json_each(?))"
        return {row[0]: track_of(row) for row in self._rows(sql, (_json_ids(ids),))}

    def track_by_path(self, path: Path) -> Track | None:
        """Return the analysed track of this file, None where there is none."""
        row = self._row("SELECT * FROM analysed_tracks WHERE path = ?", (path_key(path),))
        return None if row is None else track_of(row)

    def tracks_with_hash(self, audio_hash: str) -> list[Track]:
        """Return the analysed tracks of the same sound, by id."""
        sql = "SELECT * FROM analysed_tracks WHERE audio_hash = ? ORDER BY id"
        return [track_of(row) for row in self._rows(sql, (audio_hash,))]

    def all_tracks(self) -> Iterator[Track]:
        """Iterate over every analysed track by id. The library may be written to meanwhile."""
        sql = "SELECT * FROM analysed_tracks WHERE id > ? ORDER BY id LIMIT ?"
        return map(track_of, self._pages(sql, (-1,)))

    def credits(self) -> list[tuple[Any, ...]]:
        """Return what sorts the analysed tracks into albums, by id.

        Each row has id, path as text, artist, album artist, album, track number, year, genre group,
        kind, duration and time of addition.
        """
        columns = (
            "id, path, artist, album_artist, album, track_number, year, genre_group, kind,"
            " duration_s, added"
        )
        rows = self._rows(f"SELECT {columns} FROM analysed_tracks ORDER BY id")  # noqa: S608
        return [row if _is_plain(tuple(map(type, row))) else _plain_credit(row) for row in rows]

    def sizes(self, ids: Iterable[int]) -> dict[int, int]:
        """Return the sizes of the files of tracks, bytes, as of their analysis."""
        sql = "SELECT id, size FROM tracks WHERE id IN (SELECT value FROM json_each(?))"
        return dict(self._rows(sql, (_json_ids(ids),)))

    def tracks_where(
        self,
        *,
        genre: str | None = None,
        kind: str | None = None,
        artist: str | None = None,
        album: str | None = None,
        added_since_s: float | None = None,
    ) -> Iterator[Track]:
        """Iterate by id over the analysed tracks that meet every condition that is given.

        They are of a genre group or kind, have these words in the artist or album, or were added
        since then, in seconds since the epoch. The library may be written to meanwhile.
        """
        conditions = {"genre_group = ?": genre, "kind = ?": kind, "added >= ?": added_since_s}
        given = {sql: value for sql, value in conditions.items() if value is not None}
        where = "".join(f" AND {sql}" for sql in given)
        named = {0: artist, 2: album}  # by their position in search_texts
        asked = {column: search_terms(words) for column, words in named.items() if words}
        if not asked:
            sql = f"SELECT * FROM analysed_tracks WHERE id > ?{where} ORDER BY id LIMIT ?"  # noqa: S608 (our own conditions)
            yield from map(track_of, self._pages(sql, (-1, *given.values())))
            return
        ids = self._ids_matching(asked.values())
        matchers = {column: text_matcher(terms) for column, terms in asked.items()}
        for track in map(track_of, self._rows_among(ids, where, [*given.values()])):
            texts = search_texts(track.tags, track.path)
            if all(matches(texts[column]) for column, matches in matchers.items()):
                yield track

    def order(self, sort: str, *, descending: bool = False) -> IdArray:
        """Return the ids of all tracks in an order of :data:`ORDERS`; what has no value is last."""
        columns = ORDERS[sort]
        first = columns[0]
        terms = [
            f"{first} IS NULL OR {first} = ''",
            *(f"{c}{' DESC' * descending}" for c in columns),
        ]
        # The duration is that of the analysis.
        table = "tracks_with_analysis" if first == "duration_s" else "tracks"
        rows = self._rows(f"SELECT id FROM {table} ORDER BY {', '.join(terms)}")  # noqa: S608
        return np.fromiter((track_id for (track_id,) in rows), np.int64, len(rows))

    def ids_where(
        self,
        *,
        kind: str | None = None,
        added_since_s: float | None = None,
        ranges: Mapping[str, Range] | None = None,
        words: str | None = None,
        folder: Path | None = None,
    ) -> IdArray:
        """Return the ids of the tracks that meet every condition that is given, in any order.

        They are of a kind, were added since then, have numbers in these ranges, hold these words,
        or lie in this folder.
        """
        found: list[Iterable[int]] = []
        conditions = {"kind = ?": kind, "added >= ?": added_since_s}
        for name, limits in (ranges or {}).items():
            conditions[f"{_NUMBER_COLUMNS.get(name, name)} >= ?"] = limits.low
            conditions[f"{_NUMBER_COLUMNS.get(name, name)} <= ?"] = limits.high
        given = {sql: value for sql, value in conditions.items() if value is not None}
        if given:
            sql = f"SELECT id FROM analysed_tracks WHERE {' AND '.join(given)}"  # noqa: S608
            found.append(track_id for (track_id,) in self._rows(sql, tuple(given.values())))
        if words is not None:
            terms = search_terms(words)
            found.append(self._ids_matching([terms]) if terms else ())
        if folder is not None:
            found.append(track_id for track_id, _ in self.iter_tracks_under(folder))
        ids = [np.unique(np.fromiter(each, np.int64)) for each in found]
        return ids[0] if len(ids) == 1 else reduce(np.intersect1d, ids)

    def language_tags(self) -> Iterator[tuple[int, str]]:
        """Read the ids and language tags of the tracks that have one."""
        yield from self._rows("SELECT id, language FROM analysed_tracks WHERE language != ''")

    def _ids_matching(self, queries: Iterable[Sequence[str]]) -> list[int]:
        """Return the ids of the tracks that the full-text index has for each of some queries."""
        sql = "SELECT rowid FROM tracks_fts WHERE tracks_fts MATCH ?"
        found = [
            {track_id for (track_id,) in self._rows(sql, (full_text_queries(terms)[0],))}
            for terms in queries
        ]
        return sorted(set.intersection(*found))

    def _rows_among(
        self, ids: Sequence[int], where: str, values: Sequence[Any]
    ) -> Iterator[tuple[Any, ...]]:
        """Read the analysed tracks among these ids that meet conditions, in pages."""
        sql = (
            "SELECT * FROM analysed_tracks"  # noqa: S608 (our own conditions)
            f" WHERE id IN (SELECT value FROM json_each(?)){where} ORDER BY id"
        )
        for start in range(0, len(ids), _PAGE):
            yield from self._rows(sql, (_json_ids(ids[start : start + _PAGE]), *values))

    def find_tracks(self, words: str, limit: int = 50) -> list[Track]:
        """Return the analysed tracks with every word in artist, title, album or genre tag.

        See :meth:`recsys.types.Catalogue.find_tracks`. A file without a title tag is found by
        its name in part. Of very many matches at least
        :data:`~recsys.store.search.MOST_MATCHES` are ranked: those with `words` as a whole name,
        then those by artist and title, then others.
        """
        terms = search_terms(words)
        ids = self._match_ids(terms, limit) if terms else []
        rows = self._rows(_TEXTS, (_json_ids(ids),))
        candidates = (
            (track_id, (*texts, file_text(key_path(key)))) for track_id, key, *texts in rows
        )
        ranked = rank_matches(terms, candidates)
        found: list[Track] = []
        while ranked and len(found) < limit:
            page, ranked = ranked[:limit], ranked[limit:]
            tracks = self.tracks(page)  # without those that are not analysed
            found += [tracks[track_id] for track_id in page if track_id in tracks]
        return found[:limit]

    def _match_ids(self, terms: Sequence[str], limit: int) -> Iterable[int]:
        """Return the ids of all matches, or where they are very many, of those that rank first."""
        most = max(MOST_MATCHES, limit)

        def matches(query: str) -> list[int]:
            return [track_id for (track_id,) in self._rows(_MATCHES, (query, most))]

        anywhere, by_whole_name, by_name = full_text_queries(terms)
        ids = matches(anywhere)
        if len(ids) < most:
            return ids
        # The matches of each query rank before those that only the ones before it found.
        exact = matches(by_whole_name)
        if len(exact) == most:
            return exact
        named = matches(by_name)
        return {*exact, *named} if len(named) == most else {*exact, *named, *ids}

    @_guarded
    def like_words(self, words: Sequence[str]) -> list[list[str]]:
        """See :meth:`recsys.types.Catalogue.like_words`.

        Those that begin with one of the first two letters of the word: SQLite takes 0.2 s for the
        list of all words of 100,000 tracks.
        """
        self._db.execute(
            "CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary"
            " USING fts5vocab(main, tracks_fts, 'row')"
        )
        found = []
        for word in words:
            ranges = [(letter, chr(ord(letter) + 1)) for letter in dict.fromkeys(word[:2])]
            known = [term for bounds in ranges for (term,) in self._rows(_VOCABULARY, bounds)]
            found.append(like_words(word, known))
        return found

    # Counts and checks

    def counts(self) -> dict[str, int]:
        """Return how many ``tracks``, ``analyses``, ``failures``, ``missing``, ``unanalysed``.

        ``unanalysed`` are tracks without an analysis by the current model, ``missing`` those whose
        file was gone in the last run; both are among ``tracks``. ``analyses`` are those of every
        model, also without a track.
        """
        row = self._row(
            "SELECT (SELECT count(*) FROM tracks), (SELECT count(*) FROM analyses),"
            " (SELECT count(*) FROM failures), (SELECT count(*) FROM tracks WHERE missing),"
            " (SELECT count(*) FROM tracks_with_analysis WHERE genre IS NULL)"
        )
        names = ("tracks", "analyses", "failures", "missing", "unanalysed")
        return dict(zip(names, row or (), strict=True))

    def track_count(self) -> int:
        """Return how many tracks there are."""
        return int(self._value("SELECT count(*) FROM tracks"))

    def unanalysed(self) -> int:
        """Return how many tracks have no analysis by the current model."""
        # Of the two indexes alone: the view would read every analysis.
        return int(
            self._value(
                "SELECT count(*) FROM tracks t WHERE NOT EXISTS (SELECT 1 FROM analyses a"
                " WHERE a.audio_hash = t.audio_hash AND a.model = (SELECT model FROM library))"
            )
        )

    def failures(self, limit: int | None = None) -> list[Failure]:
        """Return the recorded failures by path, at most ``limit`` of them."""
        sql = (
            "SELECT path, size, mtime_ns, reason, retry, hint, version FROM failures"
            " ORDER BY path LIMIT ?"
        )
        rows = self._rows(sql, (-1 if limit is None else limit,))
        return [
            Failure(TrackFile(key_path(key), size, mtime_ns), reason, bool(retry), hint, version)
            for key, size, mtime_ns, reason, retry, hint, version in rows
        ]

    def integrity_problems(self) -> list[Problem]:
        """Return the problems of the database; empty if it is intact."""
        try:
            damage = [str(text) for (text,) in self._rows("PRAGMA integrity_check")]
            texts = [] if damage == ["ok"] else [f"Damaged: {text}." for text in damage]
            if broken := self._rows("PRAGMA foreign_key_check"):
                texts.append(f"Analyses of a model that is not stored: {len(broken)}.")
            if texts:
                return [Problem(text, _RESTORE) for text in texts]
            counted = [(text, hint, self._value(sql)) for text, hint, sql in _PROBLEMS]
            found = [Problem(f"{text}: {count}.", hint) for text, hint, count in counted if count]
            return [*found, *self._without_kind(), *self._damaged()]
        except StoreError as error:
            return [Problem(error.message, error.hint)]

    def _without_kind(self) -> list[Problem]:
        model = self.model()
        count = self.kind_counts().get(None, 0)
        if not count or model is None or head_name(model) is None:
            return []
        text = f"Tracks that may be music or speech, as an earlier recsys left them: {count}."
        return [Problem(text, "recsys index finds their kinds, without decoding them.")]

    def _damaged(self) -> list[Problem]:
        damaged = self.damaged_analyses()
        if not damaged:
            return []
        named = ", ".join(str(path) for _, path in damaged[:_NAMED_AT_MOST])
        more = ", ..." if len(damaged) > _NAMED_AT_MOST else ""
        return [
            Problem(
                f"Damaged analyses, not numbers or of the wrong length: {len(damaged)}"
                f" ({named}{more}).",
                DAMAGED_ANALYSES,
            )
        ]

    # Writing

    @_guarded
    def write(
        self,
        records: Sequence[TrackRecord],
        failures: Sequence[Failure] = (),
        removed: Sequence[int] = (),
    ) -> list[int]:
        """Store a batch in one transaction; return the ids of the records, in their order.

        A path that fails loses its earlier track, and a path that succeeds its failure. A record
        for a known path keeps the id of the track; one with ``track_id`` moves that track to the
        new path and replaces the track of that path. Unknown ids in `removed` are ignored.

        Raises
        ------
        StoreError
            An analysis is of another model than the library's; nothing of the batch is stored.
        """
        with write_transaction(self._db):
            model = self.model()
            for record in records:
                _check_model(record.analysis, model)
            revision = self.revision + 1
            for track_id in removed:
                self._remove(track_id, revision)
            self._write_failures(failures, revision)
            plain = [record_dict(record) for record in records]
            if model is not None:
                self._write_analyses(plain, model, revision)
            ids = self._write_tracks(records, plain, revision)
            # It rises only if some row has it: without a change, no index has to follow.
            self._db.execute(
                "UPDATE library SET revision = ?1 WHERE ?1 IN (SELECT revision FROM tracks"
                " WHERE revision = ?1 UNION ALL SELECT revision FROM removals WHERE revision = ?1)",
                (revision,),
            )
            return ids

    def _remove(self, track_id: int, revision: int) -> None:
        """Delete a track and record its removal for the index."""
        if self._db.execute("DELETE FROM tracks WHERE id = ?", (int(track_id),)).rowcount:
            self._db.execute("INSERT INTO removals VALUES (?, ?)", (int(track_id), revision))

    def _write_failures(self, failures: Sequence[Failure], revision: int) -> None:
        """Store failures in place of the tracks of their paths."""
        if not failures:
            return
        rows = [
            {
                "path": path_key(failure.file.path),
                "size": failure.file.size,
                "mtime_ns": failure.file.mtime_ns,
                "reason": storable_text(failure.reason),
                "version": made_by(),
                "retry": failure.retry,
                "hint": storable_text(failure.hint) or "",
            }
            for failure in failures
        ]
        for row in rows:
            if held := self._row("SELECT id FROM tracks WHERE path = ?", (row["path"],)):
                self._remove(held[0], revision)
        self._tables.table("failures").upsert_all(rows, pk="path")

    def _write_analyses(
        self, plain: Sequence[Mapping[str, Any]], model: ModelInfo, revision: int
    ) -> None:
        """Store the analyses of a batch; every track of a changed sound gets the revision."""
        sounds = {row["audio_hash"]: row for row in plain if row["embedding"] is not None}
        if not sounds:
            return
        each = sounds.values()
        tag_scores = [row["tag_scores"] for row in each]
        scores = np.stack(tag_scores)
        embeddings = np.stack([row["embedding"] for row in each])
        numbers = self.moods().rows(model, embeddings, scores)
        labels = labels_of(model, np.stack([row["probabilities"] for row in each]), tag_scores)
        kinds = kinds_of(model, embeddings, scores)
        key = self._value("SELECT model FROM library")
        rows = [
            {
                "audio_hash": row["audio_hash"],
                "model": key,
                "genre": model.top_genre(row["probabilities"]),
                "label": label,
                "duration_s": row["duration_s"],
                "warning": row["warning"],
                "version": made_by(),
                "probabilities": array_blob(row["probabilities"]),
                "embedding": array_blob(row["embedding"]),
                "tag_scores": array_blob(row["tag_scores"]) if len(row["tag_scores"]) else None,
                **dict(zip(MOOD_NUMBERS, own, strict=True)),
                **_kind_values(judged),
            }
            for row, label, own, judged in zip(each, labels, numbers, kinds, strict=True)
        ]
        before = {
            audio_hash: known
            for audio_hash, *known in self._rows(
                "SELECT audio_hash, genre, label, kind, embedding FROM analyses"
                " WHERE model = ? AND audio_hash IN (SELECT value FROM json_each(?))",
                (key, json.dumps([*sounds])),
            )
        }
        changed = [
            row["audio_hash"]
            for row in rows
            if before.get(row["audio_hash"])
            != [row[name] for name in ("genre", "label", "kind", "embedding")]
        ]
        self._db.execute(
            "UPDATE tracks SET revision = ? WHERE audio_hash IN (SELECT value FROM json_each(?))",
            (revision, json.dumps(changed)),
        )
        self._tables.table("analyses").upsert_all(rows, pk=("audio_hash", "model"))

    def _write_tracks(
        self, records: Sequence[TrackRecord], plain: Sequence[Mapping[str, Any]], revision: int
    ) -> list[int]:
        """Store the tracks of a batch; return their ids."""
        self._db.executemany(
            "DELETE FROM failures WHERE path = ?", ((row["path"],) for row in plain)
        )
        # Moved tracks free their old paths first: two files may have swapped their names. Paths are
        # unique, and the id is one that no file has.
        moving = [(record.track_id,) for record in records if record.track_id is not None]
        self._db.executemany("UPDATE tracks SET path = id WHERE id = ?", moving)
        by_own_genre = self.genre_source() == GenreSource.OWN
        # upsert_all returns no ids: new ones continue the sequence of AUTOINCREMENT.
        new_id = 1 + (self._value("SELECT seq FROM sqlite_sequence WHERE name = 'tracks'") or 0)
        now = int(time.time())
        rows: dict[int, dict[str, Any]] = {}
        paths: set[PathKey] = set()
        ids = []
        for record, values in zip(records, plain, strict=True):
            if values["path"] in paths or record.track_id in rows:
                self._upsert_tracks(rows)  # the next lookup must see it
                rows, paths = {}, set()
            own = self._own_genre(record.tags.genre_tag) if by_own_genre else None
            existing = self._existing(record.track_id, values["path"], revision)
            track_id, before, known, added = existing or (new_id, None, revision, now)
            if existing is None:
                new_id += 1
            rows[track_id] = {
                **{name: values[name] for name in _TRACK_COLUMNS},
                "id": track_id,
                "missing": 0,
                "own_genre": own,
                "added": added,
                "revision": known if before == (values["audio_hash"], own) else revision,
            }
            paths.add(values["path"])
            ids.append(track_id)
        self._upsert_tracks(rows)
        return ids

    def _upsert_tracks(self, rows: Mapping[int, dict[str, Any]]) -> None:
        if rows:
            self._tables.table("tracks").upsert_all(rows.values(), pk="id")

    def _existing(
        self, mover: int | None, path: PathKey, revision: int
    ) -> tuple[int, tuple[str, str | None], int, int | None] | None:
        """Return id, hash and own genre, revision and addition of the row to replace, if any."""
        columns = "SELECT id, audio_hash, own_genre, revision, added FROM tracks"
        row = self._row(columns + " WHERE path = ?", (path,))
        if mover is not None and (moved := self._row(columns + " WHERE id = ?", (mover,))):
            if row is not None:
                self._remove(row[0], revision)
            row = moved
        return None if row is None else (row[0], (row[1], row[2]), row[3], row[4])

    @_guarded
    def mark_missing(self, track_ids: Iterable[int]) -> None:
        """Mark tracks whose files are gone.

        They stay in the index and in answers; writing them again clears the mark.
        """
        with write_transaction(self._db):
            self._db.executemany(
                "UPDATE tracks SET missing = 1 WHERE id = ?", ((int(i),) for i in track_ids)
            )

    # Preferences: the filters that are the defaults of every list

    def preferences(self) -> dict[str, Any]:
        """See :meth:`recsys.types.Catalogue.preferences`."""
        rows = self._rows("SELECT name, value FROM preferences ORDER BY name")
        return {name: reading(json.loads)(value) for name, value in rows}

    @_guarded
    def set_preferences(self, values: Mapping[str, Any]) -> None:
        """Replace the preferences by these values for JSON."""
        with write_transaction(self._db):
            self._db.execute("DELETE FROM preferences")
            self._db.executemany(
                "INSERT INTO preferences VALUES (?, ?)",
                ((name, json.dumps(value)) for name, value in values.items()),
            )

    # Blends: queries that are saved under a name

    def blend(self, name: str) -> Blend | None:
        """See :meth:`recsys.types.Catalogue.blend`."""
        text = self._value("SELECT seeds FROM blends WHERE key = ?", (name_key(name),))
        return None if text is None else blend_of(text)

    def blends(self) -> dict[str, Blend]:
        """Return all saved queries by their names."""
        rows = self._rows("SELECT name, seeds FROM blends ORDER BY key")
        return {name: blend_of(text) for name, text in rows}

    @_guarded
    def save_blend(self, name: str, blend: Blend) -> None:
        """Save a query under a name, in place of one of that name."""
        with write_transaction(self._db):
            self._db.execute(
                "INSERT OR REPLACE INTO blends VALUES (?, ?, ?)",
                (name_key(name), name, blend_text(blend)),
            )

    @_guarded
    def forget_blend(self, name: str) -> bool:
        """Delete a saved query; return whether there was one."""
        with write_transaction(self._db):
            found = self._db.execute("DELETE FROM blends WHERE key = ?", (name_key(name),))
        return bool(found.rowcount)

    # Radio sessions; seeds and tracks are hashes of the sound

    @_guarded
    def start_radio(self, seeds: Blend, words: str | None = None) -> int:
        """Start a session from seeds, words for sound, or both; return its id."""
        with write_transaction(self._db):
            sql = "INSERT INTO radio_sessions (seeds, words) VALUES (?, ?)"
            return int(self._db.execute(sql, (blend_text(seeds), words)).lastrowid or 0)

    def latest_radio(self, seeds: Blend | None = None, words: str | None = None) -> int | None:
        """Return the id of the latest session, or of the latest from these seeds and words."""
        sql = "SELECT max(id) FROM radio_sessions WHERE ?1 IS NULL OR (seeds = ?1 AND words IS ?2)"
        found = self._value(sql, (None if seeds is None else blend_text(seeds), words))
        return None if found is None else int(found)

    def radio(self, session: int) -> tuple[Blend, list[str], str | None] | None:
        """Return seeds, tracks given so far and words of a session; None if there is none."""
        sql = "SELECT seeds, steering, words FROM radio_sessions WHERE id = ?"
        row = self._row(sql, (session,))
        if row is None:
            return None
        seeds, steering, words = row
        sql = "SELECT audio_hash FROM radio_tracks WHERE session = ? ORDER BY position"
        given = [audio_hash for (audio_hash,) in self._rows(sql, (session,))]
        return _joined(blend_of(seeds), steering), given, words

    @_guarded
    def extend_radio(self, session: int, given: int, hashes: Sequence[str]) -> bool:
        """Store the next tracks of a session; False if it no longer has `given` tracks."""
        with write_transaction(self._db):
            sql = "SELECT count(*) FROM radio_tracks WHERE session = ?"
            if self._value(sql, (session,)) != given:
                return False
            self._db.executemany(
                "INSERT INTO radio_tracks VALUES (?, ?, ?)",
                ((session, given + i, audio_hash) for i, audio_hash in enumerate(hashes, start=1)),
            )
        return True

    def radios(self, newest: int) -> list[tuple[int, str, Blend, str | None, int]]:
        """Return the newest sessions: id, start in UTC, seeds, words, number of tracks given."""
        rows = self._rows(
            "SELECT id, started, seeds, words,"
            " (SELECT count(*) FROM radio_tracks WHERE session = id)"
            " FROM radio_sessions ORDER BY id DESC LIMIT ?",
            (newest,),
        )
        return [(number, at, blend_of(seeds), words, n) for number, at, seeds, words, n in rows]

    @_guarded
    def steer_radio(self, session: int, steer: Callable[[Blend], Blend]) -> bool:
        """Change what a session goes by besides its seeds; False if there is no such session."""
        with write_transaction(self._db):
            sql = "SELECT steering FROM radio_sessions WHERE id = ?"
            row = self._row(sql, (session,))
            if row is None:
                return False
            steering = blend_text(steer(Blend() if row[0] is None else blend_of(row[0])))
            sql = "UPDATE radio_sessions SET steering = ? WHERE id = ?"
            self._db.execute(sql, (steering, session))
        return True

    # Saved playlists; tracks are hashes of the sound

    def playlists(self) -> list[SavedPlaylist]:
        """Return the saved playlists, in the order of their names."""
        rows = self._rows(f"{_PLAYLISTS} ORDER BY name, id")
        return [_saved_playlist(row) for row in rows]

    def saved_playlist(self, playlist: int) -> SavedPlaylist | None:
        """Return a saved playlist, None if there is none of this id."""
        row = self._row(f"{_PLAYLISTS} WHERE id = ?", (playlist,))
        return None if row is None else _saved_playlist(row)

    @_guarded
    def save_playlist(self, saved: SavedPlaylist) -> int:
        """Store a playlist, in place of the one of its id unless that is 0; return the id.

        It is 0 if that one is not there.
        """
        values = (
            storable_text(saved.name),
            saved.made,
            saved.changed,
            None if saved.recipe is None else json.dumps(saved.recipe),
            json.dumps(saved.tracks),
        )
        with write_transaction(self._db):
            if saved.id == 0:
                sql = "INSERT INTO playlists (name, made, changed, recipe, tracks)"
                return int(self._db.execute(f"{sql} VALUES (?, ?, ?, ?, ?)", values).lastrowid or 0)
            sql = "UPDATE playlists SET name = ?, made = ?, changed = ?, recipe = ?, tracks = ?"
            found = self._db.execute(f"{sql} WHERE id = ?", (*values, saved.id)).rowcount
        return saved.id if found else 0

    @_guarded
    def forget_playlist(self, playlist: int) -> bool:
        """Delete a saved playlist; False if there was none of this id."""
        with write_transaction(self._db):
            return bool(
                self._db.execute("DELETE FROM playlists WHERE id = ?", (playlist,)).rowcount
            )

    # Waveforms

    def waveform(self, audio_hash: str) -> bytes | None:
        """Return the peaks of a sound, None where they were not made yet."""
        peaks: bytes | None = self._value(
            "SELECT peaks FROM waveforms WHERE audio_hash = ?", (audio_hash,)
        )
        return peaks

    @_guarded
    def keep_waveform(self, audio_hash: str, peaks: bytes) -> None:
        """Store the peaks of a sound."""
        with write_transaction(self._db):
            self._db.execute("INSERT OR REPLACE INTO waveforms VALUES (?, ?)", (audio_hash, peaks))

    # What the listener said of tracks

    def last_event(self) -> int:
        """Return the id of the last event; 0 in a library without any."""
        return int(self._value("SELECT max(id) FROM events") or 0)

    def bans(self) -> Bans:
        """Return the bans in force."""
        last, bans = self._bans
        if last != (now := self.last_event()):
            # INDEXED BY: there may be very many plays.
            sql = (
                f"{_EVENTS} INDEXED BY bans_by_time WHERE kind IN ('ban', 'unban')"
                " ORDER BY time, id"
            )
            bans = Bans(map(_event_of, self._rows(sql)))
            self._bans = now, bans
        return bans

    def events(self, newest: int | None = None) -> list[Event]:
        """Return the events, at most the `newest` of them, in the order of their times."""
        sql = f"{_EVENTS} ORDER BY time DESC, id DESC LIMIT ?"
        rows = self._rows(sql, (-1 if newest is None else newest,))
        return [_event_of(row) for row in reversed(rows)]

    def events_of(self, key: str) -> list[Event]:
        """Return the events of one track, by its audio hash, artist or album, by time."""
        return [
            _event_of(row)
            for row in self._rows(f"{_EVENTS} WHERE key = ? ORDER BY time, id", (key,))
        ]

    def plays(self) -> dict[str, tuple[int, datetime]]:
        """Return how often each track was played and when last, by its audio hash."""
        sql = (
            "SELECT key, count(*), max(time) FROM events WHERE kind = ? AND subject = ?"
            " GROUP BY key"
        )
        rows = self._rows(sql, (EventKind.PLAY, Subject.TRACK))
        return {str(key): (count, parse_time(last)) for key, count, last in rows}

    def opinions(self) -> list[Event]:
        """Return the likes and dislikes in force, in the order of their times.

        Of one thing, the last replaces those before it.
        """
        sql = f"{_EVENTS} WHERE kind IN (?, ?) ORDER BY time, id"
        last: dict[tuple[Subject, str], Event] = {}
        for event in map(_event_of, self._rows(sql, (EventKind.LIKE, EventKind.DISLIKE))):
            last.pop((event.subject, event.key), None)
            last[event.subject, event.key] = event
        return list(last.values())

    def event_counts(self) -> dict[EventKind, int]:
        """Return the number of events of each kind that there is."""
        rows = self._rows("SELECT kind, count(*) FROM events GROUP BY kind")
        counts = dict(rows)
        return {kind: counts[kind] for kind in EventKind if kind in counts}

    @_guarded
    def add_events(self, events: Iterable[Event]) -> int:
        """Store events in one transaction; return how many of them are new."""
        with write_transaction(self._db):
            rows = (
                (
                    time_text(event.time),
                    event.kind,
                    event.subject,
                    _event_key(event),
                    storable_text(event.name) or "",
                    storable_text(event.source) or "",
                    json.dumps(event.tracks),
                )
                for event in events
            )
            cursor = self._db.executemany(
                "INSERT OR IGNORE INTO events (time, kind, subject, key, name, source, tracks)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
        return int(cursor.rowcount)

    @_guarded
    def undo_events(self) -> list[Event]:
        """Delete the events of the last act: those of the same time and source; return them."""
        # The last events have the highest ids, so that last_event changes.
        last = "(SELECT time, source FROM events WHERE id = (SELECT max(id) FROM events))"
        with write_transaction(self._db):
            rows = self._rows(f"{_EVENTS} WHERE (time, source) = {last} ORDER BY id")
            self._db.execute(f"DELETE FROM events WHERE (time, source) = {last}")  # noqa: S608
        return [_event_of(row) for row in rows]

    @_guarded
    def forget_events(self, events: Iterable[Event]) -> int:
        """Delete what is of the same kinds, about the same things; return the number."""
        with write_transaction(self._db):
            gone = self._db.executemany(
                "DELETE FROM events WHERE kind = ? AND subject = ? AND key = ?",
                [(event.kind, event.subject, _event_key(event)) for event in events],
            ).rowcount
            if gone:  # what others know of the events must show as old: the last one gets a new id
                columns = "time, kind, subject, key, name, source, tracks"
                last = "id = (SELECT max(id) FROM events)"
                row = self._row(f"SELECT {columns} FROM events WHERE {last}")  # noqa: S608
                self._db.execute(f"DELETE FROM events WHERE {last}")  # noqa: S608
                if row is not None:
                    self._db.execute(
                        f"INSERT INTO events ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                        row,
                    )
        return gone

    def hashes_under(self, folder: Path) -> list[str]:
        """Return the audio hashes of the tracks in a folder or below it, by path."""
        rows = self._rows_under(folder, "SELECT path, audio_hash FROM tracks")
        return list(dict.fromkeys(audio_hash for _, audio_hash in rows))

    def tracks_of_hashes(self, hashes: Iterable[str]) -> dict[str, Track]:
        """Return one analysed track, the first, of each of these sounds that the library has."""
        sql = (
            "SELECT * FROM analysed_tracks"
            " WHERE audio_hash IN (SELECT value FROM json_each(?)) ORDER BY id DESC"
        )
        found = map(track_of, self._rows(sql, (json.dumps(list(hashes)),)))
        return {track.audio_hash: track for track in found}

    @_guarded
    def add_root(self, path: Path, *, volume: bool = False) -> None:
        """Store a folder that was indexed, or a volume that is mounted inside one, or both."""
        with write_transaction(self._db):
            # Plain SQL: sqlite-utils need not be loaded for one row in every run.
            self._db.execute(
                "INSERT INTO roots (path, root, volume) VALUES (?, ?, ?) ON CONFLICT (path)"
                " DO UPDATE SET root = max(root, excluded.root),"
                " volume = max(volume, excluded.volume)",
                (path_key(path), not volume, volume),
            )

    @_guarded
    def set_change_times(self, times: Iterable[tuple[int, int]]) -> None:
        """Store the time of the last change (ns) of tracks by their ids, and nothing else."""
        with write_transaction(self._db):
            self._db.executemany("UPDATE tracks SET ctime_ns = ? WHERE id = ?", times)

    def scan_rules(self) -> dict[str, Any]:
        """Return what the library takes for its own, as values for JSON; empty for the defaults."""
        text = self._value("SELECT scan_rules FROM library")
        return {} if text is None else dict(json.loads(text))

    @_guarded
    def set_scan_rules(self, rules: Mapping[str, Any]) -> None:
        """Store what the library takes for its own."""
        with write_transaction(self._db):
            self._db.execute("UPDATE library SET scan_rules = ?", (json.dumps(rules),))

    def passed_over(self) -> PassedOver:
        """Return what the last scan of each root saw and did not take, all together.

        A root inside another one counts with that.
        """
        rows = self._rows("SELECT path, passed_over FROM roots WHERE passed_over IS NOT NULL")
        found = {key_path(key): json.loads(text) for key, text in rows}
        outer = [each for root, each in found.items() if found.keys().isdisjoint(root.parents)]
        for each in outer:
            each["hidden_music"] = tuple(each["hidden_music"])
        return sum((PassedOver(**each) for each in outer), PassedOver())

    @_guarded
    def set_passed_over(self, root: Path, counts: PassedOver) -> None:
        """Store what a scan of a root saw and did not take."""
        with write_transaction(self._db):
            self._db.execute(
                "UPDATE roots SET passed_over = ? WHERE path = ?",
                (json.dumps(asdict(counts)), path_key(root)),
            )

    @_guarded
    def forget_root(self, path: Path) -> None:
        """Delete a root or volume, and all those below it. Their tracks stay."""
        with write_transaction(self._db):
            for exact, first, end in ranges_under(path):
                self._db.execute(
                    "DELETE FROM roots WHERE path = ?1 OR (path > ?2 AND path < ?3)",
                    (exact, first, end),
                )

    @_guarded
    def forget_volume(self, path: Path) -> None:
        """Take a volume for a plain folder from now on."""
        with write_transaction(self._db):
            self._db.execute("UPDATE roots SET volume = 0 WHERE path = ?", (path_key(path),))
            self._db.execute("DELETE FROM roots WHERE NOT root AND NOT volume")

    @_guarded
    def forget_failures(self, paths: Iterable[Path]) -> None:
        """Delete the failures of these paths."""
        with write_transaction(self._db):
            self._db.executemany(
                "DELETE FROM failures WHERE path = ?", ((path_key(path),) for path in paths)
            )

    @_guarded
    def drop_orphans(self) -> int:
        """Delete analyses that no track uses and those of other models; return their number."""
        with write_transaction(self._db):
            cursor = self._db.execute(
                "DELETE FROM analyses WHERE model IS NOT (SELECT model FROM library)"
                " OR audio_hash NOT IN (SELECT audio_hash FROM tracks)"
            )
            self._db.execute("DELETE FROM models WHERE id IS NOT (SELECT model FROM library)")
            for table in ("mixes", "waveforms"):
                self._db.execute(
                    f"DELETE FROM {table}"  # noqa: S608 (our own names)
                    " WHERE audio_hash NOT IN (SELECT audio_hash FROM tracks)"
                )
        return int(cursor.rowcount)

    @_guarded
    def keep_warnings(self, track_ids: Iterable[int]) -> None:
        """Note that these versions, too, find nothing better than an analysis with a warning."""
        with write_transaction(self._db):
            self._db.execute(
                "UPDATE analyses SET version = ? WHERE warning IS NOT NULL AND audio_hash IN"
                " (SELECT audio_hash FROM tracks WHERE id IN (SELECT value FROM json_each(?)))",
                (made_by(), _json_ids(track_ids)),
            )

    @_guarded
    def journal(self) -> str:
        """Return the journal of the library, ``wal`` or ``delete``."""
        return str(self._value("SELECT journal FROM library"))

    def journal_problem(self) -> str | None:
        """Return why the journal may not work where the library lies; None if it does."""
        kind = network_file_system(self._path) if self.journal() == "wal" else None
        if kind is None:
            return None
        return (
            f"{self._path} lies on a network file system ({kind}), where its journal (wal) may "
            "lose what is written: recsys index --journal delete"
        )

    @_guarded
    def set_journal(self, journal: str) -> None:
        """Keep another journal, and use it; no other process may have the library open.

        ``wal`` lets queries go on while a run writes; on network file systems it does not work, and
        ``delete`` does.
        """
        if journal != self.journal():
            set_journal(self._db, journal)

    def check_in_place(self) -> None:
        """Raise StoreError if the file was deleted or replaced since it was opened to be written.

        What is written to it would be lost.
        """
        check_in_place(self._db)

    @_guarded
    def vacuum(self) -> None:
        """Compact the database file."""
        self._db.execute("INSERT INTO tracks_fts (tracks_fts) VALUES ('optimize')")
        self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._db.execute("PRAGMA optimize")


def _kind_of(column: str) -> str:
    """Return the kind of measurement to which a column belongs."""
    return "loudness" if column == "true_peak" else column.partition("_")[0]


def _kind_values(judged: JudgedKind | None) -> dict[str, Any]:
    return {
        "kind": None if judged is None else str(judged.kind),
        "kind_probability": None if judged is None else judged.probability,
        "vocals": None if judged is None else judged.vocals,
    }


def _event_key(event: Event) -> PathKey:
    if event.subject == Subject.FOLDER:
        return path_key(Path(event.key))
    return storable_text(event.key) or ""


@reading
def _event_of(row: tuple[Any, ...]) -> Event:
    time, kind, subject, key, name, source, tracks = row
    if subject == Subject.FOLDER:
        key = str(key_path(key))
    return Event(
        EventKind(kind),
        Subject(subject),
        key,
        name,
        parse_time(time),
        source,
        tuple(json.loads(tracks)),
    )


_TRACK_COLUMNS = (
    *("path", "size", "mtime_ns", "ctime_ns", "audio_hash"),
    *("artist", "album_artist", "album", "title", "track_number", "year", "genre_tag", "language"),
    *("search_artist", "search_title", "search_album", "search_genre", "search_keys"),
)


@reading
def _joined(blend: Blend, steering: str | None) -> Blend:
    """Return a blend together with what steers its session."""
    if steering is None:
        return blend
    steered = blend_of(steering)
    like = dict.fromkeys((*blend.like, *steered.like))
    not_like = dict.fromkeys((*blend.not_like, *steered.not_like))
    kept = set(blend.seeds)  # a session keeps its seeds, whatever was said of them
    return Blend(blend.seeds, tuple(like), tuple(s for s in not_like if s not in kept))


@reading
def _saved_playlist(row: tuple[Any, ...]) -> SavedPlaylist:
    number, name, made, changed, recipe, tracks = row
    recipe = None if recipe is None else json.loads(recipe)
    return SavedPlaylist(number, name, made, changed, recipe, tuple(json.loads(tracks)))


def _stored_file(row: tuple[Any, ...]) -> StoredFile:
    _, track_id, size, mtime_ns, audio_hash, genre, failure, missing, warning, *more = row
    flags = bool(missing), warning, bool(more[0]), more[1]
    return StoredFile(track_id, size, mtime_ns, audio_hash, genre, failure, *flags)


_PLAIN = (
    *((int,), (str,), (str, _NONE), (str, _NONE), (str, _NONE), (int, _NONE), (int, _NONE)),
    *((str,), (str, _NONE), (float,), (int, _NONE)),
)
"""Types of the columns of :meth:`Store.credits`; a path is text there."""


@lru_cache  # the same for nearly all tracks
def _is_plain(kinds: tuple[type, ...]) -> bool:
    return all(kind in known for kind, known in zip(kinds, _PLAIN, strict=True))


def _plain_credit(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a row whose path is text, without values of a wrong kind: see `track_of`."""
    track_id, path, *rest = row
    instead = (None, None, None, None, None, UNKNOWN, None, 0.0, None)
    kept = (
        value if type(value) in known else other
        for value, known, other in zip(rest, _PLAIN[2:], instead, strict=True)
    )
    return (track_id, str(key_path(path)), *kept)


def _json_ids(ids: Iterable[int]) -> str:
    # One JSON parameter instead of one per id: no limit on their number, one statement.
    return json.dumps([int(i) for i in ids])


def _check_model(analysis: Analysis | None, model: ModelInfo | None) -> None:
    if analysis is None:
        return
    if model is None or analysis.identity != model.identity:
        current = f"{model.fingerprint}, effort {model.effort}" if model else "none yet"
        raise StoreError(
            f"An analysis by model {analysis.fingerprint}, effort {analysis.effort}, does not"
            f" belong in this library, whose model is {current}.",
            "Index again with the model that is wanted.",
        )
    if not analysis.is_finite:
        raise StoreError(
            "An analysis holds values that are no numbers (NaN or infinite).",
            "Nothing of its batch was stored; the model or the processor may be to blame.",
        )
    wanted = {"embedding": (model.dimension,), "tags": (len(model.tags),)}
    for name, shape in wanted.items():
        found = getattr(analysis, name).shape
        if found != shape:
            raise StoreError(
                f"An analysis with {name} of shape {found} is not what the model {model.name}"
                f" makes: {shape}.",
                "Index again with the model that is wanted.",
            )
