"""Phrases by the text model of a library's own model: it has vectors where the tracks have theirs.

A phrase is a query like any other: its vector is searched for in the index. What it does not want
is taken from that vector, and tracks that are given besides are added to it, by Rocchio's formula
(:data:`recsys.recommender.query.ALPHA`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from recsys.errors import QueryError
from recsys.recommender import Recommender, SimilarOptions, Strategy
from recsys.recommender.query import ALPHA, BETA, GAMMA, Query, TagFilter, nearest
from recsys.recommender.taxonomy import taxonomy_of
from recsys.words.search import CENTRE_FROM, WordAnswer, checked_phrase, query_of_best
from recsys.words.text_reading import TextReading, divided

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.index.base import EmbeddingIndex
    from recsys.recommender.filters import TrackFilter
    from recsys.recommender.presence import Presence
    from recsys.recommender.query import Candidate
    from recsys.types import Catalogue, FloatArray, ModelInfo, Recommendation

_EXPECTED = 100
"""Candidates that a playlist or radio is expected to look at."""

_NO_DIRECTION = 1e-6


class TextTower(Protocol):
    """The text model of a text-audio model: :class:`recsys.classifier.onnx_text.OnnxText`."""

    @property
    def name(self) -> str:
        """Name of the whole model, for display."""

    def embed(self, text: str) -> FloatArray:
        """Return the vector of a text in the space of the tracks' embeddings, (d,), unit length."""


class TextPhrase:
    """A phrase that was read, and the tracks of a library that are nearest to it.

    QueryError if it has no words.
    """

    def __init__(
        self,
        store: Catalogue,
        index: EmbeddingIndex,
        info: ModelInfo,
        tower: TextTower,
        phrase: str,
        files: Presence | None = None,
    ) -> None:
        self._store, self._index, self._info, self._files = store, index, info, files
        wanted, unwanted = divided(checked_phrase(phrase))
        if not (wanted or unwanted):
            raise QueryError(
                f"nothing was understood of {phrase!r}",
                'Say what the music sounds like: --words "dusty late-night jazz, no vocals".',
            )
        self.reading = TextReading(phrase, tower.name, wanted, unwanted)
        self._wanted = tower.embed(wanted) if wanted else None
        self._unwanted = [tower.embed(text) for text in unwanted]

    @property
    def groups(self) -> tuple[str, ...]:
        """No genre groups: a text model takes a phrase as it is."""
        return ()

    def similar(
        self, options: SimilarOptions, seeds: Query | None = None, *, explain: bool = False
    ) -> WordAnswer:
        """Rank the library by similarity to the phrase alone: neither tiers nor taste count.

        QueryError if an option is not of this library.
        """
        query = self._query(seeds)
        options = replace(options, strategy=Strategy.SIMILARITY, taste=False)
        recommender = Recommender(self._store, self._index, self._info, files=self._files)
        answer = recommender.similar(query, options)
        results = [replace(row, score=row.similarity) for row in answer.results]
        if explain:
            results = self._explained(results, seeds)
        return WordAnswer(
            answer.query,
            answer.genre_group,
            answer.probabilities,
            answer.genre_scores,
            tuple(results),
            answer.filtered,
            answer.tiers,
            answer.notes,
            self.reading,
        )

    def candidates(
        self,
        genre: str | None = None,
        tags: tuple[str, ...] = (),
        seeds: Query | None = None,
        allowed: TrackFilter | None = None,
    ) -> Iterator[Candidate]:
        """Yield all tracks, the nearest first.

        QueryError if genre or tags are not of this library.
        """
        if genre is not None:
            genre = taxonomy_of(self._store, self._index, self._info).resolve(genre)
        wanted = TagFilter(self._store, self._info, tags) if tags else None
        vector = self._vector(seeds)
        return nearest(self._store, self._index, genre, vector, _EXPECTED, wanted, allowed)

    def _query(self, seeds: Query | None) -> Query:
        vector = self._vector(seeds)
        if seeds is not None:
            return replace(seeds, embedding=vector)
        best = [near.track_id for near in self._index.search(None, vector, CENTRE_FROM)]
        return replace(query_of_best(self._store, self._info, best), embedding=vector)

    def _vector(self, seeds: Query | None) -> FloatArray:
        """Return what is searched for, of unit length."""
        vector = np.zeros(self._info.dimension)
        if seeds is not None:
            vector += ALPHA * seeds.embedding
        if self._wanted is not None:
            vector += (ALPHA if seeds is None else BETA) * self._wanted
        if self._unwanted:
            vector -= GAMMA * np.mean(self._unwanted, axis=0)
        length = float(np.linalg.norm(vector))
        if length < _NO_DIRECTION:
            raise QueryError(
                f"{self.reading.given!r} has no direction: its parts cancel out",
                "Leave out a word, or what follows a negation.",
            )
        found: FloatArray = (vector / length).astype(np.float32)
        return found

    def _explained(
        self, results: list[Recommendation], seeds: Query | None
    ) -> list[Recommendation]:
        """Add to results how similar they are to each part of the query."""
        parts = [] if self._wanted is None else [(self.reading.wanted, self._wanted)]
        parts += zip(self.reading.unwanted, self._unwanted, strict=True)
        if seeds is not None:
            parts.append(("the tracks given", seeds.embedding))
        analyses = self._store.analyses([row.track.id for row in results])
        explained = []
        for row in results:
            reasons = [f"similarity {row.similarity:.3f} to the whole query"]
            if row.track.id in analyses:
                vector = analyses[row.track.id].embedding
                reasons += [f"{text} {float(vector @ part):+.3f}" for text, part in parts]
            explained.append(replace(row, reasons=tuple(reasons)))
        return explained
