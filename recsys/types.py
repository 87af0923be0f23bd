"""The values that flow through recsys, from a file on disk to a playlist.

All are frozen. This module imports NumPy and the errors alone, so that every stage of the pipeline
can use the types without loading another stage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from recsys.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

DeviceName: TypeAlias = Literal["auto", "cpu", "cuda", "mps"]
"""Devices of a model, see :class:`recsys.classifier.inference.Device`."""

EffortName: TypeAlias = Literal["fast", "balanced", "full"]
"""What :class:`Effort` is called by those who ask for it."""

GenreSourceName: TypeAlias = Literal["all", "model", "own"]
"""What :class:`GenreSource` is called by those who ask for it."""

JournalName: TypeAlias = Literal["wal", "delete"]
"""How SQLite keeps a library consistent, see :meth:`recsys.store.Store.set_journal`."""

KindName: TypeAlias = Literal["music", "speech", "other"]
"""What :class:`Kind` is called by those who ask for it."""

PlaylistFormat: TypeAlias = Literal["m3u8", "m3u", "pls", "xspf", "json", "paths"]
"""Formats of playlist files, see :mod:`recsys.playlists.files`."""

FloatArray: TypeAlias = npt.NDArray[np.float32]
IdArray: TypeAlias = npt.NDArray[np.int64]

LEAST_SCORE = 1e-6
"""Clipping epsilon for the logit of tag scores: 0 and 1 have none."""

TIME_LIMIT_S = 120.0
"""Default limit for the analysis of one file, which takes well under a second."""

SIZE_LIMIT_BYTES = 32_000_000_000
"""Default limit for the size of one file: three hours of DSD256, eight of 24-bit 192 kHz stereo."""

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

    ALL = "all"
    """Every genre that the model knows, by the rule of :mod:`recsys.genres`."""

    MODEL = "model"
    """The genres of the model's classifier head."""

    OWN = "own"
    """The genre tags of the files."""


MOOD_NUMBERS = ("energy", "valence", "danceability", "acousticness", "instrumentalness")
"""Numbers in [0, 1] that :mod:`recsys.mood` computes for every track."""

MEASURED = ("tempo", "loudness")
"""Numbers that are measured on request, see :mod:`recsys.mix`."""

TRACK_NUMBERS = (*MOOD_NUMBERS, "vocals", *MEASURED)
"""Attributes of :class:`Track` by which lists can be filtered and ordered; None is not known."""


class MixKind(StrEnum):
    """What :mod:`recsys.mix` measures on request, by decoding whole tracks."""

    TEMPO = "tempo"
    KEY = "key"
    LOUDNESS = "loudness"


CERTAIN_FROM = 0.5
"""Confidence from which a tempo or a key counts in lists: it is more likely right than not."""

REPLAY_GAIN_LUFS = -18.0
"""Loudness to which the gain of ReplayGain 2.0 brings a track."""


class Kind(StrEnum):
    """What a track is, see :mod:`recsys.kinds`."""

    MUSIC = "music"
    """Instruments, singing, rap: also over speech or noise."""

    SPEECH = "speech"
    """Audiobooks, lectures, podcasts, skits: also over quieter music."""

    OTHER = "other"
    """Noise, weather, engines, effects, tones, hum."""


NOT_MUSIC = (Kind.SPEECH, Kind.OTHER)
"""Kinds that no list has unless they are asked for."""


UNTAGGED = "untagged"
"""Genre group of tracks without a genre tag, where the genre tags of the files sort."""


@dataclass(frozen=True, slots=True)
class TrackFile:
    """An audio file as the file system describes it, before anything is read from it."""

    path: Path  # absolute; bytes that are not UTF-8 are kept by surrogate escapes
    size: int  # bytes
    mtime_ns: int  # of the last modification, since the epoch
    # Of the last change of content, name or attributes, since the epoch, which no program can set
    # back; None where it is not known. Two files that differ in nothing else are the same.
    ctime_ns: int | None = field(default=None, compare=False)


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
    language: str | None = None  # as in the file: "eng", "Deutsch"


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from `low` to `high`, both included; None is no limit.

    QueryError if both are None, one is not finite, or `low` is above `high`.
    """

    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        limits = [limit for limit in (self.low, self.high) if limit is not None]
        if not limits:
            raise QueryError("a range without limits", "Give low, high or both.")
        if not all(map(math.isfinite, limits)):
            raise QueryError(f"the range {self} is not of finite numbers", "Leave out that limit.")
        if limits[0] > limits[-1]:
            raise QueryError(f"the range {self} is empty", "The first number is the lower one.")

    @classmethod
    def parse(cls, text: str) -> Range:
        """Return the range of ``0.7..``, ``..0.3`` or ``0.2..0.5``.

        One number is no range: hardly any track has exactly this value.

        Examples
        --------
        >>> Range.parse("0.2..0.5").holds(0.3), str(Range.parse("118.."))
        (True, '118..')
        """
        low, dots, high = text.partition("..")
        try:
            if not dots:
                raise ValueError
            return cls(*(float(limit) if limit.strip() else None for limit in (low, high)))
        except ValueError:
            hint = f"Give {text}.. for no less, ..{text} for no more." if _is_number(text) else ""
            raise QueryError(
                f"{text!r} is not a range", hint or "Give 0.7.., ..0.3 or 0.2..0.5."
            ) from None

    def __str__(self) -> str:
        low, high = ("" if limit is None else f"{limit:g}" for limit in (self.low, self.high))
        return f"{low}..{high}"

    def __and__(self, other: Range) -> Range:
        """Return what both hold; QueryError if that is nothing."""
        lows = [each.low for each in (self, other) if each.low is not None]
        highs = [each.high for each in (self, other) if each.high is not None]
        low, high = max(lows, default=None), min(highs, default=None)
        if low is not None and high is not None and low > high:
            raise QueryError(f"{self} and {other} have no number in common", "Leave out one.")
        return Range(low, high)

    def mask(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Return which values lie in the range; NaN does not."""
        low, high = (-np.inf if self.low is None else self.low), self.high
        return (values >= low) & (values <= (np.inf if high is None else high))

    def holds(self, value: float | None) -> bool:
        """Return whether a value lies in the range; one that is not known does not."""
        return (
            value is not None
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
        )


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Mix:
    """Tempo, key and loudness of a sound, as :mod:`recsys.mix` measured them.

    None is what was not measured, or not found. A confidence is the share of the tracks like it, in
    music of known tempo and key, for which the value was right; it is None for values of the file's
    own tags.
    """

    tempo: float | None = None  # beats per minute
    tempo_confidence: float | None = None  # in [0, 1]
    tempo_by: str | None = None  # what found it: a package and its version, or "tag"
    key: str | None = None  # one of recsys.keys.KEYS
    key_confidence: float | None = None
    key_by: str | None = None
    loudness: float | None = None  # integrated, LUFS (ITU-R BS.1770, EBU R 128)
    true_peak: float | None = None  # dBTP
    loudness_by: str | None = None

    @property
    def certain_tempo(self) -> float | None:
        """The tempo, if it is certain enough to filter and order by."""
        return self.tempo if _is_certain(self.tempo_confidence) else None

    @property
    def certain_key(self) -> str | None:
        """The key, if it is certain enough to filter by."""
        return self.key if _is_certain(self.key_confidence) else None

    @property
    def replay_gain(self) -> float | None:
        """What a player adds to bring the track to the loudness of ReplayGain 2.0, dB."""
        return None if self.loudness is None else REPLAY_GAIN_LUFS - self.loudness

    def fields(self) -> dict[str, float | str | None]:
        """Return it as plain values, also where it is uncertain, with the units in the names.

        A tempo or key without a confidence is that of the file's own tags.
        """
        from recsys.keys import camelot

        return {
            "tempo": self.tempo,
            "loudness": self.loudness,
            "tempo_confidence": self.tempo_confidence,
            "key": self.key,
            "camelot": None if self.key is None else camelot(self.key),
            "key_confidence": self.key_confidence,
            "true_peak_dbtp": self.true_peak,
            "replay_gain_db": None if self.replay_gain is None else round(self.replay_gain, 2),
        }


def _is_certain(confidence: float | None) -> bool:
    return confidence is None or confidence >= CERTAIN_FROM


NOT_MEASURED = Mix()
"""Of a track that was never measured."""

TRACK_COLUMNS = ("#", "Artist", "Title", "Length", "Genre")
"""Headings of :meth:`Track.cells`."""


@dataclass(frozen=True, slots=True, repr=False)
class Track:
    """One track of the library.

    Its genre group is the label by which the library sorts it, and so its part of the index: the
    model's genre, unless the library sorts by other labels (:class:`GenreSource`). Genre and group
    of what is no music are its kind.
    """

    id: int  # stable in the library; the index uses the same one
    path: Path  # absolute
    tags: Tags
    duration_s: float
    audio_hash: str  # identity of the encoded sound: recsys.library.audio_hash
    genre: str  # the model's most probable one
    warning: str | None = None  # defect of a file that could be analysed all the same
    missing: bool = False  # the file was gone in the last run; the track was kept on request
    genre_group: str = ""  # empty for the genre
    kind: Kind | None = None  # None where the model cannot tell
    kind_probability: float | None = None  # of the kind
    vocals: float | None = None  # share of the time that is sung, in [0, 1]; of music alone
    # When the library first had it, seconds since the epoch; None if that is not known, as on
    # Milvus. Two tracks that differ in nothing else are the same.
    added_s: float | None = field(default=None, compare=False)
    # In [0, 1], by recsys.mood; None where the model lacks the tags for it.
    energy: float | None = field(default=None, compare=False)
    valence: float | None = field(default=None, compare=False)
    danceability: float | None = field(default=None, compare=False)
    acousticness: float | None = field(default=None, compare=False)
    instrumentalness: float | None = field(default=None, compare=False)
    mix: Mix = field(default=NOT_MEASURED, compare=False)

    def __post_init__(self) -> None:
        if not self.genre_group:
            # A frozen instance cannot set its own fields in the usual way.
            object.__setattr__(self, "genre_group", self.genre)

    def __repr__(self) -> str:
        return f"<Track {self.id}: {self.display_name} ({self.genre_group})>"

    def _repr_html_(self) -> str:
        from recsys.notebook import clock, html_table

        fields = {
            "id": self.id,
            "artist": self.artist,
            "title": self.title,
            "album": self.tags.album,
            "year": self.tags.year,
            "length": clock(self.duration_s),
            "genre": self.genre_group,
            "file": self.path,
        }
        return html_table(self.display_name, ("", ""), fields.items())

    def cells(self, number: int) -> tuple[str, ...]:
        """Return what a list shows of the track, under :data:`TRACK_COLUMNS`."""
        from recsys.notebook import clock, one_line

        texts = (one_line(self.artist or ""), one_line(self.title), clock(self.duration_s))
        return (str(number), *texts, one_line(self.genre_group))

    @property
    def tempo(self) -> float | None:
        """Beats per minute; None where that is not known, or not certain enough."""
        return self.mix.certain_tempo

    @property
    def key(self) -> str | None:
        """Musical key, as :data:`recsys.keys.KEYS` spells it; None as for the tempo."""
        return self.mix.certain_key

    @property
    def loudness(self) -> float | None:
        """Integrated loudness, LUFS; None where it was not measured."""
        return self.mix.loudness

    @property
    def numbers(self) -> dict[str, float | None]:
        """Its :data:`TRACK_NUMBERS` by name, to four decimals."""
        values = {name: getattr(self, name) for name in TRACK_NUMBERS}
        return {name: None if v is None else round(v, 4) for name, v in values.items()}

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
    """Mono windows of sound, all at one sample rate."""

    windows: FloatArray  # (n_windows, window_length), samples in [-1, 1]
    sample_rate: int  # Hz
    offsets_s: tuple[float, ...]  # where each window begins in the track
    duration_s: float  # of the whole track
    warning: str | None = None  # defect of the file


def _no_tags() -> FloatArray:
    return np.empty(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Analysis:
    """Outputs of the model for one track.

    Tag scores are independent of each other, and scores of two tags are not comparable; strengths
    are: :meth:`ModelInfo.tag_strengths`.
    """

    probabilities: FloatArray  # (n_genres,), calibrated, sum 1, in the order of the labels
    embedding: FloatArray  # (d,), unit L2 norm
    fingerprint: str  # of the model
    tags: FloatArray = field(default_factory=_no_tags)  # (n_tags,), scores in [0, 1], or empty
    effort: Effort = Effort.FULL

    @property
    def identity(self) -> tuple[str, Effort]:
        """Model and effort: only analyses that share both are comparable."""
        return self.fingerprint, self.effort

    @property
    def is_finite(self) -> bool:
        """Whether all its values are numbers; damaged sound can give others."""
        arrays = (self.probabilities, self.embedding, self.tags)
        return all(bool(np.isfinite(array).all()) for array in arrays)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Description of a model for stages that do not load it.

    Row ``i`` of the confusion matrix, shape (n_genres, n_genres), is how tracks of genre ``i`` are
    distributed over the predicted genres on validation data, Laplace-smoothed; rows sum to 1. Means
    and deviations of a tag are those of the logits of its score over the model's reference tracks.
    """

    name: str
    fingerprint: str  # hash over weights, labels and feature settings
    labels: tuple[str, ...]  # genres, in the order of the probabilities
    thresholds: tuple[float, ...]  # per genre, of its probability
    confusion: FloatArray
    dimension: int  # of the embedding
    tags: tuple[str, ...] = ()  # styles, moods, eras, voices, in the order of the scores
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
        normally distributed values, 2 the top fortieth. The shape is that of the scores,
        (..., n_tags).
        """
        # In float64: float32 is coarse so near to 1.
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


class SeedKind(StrEnum):
    """What a seed of a query was read as."""

    FILE = "file"
    """The path of an audio file."""

    ID = "id"
    """The id of a track."""

    TRACK = "track"
    """Words that name one track."""

    ARTIST = "artist"
    """Words that name an artist: the seeds are the tracks of this artist."""

    ALBUM = "album"
    """Words that name an album: the seeds are its tracks."""

    BLEND = "blend"
    """The name of a query that was saved, see :class:`Blend`."""


class SeedRole(StrEnum):
    """What a seed is given for."""

    SEED = "seed"
    """It is the query, or a part of it."""

    LIKE = "like"
    """The query leans towards it."""

    NOT_LIKE = "not_like"
    """The query leans away from it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How one seed of a query was read."""

    given: str  # as it was typed
    kind: SeedKind
    name: str  # of the track, artist or album, for display
    tracks: int = 1  # number of seeds that it stands for
    note: str = ""  # for display, where the words could mean something else, or mean many tracks
    role: SeedRole = SeedRole.SEED

    def fields(self) -> Mapping[str, str | int]:
        """Return the reading as scripts read it."""
        return {
            "given": self.given,
            "as": str(self.kind),
            "name": self.name,
            "tracks": self.tracks,
            "role": str(self.role),
        }


@dataclass(frozen=True, slots=True)
class Blend:
    """The seeds of a query as hashes of their sound, so that it outlasts moves and new tags."""

    seeds: tuple[str, ...] = ()  # none where words for sound take their place
    like: tuple[str, ...] = ()
    not_like: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One result of a query."""

    rank: int  # from 1
    track: Track
    tier: int  # 1 is the query's own genre groups; 0 for a ranking by similarity alone
    genre_score: float  # the query's score of the track's genre group, in [0, 1]
    similarity: float  # cosine of query and track
    reasons: tuple[str, ...] = ()  # of the rank, as sentences
    score: float | None = None  # how well the track fits words for sound; None without any
    taste: float = 0.0  # what the listener's events added to the similarity


@dataclass(frozen=True, slots=True, repr=False)
class Playlist:
    """An ordered list of tracks, with its seeds."""

    name: str  # for display, in players too
    tracks: tuple[Track, ...]  # in playing order
    seeds: tuple[Track, ...] = ()  # from which it was made, if any
    seed: int = 0  # random; the same seed gives the same playlist
    note: str = ""  # reached length and reason, where the library could not fill the request
    readings: tuple[Reading, ...] = ()  # how each seed that was given was read
    similarities: tuple[float | None, ...] = ()  # to the track before; None at the start

    @property
    def duration_s(self) -> float:
        """Playing time, seconds."""
        return sum(track.duration_s for track in self.tracks)

    def save(
        self,
        path: str | Path,
        *,
        format: PlaylistFormat | None = None,  # noqa: A002 (its name everywhere)
        relative: bool = False,
    ) -> tuple[Track, ...]:
        """Write the playlist to a file, atomically.

        Parameters
        ----------
        path : str or Path
            The file; its extension chooses the format.
        format : str, optional
            ``m3u8``, ``m3u``, ``pls``, ``xspf``, ``json`` or ``paths``, whatever the extension.
        relative : bool
            Write paths that begin at the folder of the file.

        Returns
        -------
        tuple of Track
            Those left out: a format of one path per line cannot express a line break in a path.

        Raises
        ------
        RecsysError
            The format is not known, or the file cannot be written.
        """
        # By name: nothing here imports a stage of the pipeline, and the writers are one.
        files = import_module("recsys.playlists.files")
        left_out: tuple[Track, ...] = files.save(self, path, format, relative=relative).left_out
        return left_out

    def __repr__(self) -> str:
        from recsys.notebook import clock

        return f"<Playlist {self.name!r}: {len(self.tracks)} tracks, {clock(self.duration_s)}>"

    def _repr_html_(self) -> str:
        from recsys.notebook import clock, html_table

        rows = [track.cells(number) for number, track in enumerate(self.tracks, start=1)]
        return html_table(f"{self.name}, {clock(self.duration_s)}", TRACK_COLUMNS, rows)


@dataclass(frozen=True, slots=True)
class SavedPlaylist:
    """A playlist that the library keeps; its tracks are hashes of their sound, as a Blend's."""

    id: int  # 0 for one that is not stored yet
    name: str
    made: str  # UTC, ISO 8601
    changed: str
    recipe: Mapping[str, object] | None  # how it is made again, as whoever saved it reads it
    tracks: tuple[str, ...]  # audio hashes, in playing order


@dataclass(frozen=True, slots=True)
class RadioSession:
    """A radio session as a list shows it."""

    id: int
    started: str  # UTC
    blend: Blend
    words: str | None
    given: int  # tracks so far


@dataclass(frozen=True, slots=True)
class RadioDetails:
    """A radio session, with the tracks that the library still has."""

    id: int
    words: str | None
    seeds: tuple[Track, ...]
    like: tuple[Track, ...]
    not_like: tuple[Track, ...]
    given: int  # tracks so far
    tracks: tuple[tuple[int, Track], ...]  # the last ones, with their positions from 1


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be analysed."""

    file: TrackFile  # as it was then: after a change of size or time the next run tries it again
    reason: str  # for display: "kind: detail", where files of one kind can be counted together
    retry: bool = False  # not the file's fault (unmounted disk, permission): every run tries again
    hint: str = ""  # what helps
    made_by: str = field(default="", compare=False)  # versions that recorded it, as stored


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a library that a check has found; its text is a sentence."""

    text: str
    hint: str  # what helps; may be empty

    def __str__(self) -> str:
        return self.text


class IndexStatus(StrEnum):
    """Outcome of one file of an indexing run."""

    INDEXED = "indexed"
    UNCHANGED = "unchanged"
    MOVED = "moved"
    REMOVED = "removed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class IndexEvent:
    """Result of one file of an indexing run."""

    path: Path | str  # a str where it is the URL of an object
    status: IndexStatus
    reason: str | None = None  # why it failed
    warning: str | None = None  # defect of a file that was indexed all the same
    genre: str | None = None  # the model's most probable one
    track_id: int | None = None
    # The file is as it was when it failed, and was not tried again, or failed again as before.
    failed_before: bool = False


@dataclass(frozen=True, slots=True)
class SlowFile:
    """A file whose analysis has been going on for long; told every few seconds until it ends."""

    path: Path
    seconds: float  # since it began
    limit_s: float  # after which it is given up


MOST_EXTENSIONS, MOST_NAMED = 40, 5
"""How much of a scan is told in one line."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """What a scan saw below its folders and did not take as tracks, as counts."""

    extensions: Mapping[str, int] = field(default_factory=dict)  # of other files, most first
    videos: int = 0  # with sound, where videos are not wanted
    leftovers: Mapping[str, int] = field(default_factory=dict)  # unfinished downloads, ... by kind
    folders: Mapping[str, int] = field(default_factory=dict)  # recycle bins, ... by name
    hidden: int = 0  # names that begin with a dot
    hidden_music: tuple[str, ...] = ()  # hidden folders with audio
    excluded: int = 0  # files and folders that the library's patterns exclude
    cue_sheets: int = 0  # files that hold an album with a CUE sheet: tracks, but each only one

    @property
    def files(self) -> str:
        """Extensions with their counts, for display; empty where there are none."""
        counts = [f"{n} {name or 'without extension'}" for name, n in self.extensions.items()]
        more = len(counts) - MOST_EXTENSIONS
        counts[MOST_EXTENSIONS:] = [f"{more} other extensions"] if more > 0 else []
        return ", ".join(counts)

    @property
    def kinds(self) -> str:
        """Everything else that was passed over, for display; empty where there is nothing."""
        told = []
        if self.videos:
            told.append(f"{_counted(self.videos, 'video')} (--video indexes their sound)")
        told += [_counted(count, kind) for kind, count in self.leftovers.items()]
        if self.folders:
            number = _counted(sum(self.folders.values()), "folder")
            told.append(f"{number} of bins, snapshots or thumbnails ({', '.join(self.folders)})")
        if self.hidden:
            told.append(_counted(self.hidden, "hidden name"))
        if self.excluded:
            told.append(f"{self.excluded} excluded (--exclude)")
        return ", ".join(told)

    @property
    def hints(self) -> tuple[str, ...]:
        """Sentences on what may not be as it was meant."""
        told = []
        if self.cue_sheets == 1:
            told.append("1 album in one file with a CUE sheet is one track")
        elif self.cue_sheets:
            told.append(f"{self.cue_sheets} albums in one file with a CUE sheet are each one track")
        if self.hidden_music:
            named = ", ".join(self.hidden_music[:MOST_NAMED])
            more = len(self.hidden_music) - MOST_NAMED
            named += f" and {more} more" if more > 0 else ""
            told.append(f"hidden folders hold audio; index one by its name: {named}")
        return tuple(told)

    def __add__(self, other: PassedOver) -> PassedOver:
        """Return the counts of two folders together."""
        ours, theirs = ((each.extensions, each.leftovers, each.folders) for each in (self, other))
        extensions, leftovers, folders = map(_added, ours, theirs)
        return PassedOver(
            extensions,
            self.videos + other.videos,
            leftovers,
            folders,
            self.hidden + other.hidden,
            self.hidden_music + other.hidden_music,
            self.excluded + other.excluded,
            self.cue_sheets + other.cue_sheets,
        )


def _counted(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    sums = {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """Counts of one indexing run. ``found`` is the number of audio files that it was to look at."""

    found: int = 0
    indexed: int = 0
    unchanged: int = 0
    moved: int = 0
    removed: int = 0
    failed: int = 0
    failed_before: int = 0  # of the failed: as before, because they have not changed
    notes: tuple[str, ...] = ()
    passed_over: PassedOver = field(default_factory=PassedOver)

    @property
    def failed_now(self) -> int:
        """Files that this run tried in vain."""
        return self.failed - self.failed_before

    @property
    def changes(self) -> int:
        """Files of which the library has another state now."""
        return self.indexed + self.moved + self.removed + self.failed_now

    def counts(self) -> Mapping[str, int]:
        """Return the counts by name, as scripts read them."""
        names = ("found", "indexed", "unchanged", "moved", "removed", "failed", "failed_before")
        return {name: getattr(self, name) for name in names}


# The interface of a library that the recommender uses, in SQLite or on Milvus


class BanList(Protocol):
    """What must not come back: :class:`recsys.taste.Bans`. It is false where nothing is banned."""

    def __bool__(self) -> bool: ...

    def holds(self, track: Track) -> bool:
        """Return whether a track is banned."""


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

    def bans(self) -> BanList:
        """Return what must not come back, as it is now."""

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

    def all_labels(self) -> tuple[IdArray, Sequence[str], FloatArray]:
        """Return genre group and year of every track.

        Returns
        -------
        ids : ndarray of int64, shape (n,)
            Ascending.
        groups : sequence of str, length n
        years : ndarray of float32, shape (n,)
            Of the tags of the files; NaN where a file has none.
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

        A word matches the beginning of a word; case, accents and marks do not count, so that
        "youre" finds "You're". A track is found by the name of its file, too, and by a whole name
        whose words are divided otherwise. Tracks whose artist, title, "artist - title" or file is
        exactly ``words`` come first, then those where it is so but for marks and spaces, then those
        with every word in artist and title, then the rest, each by artist, title and id; at most
        ``limit``.
        """

    def blend(self, name: str) -> Blend | None:
        """Return the query that is saved under a name in any spelling, None where there is none."""

    def preferences(self) -> Mapping[str, object]:
        """Return the default filters as values for JSON; empty without any."""

    def like_words(self, words: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return for each word which words of the library's names may be meant, nearest first.

        For suggestions where nothing was found: it may take a tenth of a second.
        """
