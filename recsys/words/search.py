"""Answers to phrases: ranked tracks for ``similar``, and candidates for playlists and radio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from recsys.errors import QueryError
from recsys.recommender import Answer, SimilarOptions, Strategy, Tier, TierKind
from recsys.recommender.filters import left_out
from recsys.recommender.query import Query, TagFilter, make_query, track_filter
from recsys.recommender.recommender import ResultFilter
from recsys.recommender.taxonomy import taxonomy_of
from recsys.types import Kind, Recommendation
from recsys.words.library_names import LibraryNames
from recsys.words.phrase import PhraseReading, read_phrase
from recsys.words.ranking import FITS, LibrarySounds, WordRanking
from recsys.words.table import Sound, Vocabulary

if TYPE_CHECKING:
    from recsys.index.base import EmbeddingIndex
    from recsys.recommender.filters import TrackFilter
    from recsys.recommender.presence import Presence
    from recsys.recommender.query import Candidate
    from recsys.types import Catalogue, ModelInfo
    from recsys.words.text_reading import TextReading

CENTRE_FROM = 20
"""Best tracks of a phrase whose mean embedding is what similarities are to, without seeds."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class WordAnswer(Answer):
    """Recommendations for a phrase, alone or with seeds, and how it was read.

    The query of a phrase alone has no seeds; its figures are those of the best tracks.
    """

    reading: PhraseReading | TextReading

    def __repr__(self) -> str:
        tracks = "track" if len(self.results) == 1 else "tracks"
        return f"<WordAnswer: {len(self.results)} {tracks}, read as: {self.reading}>"

    def _repr_html_(self) -> str:
        from recsys.notebook import html_table

        rows = [
            (row.rank, row.track.artist, row.track.title, row.track.genre_group, f"{row.score:.2f}")
            for row in self.results
        ]
        columns = ("#", "Artist", "Title", "Genre", "Score")
        return html_table(f"Read as: {self.reading}", columns, rows)


class WordSearch:
    """Looks for the tracks of a library that fit a phrase."""

    def __init__(
        self,
        store: Catalogue,
        index: EmbeddingIndex,
        info: ModelInfo,
        sounds: LibrarySounds,
        files: Presence | None = None,
    ) -> None:
        self._store, self._index, self._info, self._sounds = store, index, info, sounds
        self._files = files
        self._taxonomy = taxonomy_of(store, index, info)

    def read(self, phrase: str) -> PhraseReading:
        """Read a phrase by the words and names of the library; QueryError if it is no text."""
        phrase = checked_phrase(phrase)
        kinds = tuple(kind for kind in self._taxonomy.kinds if kind == Kind.SPEECH)
        vocabulary = _vocabulary(self._info.tags, (*self._taxonomy.groups, *map(str, kinds)))
        return read_phrase(phrase, vocabulary, LibraryNames(self._store), _guess)

    def similar(
        self,
        reading: PhraseReading,
        options: SimilarOptions,
        seeds: Query | None = None,
        *,
        explain: bool = False,
    ) -> WordAnswer:
        """Rank the library for a phrase, or the neighbours of seeds.

        QueryError if nothing was understood, or an option is not of this library.
        """
        if options.genre is not None:
            options = replace(options, genre=self._taxonomy.resolve(options.genre))
        filters = options.filters.including(options.genre, *reading.groups)
        wanted = TagFilter(self._store, self._info, options.tags) if options.tags else None
        tiers = options.strategy != Strategy.SIMILARITY
        ranking, query = self._ranked(reading, seeds, tiers=tiers)
        result_filter, scores = ResultFilter(query, options), self._taxonomy.scores(query)
        allowed = track_filter(self._store, query, filters, self._files)
        results: list[Recommendation] = []
        matches = ranking.matches(self._store, query.embedding, options.genre, wanted, allowed)
        for tier, match in matches:
            found = match.candidate
            if not result_filter.admits(found):
                continue
            score = dict(scores).get(found.track.genre_group, 0.0)
            results.append(
                Recommendation(
                    len(results) + 1,
                    found.track,
                    tier,
                    score,
                    found.similarity,
                    match.reasons if explain else (),
                    round(match.score, 6),
                )
            )
            if len(results) == options.k:
                break
        if wanted is not None and wanted.left_out:
            result_filter.filtered["tag"] = wanted.left_out
        if allowed is not None:
            result_filter.filtered.update(allowed.filtered)
        by_genre = zip(self._info.labels, map(float, query.probabilities), strict=True)
        return WordAnswer(
            query,
            self._taxonomy.group_of(query),
            dict(by_genre),
            scores,
            tuple(results),
            dict(result_filter.filtered),
            _tiers(ranking),
            (*ranking.notes, *_notes(results, options, result_filter)),
            reading,
        )

    def candidates(
        self,
        reading: PhraseReading,
        genre: str | None = None,
        tags: tuple[str, ...] = (),
        seeds: Query | None = None,
        allowed: TrackFilter | None = None,
    ) -> Iterator[Candidate]:
        """Yield the tracks that fit a phrase, the best first, with seeds those among their nearest.

        QueryError if nothing was understood or fits, or genre or tags are not of this library.
        """
        resolved = None if genre is None else self._taxonomy.resolve(genre)
        wanted = TagFilter(self._store, self._info, tags) if tags else None
        ranking, query = self._ranked(reading, seeds)
        if not ranking.fitting:
            raise QueryError(
                f"no track of {self._store.path} fits {reading.given!r}, read as: {reading}",
                "Leave out a word; recsys similar --words ranks all tracks, fitting or not.",
            )
        matches = ranking.matches(
            self._store, query.embedding, resolved, wanted, allowed, only_fitting=True
        )
        return (match.candidate for _, match in matches)

    def _ranked(
        self, reading: PhraseReading, seeds: Query | None, *, tiers: bool = True
    ) -> tuple[WordRanking, Query]:
        near = None if seeds is None else seeds.embedding
        ranking = WordRanking(self._sounds, self._index, self._info, reading, near, tiers=tiers)
        return ranking, seeds or self._query(ranking)

    def _query(self, ranking: WordRanking) -> Query:
        ids = ranking.best_ids(min(CENTRE_FROM, max(1, ranking.fitting)))
        return query_of_best(self._store, self._info, ids)


@dataclass(frozen=True, slots=True)
class WordPhrase:
    """A phrase that was read, and the tracks of a library that fit it."""

    search: WordSearch
    reading: PhraseReading

    @property
    def groups(self) -> tuple[str, ...]:
        """The genre groups that the phrase names."""
        return self.reading.groups

    def similar(
        self, options: SimilarOptions, seeds: Query | None = None, *, explain: bool = False
    ) -> WordAnswer:
        """See :meth:`WordSearch.similar`."""
        return self.search.similar(self.reading, options, seeds, explain=explain)

    def candidates(
        self,
        genre: str | None = None,
        tags: tuple[str, ...] = (),
        seeds: Query | None = None,
        allowed: TrackFilter | None = None,
    ) -> Iterator[Candidate]:
        """See :meth:`WordSearch.candidates`."""
        return self.search.candidates(self.reading, genre, tags, seeds, allowed)


def checked_phrase(phrase: object) -> str:
    """Return a phrase; QueryError if it is no text."""
    if not isinstance(phrase, str):
        raise QueryError(
            f"words must be a text, got {phrase!r}", 'For example "slow sad jazz, no vocals".'
        )
    return phrase


def query_of_best(store: Catalogue, info: ModelInfo, ids: Sequence[int]) -> Query:
    """Return a query of the best tracks of a phrase that leaves none of them out."""
    tracks, analyses = store.tracks(ids), store.analyses(ids)
    best = [(tracks[i], analyses[i]) for i in ids if i in tracks and i in analyses]
    return replace(make_query(info, best), seeds=())


def _guess(words: str, vocabulary: Vocabulary) -> Sound | None:
    from recsys.words.text_model import guess  # only for words that nothing else knows

    return guess(words, vocabulary)


@lru_cache(maxsize=4)
def _vocabulary(tags: tuple[str, ...], groups: tuple[str, ...]) -> Vocabulary:
    return Vocabulary(tags, groups)  # takes longer than an answer


def _tiers(ranking: WordRanking) -> tuple[Tier, ...]:
    if not ranking.groups:
        return (Tier(0, TierKind.SIMILARITY, ()),)
    return Tier(1, TierKind.FIRST, ranking.groups), Tier(2, TierKind.OTHER, ())


def _notes(
    results: list[Recommendation], options: SimilarOptions, result_filter: ResultFilter
) -> Iterator[str]:
    if len(results) < options.k:
        where = options.genre or "the library"
        note = f"{len(results)} of {options.k} tracks: {where} holds no others"
        yield note + left_out(result_filter.filtered)
    poor = sum(row.score is not None and row.score < FITS for row in results)
    if poor:
        which = f"{poor} of these {len(results)} tracks do not fit the words"
        yield f"{which}: their scores are below {FITS:g}"
