"""Queries made of seeds, and the search for candidates."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsys.errors import QueryError
from recsys.names import resolve_tag
from recsys.types import Tags, Track

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from recsys.index.base import EmbeddingIndex
    from recsys.types import Analysis, Catalogue, FloatArray, IdArray, ModelInfo, Neighbour

MAX_BATCH = 1000
"""Rows read from the store at a time."""

OVERFETCH = 2
"""Neighbours searched for per candidate expected: ids are cheap, rows of the store are not."""

HOLDS_FROM = 1.0
"""Strength (z-score) from which a track carries a tag."""

OUTSIDE_LIBRARY = 0
"""The id of a track that is not in the library. SQLite numbers its rows from 1."""

_NO_DIRECTION = 1e-6


# Candidates: tracks near a vector, fetched lazily


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A track that may be recommended.

    Attributes
    ----------
    track : Track
        As the store has it now.
    similarity : float
        Cosine to the vector that was searched for, in [-1, 1].
    embedding : ndarray of float32, shape (d,)
        Unit length.
    """

    track: Track
    similarity: float
    embedding: FloatArray


Search: TypeAlias = Callable[["str | None", "FloatArray", int], Iterator[Candidate]]
""":func:`nearest` of one library: a function of genre, query and expected number."""


def nearest(
    store: Catalogue,
    index: EmbeddingIndex,
    genre: str | None,
    query: FloatArray,
    expected: int,
    wanted: TagFilter | None = None,
) -> Iterator[Candidate]:
    """Yield the tracks nearest to a vector, best first, until the genre group is exhausted.

    The first search finds :data:`OVERFETCH` times as many neighbours as expected, and each further
    one twice as many as the last. Rows are read from the store in batches of the expected number,
    and only on demand. Tracks that were removed, or moved to another group, since the index was
    opened are skipped.

    Parameters
    ----------
    genre : str or None
        The genre group; None for all.
    query : ndarray of float32, shape (d,)
        Unit length.
    expected : int
        How many candidates the caller expects to take; at least 1.
    wanted : TagFilter, optional
        Only tracks with these tags; the filter counts the others.
    """
    fetch, batch = OVERFETCH * expected, min(expected, MAX_BATCH)
    seen: set[int] = set()
    while True:
        found, vectors = index.search_with_vectors(genre, query, fetch)
        embeddings = {near.track_id: vector for near, vector in zip(found, vectors, strict=True)}
        fresh = [neighbour for neighbour in found if neighbour.track_id not in seen]
        seen.update(neighbour.track_id for neighbour in fresh)
        for start in range(0, len(fresh), batch):
            rows = _carrying(wanted, fresh[start : start + batch])
            yield from _look_up(store, genre, rows, embeddings)
        if len(found) < fetch:
            return
        fetch *= 2


def _carrying(wanted: TagFilter | None, neighbours: Sequence[Neighbour]) -> Sequence[Neighbour]:
    return neighbours if wanted is None else wanted.admitted(neighbours)


def _look_up(
    store: Catalogue,
    genre: str | None,
    neighbours: Sequence[Neighbour],
    embeddings: Mapping[int, FloatArray],
) -> Iterator[Candidate]:
    tracks = store.tracks(neighbour.track_id for neighbour in neighbours)
    for neighbour in neighbours:
        track = tracks.get(neighbour.track_id)
        if track is not None and genre in (None, track.genre_group):
            yield Candidate(track, neighbour.similarity, embeddings[track.id])


# Tracks that carry tags of the model: a mood, an era, a voice, a style


class TagFilter:
    """Finds the tracks of a library that carry all of some tags.

    Parameters
    ----------
    store : Catalogue
        The library.
    info : ModelInfo
        The model that analysed it.
    names : sequence of str
        Tags as the user gave them, at least one.

    Attributes
    ----------
    tags : tuple of str
        The same as the model spells them.
    columns : tuple of int
        Their columns among the model's tags.
    left_out : int
        Number of tracks refused so far.

    Raises
    ------
    QueryError
        The model has no tags, or not one of these.
    """

    def __init__(self, store: Catalogue, info: ModelInfo, names: Sequence[str]) -> None:
        roots = store.roots()
        columns = dict.fromkeys(resolve_tag(info, name, roots) for name in names)
        self._store, self._info = store, info
        self.columns = tuple(columns)
        self.tags = tuple(info.tags[column] for column in columns)
        self.left_out = 0

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
        self.left_out += len(neighbours) - len(found)
        return found

    def strongest(self) -> tuple[IdArray, FloatArray]:
        """Return all tracks that carry every tag, and the strength of their weakest.

        Returns
        -------
        ids : ndarray of int64, shape (n,)
            The strongest first, equals by id.
        strengths : ndarray of float32, shape (n,)
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
    """One track of a query.

    Attributes
    ----------
    track : Track
        Its id is :data:`OUTSIDE_LIBRARY` for a file that is not in the library.
    embedding : ndarray of float32, shape (d,)
        Unit length.
    """

    track: Track
    embedding: FloatArray

    @property
    def in_library(self) -> bool:
        """Whether the track is one of the library's."""
        return self.track.id != OUTSIDE_LIBRARY

    def as_candidate(self) -> Candidate:
        """Return the seed as a candidate for its own playlist, of similarity 1."""
        return Candidate(self.track, 1.0, self.embedding)


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """Seeds and their means, made by :func:`make_query`.

    Attributes
    ----------
    probabilities : ndarray of float32, shape (n_genres,)
        Mean over the seeds, sum 1.
    embedding : ndarray of float32, shape (d,)
        Mean over the seeds, unit length.
    genre : str
        The most probable genre of the model if it reaches its threshold, or ``unknown``.
    seeds : tuple of Seed
        In the order given.
    tag_strengths : ndarray of float32, shape (n_tags,)
        Mean over the seeds, see :meth:`recsys.types.ModelInfo.tag_strengths`; empty for a model
        without tags.
    """

    probabilities: FloatArray
    embedding: FloatArray
    genre: str
    seeds: tuple[Seed, ...]
    tag_strengths: FloatArray

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The seeds that are in the library."""
        return tuple(seed.track for seed in self.seeds if seed.in_library)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files of the seeds that are not in the library."""
        return tuple(seed.track.path for seed in self.seeds if not seed.in_library)

    @property
    def exclude_ids(self) -> frozenset[int]:
        """Ids of the tracks to leave out of the results."""
        return frozenset(track.id for track in self.tracks)

    @property
    def exclude_paths(self) -> frozenset[Path]:
        """Paths to leave out of the results: as given, made absolute, and with links resolved."""
        given = [seed.track.path for seed in self.seeds]
        # Path.absolute would keep "..", which no path of the library has.
        absolute = [Path(os.path.abspath(path)) for path in given]  # noqa: PTH100
        return frozenset([*given, *absolute, *(path.resolve() for path in given)])


def make_query(info: ModelInfo, seeds: Sequence[tuple[Track | Path, Analysis]]) -> Query:
    """Combine one seed or several into a query, with equal weights.

    Parameters
    ----------
    info : ModelInfo
        The model of the library; every analysis must be by it.
    seeds : sequence of (Track or Path, Analysis)
        A track of the library; or a file outside it, as a bare path or as a Track with the id
        :data:`OUTSIDE_LIBRARY`. Copies of such a Track in the library are recognised by hash,
        duration and tags, those of a bare path by the path alone.

    Returns
    -------
    Query
        With mean probabilities, and the mean embedding scaled to unit length; where the embeddings
        cancel out, that of the first seed.

    Raises
    ------
    QueryError
        There is no seed, or an analysis is by another model or has another shape.
    """
    if not seeds:
        raise QueryError("nothing to recommend from: 0 seeds", "Name at least one track.")
    for subject, analysis in seeds:
        _check(info, subject, analysis)
    probabilities = np.mean([analysis.probabilities for _, analysis in seeds], axis=0)
    strengths = info.tag_strengths(np.stack([analysis.tags for _, analysis in seeds]))
    embeddings = np.stack([analysis.embedding for _, analysis in seeds])
    mean = probabilities.astype(np.float32)
    return Query(
        probabilities=mean,
        embedding=_mean_direction(embeddings),
        genre=info.genre_of(mean),
        seeds=tuple(
            Seed(_as_track(info, subject, analysis), analysis.embedding)
            for subject, analysis in seeds
        ),
        tag_strengths=strengths.mean(axis=0),
    )


def _check(info: ModelInfo, subject: Track | Path, analysis: Analysis) -> None:
    path = subject if isinstance(subject, Path) else subject.path
    if analysis.identity != info.identity:
        raise QueryError(
            f"{path} was analysed by another model ({analysis.fingerprint!r} at effort "
            f"{analysis.effort}, the library's is {info.fingerprint!r} at effort {info.effort})",
            "Analyses of different models cannot be compared; run `recsys index` again.",
        )
    shapes = analysis.probabilities.shape, analysis.embedding.shape, analysis.tags.shape
    expected = (len(info.labels),), (info.dimension,), (len(info.tags),)
    if shapes != expected:
        raise QueryError(
            f"{path} has an analysis of shapes {shapes}, the model {info.name!r} makes {expected}",
            "Run `recsys doctor` to check the library.",
        )


def _mean_direction(embeddings: FloatArray) -> FloatArray:
    mean = embeddings.mean(axis=0, dtype=np.float64)
    norm = float(np.linalg.norm(mean))
    if norm < _NO_DIRECTION:
        return np.asarray(embeddings[0], dtype=np.float32)
    direction: FloatArray = (mean / norm).astype(np.float32)
    return direction


def _as_track(info: ModelInfo, subject: Track | Path, analysis: Analysis) -> Track:
    if not isinstance(subject, Path):
        return subject
    return Track(
        id=OUTSIDE_LIBRARY,
        path=subject,
        tags=Tags(),
        duration_s=0.0,
        audio_hash="",
        genre=info.top_genre(analysis.probabilities),
    )
