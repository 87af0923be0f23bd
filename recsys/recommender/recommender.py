"""Ranking of tracks for a query; see :mod:`recsys.recommender`."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from recsys.checks import check_at_least, check_types
from recsys.credits import spaced_artists
from recsys.errors import QueryError
from recsys.recommender.duplicates import NearDuplicates, same_album
from recsys.recommender.filters import NO_FILTERS, Filters, left_out
from recsys.recommender.query import Query, TagFilter, nearest, track_filter, with_taste
from recsys.recommender.taxonomy import did_you_mean, taxonomy_of
from recsys.recommender.tiers import (
    AS_NEAR_AS_CAN_BE,
    Strategy,
    Tier,
    TierKind,
    plan_tiers,
    tier_candidates,
)
from recsys.types import NOT_MUSIC, TRACK_COLUMNS, UNKNOWN, Recommendation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recsys.index.base import EmbeddingIndex
    from recsys.recommender.explanations import Explanation
    from recsys.recommender.presence import Presence
    from recsys.recommender.query import Candidate, Search
    from recsys.taste.ranking import Taste
    from recsys.types import Catalogue, ModelInfo, Track

_SPARE = 8
"""Candidates expected beyond those wanted: the query itself, copies of it, near-duplicates."""


@dataclass(frozen=True, slots=True)
class SimilarOptions:
    """How to recommend.

    Attributes
    ----------
    k : int
        How many tracks.
    strategy : str
        A :class:`Strategy`.
    genre : str or None
        Only tracks of this genre group.
    tags : tuple of str
        Only tracks that carry all of these tags of the model, see
        :class:`recsys.recommender.query.TagFilter`. The order is the same as without.
    max_per_artist : int or None
        Limit of tracks of one artist, guests included; tracks without an artist are not limited.
    no_same_album : bool
        Leave out the album of the query.
    show_duplicates : bool
        Keep near-duplicates of the query and of better-ranked tracks.
    filters : Filters
        Which tracks must not be in the list, see :class:`recsys.recommender.filters.Filters`.
    taste : bool
        Let what the listener liked, disliked, played and skipped change the order inside a tier.

    Raises
    ------
    QueryError
        A number is below 1, a value of another type, or the strategy does not exist.
    """

    k: int = 20
    strategy: Literal["tiers", "similarity"] | Strategy = Strategy.TIERS
    genre: str | None = None
    max_per_artist: int | None = None
    no_same_album: bool = False
    show_duplicates: bool = False
    tags: tuple[str, ...] = ()
    filters: Filters = NO_FILTERS
    taste: bool = True

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(1, k=self.k, max_per_artist=self.max_per_artist)
        if self.strategy not in list(Strategy):
            raise QueryError(
                f"unknown strategy {self.strategy!r}{did_you_mean(str(self.strategy), Strategy)}",
                f"Strategies: {', '.join(Strategy)}.",
            )


class ResultFilter:
    """Admits candidates to an answer, best first, and counts those it leaves out by reason.

    A track that several filters would leave out counts for the first of them in
    :data:`recsys.recommender.filters.FILTERS`. The tracks of the query are left out by id and by
    path.
    """

    def __init__(self, query: Query, options: SimilarOptions) -> None:
        self.filtered: Counter[str] = Counter()
        self._ids = query.exclude_ids
        self._paths = query.exclude_paths
        self._albums = [seed.track for seed in query.seeds] if options.no_same_album else []
        self._max_per_artist = options.max_per_artist
        self._per_artist: Counter[str] = Counter()
        self._hashes = {seed.track.audio_hash for seed in query.seeds}
        self._admitted = None if options.show_duplicates else NearDuplicates()
        if self._admitted is not None:
            for seed in query.seeds:
                self._admitted.add(seed.track, seed.embedding)

    def admits(self, candidate: Candidate) -> bool:
        """Return whether a candidate belongs in the answer; count it if not."""
        reason = self.objection(candidate)
        if reason is not None:
            self.filtered[reason] += 1
            return False
        if self._max_per_artist is not None:
            self._per_artist.update(spaced_artists(candidate.track))
        if self._admitted is not None:
            self._admitted.add(candidate.track, candidate.embedding)
        return True

    def objection(self, candidate: Candidate) -> str | None:
        """Return why a candidate does not belong in the answer; None if it does."""
        track = candidate.track
        if track.id in self._ids or track.path in self._paths:
            return "query"
        if track.audio_hash in self._hashes and Path(os.path.realpath(track.path)) in self._paths:
            return "query"  # the same file, reached through a link
        if self._admitted is not None and self._admitted.match(track, candidate.embedding):
            return "near_duplicate"
        if any(same_album(track, seed) for seed in self._albums):
            return "same_album"
        if self._max_per_artist is not None:
            counts = map(self._per_artist.__getitem__, spaced_artists(track))
            if max(counts, default=0) >= self._max_per_artist:
                return "same_artist"
        return None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Answer:
    """Recommendations for a query, and the figures behind the ranking.

    `filtered` counts the tracks that each filter left out, by the names in
    :data:`recsys.recommender.filters.FILTERS`. Tracks that were never reached are not counted.
    """

    query: Query
    genre_group: str  # of the query, or "unknown"
    probabilities: Mapping[str, float]  # of the query, by genre of the model
    genre_scores: tuple[tuple[str, float], ...]  # every group with the query's score, best first
    results: tuple[Recommendation, ...]  # best first
    filtered: Mapping[str, int]
    tiers: tuple[Tier, ...]  # in which the library was searched, best first
    notes: tuple[str, ...]  # why the ranking or the number of results is not as requested

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks of the results, best first."""
        return tuple(row.track for row in self.results)

    @property
    def name(self) -> str:
        """What the answer is to, for display."""
        return ", ".join(reading.name for reading in self.query.readings) or ", ".join(
            seed.track.display_name for seed in self.query.seeds
        )

    def __repr__(self) -> str:
        return f"<Answer: {len(self.results)} tracks like {self.name} ({self.genre_group})>"

    def _repr_html_(self) -> str:
        from recsys.notebook import html_table

        rows = [
            (*row.track.cells(row.rank), row.tier or "-", f"{row.similarity:.3f}")
            for row in self.results
        ]
        columns = (*TRACK_COLUMNS, "Tier", "Similarity")
        return html_table(f"Like {self.name}: {self.genre_group}", columns, rows)


class Recommender:
    """Recommends tracks of a library: its catalogue, its embeddings and the model of both.

    `taste` is the listener's, None for none; it changes the order inside a tier. `files` leaves out
    what is not there.
    """

    def __init__(
        self,
        store: Catalogue,
        index: EmbeddingIndex,
        info: ModelInfo,
        taste: Taste | None = None,
        files: Presence | None = None,
    ) -> None:
        self._taste = taste
        self._files = files
        self._store = store
        self._index = index
        self._info = info
        self._taxonomy = taxonomy_of(store, index, info)

    def similar(self, query: Query, options: SimilarOptions | None = None) -> Answer:
        """Rank the tracks of the library for a query.

        With the strategy ``tiers``, tracks of the query's own genre group come first, then those of
        related groups in the order of their scores, as far as they are near, and then everything
        else (:mod:`recsys.recommender.tiers`); inside a tier by cosine similarity, ties by track
        id. The nearest track of the library leads the first tier, whatever its genre. The groups
        are those of the library (:mod:`recsys.recommender.taxonomy`). A query of unknown group is
        ranked by similarity alone. The query's own tracks are left out.

        Parameters
        ----------
        query : Query
            See :func:`recsys.recommender.query.make_query`.
        options : SimilarOptions, optional

        Returns
        -------
        Answer
            At most ``k`` results, with a note if there are fewer.

        Raises
        ------
        QueryError
            The genre of the options is no genre group, or a tag not one of the model's.
        """
        options = options or SimilarOptions()
        if options.genre is not None:
            genre = self._taxonomy.resolve(options.genre)
            options = replace(options, genre=genre, filters=options.filters.including(genre))
        wanted = TagFilter(self._store, self._info, options.tags) if options.tags else None
        allowed = track_filter(self._store, query, options.filters, self._files)
        group, scores = self._taxonomy.group_of(query), self._taxonomy.scores(query)
        result_filter = ResultFilter(query, options)
        tiers = plan_tiers(group, scores, options.genre, options.strategy)
        search = partial(nearest, self._store, self._index, wanted=wanted, allowed=allowed)
        results = self._rank(query, options, tiers, dict(scores), result_filter, search)
        if wanted is not None and wanted.left_out:
            result_filter.filtered["tag"] = wanted.left_out
        if allowed is not None:
            result_filter.filtered.update(allowed.filtered)
        notes = tuple(self._notes(group, options, results, result_filter))
        filtered = dict(result_filter.filtered)
        by_genre = zip(self._info.labels, map(float, query.probabilities), strict=True)
        return Answer(
            query, group, dict(by_genre), scores, tuple(results), filtered, tuple(tiers), notes
        )

    def explain(self, answer: Answer) -> tuple[Explanation, ...]:
        """Return figures and sentences behind each result, in their order."""
        # Imported on demand: most answers are not explained.
        from recsys.recommender.explanations import explain

        query, group = answer.query, answer.genre_group
        return explain(
            self._store, self._index, self._info, query, group, answer.results, answer.tiers
        )

    def with_reasons(self, answer: Answer) -> Answer:
        """Return an answer whose results carry their reasons as sentences."""
        sentences = [explanation.sentences() for explanation in self.explain(answer)]
        if self._taste is not None:
            analyses = self._store.analyses([row.track.id for row in answer.results])
            for i, row in enumerate(answer.results):
                if (analysis := analyses.get(row.track.id)) is None:
                    continue
                if (reason := self._taste.reason(row.track, analysis.embedding)) is not None:
                    (first, *others), (words, figure) = sentences[i], reason
                    sentences[i] = (f"{first}; {words}", *others, figure)
        rows = zip(answer.results, sentences, strict=True)
        explained = tuple(replace(row, reasons=reasons) for row, reasons in rows)
        return replace(answer, results=explained)

    def _rank(
        self,
        query: Query,
        options: SimilarOptions,
        tiers: Sequence[Tier],
        score_of: Mapping[str, float],
        result_filter: ResultFilter,
        search: Search,
    ) -> list[Recommendation]:
        ranked: list[tuple[Tier, Candidate]] = []
        for position, tier in enumerate(tiers):
            expected = options.k - len(ranked) + _SPARE
            for found in tier_candidates(
                tiers, position, search, query.embedding, expected, self._taste
            ):
                if any(found.track.id == known.track.id for _, known in ranked[:1]):
                    continue  # the nearest of all, which leads the first tier
                if result_filter.admits(found):
                    ranked.append((tier, found))
                if len(ranked) == options.k:
                    break
            if tier.kind == TierKind.FIRST and options.genre is None:
                nearer = _nearer(ranked, tier, search, query, result_filter, self._taste)
                ranked = [(tier, found) for found in nearer] + ranked
            if len(ranked) >= options.k:
                break
        return [
            Recommendation(
                rank,
                found.track,
                tier.number,
                score_of.get(found.track.genre_group, 0.0),
                found.similarity,
                taste=found.taste,
            )
            for rank, (tier, found) in enumerate(ranked[: options.k], start=1)
        ]

    def _notes(
        self,
        group: str,
        options: SimilarOptions,
        results: Sequence[Recommendation],
        result_filter: ResultFilter,
    ) -> Iterator[str]:
        """Yield why the ranking, or the number of results, is not as requested."""
        if group == UNKNOWN and options.strategy != Strategy.SIMILARITY:
            yield "The genre of the query is unknown, so the ranking is by similarity alone."
        if group in NOT_MUSIC and options.strategy != Strategy.SIMILARITY:
            yield f"The query is no music ({group}): what is like it comes first, then music."
        if len(results) < options.k:
            count = self._index.count(options.genre)
            where, tracks = options.genre or "the library", "track" if count == 1 else "tracks"
            note = f"{len(results)} of {options.k} tracks: {where} holds {count} {tracks}"
            yield note + left_out(result_filter.filtered)


def _nearer(
    ranked: Sequence[tuple[Tier, Candidate]],
    first: Tier,
    search: Search,
    query: Query,
    result_filter: ResultFilter,
    taste: Taste | None,
) -> list[Candidate]:
    """Return the nearest track of all, if it is in no group of the first tier; at most one.

    With a taste, it must have a better score than the first track, too.
    """
    best = max((found.similarity for _, found in ranked), default=-1.0)
    if best >= AS_NEAR_AS_CAN_BE:
        return []
    for found in search(None, query.embedding, 1 + _SPARE):
        if found.similarity <= best:
            return []
        # One that an option leaves out does not stand in the way of the next.
        if result_filter.objection(found) is not None:
            continue
        is_first = found.track.genre_group in first.genres
        if taste is not None:
            (leading,) = with_taste([found], taste)
            # Not its genre but the taste keeps a track of the first tier out of the list.
            if is_first or (ranked and leading.score <= ranked[0][1].score):
                return []
            found = leading
        if not is_first:
            result_filter.admits(found)
            return [found]
    return []
