"""Ranking of tracks for a query; see :mod:`recsys.recommender`."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.errors import QueryError
from recsys.recommender.duplicates import NearDuplicates, artist_key, same_album
from recsys.recommender.query import Query, TagFilter, nearest
from recsys.recommender.taxonomy import did_you_mean, taxonomy_of
from recsys.types import UNKNOWN, Recommendation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recsys.index.base import EmbeddingIndex
    from recsys.recommender.explanations import Explanation
    from recsys.recommender.query import Candidate
    from recsys.types import Catalogue, ModelInfo

FILTERS = {
    "tag": "without the tags asked for",
    "query": "the query itself",
    "near_duplicate": "near-duplicates",
    "same_album": "same album",
    "same_artist": "more tracks of one artist than asked for",
}
"""Reasons for leaving a track out, in the order in which they are tried, with their texts."""

_SPARE = 8
"""Candidates expected beyond those wanted: the query itself, copies of it, near-duplicates."""


class Strategy(StrEnum):
    """How results are ranked."""

    TIERS = "tiers"
    """By genre group, then by similarity."""

    SIMILARITY = "similarity"
    """By similarity alone."""


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
        Limit of tracks of one artist; tracks without an artist are not limited.
    no_same_album : bool
        Leave out the album of the query.
    show_duplicates : bool
        Keep near-duplicates of the query and of better-ranked tracks.

    Raises
    ------
    QueryError
        A number is below 1, or the strategy does not exist.
    """

    k: int = 20
    strategy: str = Strategy.TIERS
    genre: str | None = None
    max_per_artist: int | None = None
    no_same_album: bool = False
    show_duplicates: bool = False
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.k < 1:
            raise QueryError(f"k must be at least 1, got {self.k}", "Ask for one track or more.")
        if self.max_per_artist is not None and self.max_per_artist < 1:
            raise QueryError(
                f"max_per_artist must be at least 1, got {self.max_per_artist}",
                "Leave it out to have no limit.",
            )
        if self.strategy not in list(Strategy):
            raise QueryError(
                f"unknown strategy {self.strategy!r}{did_you_mean(self.strategy, Strategy)}",
                f"Strategies: {', '.join(Strategy)}.",
            )


class Screen:
    """Admits candidates to an answer, best first, and counts those that it leaves out.

    A track that several filters would leave out counts for the first of them in
    :data:`FILTERS`.

    Parameters
    ----------
    query : Query
        Its own tracks are left out, by id and by path.
    options : SimilarOptions
        The filters count here.

    Attributes
    ----------
    filtered : Counter
        Number of tracks left out, by reason.
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
        reason = self._objection(candidate)
        if reason is not None:
            self.filtered[reason] += 1
            return False
        artist = artist_key(candidate.track)
        if artist is not None:
            self._per_artist[artist] += 1
        if self._admitted is not None:
            self._admitted.add(candidate.track, candidate.embedding)
        return True

    def summary(self) -> str:
        """Return ``"; left out: ..."`` with every reason that occurred, or nothing."""
        parts = [
            f"{FILTERS[name]} ({self.filtered[name]})" for name in FILTERS if self.filtered[name]
        ]
        return f"; left out: {', '.join(parts)}" if parts else ""

    def _objection(self, candidate: Candidate) -> str | None:
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
            artist = artist_key(track)
            if artist is not None and self._per_artist[artist] >= self._max_per_artist:
                return "same_artist"
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Recommendations for a query.

    Attributes
    ----------
    query : Query
        The query.
    genre_group : str
        Genre group of the query, or ``unknown``.
    genre_scores : tuple of (str, float)
        Every genre group with the query's score, best first.
    results : tuple of Recommendation
        Best first.
    filtered : mapping of str to int
        Number of tracks that each filter left out: ``query`` (the query itself),
        ``near_duplicate``, ``same_album``, ``same_artist``, ``tag``. Tracks that were never reached
        are not counted.
    notes : tuple of str
        Why the ranking or the number of results is not as requested.
    """

    query: Query
    genre_group: str
    genre_scores: tuple[tuple[str, float], ...]
    results: tuple[Recommendation, ...]
    filtered: Mapping[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tier:
    """A genre group to search, and its position in the ranking.

    ``genre`` None stands for all groups; ``number`` 0 for a ranking by similarity alone.
    """

    number: int
    genre: str | None


def plan_tiers(
    group: str,
    scores: Sequence[tuple[str, float]],
    genre: str | None = None,
    strategy: str = Strategy.TIERS,
) -> list[Tier]:
    """Return the tiers in which a query searches the library, best first.

    Parameters
    ----------
    group : str
        Genre group of the query. For ``unknown`` there is a single tier: ranking by similarity.
    scores : sequence of (str, float)
        Genre groups with the query's scores, best first.
    genre : str or None
        Only this group. Its tier keeps its number among all tiers.
    strategy : str
        A :class:`Strategy`.
    """
    if strategy == Strategy.SIMILARITY or group == UNKNOWN:
        return [Tier(0, genre)]
    tiers = [Tier(number, name) for number, (name, _) in enumerate(scores, start=1)]
    return [tier for tier in tiers if genre in (None, tier.genre)]


class Recommender:
    """Recommends tracks of a library.

    Parameters
    ----------
    store : Catalogue
        The library.
    index : EmbeddingIndex
        Its embeddings.
    info : ModelInfo
        The model that made them.
    """

    def __init__(self, store: Catalogue, index: EmbeddingIndex, info: ModelInfo) -> None:
        self._store = store
        self._index = index
        self._info = info
        self._taxonomy = taxonomy_of(store, index, info)

    def similar(self, query: Query, options: SimilarOptions | None = None) -> Answer:
        """Rank the tracks of the library for a query.

        With the strategy ``tiers``, tracks of the query's own genre group come first, then those of
        the group with the next score, and so on; inside a tier by cosine similarity, ties by track
        id. The groups are those of the library (:mod:`recsys.recommender.taxonomy`). A query of
        unknown group is ranked by similarity alone. The query's own tracks are left out.

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
            options = replace(options, genre=self._taxonomy.resolve(options.genre))
        wanted = TagFilter(self._store, self._info, options.tags) if options.tags else None
        group, scores = self._taxonomy.group_of(query), self._taxonomy.scores(query)
        screen = Screen(query, options)
        tiers = plan_tiers(group, scores, options.genre, options.strategy)
        results = self._rank(query, options, tiers, dict(scores), screen, wanted)
        notes = [*_group_notes(group, options), *self._shortage_notes(options, results, screen)]
        return Answer(query, group, scores, tuple(results), dict(screen.filtered), tuple(notes))

    def explain(self, answer: Answer) -> tuple[Explanation, ...]:
        """Return figures and sentences behind each result, in their order."""
        # Imported on demand: most answers are not explained.
        from recsys.recommender.explanations import Explainer

        explainer = Explainer(self._store, self._index, self._info)
        return explainer.explain(answer.query, answer.results)

    def with_reasons(self, answer: Answer) -> Answer:
        """Return an answer whose results carry their reasons as sentences."""
        rows = zip(answer.results, self.explain(answer), strict=True)
        explained = tuple(replace(row, reasons=reason.sentences()) for row, reason in rows)
        return replace(answer, results=explained)

    def _rank(
        self,
        query: Query,
        options: SimilarOptions,
        tiers: Sequence[Tier],
        score_of: Mapping[str, float],
        screen: Screen,
        wanted: TagFilter | None,
    ) -> list[Recommendation]:
        search = partial(nearest, self._store, self._index, query=query.embedding, wanted=wanted)
        results: list[Recommendation] = []
        for tier in tiers:
            expected = options.k - len(results) + _SPARE
            for found in search(tier.genre, expected=expected):
                if screen.admits(found):
                    results.append(_row(len(results) + 1, tier, found, score_of))
                if len(results) == options.k:
                    break
            if len(results) == options.k:
                break
        if wanted is not None and wanted.left_out:
            screen.filtered["tag"] = wanted.left_out
        return results

    def _shortage_notes(
        self, options: SimilarOptions, results: Sequence[Recommendation], screen: Screen
    ) -> list[str]:
        if len(results) == options.k:
            return []
        where = options.genre or "the library"
        note = f"{len(results)} of {options.k} tracks: {where} holds {_count(self._index, options)}"
        return [note + screen.summary()]


def _row(
    rank: int, tier: Tier, candidate: Candidate, score_of: Mapping[str, float]
) -> Recommendation:
    return Recommendation(
        rank=rank,
        track=candidate.track,
        tier=tier.number,
        genre_score=score_of.get(candidate.track.genre_group, 0.0),
        similarity=candidate.similarity,
    )


def _group_notes(group: str, options: SimilarOptions) -> list[str]:
    if group != UNKNOWN or options.strategy == Strategy.SIMILARITY:
        return []
    return ["The genre of the query is unknown, so the ranking is by similarity alone."]


def _count(index: EmbeddingIndex, options: SimilarOptions) -> str:
    count = index.count(options.genre)
    return f"{count} track" + ("" if count == 1 else "s")
