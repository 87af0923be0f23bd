"""Queries made of seeds, and the search for candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsys.errors import QueryError
from recsys.genres import HOLDS_FROM, genre_weights
from recsys.kinds import head_name, main_kind
from recsys.names import resolve_tag
from recsys.recommender.filters import TrackFilter, shortest_wanted
from recsys.types import Blend, SeedRole

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from recsys.index.base import EmbeddingIndex
    from recsys.recommender.filters import Filters
    from recsys.recommender.presence import Presence
    from recsys.taste.ranking import Taste
    from recsys.types import (
        Analysis,
        Catalogue,
        FloatArray,
        IdArray,
        Kind,
        ModelInfo,
        Neighbour,
        Reading,
        Track,
    )

MAX_BATCH = 1000
"""Rows read from the store at a time."""

OVERFETCH = 2
"""Neighbours searched for per candidate expected: ids are cheap, rows of the store are not."""

SAMPLE = 256
"""Tracks that tell how long those of a library are, where a list is made from none."""

TASTE_REACH = 100
"""Candidates that are read before the taste chooses the first one."""

TASTE_BATCH = 30
"""Candidates that are taken before as many more are read."""

OUTSIDE_LIBRARY = 0
"""The id of a track that is not in the library. SQLite numbers its rows from 1."""

ALPHA, BETA, GAMMA = 1.0, 0.75, 0.5
"""Weights of the seeds, of what is liked and of what is not, in a query (Rocchio 1971, in Salton,
The SMART Retrieval System).

Alpha and beta are the usual ones (Manning, Raghavan and Schütze 2008, chapter 9), and their gamma
of 0.15 would change 7% of the twenty nearest tracks. With one of them as what is not liked, 0.5
changes 29%: the mean cosine to it falls from 0.64 to 0.55, that to the seed from 0.67 to 0.64. At
0.75 the seed loses as much as 0.09. Measured on 433 tracks, which the model had learned from.
"""

_NO_DIRECTION = 1e-6
"""Length of a mean below which its seeds point in opposite directions."""


# Candidates: tracks near a vector, fetched lazily


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A track that may be recommended."""

    track: Track  # as the store has it now
    similarity: float  # cosine to the vector that was searched for
    embedding: FloatArray  # (d,), unit length
    taste: float = 0.0  # what the listener's events add to the similarity

    @property
    def score(self) -> float:
        """By which candidates are ranked inside a tier."""
        return self.similarity + self.taste


Search: TypeAlias = Callable[["str | None", "FloatArray", int], Iterator[Candidate]]
""":func:`nearest` of one library: a function of genre, query and expected number."""


def nearest(
    store: Catalogue,
    index: EmbeddingIndex,
    genre: str | None,
    query: FloatArray,
    expected: int,
    wanted: TagFilter | None = None,
    allowed: TrackFilter | None = None,
) -> Iterator[Candidate]:
    """Yield the tracks nearest to a vector, best first, until the genre group is exhausted.

    The first search finds :data:`OVERFETCH` times as many neighbours as expected, and each further
    one twice as many as the last. Rows are read from the store in batches of the expected number,
    and only on demand. Tracks that were removed, or moved to another group, since the index was
    opened are skipped.

    `genre` None searches all groups; `query` has shape (d,) and unit length; `expected`, at least
    1, is how many candidates the caller expects to take. `wanted` and `allowed` count the tracks
    that they refuse.
    """
    fetch, batch = OVERFETCH * expected, min(expected, MAX_BATCH)
    seen: set[int] = set()
    while True:
        found, vectors = index.search_with_vectors(genre, query, fetch)
        embeddings = {near.track_id: vector for near, vector in zip(found, vectors, strict=True)}
        # A larger search returns the earlier results again.
        fresh = [near for near in found if near.track_id not in seen]
        seen.update(near.track_id for near in fresh)
        for start in range(0, len(fresh), batch):
            rows: Sequence[Neighbour] = fresh[start : start + batch]
            if wanted is not None:
                rows = wanted.admitted(rows)
            tracks = store.tracks(near.track_id for near in rows)
            for near in rows:
                track = tracks.get(near.track_id)
                if track is None or genre not in (None, track.genre_group):
                    continue
                if allowed is None or allowed.admits(track, embeddings[track.id]):
                    yield Candidate(track, near.similarity, embeddings[track.id])
        if len(found) < fetch or (allowed is not None and allowed.refuses_all):
            return
        fetch *= 2


# The listener's taste


def by_taste(candidates: Iterator[Candidate], taste: Taste | None) -> Iterator[Candidate]:
    """Yield candidates, which come nearest first, in the order of their scores.

    Each is compared with seventy others or more, the nearest that are left, so that a large
    library is not read as a whole: :data:`TASTE_REACH`, :data:`TASTE_BATCH`.
    """
    if taste is None:
        yield from candidates
        return
    heap: list[tuple[float, int, Candidate]] = []
    size = TASTE_REACH
    while batch := list(islice(candidates, size)):
        size = TASTE_BATCH
        for found in with_taste(batch, taste):
            heappush(heap, (-found.score, found.track.id, found))
        while len(heap) > TASTE_REACH - TASTE_BATCH:
            yield heappop(heap)[-1]
    while heap:
        yield heappop(heap)[-1]


def with_taste(candidates: Sequence[Candidate], taste: Taste) -> list[Candidate]:
    """Return candidates with what the listener's events add to their similarity."""
    embeddings = np.stack([found.embedding for found in candidates])
    added = taste.of([found.track for found in candidates], embeddings).tolist()
    return [replace(found, taste=t) for found, t in zip(candidates, added, strict=True)]


# Tracks that carry tags of the model: a mood, an era, a voice, a style


class TagFilter:
    """Finds the tracks that carry all of some tags, given as the user spells them.

    QueryError if the model has no tags, or not one of these. ``left_out`` counts refused tracks.
    """

    def __init__(self, store: Catalogue, info: ModelInfo, names: Sequence[str]) -> None:
        roots = store.roots()
        columns = dict.fromkeys(resolve_tag(info, name, roots) for name in names)
        self._store, self._info = store, info
        self.columns = tuple(columns)
        self.tags = tuple(info.tags[column] for column in columns)
        self._refused: set[int] = set()

    @property
    def left_out(self) -> int:
        """How many different tracks were refused: several searches may find the same one."""
        return len(self._refused)

    def __str__(self) -> str:
        return " and ".join(self.tags)

    def admitted(self, neighbours: Sequence[Neighbour]) -> list[Neighbour]:
        """Return the neighbours that carry every tag, and count the others."""
        scores = self._store.tag_scores([near.track_id for near in neighbours])
        found = [near for near in neighbours if near.track_id in scores]
        if found:
            rows = np.stack([scores[near.track_id] for near in found])
            carry = self._weakest(rows) >= HOLDS_FROM
            found = [near for near, carries in zip(found, carry, strict=True) if carries]
        kept = {near.track_id for near in found}
        self._refused.update(near.track_id for near in neighbours if near.track_id not in kept)
        return found

    def strongest(self) -> tuple[IdArray, FloatArray]:
        """Return the ids of all tracks that carry every tag, strongest first, equals by id.

        With them comes the strength of the weakest of the tags, shape (n,).
        """
        ids, scores = self._store.all_tag_scores()
        strengths = self._weakest(scores)
        order = np.lexsort((ids, -strengths))[: int(np.sum(strengths >= HOLDS_FROM))]
        return ids[order], strengths[order]

    def genre_groups(self, among: Collection[str]) -> set[str]:
        """Return which of these genre groups hold tracks that carry every tag."""
        ids, _ = self.strongest()
        found: set[str] = set()
        for start in range(0, len(ids), MAX_BATCH):
            tracks = self._store.tracks(ids[start : start + MAX_BATCH].tolist())
            found |= {track.genre_group for track in tracks.values()}.intersection(among)
            if len(found) == len(among):
                break
        return found

    def _weakest(self, scores: FloatArray) -> FloatArray:
        weakest: FloatArray = self._info.tag_strengths(scores)[:, self.columns].min(axis=1)
        return weakest


# Queries


@dataclass(frozen=True, slots=True, eq=False)
class Seed:
    """One track of a query."""

    track: Track  # with the id OUTSIDE_LIBRARY for a file that is not in the library
    embedding: FloatArray  # (d,), unit length
    role: SeedRole = SeedRole.SEED

    @property
    def in_library(self) -> bool:
        """Whether the track is one of the library's."""
        return self.track.id != OUTSIDE_LIBRARY

    def as_candidate(self) -> Candidate:
        """Return the seed as a candidate for its own playlist, of similarity 1."""
        return Candidate(self.track, 1.0, self.embedding)


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """Seeds and the means over them, made by :func:`make_query`."""

    probabilities: FloatArray  # (n_genres,), sum 1
    embedding: FloatArray  # (d,), unit length
    genre: str  # the most probable one if it reaches its threshold, or "unknown"
    seeds: tuple[Seed, ...]  # in the order given, then what is liked
    tag_strengths: FloatArray  # (n_tags,), empty for a model without tags
    genre_weights: FloatArray  # of all genres: recsys.genres.genre_weights
    readings: tuple[Reading, ...] = ()  # how what was given was read as seeds
    not_like: tuple[Seed, ...] = ()  # from which the query leans away

    @property
    def blend(self) -> Blend:
        """The seeds by the identity of their sound."""
        roles = (SeedRole.SEED, SeedRole.LIKE, SeedRole.NOT_LIKE)
        seeds = (*self.seeds, *self.not_like)
        return Blend(*(tuple(s.track.audio_hash for s in seeds if s.role == r) for r in roles))

    @property
    def kind(self) -> Kind | None:
        """The kind of most seeds, see :func:`recsys.kinds.main_kind`."""
        return main_kind(seed.track for seed in self.seeds)

    @property
    def exclude_ids(self) -> frozenset[int]:
        """Ids of the tracks to leave out of the results."""
        return frozenset(seed.track.id for seed in self.seeds if seed.in_library)

    @property
    def exclude_paths(self) -> frozenset[Path]:
        """Paths to leave out of the results: as given, and with links resolved."""
        given = [seed.track.path for seed in self.seeds]
        return frozenset([*given, *(path.resolve() for path in given)])


def make_query(
    info: ModelInfo,
    seeds: Sequence[tuple[Track, Analysis]],
    like: Sequence[tuple[Track, Analysis]] = (),
    not_like: Sequence[tuple[Track, Analysis]] = (),
) -> Query:
    """Combine one seed or several into a query, with equal weights.

    It leans towards tracks that are liked and away from those that are not, by Rocchio's formula
    over the means of the three groups: :data:`ALPHA` * seeds + :data:`BETA` * like -
    :data:`GAMMA` * not_like. The means of the embeddings count by their directions alone; what
    would be negative in the probabilities is 0. Without seeds, the liked tracks are the seeds.

    A track of `not_like` is no seed. A file outside the library is a Track with the id
    :data:`OUTSIDE_LIBRARY` and an absolute path. Where embeddings cancel out, that of the first
    seed is taken.

    Raises
    ------
    QueryError
        There is no seed, or an analysis is by another model or has another shape.
    """
    if not seeds:
        seeds, like = like, ()
    for track, analysis in (*seeds, *like, *not_like):
        _check(info, track, analysis)
    unwanted = {track.audio_hash or track.path for track, _ in not_like}
    seeds, like = (
        [each for each in group if (each[0].audio_hash or each[0].path) not in unwanted]
        for group in (seeds, like)
    )
    if not seeds:
        raise QueryError(
            "nothing to recommend from: 0 seeds",
            "Every seed is among the tracks not to be like." if unwanted else "Name a track.",
        )
    mean = _mean_of(info, [analysis for _, analysis in seeds])
    if like or not_like:
        mean = _leaning(
            mean,
            _mean_of(info, [analysis for _, analysis in like]) if like else None,
            _mean_of(info, [analysis for _, analysis in not_like]) if not_like else None,
        )
    roles = ((SeedRole.SEED, seeds), (SeedRole.LIKE, like), (SeedRole.NOT_LIKE, not_like))
    found = [Seed(track, a.embedding, role) for role, group in roles for track, a in group]
    wanted = len(seeds) + len(like)
    return Query(
        probabilities=mean.probabilities,
        embedding=mean.embedding,
        genre=info.genre_of(mean.probabilities),
        seeds=tuple(found[:wanted]),
        tag_strengths=mean.tag_strengths,
        genre_weights=mean.genre_weights,
        not_like=tuple(found[wanted:]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Mean:
    """The mean over some tracks."""

    probabilities: FloatArray
    embedding: FloatArray  # unit length
    tag_strengths: FloatArray
    genre_weights: FloatArray


def _mean_of(info: ModelInfo, analyses: Sequence[Analysis]) -> _Mean:
    strengths = info.tag_strengths(np.stack([analysis.tags for analysis in analyses]))
    probabilities = np.mean([analysis.probabilities for analysis in analyses], axis=0)
    return _Mean(
        probabilities.astype(np.float32),
        _mean_direction(np.stack([analysis.embedding for analysis in analyses])),
        strengths.mean(axis=0),
        np.mean([genre_weights(info, analysis) for analysis in analyses], axis=0),
    )


def _leaning(seeds: _Mean, like: _Mean | None, not_like: _Mean | None) -> _Mean:
    """Return the seeds with a lean towards what is liked, and away from what is not."""
    total = ALPHA + (BETA if like else 0.0)
    embedding = ALPHA * seeds.embedding.astype(np.float64)
    probabilities = ALPHA * seeds.probabilities.astype(np.float64)
    strengths = ALPHA / total * seeds.tag_strengths.astype(np.float64)
    weights = ALPHA * seeds.genre_weights.astype(np.float64)
    if like:
        embedding += BETA * like.embedding
        probabilities += BETA * like.probabilities
        strengths += BETA / total * like.tag_strengths
        weights += BETA * like.genre_weights
    if not_like:
        embedding -= GAMMA * not_like.embedding
        probabilities = np.maximum(probabilities - GAMMA * not_like.probabilities, 0.0)
        # What an unwanted track lacks is not wanted for that.
        strengths -= GAMMA / total * np.maximum(not_like.tag_strengths, 0.0)
        weights = np.maximum(weights - GAMMA * not_like.genre_weights, 0.0)
    norm, mass = float(np.linalg.norm(embedding)), float(probabilities.sum())
    return _Mean(
        (probabilities / mass).astype(np.float32) if mass > 0 else seeds.probabilities,
        (embedding / norm).astype(np.float32) if norm >= _NO_DIRECTION else seeds.embedding,
        strengths.astype(np.float32),
        (weights / total).astype(np.float32) if weights.any() else seeds.genre_weights,
    )


def track_filter(
    store: Catalogue, query: Query | None, filters: Filters, files: Presence | None = None
) -> TrackFilter | None:
    """Return what refuses tracks of a query's lists; None where every track may be in them."""
    seeds = [] if query is None else [seed.track for seed in query.seeds]
    unwanted = [] if query is None else [(seed.track, seed.embedding) for seed in query.not_like]
    if filters.key_match and not seeds:
        raise QueryError(
            "there is no seed whose key others could match",
            "Name a track, or leave out --key-match.",
        )
    shortest_s = 0.0
    if filters.min_length_s is None:
        shortest_s = shortest_wanted(seeds or _sample(store))
    info, bans = store.model(), store.bans()
    kinds = info is not None and head_name(info) is not None
    if filters.asked() or unwanted or bans or files is not None or shortest_s or kinds:
        return TrackFilter(filters, seeds, unwanted, bans, files, shortest_s)
    return None


def _sample(store: Catalogue) -> list[Track]:
    """Return some tracks of a library, evenly over the lowest ids that it has."""
    for step in (1, 16, 256, 4096):
        tracks = store.tracks(range(1, SAMPLE * step, step))
        if len(tracks) >= SAMPLE // 8:
            return list(tracks.values())
    return list(tracks.values())


def _check(info: ModelInfo, track: Track, analysis: Analysis) -> None:
    if analysis.identity != info.identity:
        raise QueryError(
            f"{track.path} was analysed by another model ({analysis.fingerprint!r} at effort "
            f"{analysis.effort}, the library's is {info.fingerprint!r} at effort {info.effort})",
            "Analyses of different models cannot be compared; run `recsys index` again.",
        )
    shapes = analysis.probabilities.shape, analysis.embedding.shape, analysis.tags.shape
    expected = (len(info.labels),), (info.dimension,), (len(info.tags),)
    if shapes != expected:
        raise QueryError(
            f"{track.path} has an analysis of shapes {shapes}, "
            f"the model {info.name!r} makes {expected}",
            "Run `recsys doctor` to check the library.",
        )


def _mean_direction(embeddings: FloatArray) -> FloatArray:
    mean = embeddings.mean(axis=0, dtype=np.float64)
    norm = float(np.linalg.norm(mean))
    if norm < _NO_DIRECTION:
        return np.asarray(embeddings[0], dtype=np.float32)
    direction: FloatArray = (mean / norm).astype(np.float32)
    return direction
