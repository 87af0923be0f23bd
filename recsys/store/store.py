"""Writing to the library database; see :mod:`recsys.store`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys.errors import StoreError
from recsys.names import strongest_styles, style_columns
from recsys.store.connection import connect, guarded
from recsys.store.migrations import write_transaction
from recsys.store.models import WRITE_MODEL, model_row
from recsys.store.parts import find_styles, merge_own_genres, own_genre
from recsys.store.reader import StoreReader
from recsys.store.rows import (
    TrackRecord,
    array_blob,
    path_key,
    ranges_under,
    storable_text,
    tag_columns,
)
from recsys.types import GENRE_SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from recsys.types import Analysis, Failure, ModelInfo

_UPDATE_TRACK = (
    "UPDATE tracks SET path = ?, size = ?, mtime_ns = ?, audio_hash = ?, artist = ?,"
    " album_artist = ?, album = ?, title = ?, track_number = ?, year = ?, genre_tag = ?,"
    " search = ?, missing = 0, own_genre = ?, revision = ? WHERE id = ?"
)
INSERT_TRACK = (
    "INSERT INTO tracks (path, size, mtime_ns, audio_hash, artist, album_artist, album, title,"
    " track_number, year, genre_tag, search, own_genre, revision)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
WRITE_ANALYSIS = (
    "INSERT INTO analyses (audio_hash, fingerprint, genre, duration_s, warning, probabilities,"
    " embedding, tags, style) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (audio_hash, fingerprint)"
    " DO UPDATE SET genre = excluded.genre, duration_s = excluded.duration_s,"
    " warning = excluded.warning, probabilities = excluded.probabilities,"
    " embedding = excluded.embedding, tags = excluded.tags, style = excluded.style"
)


class Store(StoreReader):
    """The library database, open. Make one with :meth:`Store.open`; close it, or use ``with``.

    One connection for one thread. Any number of processes may read while one writes.
    """

    @classmethod
    def open(cls, path: Path, *, create: bool = False, read_only: bool = False) -> Self:
        """Open a library, bringing one of an older recsys up to date.

        Parameters
        ----------
        path : Path
            The database file.
        create : bool
            Make it, and the folders above it, when it is not there.
        read_only : bool
            Never write to it; works on a read-only file system.

        Raises
        ------
        StoreError
            The file is not there, is a folder, no database, another program's, damaged, newer than
            this recsys, or cannot be written although that is wanted.
        """
        return cls(path, connect(path, create=create, read_only=read_only))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @guarded
    def close(self) -> None:
        """Close the database. Closing twice is fine."""
        self._db.close()

    @guarded
    def set_model(self, info: ModelInfo, card_json: str, checkpoint: Path | None = None) -> None:
        """Make this the library's current model.

        With another fingerprint than before, every track counts as changed, so that the index is
        made again. Analyses of earlier models stay until :meth:`drop_orphans`.

        Parameters
        ----------
        info : ModelInfo
            What recommending needs of the model.
        card_json : str
            Its card, kept as it is.
        checkpoint : Path or None
            Where it lies; None for the model that comes with recsys.
        """
        row = (
            *model_row(info),
            card_json,
            None if checkpoint is None else path_key(checkpoint),
        )
        with write_transaction(self._db):
            self._db.execute(WRITE_MODEL, row)
            before = self._value("SELECT value FROM meta WHERE key = 'model'")
            if before != info.fingerprint:
                self._db.execute(
                    "UPDATE meta SET value = ? WHERE key = 'model'", (info.fingerprint,)
                )
                self._db.execute("UPDATE tracks SET revision = ?", (self._raise_revision(),))

    @guarded
    def set_genre_source(self, source: str) -> None:
        """Sort the tracks by other labels; the index has to follow. Nothing is analysed again.

        Parameters
        ----------
        source : str
            One of :data:`recsys.types.GENRE_SOURCES`. Setting the present one again names the
            files' own genres by what is now their commonest spelling.

        Raises
        ------
        StoreError
            There is no such source.
        """
        if source not in GENRE_SOURCES:
            raise StoreError(
                f"A library cannot be sorted by {source!r}.", f"Known: {', '.join(GENRE_SOURCES)}."
            )
        with write_transaction(self._db):
            if source == "own":
                merge_own_genres(self._db)
            if source == "tags":
                find_styles(self._db, self.model())
            self._db.execute("UPDATE meta SET value = ? WHERE key = 'genres'", (source,))
            self._db.execute("UPDATE tracks SET revision = ?", (self._raise_revision(),))

    @guarded
    def write(
        self,
        records: Sequence[TrackRecord],
        failures: Sequence[Failure] = (),
        removed: Sequence[int] = (),
    ) -> list[int]:
        """Store a batch in one transaction.

        A path that fails loses its earlier track, and a path that succeeds its failure. A record
        for a known path keeps the id of the track; one with ``track_id`` moves that track to the
        new path, where a track that stood there before goes.

        Parameters
        ----------
        records : sequence of TrackRecord
            New, changed and moved tracks.
        failures : sequence of Failure
            Files that could not be analysed.
        removed : sequence of int
            Ids of tracks to forget; unknown ones are ignored.

        Returns
        -------
        list of int
            The id of each record, in their order.

        Raises
        ------
        StoreError
            An analysis is of another model than the library's; nothing of the batch is stored.
        """
        model = self.model()
        for record in records:
            _check_model(record.analysis, model)
        with write_transaction(self._db):
            return _Batch(self, model).apply(records, failures, removed)

    @guarded
    def mark_missing(self, track_ids: Iterable[int]) -> None:
        """Note that the files of these tracks are gone, and keep the tracks.

        They stay in the index and in answers; writing them again takes the mark away.
        """
        with write_transaction(self._db):
            self._db.executemany(
                "UPDATE tracks SET missing = 1 WHERE id = ?", ((int(i),) for i in track_ids)
            )

    @guarded
    def add_root(self, path: Path, *, volume: bool = False) -> None:
        """Remember a folder that was indexed, or a volume that is mounted inside one.

        A folder can be both.
        """
        with write_transaction(self._db):
            self._db.execute(
                "INSERT INTO roots (path, root, volume) VALUES (?, ?, ?) ON CONFLICT (path)"
                " DO UPDATE SET root = max(root, excluded.root),"
                " volume = max(volume, excluded.volume)",
                (path_key(path), not volume, volume),
            )

    @guarded
    def forget_root(self, path: Path) -> None:
        """Forget a root, or a volume, and all those below it. Their tracks stay."""
        with write_transaction(self._db):
            for exact, first, end in ranges_under(path):
                self._db.execute(
                    "DELETE FROM roots WHERE path = ?1 OR (path > ?2 AND path < ?3)",
                    (exact, first, end),
                )

    @guarded
    def forget_failures(self, paths: Iterable[Path]) -> None:
        """Forget the recorded failures of these paths."""
        with write_transaction(self._db):
            self._db.executemany(
                "DELETE FROM failures WHERE path = ?", ((path_key(path),) for path in paths)
            )

    @guarded
    def drop_orphans(self) -> int:
        """Delete analyses that no track uses and those of models other than the current one.

        Returns
        -------
        int
            How many were deleted.
        """
        with write_transaction(self._db):
            cursor = self._db.execute(
                "DELETE FROM analyses WHERE fingerprint IS NOT"
                " (SELECT value FROM meta WHERE key = 'model')"
                " OR audio_hash NOT IN (SELECT audio_hash FROM tracks)"
            )
            self._db.execute(
                "DELETE FROM models WHERE fingerprint IS NOT"
                " (SELECT value FROM meta WHERE key = 'model')"
            )
        return int(cursor.rowcount)

    @guarded
    def vacuum(self) -> None:
        """Give space that is no longer used back to the disk."""
        self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._db.execute("PRAGMA optimize")

    def _raise_revision(self) -> int:
        return int(
            self._value("UPDATE meta SET value = value + 1 WHERE key = 'revision' RETURNING value")
        )


def _check_model(analysis: Analysis | None, model: ModelInfo | None) -> None:
    if analysis is None:
        return
    if model is None or analysis.fingerprint != model.fingerprint:
        current = "none yet" if model is None else model.fingerprint
        raise StoreError(
            f"An analysis by model {analysis.fingerprint} does not belong in this library, whose"
            f" model is {current}.",
            "Index again with the model that is wanted.",
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


class _Batch:
    """The statements of one :meth:`Store.write`, and whether they changed what the index holds."""

    def __init__(self, store: Store, model: ModelInfo | None) -> None:
        self._db = store._db
        self._model = model
        self._by_own_genre = store.genre_source() == "own"
        self._revision = store.revision + 1
        self._changed = False

    def _change(self) -> int:
        self._changed = True
        return self._revision

    def _one(self, sql: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._db.execute(sql, parameters).fetchone()
        return row

    def apply(
        self, records: Sequence[TrackRecord], failures: Sequence[Failure], removed: Sequence[int]
    ) -> list[int]:
        """Do all of it; returns the ids of the records."""
        for track_id in removed:
            self._remove(track_id)
        for failure in failures:
            self._fail(failure)
        self._park([record.track_id for record in records])
        ids = [self._write(record) for record in records]
        if self._changed:
            self._db.execute("UPDATE meta SET value = ? WHERE key = 'revision'", (self._revision,))
        return ids

    def _remove(self, track_id: int) -> None:
        """Delete a track and leave a tombstone for the index."""
        if self._db.execute("DELETE FROM tracks WHERE id = ?", (int(track_id),)).rowcount:
            self._db.execute("INSERT INTO removals VALUES (?, ?)", (int(track_id), self._change()))

    def _fail(self, failure: Failure) -> None:
        """Record a failure in place of what was known of the path."""
        key = path_key(failure.file.path)
        held = self._one("SELECT id FROM tracks WHERE path = ?", (key,))
        if held is not None:
            self._remove(held[0])
        self._db.execute(
            "INSERT OR REPLACE INTO failures (path, size, mtime_ns, reason) VALUES (?, ?, ?, ?)",
            (key, failure.file.size, failure.file.mtime_ns, storable_text(failure.reason)),
        )

    def _park(self, moving: Sequence[int | None]) -> None:
        """Free the paths of tracks that move, so that two files may have swapped their names."""
        for track_id in moving:
            if track_id is not None:
                self._db.execute("UPDATE tracks SET path = id WHERE id = ?", (track_id,))

    def _write(self, record: TrackRecord) -> int:
        """Store one track and return its id."""
        if record.analysis is not None and self._model is not None:
            self._write_analysis(record, record.analysis, self._model)
        key = path_key(record.file.path)
        self._db.execute("DELETE FROM failures WHERE path = ?", (key,))
        own = own_genre(self._db, record.tags.genre_tag) if self._by_own_genre else None
        track_id, before, revision = self._existing(record, key)
        if before != (record.audio_hash, own):
            revision = self._change()
        file = (key, record.file.size, record.file.mtime_ns, record.audio_hash)
        values = (*file, *tag_columns(record.tags, record.file.path), own, revision)
        if track_id is not None:
            self._db.execute(_UPDATE_TRACK, (*values, track_id))
            return track_id
        return int(self._db.execute(INSERT_TRACK, values).lastrowid or 0)

    def _existing(
        self, record: TrackRecord, key: str | bytes
    ) -> tuple[int | None, tuple[str | None, str | None], int]:
        """Return id, hash and own genre, and revision of the row that the record is to fill."""
        columns = "SELECT id, audio_hash, own_genre, revision FROM tracks"
        holder = self._one(columns + " WHERE path = ?", (key,))
        if record.track_id is not None:
            mover = self._one(columns + " WHERE id = ?", (record.track_id,))
            if mover is not None:
                if holder is not None:
                    self._remove(holder[0])
                return mover[0], mover[1:3], mover[3]
        return (None, (None, None), 0) if holder is None else (holder[0], holder[1:3], holder[3])

    def _write_analysis(self, record: TrackRecord, analysis: Analysis, model: ModelInfo) -> None:
        genre, embedding = model.top_genre(analysis.probabilities), array_blob(analysis.embedding)
        identity = (record.audio_hash, analysis.fingerprint)
        style = None
        if len(analysis.tags) and style_columns(model):
            (style,) = strongest_styles(model, analysis.tags[np.newaxis])
        before = self._one(
            "SELECT genre, embedding, style FROM analyses WHERE audio_hash = ? AND fingerprint = ?",
            identity,
        )
        if before != (genre, embedding, style):
            # Every file of this sound stands elsewhere in the index from now on.
            self._db.execute(
                "UPDATE tracks SET revision = ? WHERE audio_hash = ?",
                (self._change(), record.audio_hash),
            )
        heard = (genre, record.duration_s, storable_text(record.warning))
        probabilities = array_blob(analysis.probabilities)
        tags = array_blob(analysis.tags) if len(analysis.tags) else None
        arrays = (probabilities, embedding, tags)
        self._db.execute(WRITE_ANALYSIS, (*identity, *heard, *arrays, style))
