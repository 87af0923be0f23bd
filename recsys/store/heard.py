"""What the current model heard in the tracks, and what the index must hold of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.store.connection import guarded
from recsys.store.models import READ_MODEL, model_of
from recsys.store.rows import Changes, blob_array, blob_matrix
from recsys.types import Analysis

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from recsys.types import FloatArray, IdArray, ModelInfo


class HeardReader:
    """The part of :class:`recsys.store.Store` that reads models and analyses."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self._path = path
        self._db = database

    @property
    def path(self) -> Path:
        """The database file."""
        return self._path

    @property
    def revision(self) -> int:
        """Rises with every transaction that changes what the index must hold."""
        return int(self._value("SELECT value FROM meta WHERE key = 'revision'"))

    @property
    def library_id(self) -> str:
        """Tells this library from any other; made with the database, 32 hexadecimal digits."""
        return str(self._value("SELECT value FROM meta WHERE key = 'library'"))

    @guarded
    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._db.execute(sql, parameters).fetchall()

    @guarded
    def _row(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._db.execute(sql, parameters).fetchone()
        return row

    def _value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:  # noqa: ANN401
        row = self._row(sql, parameters)
        return None if row is None else row[0]

    def model(self) -> ModelInfo | None:
        """Return the library's current model, None before the first one is set."""
        row = self._row(READ_MODEL)
        return None if row is None else model_of(row)

    def genre_source(self) -> str:
        """Return which labels sort the tracks, one of :data:`recsys.types.GENRE_SOURCES`."""
        return str(self._value("SELECT value FROM meta WHERE key = 'genres'"))

    def analysis(self, track_id: int) -> Analysis | None:
        """Return what the current model heard in a track, None where it heard nothing yet."""
        return self.analyses([track_id]).get(int(track_id))

    def analyses(self, ids: Iterable[int]) -> dict[int, Analysis]:
        """Return what the current model heard in these tracks, where it heard anything."""
        wanted = json.dumps([int(i) for i in ids])
        sql = (
            "SELECT id, probabilities, embedding, fingerprint, coalesce(tags, x'') FROM heard"
            " WHERE id IN (SELECT value FROM json_each(?)) AND genre IS NOT NULL"
        )
        return {
            row[0]: Analysis(blob_array(row[1]), blob_array(row[2]), row[3], blob_array(row[4]))
            for row in self._rows(sql, (wanted,))
        }

    def tag_scores(self, ids: Iterable[int]) -> dict[int, FloatArray]:
        """Return the tag scores of these tracks, shape (n_tags,); ids without any are left out."""
        wanted = json.dumps([int(i) for i in ids])
        sql = (
            "SELECT id, tags FROM heard"
            " WHERE tags IS NOT NULL AND id IN (SELECT value FROM json_each(?))"
        )
        return {number: blob_array(blob) for number, blob in self._rows(sql, (wanted,))}

    def all_tag_scores(self) -> tuple[IdArray, FloatArray]:
        """Return the tag scores of every track that has any.

        Returns
        -------
        ids : ndarray of int64, shape (n,)
            Ascending.
        scores : ndarray of float32, shape (n, n_tags)
        """
        model = self.model()
        rows = self._rows("SELECT id, tags FROM heard WHERE tags IS NOT NULL ORDER BY id")
        ids = np.array([row[0] for row in rows], dtype=np.int64)
        return ids, blob_matrix([row[1] for row in rows], len(model.tags) if model else 0)

    # What the index holds

    def iter_embeddings(
        self, batch: int = 10_000
    ) -> Iterator[tuple[IdArray, list[str], FloatArray]]:
        """Iterate over what the index must hold, by id, in batches.

        Yields
        ------
        ids : ndarray of int64, shape (n,)
            At most ``batch`` of them.
        genres : list of str
            The part of each id.
        embeddings : ndarray of float32, shape (n, d)
            One row per id.
        """
        last = -1
        sql = (
            "SELECT id, part, embedding FROM heard"
            " WHERE id > ? AND genre IS NOT NULL ORDER BY id LIMIT ?"
        )
        while rows := self._rows(sql, (last, batch)):
            yield self._columns(rows)
            last = rows[-1][0]

    def change_count(self, revision: int) -> int:
        """Return how many tracks :meth:`changes_since` would name."""
        return int(
            self._value(
                "SELECT (SELECT count(*) FROM tracks WHERE revision > ?1)"
                " + (SELECT count(*) FROM removals WHERE revision > ?1)",
                (revision,),
            )
        )

    @guarded
    def changes_since(self, revision: int) -> Changes:
        """Return what an index of an earlier revision has to learn.

        Only right for an index of the current model; tracks that the model has not analysed
        count as removed.
        """
        # One read transaction: the revision and the rows are those of the same moment.
        self._db.execute("BEGIN")
        try:
            now = self.revision
            # +id: few rows are found by their revision, not all of them read in the order of ids.
            rows = self._rows(
                "SELECT id, part, embedding FROM heard"
                " WHERE revision > ? AND genre IS NOT NULL ORDER BY +id",
                (revision,),
            )
            gone = self._rows(
                "SELECT id FROM heard WHERE revision > ?1 AND genre IS NULL"
                " UNION SELECT track_id FROM removals WHERE revision > ?1 ORDER BY 1",
                (revision,),
            )
        finally:
            self._db.execute("COMMIT")
        ids, genres, embeddings = self._columns(rows)
        removed = np.array([row[0] for row in gone], dtype=np.int64)
        return Changes(now, ids, tuple(genres), embeddings, removed)

    def _columns(self, rows: list[tuple[Any, ...]]) -> tuple[IdArray, list[str], FloatArray]:
        ids = np.array([row[0] for row in rows], dtype=np.int64)
        genres = [row[1] for row in rows]
        dimension = self._value(
            "SELECT dimension FROM models WHERE fingerprint ="
            " (SELECT value FROM meta WHERE key = 'model')"
        )
        return ids, genres, blob_matrix([row[2] for row in rows], dimension or 0)

    def genre_counts(self) -> dict[str, int]:
        """Return the number of analysed tracks in each part, in the order of the names."""
        sql = "SELECT part, count(*) FROM listed GROUP BY part ORDER BY part"
        return dict(self._rows(sql))
