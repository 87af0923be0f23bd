"""The values that flow through recsys, from a file on disk to a playlist.

All are frozen. This module imports NumPy alone, so that every stage of the pipeline can use the
types without loading another stage.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

FloatArray: TypeAlias = npt.NDArray[np.float32]
IdArray: TypeAlias = npt.NDArray[np.int64]

LEAST_SCORE = 1e-6
"""Clipping epsilon for the logit of tag scores."""

TIME_LIMIT_S = 120.0
"""Default limit for the analysis of one file, which takes well under a second."""

UNKNOWN = "unknown"
"""Genre of a track for which no probability reaches its threshold."""


class Effort(StrEnum):
    """How many windows of a track are analysed, see :data:`recsys.mel.EFFORTS`.

    Embeddings of different efforts are not comparable, so a library never mixes them.
    """

    FAST = "fast"
    BALANCED = "balanced"
    FULL = "full"


class GenreSource(StrEnum):
    """Labels that sort a library into genre groups, which make the tiers."""

    MODEL = "model"
    """The genres of the model's classifier head."""

    TAGS = "tags"
    """The strongest of the model's tags that are styles."""

    OWN = "own"
    """The genre tags of the files."""


UNTAGGED = "untagged"
"""Genre group of tracks without a genre tag, where the genre tags of the files sort."""


@dataclass(frozen=True, slots=True)
class TrackFile:
    """An audio file as the file system describes it, before anything is read from it.

    Attributes
    ----------
    path : Path
        Absolute path. Bytes that are not UTF-8 are kept by surrogate escapes.
    size : int
        Bytes.
    mtime_ns : int
        Time of the last modification, nanoseconds since the epoch.
    """

    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Tags:
    """Tags of a file. ``genre_tag`` is the genre in the file, never the model's."""

    artist: str | None = None
    album_artist: str | None = None
    album: str | None = None
    title: str | None = None
    track_number: int | None = None
    year: int | None = None
    genre_tag: str | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """One track of the library.

    Attributes
    ----------
    id : int
        Stable in the library; the index uses the same id.
    path : Path
        Absolute path of the file.
    tags : Tags
    duration_s : float
        Seconds.
    audio_hash : str
        Identity of the encoded sound, tags left out (see :func:`recsys.library.audio_hash`).
    genre : str
        The model's most probable genre.
    warning : str or None
        Defect of a file that could be analysed all the same.
    missing : bool
        The file was gone in the last run; the track was kept on request.
    genre_group : str
        The label by which the library sorts the track, and so its part of the index: the genre,
        unless the library sorts by other labels (:class:`GenreSource`).
    """

    id: int
    path: Path
    tags: Tags
    duration_s: float
    audio_hash: str
    genre: str
    warning: str | None = None
    missing: bool = False
    genre_group: str = ""

    def __post_init__(self) -> None:
        if not self.genre_group:
            object.__setattr__(self, "genre_group", self.genre)

    @property
    def title(self) -> str:
        """Title for display: the tag, or else the name of the file without its extension."""
        return self.tags.title or self.path.stem

    @property
    def artist(self) -> str | None:
        """Artist for display and for artist constraints."""
        return self.tags.artist or self.tags.album_artist

    @property
    def display_name(self) -> str:
        """``Artist - Title`` as far as the tags go, else the name of the file."""
        if self.artist and self.tags.title:
            return f"{self.artist} - {self.tags.title}"
        return self.title


@dataclass(frozen=True, slots=True)
class Waveform:
    """Mono windows of sound, all at one sample rate.

    Attributes
    ----------
    windows : ndarray of float32, shape (n_windows, window_length)
        Samples in [-1, 1].
    sample_rate : int
        Hz.
    offsets_s : tuple of float
        Where each window begins in the track, seconds.
    duration_s : float
        Length of the whole track, seconds.
    warning : str or None
        Defect of the file.
    """

    windows: FloatArray
    sample_rate: int
    offsets_s: tuple[float, ...]
    duration_s: float
    warning: str | None = None


def _no_tags() -> FloatArray:
    return np.empty(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Analysis:
    """Outputs of the model for one track.

    Attributes
    ----------
    probabilities : ndarray of float32, shape (n_genres,)
        Calibrated, sum 1, in the order of the model's labels.
    embedding : ndarray of float32, shape (d,)
        Unit L2 norm.
    fingerprint : str
        Of the model; analyses of different models are not comparable.
    tags : ndarray of float32, shape (n_tags,)
        Scores in [0, 1], independent of each other, in the order of the model's tags; empty where
        the model has none. Only strengths compare between tags: :meth:`ModelInfo.tag_strengths`.
    effort : Effort
        How many windows were analysed.
    """

    probabilities: FloatArray
    embedding: FloatArray
    fingerprint: str
    tags: FloatArray = field(default_factory=_no_tags)
    effort: Effort = Effort.FULL

    @property
    def identity(self) -> tuple[str, Effort]:
        """Model and effort: only analyses that share both are comparable."""
        return self.fingerprint, self.effort


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Description of a model for stages that do not load it.

    Attributes
    ----------
    name : str
        For display.
    fingerprint : str
        Hash over weights, labels and feature settings.
    labels : tuple of str
        Genres, in the order of the probabilities.
    thresholds : tuple of float
        Per genre: decision threshold of the probability.
    confusion : ndarray of float32, shape (n_genres, n_genres)
        Row ``i``: how tracks of genre ``i`` are distributed over the predicted genres on
        validation data, Laplace-smoothed; rows sum to 1.
    dimension : int
        Length of the embedding.
    tags : tuple of str
        Styles, moods, eras, voices, in the order of the tag scores; may be empty.
    tag_means, tag_deviations : tuple of float
        Per tag: mean and standard deviation of the logits of its score over the model's reference
        tracks.
    effort : Effort
        How many windows of a track are analysed.
    """

    name: str
    fingerprint: str
    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    confusion: FloatArray
    dimension: int
    tags: tuple[str, ...] = ()
    tag_means: tuple[float, ...] = ()
    tag_deviations: tuple[float, ...] = ()
    effort: Effort = Effort.FULL

    @property
    def identity(self) -> tuple[str, Effort]:
        """Fingerprint and effort: only analyses that share both are comparable."""
        return self.fingerprint, self.effort

    def top_genre(self, probabilities: FloatArray) -> str:
        """Return the most probable genre, whether it reaches its threshold or not."""
        return self.labels[int(np.argmax(probabilities))]

    def genres_of(self, probabilities: FloatArray) -> tuple[str, ...]:
        """Return the genres whose probability reaches their threshold, the most probable first.

        None where the most probable genre does not reach its own.
        """
        order = np.argsort(-probabilities, kind="stable")
        if probabilities[order[0]] < self.thresholds[order[0]]:
            return ()
        return tuple(self.labels[i] for i in order if probabilities[i] >= self.thresholds[i])

    def genre_of(self, probabilities: FloatArray) -> str:
        """Return the most probable genre if it reaches its threshold, or else ``unknown``."""
        return next(iter(self.genres_of(probabilities)), UNKNOWN)

    def tag_strengths(self, scores: FloatArray) -> FloatArray:
        """Return tag strengths: z-scores of the logits of scores over the reference tracks.

        Scores of two tags are not comparable: half of all music has some "rock", and hardly any
        has more than a tenth of "happy". A strength of 0 is average music, 1 the top sixth of
        normally distributed values, 2 the top fortieth.

        Parameters
        ----------
        scores : ndarray of float32, shape (..., n_tags)
            Of one analysis or many, in [0, 1].

        Returns
        -------
        ndarray of float32, shape (..., n_tags)
        """
        clipped = np.clip(np.asarray(scores, dtype=np.float64), LEAST_SCORE, 1 - LEAST_SCORE)
        logits = np.log(clipped) - np.log1p(-clipped)
        means, deviations = np.asarray(self.tag_means), np.asarray(self.tag_deviations)
        strengths: FloatArray = ((logits - means) / deviations).astype(np.float32)
        return strengths


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A track near a query. ``similarity`` is the cosine, in [-1, 1]; higher is closer."""

    track_id: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One result of a query.

    Attributes
    ----------
    rank : int
        From 1.
    track : Track
        The recommended track.
    tier : int
        From 1; 1 is the query's own genre group. 0 for a ranking by similarity alone.
    genre_score : float
        The query's score of this track's genre group, in [0, 1].
    similarity : float
        Cosine between query and track.
    reasons : tuple of str
        Reasons of the rank, as sentences.
    """

    rank: int
    track: Track
    tier: int
    genre_score: float
    similarity: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Playlist:
    """An ordered list of tracks, with its seeds.

    Attributes
    ----------
    name : str
        For display, in players too.
    tracks : tuple of Track
        In playing order.
    seeds : tuple of Track
        The tracks from which it was made, if any.
    seed : int
        The random seed; the same seed gives the same playlist.
    note : str
        Reached length and reason, where the library could not fill the request.
    """

    name: str
    tracks: tuple[Track, ...]
    seeds: tuple[Track, ...] = ()
    seed: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be analysed.

    Attributes
    ----------
    file : TrackFile
        The file as it was then. A change of size or time makes the next run try it again.
    reason : str
        For display.
    retry : bool
        The reason is not the file's (unmounted disk, permission): every run tries it again.
    """

    file: TrackFile
    reason: str
    retry: bool = False


class IndexStatus(StrEnum):
    """Outcome of one file of an indexing run."""

    INDEXED = "indexed"
    UNCHANGED = "unchanged"
    MOVED = "moved"
    REMOVED = "removed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class IndexEvent:
    """Result of one file of an indexing run.

    Attributes
    ----------
    path : Path or str
        The file; a str where it is the URL of an object.
    status : IndexStatus
        Outcome.
    reason : str or None
        Why it failed.
    warning : str or None
        Defect of a file that was indexed all the same.
    genre : str or None
        The model's most probable genre.
    track_id : int or None
        Id in the library.
    """

    path: Path | str
    status: IndexStatus
    reason: str | None = None
    warning: str | None = None
    genre: str | None = None
    track_id: int | None = None


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """Counts of one indexing run. ``found`` is the number of audio files under the roots."""

    found: int = 0
    indexed: int = 0
    unchanged: int = 0
    moved: int = 0
    removed: int = 0
    failed: int = 0
    notes: tuple[str, ...] = field(default=())

    def counts(self) -> Mapping[str, int]:
        """Return the counts by name, as scripts read them."""
        names = ("found", "indexed", "unchanged", "moved", "removed", "failed")
        return {name: getattr(self, name) for name in names}


# The interface of a library that the recommender uses, in SQLite or on Milvus


class Catalogue(Protocol):
    """The tracks of a library and their analyses, without their index.

    :class:`recsys.store.Store` is one, :class:`recsys.milvus.catalogue.MilvusCatalogue` another.
    No method returns tracks that the library's model has not analysed.
    """

    @property
    def path(self) -> object:
        """Where the library is, for messages."""

    def model(self) -> ModelInfo | None:
        """Return the library's model, None before the first one is set."""

    def genre_source(self) -> GenreSource:
        """Return the labels that sort the tracks into genre groups."""

    def genre_counts(self) -> Mapping[str, int]:
        """Return the number of tracks in each genre group, in the order of the names."""

    def roots(self) -> Sequence[Path]:
        """Return the folders that were indexed, in the order of their names."""

    def analysis(self, track_id: int) -> Analysis | None:
        """Return the analysis of a track, None where there is none of this id."""

    def analyses(self, ids: Iterable[int]) -> Mapping[int, Analysis]:
        """Return the analyses of these tracks; ids without a track are left out."""

    def tag_scores(self, ids: Iterable[int]) -> Mapping[int, FloatArray]:
        """Return the tag scores of these tracks, shape (n_tags,); ids without any are left out."""

    def all_tag_scores(self) -> tuple[IdArray, FloatArray]:
        """Return the tag scores of every track that has any.

        Returns
        -------
        ids : ndarray of int64, shape (n,)
            Ascending.
        scores : ndarray of float32, shape (n, n_tags)
        """

    def track(self, track_id: int) -> Track | None:
        """Return a track, None where there is none of this id."""

    def tracks(self, ids: Iterable[int]) -> Mapping[int, Track]:
        """Return the tracks of these ids; ids without one are left out."""

    def track_by_path(self, path: Path) -> Track | None:
        """Return the track of this file, None where there is none."""

    def tracks_with_hash(self, audio_hash: str) -> Sequence[Track]:
        """Return the tracks of the same sound, by id."""

    def find_tracks(self, words: str, limit: int = 50) -> Sequence[Track]:
        """Return the tracks whose artist, title, album or genre tag hold every word.

        A word matches the beginning of a word; case and accents do not count. Tracks whose artist
        or title is exactly ``words`` come first, then those with every word in artist and title,
        then the rest, each by artist, title and id; at most ``limit``.
        """
