"""A library on Milvus as a reader has it: its tracks, its index and its model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys.errors import GenreIndexError
from recsys.milvus.client import CollectionGoneError, Connection, nothing_there
from recsys.milvus.collection import (
    ANALYSIS_FIELDS,
    TRACK_FIELDS,
    header_rows,
    pattern,
    quoted,
    restored,
    track_of,
)
from recsys.milvus.milvus_index import TRACKS, MilvusIndex
from recsys.store.rows import analysis_of, model_of
from recsys.store.search import (
    like_words,
    rank_matches,
    search_terms,
    term_parts,
    vocabulary_of,
    whole_keys,
)
from recsys.taste import Bans
from recsys.types import GenreSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recsys.index.base import EmbeddingIndex
    from recsys.milvus.client import Place
    from recsys.types import Analysis, Effort, FloatArray, IdArray, ModelInfo, Track

SCORES_PAGE = 10_000
"""Tracks whose tag scores are read in one request."""

_WORDS_FILTERED = 4
"""Words in the filter of a request; the others are only compared here."""

_LETTERS_FILTERED, _MOST_ROWS = 3, 2000
"""Letters that a misspelt word has in common with those compared, and tracks that are read."""


@dataclass(frozen=True, slots=True)
class SharedStatus:
    """A library on Milvus; fields as in the JSON of ``recsys status --index``."""

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
        """Number of tracks."""
        return sum(self.genres.values())


def current_collection(connection: Connection) -> str | None:
    """Return the collection that the alias of a place names, None where there is no alias."""
    alias = connection.place.collection
    if not connection.ask("has_collection", alias):
        return None
    return str(connection.ask("describe_alias", alias)["collection_name"])


def check_dimension(index: EmbeddingIndex, dimension: int) -> None:
    """Raise an error unless an index holds embeddings of the model's length."""
    if index.dimension != dimension:
        raise GenreIndexError(
            f"the index on Milvus holds embeddings of dimension {index.dimension}, and the"
            f" model makes them of dimension {dimension}",
            "It was not made by this library: push it again with --replace.",
        )


class MilvusCatalogue:
    """A :class:`~recsys.types.Catalogue` on Milvus, with its index; made by :meth:`open`."""

    def __init__(self, connection: Connection, index: MilvusIndex) -> None:
        self.index = index
        self._connection = connection
        self._about = index.header.about
        self._model = model_of(self._about["model"])
        self._all_scores: tuple[IdArray, FloatArray] | None = None
        check_dimension(index, self._model.dimension)

    @classmethod
    def open(cls, connection: Connection) -> Self:
        """Open the library at a place.

        The collection is looked up once: what the alias names later is another library, and rows
        of two libraries never mix in one answer.

        Raises
        ------
        SharedLibraryError
            There is none.
        GenreIndexError
            Its embeddings are not those of its model.
        """
        try:
            return cls._open(connection)
        except CollectionGoneError:  # replaced between the two requests
            return cls._open(connection)

    @classmethod
    def _open(cls, connection: Connection) -> Self:
        name = current_collection(connection)
        if name is None:
            raise nothing_there(connection.place)
        index = MilvusIndex.open(connection, name, reading=True)
        if not index.header.about:
            raise nothing_there(connection.place)
        return cls(connection, index)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def refreshed(self) -> MilvusCatalogue:
        """Return the library as it is now: the same object, unless it was pushed meanwhile."""
        rows = header_rows(self._connection, self._connection.place.collection, 1)
        if rows and rows[-1]["audio_hash"] == self.index.header.version:
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

    def blend(self, _name: str) -> None:
        """See :meth:`recsys.types.Catalogue.blend`: blends are not pushed."""

    def preferences(self) -> dict[str, Any]:
        """See :meth:`recsys.types.Catalogue.preferences`."""
        return dict(self._about.get("preferences", {}))

    def bans(self) -> Bans:
        """Return none: a push leaves out what is banned."""
        return Bans()

    def status(self) -> SharedStatus:
        """Describe the library."""
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

    # Analyses

    def analysis(self, track_id: int) -> Analysis | None:
        """See :meth:`recsys.types.Catalogue.analysis`."""
        return self.analyses([track_id]).get(int(track_id))

    def analyses(self, ids: Iterable[int]) -> dict[int, Analysis]:
        """See :meth:`recsys.types.Catalogue.analyses`."""
        rows = self.index.rows(ids, ANALYSIS_FIELDS)
        return {row["id"]: analysis_of(row, self._model.identity) for row in rows}

    def tag_scores(self, ids: Iterable[int]) -> dict[int, FloatArray]:
        """See :meth:`recsys.types.Catalogue.tag_scores`."""
        rows = self.index.rows(ids, ["tag_scores"])
        scored = ((row["id"], np.array(row["tag_scores"], dtype=np.float32)) for row in rows)
        return {track_id: scores for track_id, scores in scored if len(scores)}

    def all_tag_scores(self) -> tuple[IdArray, FloatArray]:
        """See :meth:`recsys.types.Catalogue.all_tag_scores`; read once per push."""
        if self._all_scores is None:
            ids: list[int] = []
            scores = [np.empty((0, len(self._model.tags)), dtype=np.float32)]
            for page in self._connection.pages(
                self.index.name, TRACKS, ["id", "tag_scores"], SCORES_PAGE
            ):
                scored = [row for row in page if len(row["tag_scores"])]
                ids += [row["id"] for row in scored]
                scores.append(_matrix([row["tag_scores"] for row in scored], scores[0].shape[1]))
            self._all_scores = np.array(ids, dtype=np.int64), np.concatenate(scores)
        return self._all_scores

    def all_labels(self) -> tuple[IdArray, list[str], FloatArray]:
        """See :meth:`recsys.types.Catalogue.all_labels`."""
        pages = self._connection.pages(
            self.index.name, TRACKS, ["id", "genre", "track"], SCORES_PAGE
        )
        rows = [
            (row["id"], restored(row["genre"]), row["track"]["year"])
            for page in pages
            for row in page
        ]
        ids = np.array([row[0] for row in rows], dtype=np.int64)
        order = np.argsort(ids)
        years = np.array([row[2] for row in rows], dtype=np.float32)  # None becomes NaN
        return ids[order], [rows[i][1] for i in order], years[order]

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
        # Milvus finds texts with the words anywhere, also inside of words: rank_matches decides.
        parts = sorted(map("%".join, term_parts(terms)), key=len, reverse=True)
        each = " and ".join(f"words like {pattern(part)}" for part in parts[:_WORDS_FILTERED])
        asked = f"({each}) or {_any_of(whole_keys(terms))}"
        rows = self._connection.rows(self.index.name, asked, ["id", "words"])
        candidates = ((row["id"], row["words"].split("\t")[:5]) for row in rows if row["id"] >= 0)
        ids = rank_matches(terms, candidates, limit)
        tracks = self.tracks(ids)
        return [tracks[track_id] for track_id in ids if track_id in tracks]

    def like_words(self, words: Sequence[str]) -> list[list[str]]:
        """See :meth:`recsys.types.Catalogue.like_words`.

        Milvus has no list of words: those of tracks with the beginning or the end of one are
        compared with it.
        """
        found = []
        for word in words:
            ends = _any_of([word[:_LETTERS_FILTERED], word[-_LETTERS_FILTERED:]])
            rows = self._connection.ask(
                "query", self.index.name, filter=ends, output_fields=["words"], limit=_MOST_ROWS
            )
            found.append(like_words(word, vocabulary_of(row["words"] for row in rows)))
        return found

    def _where(self, condition: str) -> list[Track]:
        """Return the tracks that match a condition, by id."""
        rows = self._connection.rows(self.index.name, condition, TRACK_FIELDS)
        return sorted(map(track_of, rows), key=lambda track: track.id)


def _any_of(parts: Iterable[str]) -> str:
    """Return the filter for texts that hold one of some parts."""
    return "(" + " or ".join(f"words like {pattern(part)}" for part in parts) + ")"


def _matrix(rows: list[Any], columns: int) -> FloatArray:
    return np.array(rows, dtype=np.float32).reshape(len(rows), columns)
