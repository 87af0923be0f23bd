"""A library on Milvus as a reader has it: its tracks, its index and its model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys.errors import SharedLibraryError
from recsys.milvus.connection import Connection, nothing_there
from recsys.milvus.index import MilvusIndex
from recsys.milvus.layout import Notes, check_dimension, pattern, quoted, restored
from recsys.milvus.rows import ANALYSIS_FIELDS, TRACK_FIELDS, track_of
from recsys.store.rows import analysis_of, model_of
from recsys.store.search import search_rank, search_terms
from recsys.types import GenreSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recsys.milvus.connection import Place
    from recsys.types import Analysis, Effort, FloatArray, IdArray, ModelInfo, Track

LIBRARY_NOTE = "library"
"""Which collection holds the library, and how often it was pushed."""

SCORES_PAGE = 10_000
"""Tracks whose tag scores are read at once."""

_WORDS_FILTERED = 4
"""Words that Milvus is asked for; the rest is compared here."""


@dataclass(frozen=True, slots=True)
class SharedStatus:
    """What lies at a place.

    Attributes
    ----------
    place : str
        As it may be shown.
    model, fingerprint : str
        What the tracks were analysed with.
    effort : Effort
        In how many windows each.
    genre_source : GenreSource
        Which labels sort them.
    genres : dict of str to int
        Tracks by label.
    tags : tuple of str
        Of the model.
    roots : tuple of Path
        The folders that were indexed, where the library is.
    """

    place: str
    model: str
    fingerprint: str
    effort: Effort
    genre_source: GenreSource
    genres: dict[str, int]
    tags: tuple[str, ...]
    roots: tuple[Path, ...]

    @property
    def tracks(self) -> int:
        """How many tracks lie there."""
        return sum(self.genres.values())


def about_note(collection: str) -> str:
    """Return the name of the note that says what a collection holds."""
    return f"about:{collection}"


class MilvusCatalogue:
    """A :class:`~recsys.types.Catalogue` on Milvus; made by :meth:`open`.

    Attributes
    ----------
    index : MilvusIndex
        The embeddings of its tracks.
    """

    def __init__(
        self,
        connection: Connection,
        index: MilvusIndex,
        about: dict[str, Any],
        pushes: int,
    ) -> None:
        self.index = index
        self._connection = connection
        self._about = about
        self._pushes = pushes
        self._model = model_of(about["model"])
        self._all_scores: tuple[IdArray, FloatArray] | None = None
        check_dimension(index, self._model.dimension)

    @classmethod
    def open(cls, connection: Connection) -> Self:
        """Open the library that lies at a place.

        Raises
        ------
        SharedLibraryError
            There is none.
        GenreIndexError
            Its embeddings are not those of its model.
        """
        notes = Notes(connection)
        library = notes.read(LIBRARY_NOTE).get(LIBRARY_NOTE) if notes.open() else None
        if library is None:
            raise nothing_there(connection.place)
        try:
            return cls._open(connection, notes, library)
        except SharedLibraryError:
            # Another one took its place after we were told of it, and this one was dropped.
            if notes.read(LIBRARY_NOTE).get(LIBRARY_NOTE) == library:
                raise
            return cls.open(connection)

    @classmethod
    def _open(cls, connection: Connection, notes: Notes, library: dict[str, Any]) -> Self:
        name = library["collection"]
        about = notes.read(about_note(name)).get(about_note(name))
        if about is None:
            raise nothing_there(connection.place)
        index = MilvusIndex.open(connection, name, reading=True)
        return cls(connection, index, about, library["pushes"])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def refreshed(self) -> MilvusCatalogue:
        """Return the library as it is now: the same object, unless it was pushed meanwhile."""
        library = Notes(self._connection).read(LIBRARY_NOTE).get(LIBRARY_NOTE)
        if library == {"collection": self.index.name, "pushes": self._pushes}:
            return self
        return self.open(self._connection)

    @property
    def path(self) -> Place:
        """See :attr:`recsys.types.Catalogue.path`."""
        return self._connection.place

    def model(self) -> ModelInfo:
        """See :meth:`recsys.types.Catalogue.model`."""
        return self._model

    def genre_source(self) -> GenreSource:
        """See :meth:`recsys.types.Catalogue.genre_source`."""
        return GenreSource(self._about["genre_source"])

    def genre_counts(self) -> dict[str, int]:
        """See :meth:`recsys.types.Catalogue.genre_counts`."""
        return self.index.counts()

    def roots(self) -> list[Path]:
        """See :meth:`recsys.types.Catalogue.roots`."""
        return [Path(restored(root)) for root in self._about["roots"]]

    def status(self) -> SharedStatus:
        """Describe what lies there."""
        return SharedStatus(
            place=str(self.path),
            model=self._model.name,
            fingerprint=self._model.fingerprint,
            effort=self._model.effort,
            genre_source=self.genre_source(),
            genres=self.genre_counts(),
            tags=self._model.tags,
            roots=tuple(self.roots()),
        )

    # What was heard

    def analysis(self, track_id: int) -> Analysis | None:
        """See :meth:`recsys.types.Catalogue.analysis`."""
        return self.analyses([track_id]).get(int(track_id))

    def analyses(self, ids: Iterable[int]) -> dict[int, Analysis]:
        """See :meth:`recsys.types.Catalogue.analyses`."""
        rows = self.index.rows(ids, ANALYSIS_FIELDS)
        identity = self._model.identity
        found = ((row["id"], analysis_of(row, identity)) for row in rows)
        return {track_id: analysis for track_id, analysis in found if analysis is not None}

    def tag_scores(self, ids: Iterable[int]) -> dict[int, FloatArray]:
        """See :meth:`recsys.types.Catalogue.tag_scores`."""
        rows = self.index.rows(ids, ["tag_scores"])
        scored = ((row["id"], np.array(row["tag_scores"], dtype=np.float32)) for row in rows)
        return {number: scores for number, scores in scored if len(scores)}

    def all_tag_scores(self) -> tuple[IdArray, FloatArray]:
        """See :meth:`recsys.types.Catalogue.all_tag_scores`; read once per push."""
        if self._all_scores is None:
            ids: list[int] = []
            scores = [np.empty((0, len(self._model.tags)), dtype=np.float32)]
            for page in self._connection.pages(
                self.index.name, "", ["id", "tag_scores"], SCORES_PAGE
            ):
                scored = [row for row in page if len(row["tag_scores"])]
                ids += [row["id"] for row in scored]
                scores.append(_matrix([row["tag_scores"] for row in scored], scores[0].shape[1]))
            self._all_scores = np.array(ids, dtype=np.int64), np.concatenate(scores)
        return self._all_scores

    # Tracks

    def track(self, track_id: int) -> Track | None:
        """See :meth:`recsys.types.Catalogue.track`."""
        return self.tracks([track_id]).get(int(track_id))

    def tracks(self, ids: Iterable[int]) -> dict[int, Track]:
        """See :meth:`recsys.types.Catalogue.tracks`."""
        return {row["id"]: track_of(row) for row in self.index.rows(ids, TRACK_FIELDS)}

    def track_by_path(self, path: Path) -> Track | None:
        """See :meth:`recsys.types.Catalogue.track_by_path`."""
        return next(iter(self._where(f"path == {quoted(str(path))}")), None)

    def tracks_with_hash(self, audio_hash: str) -> list[Track]:
        """See :meth:`recsys.types.Catalogue.tracks_with_hash`."""
        return self._where(f"audio_hash == {quoted(audio_hash)}")

    def find_tracks(self, words: str, limit: int = 50) -> list[Track]:
        """See :meth:`recsys.types.Catalogue.find_tracks`."""
        terms = search_terms(words)
        if not terms:
            return []
        # Milvus finds the texts that hold the words anywhere; which of them count is decided here.
        longest = sorted(terms, key=len, reverse=True)[:_WORDS_FILTERED]
        asked = " and ".join(f"words like {pattern(term)}" for term in longest)
        found = [
            (rank, texts[:2], row["id"])
            for row in self._connection.rows(self.index.name, asked, ["id", "words"])
            if (rank := search_rank(terms, texts := row["words"].split("\t"))) is not None
        ]
        ids = [track_id for _, _, track_id in sorted(found)[:limit]]
        tracks = self.tracks(ids)
        return [tracks[number] for number in ids if number in tracks]

    def _where(self, condition: str) -> list[Track]:
        """Return the tracks that fulfil a condition, by id."""
        rows = self._connection.rows(self.index.name, condition, TRACK_FIELDS)
        return sorted(map(track_of, rows), key=lambda track: track.id)


def _matrix(rows: list[Any], columns: int) -> FloatArray:
    return np.array(rows, dtype=np.float32).reshape(len(rows), columns)
