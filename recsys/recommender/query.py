"""What a listener asks with: one track or several, in the library or outside it."""

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

# Tracks near a vector, fetched from the index as far as they are asked for and no further.


MAX_BATCH = 1000
"""Rows read from the store at once, however far a search had to reach."""

OVERFETCH = 2
"""Neighbours searched for per candidate expected: numbers are cheap, rows of the store are not."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A track that may be recommended.

    Attributes
    ----------
    track : Track
        As the store has it now.
    similarity : float
        Cosine to what was searched for, in [-1, 1].
    embedding : ndarray of float32, shape (d,)
        Unit length.
    """

    track: Track
    similarity: float
    embedding: FloatArray


Search: TypeAlias = Callable[["str | None", "FloatArray", int], Iterator[Candidate]]
""":func:`nearest` with the library bound: genre, query and expected number are left."""


def nearest(
    store: Catalogue,
    index: EmbeddingIndex,
    genre: str | None,
    query: FloatArray,
    expected: int,
    wanted: TagFilter | None = None,
) -> Iterator[Candidate]:
    """Yield the tracks nearest to a vector, best first, until the part is exhausted.

    The first search finds :data:`OVERFETCH` times as many neighbours as are expected, and each
    further one twice as many as the last; rows are read from the store in batches as large as the
    number expected, and only when they are asked for. What the index still holds but the store no
    longer has, or has moved to another part since the index was opened, is not a track of the
    library any more and is passed over.

    Parameters
    ----------
    genre : str or None
        The part to be searched; None searches them all.
    query : ndarray of float32, shape (d,)
        Unit length.
    expected : int
        How many candidates the caller thinks it will take; at least 1.
    wanted : TagFilter, optional
        Only tracks with these tags; it counts those that it refuses.
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
        if track is not None and genre in (None, track.part):
            yield Candidate(track, neighbour.similarity, embeddings[track.id])


# Tracks that carry what was asked for: a mood, an era, a voice, a style.


HOLDS_FROM = 1.0
"""The strength from which a track is said to carry a tag: one standard deviation more of it than
music on the average has."""


class TagFilter:
    """Knows which tracks of a library carry all of some tags.

    Parameters
    ----------
    store : Catalogue
        The library.
    info : ModelInfo
        The model that analysed it.
    names : sequence of str
        Tags as the listener gave them, at least one.

    Attributes
    ----------
    tags : tuple of str
        The same as the model spells them.
    columns : tuple of int
        Their places among the model's tags.
    left_out : int
        How many tracks were looked at and refused so far.

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
        """Return those that carry every one of the tags, and count the others."""
        scores = self._store.tag_scores([near.track_id for near in neighbours])
        found = [near for near in neighbours if near.track_id in scores]
        if found:
            rows = np.stack([scores[near.track_id] for near in found])
            carry = self._weakest(rows) >= HOLDS_FROM
            found = [near for near, carries in zip(found, carry, strict=True) if carries]
        self.left_out += len(neighbours) - len(found)
        return found

    def strongest(self) -> tuple[IdArray, FloatArray]:
        """Return all tracks that carry every one of the tags, and the strength of the weakest.

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

    def parts(self, among: Collection[str]) -> set[str]:
        """Return which of these parts of the index hold tracks that carry every one of the tags."""
        ids, _ = self.strongest()
        found: set[str] = set()
        for start in range(0, len(ids), MAX_BATCH):
            tracks = self._store.tracks(ids[start : start + MAX_BATCH].tolist())
            found |= {track.part for track in tracks.values()}.intersection(among)
            if len(found) == len(among):
                break
        return found

    def _weakest(self, scores: FloatArray) -> FloatArray:
        weakest: FloatArray = self._info.tag_strengths(scores)[:, self.columns].min(axis=1)
        return weakest


# ----------------------------------------------------------------------


OUTSIDE_LIBRARY = 0
"""The id of a track that is not in the library. SQLite numbers its rows from 1."""

_NO_DIRECTION = 1e-6


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
        """Return the seed as what a playlist is made of; nothing is nearer to it than itself."""
        return Candidate(self.track, 1.0, self.embedding)


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """What to recommend from. Made by :func:`make_query`.

    Attributes
    ----------
    probabilities : ndarray of float32, shape (n_genres,)
        Mean over the seeds, sum 1.
    embedding : ndarray of float32, shape (d,)
        Mean over the seeds, unit length.
    label : str
        The most probable genre of the model if it holds, or ``unknown``.
    seeds : tuple of Seed
        In the order in which they were given.
    tag_strengths : ndarray of float32, shape (n_tags,)
        Mean over the seeds, see :meth:`recsys.types.ModelInfo.tag_strengths`; empty for a model
        without tags.
    """

    probabilities: FloatArray
    embedding: FloatArray
    label: str
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
        """Numbers of the tracks that must not come back."""
        return frozenset(track.id for track in self.tracks)

    @property
    def exclude_paths(self) -> frozenset[Path]:
        """Paths that must not come back: as given, made absolute, and with links resolved."""
        given = [seed.track.path for seed in self.seeds]
        # Path.absolute would keep "..", which no path of the library has.
        absolute = [Path(os.path.abspath(path)) for path in given]  # noqa: PTH100
        return frozenset([*given, *absolute, *(path.resolve() for path in given)])


def make_query(info: ModelInfo, seeds: Sequence[tuple[Track | Path, Analysis]]) -> Query:
    """Join one seed or several into a query; all weigh the same.

    Parameters
    ----------
    info : ModelInfo
        The model of the library; every analysis must be by it.
    seeds : sequence of (Track or Path, Analysis)
        A track of the library; or a file outside it, either as a bare path or as a Track with the
        id :data:`OUTSIDE_LIBRARY`. Of such a Track the hash, duration and tags are known, so that
        copies of it in the library are recognised; a bare path is recognised by its path alone.

    Returns
    -------
    Query
        Probabilities are the mean; the embedding is the mean brought back to unit length. Where the
        embeddings cancel out and the mean has no direction, that of the first seed stands for all.

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
        label=info.label_of(mean),
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
