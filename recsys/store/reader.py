"""Everything that can be asked of the library database. Nothing here writes."""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Any

from recsys.errors import StoreError
from recsys.store.checks import content_problems, file_problems
from recsys.store.connection import guarded
from recsys.store.heard import HeardReader
from recsys.store.rows import (
    StoredFile,
    key_path,
    normalise,
    path_key,
    ranges_under,
    track_of,
)
from recsys.types import Failure, TrackFile

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence
    from pathlib import Path

    from recsys.store.rows import PathKey
    from recsys.types import Track

_PAGE = 1000
"""Rows read at a time where memory must stay flat, and writing in between must do no harm."""

# Paths that are text are asked for together, as JSON; it holds no bytes, so these come one by one.
_LOOKUP_TRACKS = (
    "SELECT path, id, size, mtime_ns, audio_hash, genre, NULL, missing, warning FROM heard"
    " WHERE path IN (SELECT value FROM json_each(?) UNION ALL SELECT ?)"
)
_LOOKUP_FAILURES = (
    "SELECT path, NULL, size, mtime_ns, NULL, NULL, reason, FALSE, NULL FROM failures"
    " WHERE path IN (SELECT value FROM json_each(?) UNION ALL SELECT ?)"
)


class StoreReader(HeardReader):
    """The reading half of :class:`recsys.store.Store`."""

    # The model's files and the roots

    def model_card(self) -> str | None:
        """Return the card of the current model, JSON."""
        card: str | None = self._value(
            "SELECT card FROM models WHERE fingerprint ="
            " (SELECT value FROM meta WHERE key = 'model')"
        )
        return card

    def model_path(self) -> Path | None:
        """Return the checkpoint of the current model, None for the one that comes with recsys."""
        key = self._value(
            "SELECT checkpoint FROM models WHERE fingerprint ="
            " (SELECT value FROM meta WHERE key = 'model')"
        )
        return None if key is None else key_path(key)

    def roots(self) -> list[Path]:
        """Return the folders that were indexed, in the order of their names."""
        rows = self._rows("SELECT path FROM roots WHERE root ORDER BY path")
        return [key_path(key) for (key,) in rows]

    def volumes(self) -> list[Path]:
        """Return the disks that were seen mounted inside roots, in the order of their names."""
        rows = self._rows("SELECT path FROM roots WHERE volume ORDER BY path")
        return [key_path(key) for (key,) in rows]

    # What a scan asks, once per file

    @guarded
    def lookup(self, path: Path) -> StoredFile | None:
        """Return what is known of a path; None for one never seen."""
        return self.lookups([path])[0]

    @guarded
    def lookups(self, paths: Sequence[Path]) -> list[StoredFile | None]:
        """Return what is known of each path, in their order; None for one never seen.

        A scan asks for some hundred at a time: one by one the questions take longer than the
        answers.
        """
        keys = [path_key(path) for path in paths]
        texts = json.dumps([key for key in keys if isinstance(key, str)])
        asked = [(texts, None), *(("[]", key) for key in keys if isinstance(key, bytes))]
        known: dict[PathKey, StoredFile] = {}
        for sql in (_LOOKUP_FAILURES, _LOOKUP_TRACKS):  # a track counts more than a failure
            for parameters in asked:
                for row in self._db.execute(sql, parameters):
                    key, number, size, mtime_ns, sound, genre, failure, missing, warning = row
                    known[key] = StoredFile(
                        number, size, mtime_ns, sound, genre, failure, bool(missing), warning
                    )
        return [known.get(key) for key in keys]

    def analysed_hash(self, audio_hash: str) -> bool:
        """Return whether the current model has analysed this sound, and heard all of it.

        One with a warning does not count: the file at hand may be the same one, mended.
        """
        found = self._row(
            "SELECT 1 FROM analyses WHERE audio_hash = ? AND warning IS NULL AND fingerprint ="
            " (SELECT value FROM meta WHERE key = 'model')",
            (audio_hash,),
        )
        return found is not None

    def places_of_hash(
        self, audio_hash: str, without: Container[int] = ()
    ) -> Iterator[tuple[int, Path]]:
        """Yield number and path of the tracks of one sound, but for those that are known already.

        A sound may have very many copies, so no more is made of them than is asked for.
        """
        rows = self._rows(
            "SELECT id, path FROM tracks WHERE audio_hash = ? ORDER BY id", (audio_hash,)
        )
        return ((number, key_path(key)) for number, key in rows if number not in without)

    def tracks_with_hash(self, audio_hash: str) -> list[Track]:
        """Return the analysed tracks of the same sound, by id."""
        sql = "SELECT * FROM listed WHERE audio_hash = ? ORDER BY id"
        return [track_of(row) for row in self._rows(sql, (audio_hash,))]

    def iter_tracks_under(
        self, root: Path, without: Container[int] = ()
    ) -> Iterator[tuple[int, Path]]:
        """Iterate over ``(id, path)`` of every track in a folder or below it, ordered by path.

        Whole components count: ``/a/b`` does not hold ``/a/bc``. Tracks without an analysis are
        among them, those that are known already are not. The library may be written to meanwhile.
        """
        for exact, first, end in ranges_under(root):
            rows = self._rows("SELECT path, id FROM tracks WHERE path = ?", (exact,))
            rows_below = self._pages(
                "SELECT path, id FROM tracks WHERE path > ? AND path < ? ORDER BY path LIMIT ?",
                (first, end),
            )
            for key, track_id in chain(rows, rows_below):
                if track_id not in without:
                    yield track_id, key_path(key)

    def iter_failures_under(self, root: Path) -> Iterator[Path]:
        """Iterate over the paths of recorded failures in a folder or below it, ordered by path."""
        for exact, first, end in ranges_under(root):
            rows = self._rows("SELECT path FROM failures WHERE path = ?", (exact,))
            rows_below = self._pages(
                "SELECT path FROM failures WHERE path > ? AND path < ? ORDER BY path LIMIT ?",
                (first, end),
            )
            for (key,) in chain(rows, rows_below):
                yield key_path(key)

    def _pages(
        self, sql: str, bounds: tuple[PathKey, PathKey] | tuple[int], page: int = _PAGE
    ) -> Iterator[tuple[Any, ...]]:
        """Read rows in pages; their first column is the key that the next page starts after."""
        last, *rest = bounds
        while rows := self._rows(sql, (last, *rest, page)):
            yield from rows
            last = rows[-1][0]

    # Tracks

    def track(self, track_id: int) -> Track | None:
        """Return an analysed track, None where there is none of this id."""
        row = self._row("SELECT * FROM listed WHERE id = ?", (int(track_id),))
        return None if row is None else track_of(row)

    def tracks(self, ids: Iterable[int]) -> dict[int, Track]:
        """Return the analysed tracks of these ids; ids without one are left out."""
        # One JSON parameter instead of one per id: no limit on their number, one statement.
        wanted = json.dumps([int(i) for i in ids])
        sql = "SELECT * FROM listed WHERE id IN (SELECT value FROM json_each(?))"
        return {row[0]: track_of(row) for row in self._rows(sql, (wanted,))}

    def track_by_path(self, path: Path) -> Track | None:
        """Return the analysed track of this file, None where there is none."""
        row = self._row("SELECT * FROM listed WHERE path = ?", (path_key(path),))
        return None if row is None else track_of(row)

    def all_tracks(self) -> Iterator[Track]:
        """Iterate over every analysed track by id. The library may be written to meanwhile."""
        sql = "SELECT * FROM listed WHERE id > ? ORDER BY id LIMIT ?"
        return map(track_of, self._pages(sql, (-1,)))

    def find_tracks(self, words: str, limit: int = 50) -> list[Track]:
        """Return the analysed tracks whose artist or title hold every one of the words.

        Case and accents do not matter. A file without a title tag is found by its name.

        Parameters
        ----------
        words : str
            Separated by spaces. Without any, nothing is found.
        limit : int
            At most so many tracks.

        Returns
        -------
        list of Track
            Those whose artist or title is exactly ``words`` first, then by artist, title and id.
        """
        query = normalise(words)
        if not query:
            return []
        # The longest word alone throws out nearly everything, so the rest is tried on few rows.
        terms = sorted(query.split(), key=len, reverse=True)
        sql = (
            "SELECT listed.* FROM tracks JOIN listed USING (id)"
            " WHERE instr(tracks.search, ?1) > 0 AND NOT EXISTS"
            " (SELECT 1 FROM json_each(?2) WHERE instr(tracks.search, json_each.value) = 0)"
            " ORDER BY instr(char(10) || tracks.search || char(10), ?3) = 0, tracks.search, id"
            " LIMIT ?4"
        )
        rows = self._rows(sql, (terms[0], json.dumps(terms[1:]), f"\n{query}\n", limit))
        return [track_of(row) for row in rows]

    # Counts and checks

    def counts(self) -> dict[str, int]:
        """Return how many ``tracks``, ``analyses``, ``failures``, ``missing``, ``unanalysed``.

        ``unanalysed`` are tracks that the current model has not heard, ``missing`` those whose
        file was gone at the last look; both are among ``tracks``. ``analyses`` are those of every
        model, and of sounds that no track has any more.
        """
        row = self._row(
            "SELECT (SELECT count(*) FROM tracks), (SELECT count(*) FROM analyses),"
            " (SELECT count(*) FROM failures), (SELECT count(*) FROM tracks WHERE missing),"
            " (SELECT count(*) FROM heard WHERE genre IS NULL)"
        )
        names = ("tracks", "analyses", "failures", "missing", "unanalysed")
        return dict(zip(names, row or (), strict=True))

    def failures(self, limit: int | None = None) -> list[Failure]:
        """Return the recorded failures by path, at most ``limit`` of them."""
        sql = "SELECT path, size, mtime_ns, reason FROM failures ORDER BY path LIMIT ?"
        rows = self._rows(sql, (-1 if limit is None else limit,))
        return [
            Failure(TrackFile(key_path(key), size, mtime_ns), reason)
            for key, size, mtime_ns, reason in rows
        ]

    def integrity_problems(self) -> list[str]:
        """Return what is wrong with the database, in sentences; an empty list for a sound one."""
        try:
            return file_problems(self._rows) or content_problems(self._rows)
        except StoreError as error:
            return [error.message]
