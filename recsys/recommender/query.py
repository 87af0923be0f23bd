"""What a listener asks with: one track or several, in the library or outside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import QueryError
from recsys.recommender.candidates import Candidate
from recsys.types import Tags, Track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.types import Analysis, FloatArray, ModelInfo

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
