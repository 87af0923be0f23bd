"""The values that flow through recsys, from a file on disk to a playlist.

All of them are frozen. Arrays are NumPy, and nothing here imports more than NumPy, so every
stage of the pipeline can speak in these types without loading what made them.
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
"""Tag scores are kept this far from 0 and 1 before their logarithms are taken."""

TIME_LIMIT_S = 120.0
"""For the analysis of one file, unless another is asked for; it takes well under a second."""

UNKNOWN = "unknown"
"""The label of a track for which no genre reaches its threshold."""


class Effort(StrEnum):
    """How many windows of a track are analysed, see :data:`recsys.features.effort.EFFORTS`.

    Embeddings of different efforts are not comparable, so a library never mixes them.
    """

    FAST = "fast"
    BALANCED = "balanced"
    FULL = "full"


class GenreSource(StrEnum):
    """Which labels sort a library into the genre groups that make the tiers."""

    MODEL = "model"
    """The genres of the model's classifier head."""

    TAGS = "tags"
    """The strongest of the model's tags that are styles."""

    OWN = "own"
    """The genre tags of the files."""


UNTAGGED = "untagged"
"""The part of tracks whose files name no genre, where the files' own genres sort."""


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
    """What the file says about itself. ``genre_tag`` is the file's word, never the model's."""

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
        Stable number in the library; the index uses the same one.
    path : Path
        Absolute path of the file.
    tags : Tags
        From the file.
    duration_s : float
        Seconds.
    audio_hash : str
        Identity of the encoded sound, tags left out (see :func:`recsys.library.audio_hash`).
    genre : str
        The model's most probable genre.
    warning : str or None
        What was odd about the file, when sound could be saved from it all the same.
    missing : bool
        The file was gone at the last look but was kept on request.
    part : str
        The label by which the library sorts the track, and so the part of the index in which it
        stands: the genre, unless the library sorts by other labels (:class:`GenreSource`).
    """

    id: int
    path: Path
    tags: Tags
    duration_s: float
    audio_hash: str
    genre: str
    warning: str | None = None
    missing: bool = False
    part: str = ""

    def __post_init__(self) -> None:
        if not self.part:
            object.__setattr__(self, "part", self.genre)

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
        What was odd about the file, if anything.
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
    """What the model heard in one track.

    Attributes
    ----------
    probabilities : ndarray of float32, shape (n_genres,)
        Calibrated, sum 1, in the order of the model's labels.
    embedding : ndarray of float32, shape (d,)
        Unit L2 norm.
    fingerprint : str
        The model that made it; analyses of different models are never compared.
    tags : ndarray of float32, shape (n_tags,)
        Scores in [0, 1], each tag on its own, in the order of the model's tags; empty where the
        model has none. Between tags only strengths compare, see :meth:`ModelInfo.tag_strengths`.
    effort : Effort
        How many windows it is made of.
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
    """What the recommender must know of the model, without loading it.

    Attributes
    ----------
    name : str
        For people.
    fingerprint : str
        Hash over weights, labels and feature settings.
    labels : tuple of str
        Genres, in the order of the probabilities.
    thresholds : tuple of float
        Per genre: the probability from which the genre is said to hold.
    confusion : ndarray of float32, shape (n_genres, n_genres)
        Row ``i``: how tracks of genre ``i`` are distributed over the predicted genres on
        validation data, Laplace-smoothed; rows sum to 1.
    dimension : int
        Length of the embedding.
    tags : tuple of str
        Styles, moods, eras, voices, in the order of the tag scores; empty where it has none.
    tag_means, tag_deviations : tuple of float
        Per tag: mean and standard deviation of the logarithmic odds of its score over the
        model's reference tracks.
    effort : Effort
        How many windows of a track the model analyses.
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
        """Return the most probable genre: the part in which the track stands."""
        return self.labels[int(np.argmax(probabilities))]

    def genres_of(self, probabilities: FloatArray) -> tuple[str, ...]:
        """Return the genres that hold, the most probable first.

        A genre holds when its probability reaches its threshold. When the most probable one does
        not, none does: the model has heard nothing clearly.
        """
        order = np.argsort(-probabilities, kind="stable")
        if probabilities[order[0]] < self.thresholds[order[0]]:
            return ()
        return tuple(self.labels[i] for i in order if probabilities[i] >= self.thresholds[i])

    def label_of(self, probabilities: FloatArray) -> str:
        """Return the most probable genre if it holds, or else ``unknown``."""
        return next(iter(self.genres_of(probabilities)), UNKNOWN)

    def tag_strengths(self, scores: FloatArray) -> FloatArray:
        """Return how strong each tag is, compared with the same tag of other music.

        Scores of two tags do not compare: half of all music has some "rock", and hardly any has
        more than a tenth of "happy". A strength says how many standard deviations the logarithmic
        odds of a score lie above the mean of the model's reference tracks: 0 is as in ordinary
        music, 1 clearly more than that (of values that are normally distributed, the top sixth),
        and 2 is rare (the top fortieth).

        Parameters
        ----------
        scores : ndarray of float32, shape (..., n_tags)
            Of one analysis or many, in [0, 1].

        Returns
        -------
        ndarray of float32, shape (..., n_tags)
        """
        odds = np.clip(np.asarray(scores, dtype=np.float64), LEAST_SCORE, 1 - LEAST_SCORE)
        means, deviations = np.asarray(self.tag_means), np.asarray(self.tag_deviations)
        strengths: FloatArray = ((np.log(odds) - np.log1p(-odds) - means) / deviations).astype(
            np.float32
        )
        return strengths


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A track near a query. ``similarity`` is the cosine, in [-1, 1]; higher is closer."""

    track_id: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One row of an answer.

    Attributes
    ----------
    rank : int
        From 1.
    track : Track
        The recommended track.
    tier : int
        From 1; 1 is the query's own genre. 0 when the ranking is by similarity alone.
    genre_score : float
        The query's score of this track's genre, in [0, 1].
    similarity : float
        Cosine between query and track.
    reasons : tuple of str
        Why the track stands where it stands, in sentences for people.
    """

    rank: int
    track: Track
    tier: int
    genre_score: float
    similarity: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Playlist:
    """An ordered list of tracks and how it came about.

    Attributes
    ----------
    name : str
        For people and for players.
    tracks : tuple of Track
        In playing order.
    seeds : tuple of Track
        The tracks it was made from, if any.
    seed : int
        The random seed; the same seed gives the same playlist.
    note : str
        How far it got and what stopped it, when the library could not fill the request.
    """

    name: str
    tracks: tuple[Track, ...]
    seeds: tuple[Track, ...] = ()
    seed: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be analysed, and why.

    Attributes
    ----------
    file : TrackFile
        The file as it was then. Another size or time makes the next run try it again.
    reason : str
        For people.
    retry : bool
        The reason lies outside the file (a disk that is away, a permission): every run tries again.
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
    """What became of one file during indexing.

    Attributes
    ----------
    path : Path or str
        The file; a str where it is the URL of an object.
    status : IndexStatus
        Outcome.
    reason : str or None
        Why it failed.
    warning : str or None
        What was odd about a file that was indexed all the same.
    genre : str or None
        The model's most probable genre.
    track_id : int or None
        Number in the library.
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


# What recommending asks of a library, wherever it lies.


class Catalogue(Protocol):
    """The tracks of a library and what was heard in them, without their index.

    :class:`recsys.store.Store` is one, :class:`recsys.milvus.catalogue.MilvusCatalogue` another.
    Tracks that the library's model has not analysed are in none of the answers.
    """

    @property
    def path(self) -> object:
        """Where the library lies, for messages."""

    def model(self) -> ModelInfo | None:
        """Return the library's model, None before the first one is set."""

    def genre_source(self) -> GenreSource:
        """Return which labels sort the tracks into genre groups."""

    def genre_counts(self) -> Mapping[str, int]:
        """Return the number of tracks in each part, in the order of the names."""

    def roots(self) -> Sequence[Path]:
        """Return the folders that were indexed, in the order of their names."""

    def analysis(self, track_id: int) -> Analysis | None:
        """Return what was heard in a track, None where there is none of this id."""

    def analyses(self, ids: Iterable[int]) -> Mapping[int, Analysis]:
        """Return what was heard in these tracks; ids without a track are left out."""

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
