"""Labelled music: folders of genre folders, split lists, artists, and ready-made spectrograms.

A track is identified by its key, ``genre/name`` without the extension, as the public GTZAN lists
write it; several files may hold one track (a clip and an excerpt of it).
"""

from __future__ import annotations

import csv
import json
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys.audio import decode
from recsys.classifier.log_mel import MEL, LogMel, from_log_mel
from recsys.errors import ModelError, RecsysError
from recsys.library import AUDIO_SUFFIXES, read_tags
from recsys.workers import WHOLE_FILE_LIMIT_S, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from recsys.mel import CompressedMel, Features
    from recsys.types import FloatArray, IdArray

HalfArray = npt.NDArray[np.float16]

# Faults of GTZAN as published, known by the names of its tracks.

GENRES = (
    *("blues", "classical", "country", "disco", "hiphop"),
    *("jazz", "metal", "pop", "reggae", "rock"),
)
"""The ten of GTZAN."""

_NAME = re.compile(rf"(?P<genre>{'|'.join(GENRES)})/(?P=genre)\.\d{{5}}")
_NAMED = 3
"""Repetitions named in a sentence."""


@dataclass(frozen=True, slots=True)
class Repetition:
    """Tracks that are one recording, or one piece by one artist.

    Attributes
    ----------
    tracks : tuple of str
        Names such as ``jazz.00033``, sorted.
    established_by : tuple of str
        How it is known: ``catalogue``, ``features`` or ``titles``; see ``source`` of the file.
    """

    tracks: tuple[str, ...]
    established_by: tuple[str, ...]

    @property
    def is_same_recording(self) -> bool:
        """More than the titles says so."""
        return set(self.established_by) != {"titles"}


@dataclass(frozen=True, slots=True)
class GtzanFaults:
    """The faults of GTZAN as published.

    Attributes
    ----------
    source : str
        Where the lists come from.
    corrupt : tuple of str
        Names of tracks that cannot be read.
    repetitions : tuple of Repetition
        No track is in two of them.
    """

    source: str
    corrupt: tuple[str, ...]
    repetitions: tuple[Repetition, ...]


@cache
def faults() -> GtzanFaults:
    """Return the known faults, from ``data/gtzan-faults.json``."""
    text = (files("recsys.data") / "gtzan-faults.json").read_text(encoding="utf-8")
    stored = json.loads(text)
    return GtzanFaults(
        source=stored["source"],
        corrupt=tuple(stored["corrupt"]),
        repetitions=tuple(
            Repetition(tuple(entry["tracks"]), tuple(entry["established_by"]))
            for entry in stored["repetitions"]
        ),
    )


@cache
def _artists() -> dict[str, str]:
    """Read ``data/gtzan-artists.csv``."""
    text = (files("recsys.data") / "gtzan-artists.csv").read_text(encoding="utf-8")
    return {row["track"]: row["artist"] for row in csv.DictReader(text.splitlines())}


def known_artists(keys: Collection[str]) -> dict[str, str]:
    """Return who plays on these tracks, from the public index of GTZAN (Sturm).

    Parameters
    ----------
    keys : collection of str
        ``genre/name`` of each track.

    Returns
    -------
    dict
        Key to artist, of the tracks whose artist is known; empty if this is not GTZAN.

    Examples
    --------
    >>> known_artists(["blues/blues.00000", "blues/mine"])
    {}
    >>> known_artists(["blues/blues.00000"])
    {'blues/blues.00000': 'John Lee Hooker'}
    """
    if not looks_like_gtzan(keys):
        return {}
    listed = _artists()
    named = [key for key in keys if _NAME.fullmatch(key) and _name(key) in listed]
    return {key: listed[_name(key)] for key in named}


def looks_like_gtzan(keys: Collection[str]) -> bool:
    """Return whether most tracks are named as in GTZAN.

    Parameters
    ----------
    keys : collection of str
        ``genre/name`` of each track.

    Examples
    --------
    >>> looks_like_gtzan(["jazz/jazz.00054", "pop/pop.00001"])
    True
    >>> looks_like_gtzan(["jazz/So What", "pop/pop.00001"])
    False
    """
    return 2 * sum(_NAME.fullmatch(key) is not None for key in keys) > len(keys)


def repetitions(keys: Collection[str]) -> list[tuple[str, ...]]:
    """Return the groups of tracks among these that are one recording or piece.

    Parameters
    ----------
    keys : collection of str
        ``genre/name`` of each track.

    Returns
    -------
    list of tuple of str
        Keys, two or more in a group; no groups if this is not GTZAN.

    Examples
    --------
    >>> repetitions(["jazz/jazz.00033", "jazz/jazz.00051", "jazz/jazz.00052"])
    [('jazz/jazz.00033', 'jazz/jazz.00051')]
    """
    if not looks_like_gtzan(keys):
        return []
    there = frozenset(keys)
    present = [_present(repetition.tracks, there) for repetition in faults().repetitions]
    return [group for group in present if len(group) > 1]


def describe(keys: Collection[str]) -> list[str]:
    """Return sentences on the faults of GTZAN among these tracks; none if this is not GTZAN."""
    if not looks_like_gtzan(keys):
        return []
    known, there = faults(), frozenset(keys)
    words = [
        f"{_name(key)} is corrupt in GTZAN as published" for key in _present(known.corrupt, there)
    ]
    same = _again(_present(r.tracks, there) for r in known.repetitions if r.is_same_recording)
    if len(same) == 1:
        words.append(f"1 track repeats another in GTZAN as published ({same[0]})")
    elif same:
        words.append(f"{len(same)} tracks repeat others in GTZAN as published ({_some(same)})")
    pieces = _again(_present(r.tracks, there) for r in known.repetitions if not r.is_same_recording)
    if len(pieces) == 1:
        words.append(f"1 track has the artist and title of another in GTZAN ({pieces[0]})")
    elif pieces:
        words.append(
            f"{len(pieces)} tracks have the artist and title of others in GTZAN ({_some(pieces)})"
        )
    return words


def _again(groups: Iterable[tuple[str, ...]]) -> list[str]:
    """Name every track that repeats the first of its group."""
    return [f"{_name(key)} = {_name(group[0])}" for group in groups for key in group[1:]]


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _present(names: Iterable[str], keys: Collection[str]) -> tuple[str, ...]:
    """Return the keys of those tracks that are there."""
    known = (f"{name.split('.', 1)[0]}/{name}" for name in names)
    return tuple(key for key in known if key in keys)


def _name(key: str) -> str:
    return key.split("/", 1)[1]


# Splits with no artist on both sides.


def track_groups(keys: Sequence[str], artists: Sequence[str | None]) -> IdArray:
    """Give one number to tracks that belong on one side of a split.

    Tracks belong together that share an artist, compared without regard to case, or that are
    known to repeat each other, and what these in turn belong to.

    Parameters
    ----------
    keys : sequence of str
        ``genre/name`` of each track.
    artists : sequence of str or None
        Of each track; a track without one belongs to no other by it.

    Returns
    -------
    ndarray of int64, shape (n_tracks,)
        Numbers from 0 on, in the order of their first tracks.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    places = {key: number for number, key in enumerate(keys)}
    firsts: dict[str, int] = {}
    links = [
        (number, firsts.setdefault(_group(key, artist), number))
        for number, (key, artist) in enumerate(zip(keys, artists, strict=True))
    ]
    links += [(places[group[0]], places[key]) for group in repetitions(places) for key in group]
    ends = np.asarray(links, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(links)), (ends[0], ends[1])), shape=(len(keys), len(keys)))
    numbers: IdArray = connected_components(graph, directed=False)[1].astype(np.int64)
    return numbers


def artist_folds(targets: IdArray, groups: IdArray, folds: int, seed: int) -> list[IdArray]:
    """Divide tracks into folds, no group in two of them, genres in proportion.

    Parameters
    ----------
    targets, groups : ndarray of int64, shape (n_tracks,)
        Genre, and which tracks must stay together.
    folds : int
        At least 2.
    seed : int

    Returns
    -------
    list of ndarray of int64
        The tracks held out by each fold; where large groups leave a fold empty, one fewer.

    Raises
    ------
    ValueError
        If there are fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if len(np.unique(groups)) < folds:
        raise ValueError(f"{folds} folds need as many groups, got {len(np.unique(groups))}")
    cutter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        parts = [part for _, part in cutter.split(targets, targets, groups)]
    return [part.astype(np.int64) for part in parts if len(part)]


def split_by_artist(
    keys: Sequence[str],
    genres: Sequence[str],
    artists: Mapping[str, str | None],
    *,
    share: float = 0.2,
    seed: int = 0,
) -> tuple[list[str], list[str]]:
    """Set aside tracks for validation, whole artists at a time, genres in proportion.

    Parameters
    ----------
    keys, genres : sequence of str
        One per track.
    artists : mapping
        Key to artist, compared without regard to case; a track without one stands alone.
    share : float
        About how much to set aside, in (0, 0.5].
    seed : int
        Of the choice.

    Returns
    -------
    train, valid : list of str
        Keys, sorted; together all of them. Every genre is in `train`.
    """
    numbers: dict[str, int] = {}
    groups = np.asarray(
        [numbers.setdefault(_group(key, artists.get(key)), len(numbers)) for key in keys]
    )
    labels = np.asarray(genres)
    # Genres of fewer tracks than that may miss a fold; they must not make the folds larger.
    most = int(np.unique(labels, return_counts=True)[1].max(initial=0))
    folds = max(2, min(round(1 / share), most, len(numbers)))
    held_out = np.zeros(len(keys), dtype=bool)
    if len(numbers) >= 2 and most >= folds:
        parts = artist_folds(np.unique(labels, return_inverse=True)[1], groups, folds, seed)
        held_out[min(parts, key=lambda part: _unevenness(labels, part))] = True
    for genre in np.unique(labels[held_out]):
        if np.all(held_out[labels == genre]):
            held_out[np.isin(groups, groups[labels == genre])] = False
    train = sorted(key for key, out in zip(keys, held_out, strict=True) if not out)
    valid = sorted(key for key, out in zip(keys, held_out, strict=True) if out)
    return train, valid


def _unevenness(labels: npt.NDArray[np.str_], part: npt.NDArray[np.intp]) -> float:
    """Sum up how far the genres of a part are from their shares: artists may be large."""
    names, inverse = np.unique(labels, return_inverse=True)
    everywhere = np.bincount(inverse) / len(labels)
    found = np.bincount(inverse[part], minlength=len(names)) / max(1, len(part))
    return float(np.abs(found - everywhere).sum())


def _group(key: str, artist: str | None) -> str:
    folded = artist.strip().casefold() if artist else ""
    return f"artist:{folded}" if folded else f"track:{key}"


# Segments of tracks, as the recipes of the papers train on them.

MIN_TRACKS = 3
"""Of a genre: one to learn from, one to validate on, one to test."""


@dataclass(frozen=True, slots=True)
class LabelledTrack:
    """A track and what is known of it.

    Attributes
    ----------
    key : str
        ``genre/name``, as split lists call the track.
    genre : str
        Its label.
    artist : str or None
        Who plays, where that is known.
    """

    key: str
    genre: str
    artist: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SegmentSet:
    """Segments of labelled tracks.

    Attributes
    ----------
    tracks : tuple of LabelledTrack
        Every one has at least one segment.
    inputs : ndarray of float16 or float32, shape (n_segments, *shape)
        Inputs of a network; float16 where that is fine enough.
    track_of : ndarray of int64, shape (n_segments,)
        Number of each segment's track in `tracks`.
    labels : tuple of str
        Genres, sorted. A selection keeps all of them, so that their numbers stay.
    """

    tracks: tuple[LabelledTrack, ...]
    inputs: npt.NDArray[np.floating]
    track_of: IdArray
    labels: tuple[str, ...]

    @property
    def n_segments(self) -> int:
        """Number of segments."""
        return len(self.track_of)

    @property
    def track_targets(self) -> IdArray:
        """Number of each track's genre in `labels`, shape (n_tracks,)."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        return np.asarray([numbers[track.genre] for track in self.tracks], dtype=np.int64)

    @property
    def targets(self) -> IdArray:
        """Number of each segment's genre in `labels`, shape (n_segments,)."""
        return self.track_targets[self.track_of]

    @property
    def track_groups(self) -> IdArray:
        """Number of each track's group, see :func:`.track_groups`."""
        tracks = self.tracks
        return track_groups([track.key for track in tracks], [track.artist for track in tracks])

    @property
    def groups(self) -> IdArray:
        """Number of each segment's group: of its artist, and of what repeats its track."""
        return self.track_groups[self.track_of]

    def select(self, segments: IdArray) -> SegmentSet:
        """Return some of the segments, in the order given, with the tracks they belong to."""
        kept, track_of = np.unique(self.track_of[segments], return_inverse=True)
        return SegmentSet(
            tracks=tuple(self.tracks[number] for number in kept),
            inputs=self.inputs[segments],
            track_of=track_of.astype(np.int64),
            labels=self.labels,
        )

    def subset(self, tracks: IdArray) -> SegmentSet:
        """Return all segments of some tracks, given by their numbers."""
        return self.select(np.flatnonzero(np.isin(self.track_of, tracks)).astype(np.int64))


def check_genres(genres: Mapping[str, str], min_tracks: int = MIN_TRACKS) -> None:
    """Raise unless there are two genres with enough tracks each.

    Parameters
    ----------
    genres : mapping
        Key of a track to its genre.
    min_tracks : int
        How many tracks of a genre are enough.

    Raises
    ------
    ModelError
        With the names and counts of the genres that are too small.
    """
    counts = Counter(genres.values())
    if len(counts) < 2:
        found = ", ".join(counts) or "none"
        raise ModelError(
            f"at least two genres are needed, found: {found}",
            "Put the tracks of each genre into a folder of its own.",
        )
    poor = [f"{genre} ({count})" for genre, count in sorted(counts.items()) if count < min_tracks]
    if poor:
        raise ModelError(
            f"too few tracks of {', '.join(poor)}: at least {min_tracks} of a genre are needed",
            "Add tracks of these genres, or leave their folders out.",
        )


def describe_balance(tracks: Iterable[LabelledTrack], wanted: Iterable[str] = ()) -> str:
    """Describe how many tracks the genres have, and which of `wanted` have none.

    Examples
    --------
    >>> few = [LabelledTrack("jazz/1", "jazz"), LabelledTrack("jazz/2", "jazz")]
    >>> describe_balance([*few, LabelledTrack("pop/1", "pop")], wanted=["jazz", "rock"])
    '2 genres, 1 (pop) to 2 (jazz) tracks; none of rock'
    """
    counts = Counter(track.genre for track in tracks)
    if not counts:
        return "no tracks"
    ranked = sorted(counts, key=lambda genre: (counts[genre], genre))
    least, most = ranked[0], ranked[-1]
    words = f"{len(counts)} genres, " if len(counts) > 1 else "1 genre, "
    if counts[least] == counts[most]:
        words += f"{counts[least]} tracks each"
    else:
        words += f"{counts[least]} ({least}) to {counts[most]} ({most}) tracks"
    missing = sorted(set(wanted) - set(counts))
    return f"{words}; none of {', '.join(missing)}" if missing else words


# Files, lists and artists.


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """An audio file whose genre is the name of its folder.

    Attributes
    ----------
    path : Path
        The file.
    genre : str
        Name of its folder.
    name : str
        Name of the file without its extension.
    """

    path: Path
    genre: str
    name: str

    @property
    def key(self) -> str:
        """``genre/name``: what split lists call the track."""
        return f"{self.genre}/{self.name}"


def find_tracks(directory: Path, *, allow_empty: bool = False) -> list[LabelledFile]:
    """List the audio files in a folder of genre folders.

    Parameters
    ----------
    directory : Path
        Holds ``GENRE/track.ext``; deeper folders belong to their genre.
    allow_empty : bool
        Pass over genre folders without audio instead of raising.

    Returns
    -------
    list of LabelledFile
        Sorted by path.

    Raises
    ------
    ModelError
        If the folder is missing, holds no folders, or a genre folder holds no audio.
    """
    if not directory.is_dir():
        state = "is a file" if directory.exists() else "does not exist"
        raise ModelError(
            f"{directory} {state}", "Give a folder that holds one folder of audio per genre."
        )
    folders = sorted(
        path for path in directory.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    found: list[LabelledFile] = []
    for folder in folders:
        files = sorted(
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in AUDIO_SUFFIXES
            and not path.name.startswith(".")
            and path.is_file()
        )
        if not files and not allow_empty:
            raise ModelError(
                f"the genre folder {folder} holds no audio",
                "Put tracks into it or remove the folder.",
            )
        found += [LabelledFile(path, folder.name, path.stem) for path in files]
    if not found:
        raise ModelError(
            f"no genre folders in {directory}",
            "Audio must lie in one folder per genre: DIR/blues/track.flac.",
        )
    return found


def read_split(path: Path) -> frozenset[str]:
    """Read a list of tracks, one ``genre/track.ext`` per line; the extension does not count.

    Parameters
    ----------
    path : Path
        Text, UTF-8. Empty lines and lines that begin with ``#`` are passed over.

    Returns
    -------
    frozenset of str
        Keys ``genre/name``.

    Raises
    ------
    ModelError
        If the file cannot be read, names nothing, or a line has no genre.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"the list {path} cannot be read: {error}",
            "Give a text file with one genre/track.ext per line.",
        ) from error
    names = [line.strip() for line in lines]
    keys = [_split_key(path, name) for name in names if name and not name.startswith("#")]
    if not keys:
        raise ModelError(f"the list {path} names no track", "Write one genre/track.ext per line.")
    return frozenset(keys)


def _split_key(path: Path, name: str) -> str:
    parts = Path(name.replace("\\", "/")).parts
    if len(parts) < 2:
        raise ModelError(f"{path}: {name!r} has no genre", "Write genre/track.ext, one per line.")
    file = Path(parts[-1])
    stem = file.stem if file.suffix.lower() in AUDIO_SUFFIXES else file.name
    return f"{parts[-2]}/{stem}"


def read_artists(path: Path) -> dict[str, str]:
    """Read artists from a CSV with the columns ``track`` and ``artist``.

    Parameters
    ----------
    path : Path
        ``track`` is the name of a file without its extension.

    Returns
    -------
    dict
        Name of the track to artist; rows without an artist are left out.

    Raises
    ------
    ModelError
        If the file cannot be read or lacks a column.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {row["track"]: row["artist"] for row in rows if row["artist"]}
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise ModelError(
            f"artists cannot be read from {path}: {error!r}",
            "It must be a CSV file with the columns track and artist.",
        ) from error


def artist_of(file: LabelledFile) -> str | None:
    """Return the artist that the file's tags name, if they do."""
    tags = read_tags(file.path)
    return tags.artist or tags.album_artist


def load_windows(
    paths: Sequence[Path], workers: int = 2, settings: Features = MEL
) -> Iterator[tuple[Path, FloatArray | RecsysError]]:
    """Decode many files to inputs of a network, in worker processes and in order.

    Parameters
    ----------
    paths : sequence of Path
        Audio files.
    workers : int
        Processes.
    settings : Features
        Input of the network.

    Yields
    ------
    tuple of (Path, ndarray (n_windows, *shape) or RecsysError)
        The error in place of the windows where a file cannot be used.
    """
    jobs = [(path, settings) for path in paths]
    with WorkerPool(workers, time_limit_s=WHOLE_FILE_LIMIT_S) as pool:
        for (path, _), outcome in pool.map(_load_one, jobs):
            yield path, outcome


def _load_one(job: tuple[Path, Features]) -> FloatArray:
    path, settings = job
    return settings.compute(decode(path, settings).windows)


_QUANTUM = 24
"""Steps per standard deviation of an archive's int8: it covers more than 5 deviations."""


def read_mel_archive(path: Path, settings: LogMel = MEL) -> dict[str, FloatArray]:
    """Read ready-made spectrograms.

    Parameters
    ----------
    path : Path
        ``.npz`` with ``X`` (int8 in steps of 1/24, or float; (n, n_mels, frames)), ``genre`` and
        ``track``.
    settings : LogMel
        How the spectrograms were computed.

    Returns
    -------
    dict
        Key of a track to an array of float32, shape (n_mels, frames).

    Raises
    ------
    ModelError
        If the archive cannot be read or its spectrograms have another size.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            spectrograms, genres, tracks = (archive[name] for name in ("X", "genre", "track"))
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise ModelError(
            f"spectrograms cannot be read from {path}: {error}",
            "It must be an .npz file with the arrays X, genre and track.",
        ) from error
    expected = (len(tracks), settings.n_mels, settings.frames)
    if spectrograms.shape != expected or len(genres) != len(tracks):
        raise ModelError(
            f"{path}: X has shape {spectrograms.shape}, expected {expected}",
            "One log-mel window per track, with the settings of docs/models.md.",
        )
    values = spectrograms.astype(np.float32)
    if spectrograms.dtype == np.int8:
        values /= np.float32(_QUANTUM)
    keys = (f"{genre}/{track}" for genre, track in zip(genres, tracks, strict=True))
    return dict(zip(keys, values, strict=True))


# The music that the default model is trained on.

TRACKS_TO_TUNE = 2
"""Least of a genre: one to learn from and one to validate on."""


@dataclass(frozen=True, slots=True)
class DataSources:
    """Where labelled music comes from.

    Attributes
    ----------
    directories : tuple of Path
        Folders of genre folders.
    mel : Path or None
        Archive of ready-made spectrograms, see :func:`read_mel_archive`.
    train_split, valid_split : Path or None
        Lists of tracks, both or neither. With lists, tracks in neither of them are left out.
    artists : Path or None
        CSV with artists; without it they are read from the tags.
    """

    directories: tuple[Path, ...]
    mel: Path | None = None
    train_split: Path | None = None
    valid_split: Path | None = None
    artists: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrackWindows:
    """The windows of a labelled track.

    Attributes
    ----------
    key : str
        ``genre/name``.
    genre : str
        Its label.
    artist : str or None
        Where it is known.
    audio : ndarray of float16, shape (n, n_mels, frames), or None
        From its longest audio file.
    spectrogram : ndarray of float16, shape (1, n_mels, frames), or None
        From its ready-made spectrogram.
    """

    key: str
    genre: str
    artist: str | None
    audio: HalfArray | None
    spectrogram: HalfArray | None


@dataclass(frozen=True, slots=True, eq=False)
class LabelledMusic:
    """All tracks, and how they are split.

    Attributes
    ----------
    tracks : tuple of TrackWindows
        Sorted by key.
    labels : tuple of str
        Genres, sorted.
    train, valid : ndarray of int64
        Rows of the tracks in the lists; `valid` is empty without lists.
    failed : tuple of (Path, str)
        Files that could not be used, and why.
    missing : int
        Tracks of the lists that were not found.
    """

    tracks: tuple[TrackWindows, ...]
    labels: tuple[str, ...]
    train: IdArray
    valid: IdArray
    failed: tuple[tuple[Path, str], ...]
    missing: int

    @property
    def targets(self) -> IdArray:
        """Number of each track's genre in `labels`, shape (n_tracks,)."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        return np.asarray([numbers[track.genre] for track in self.tracks], dtype=np.int64)

    @property
    def groups(self) -> IdArray:
        """Number of each track's group, see :func:`.track_groups`."""
        tracks = self.tracks
        return track_groups([track.key for track in tracks], [track.artist for track in tracks])


def load_music(
    sources: DataSources,
    features: CompressedMel,
    workers: int = 2,
    on_file: Callable[[int], None] | None = None,
) -> LabelledMusic:
    """Find, decode and split labelled music.

    Parameters
    ----------
    sources : DataSources
    features : CompressedMel
        Input of the network.
    workers : int
        Processes that decode.
    on_file : callable, optional
        Called after every file with the number of files.

    Returns
    -------
    LabelledMusic

    Raises
    ------
    ModelError
        If there are fewer than two genres, a genre has too few tracks, a list cannot be read, one
        of two lists is missing, or a track is in both.
    """
    train, valid = _lists(sources)
    listed = train | valid
    files = [file for directory in sources.directories for file in find_tracks(directory)]
    archive = read_mel_archive(sources.mel) if sources.mel else {}
    genres = {file.key: file.genre for file in files}
    genres |= {key: key.split("/", 1)[0] for key in archive}
    wanted = {key: genre for key, genre in genres.items() if not listed or key in listed}
    check_genres(wanted, TRACKS_TO_TUNE)
    audio, failed = _decode(
        [file for file in files if file.key in wanted], features, workers, on_file
    )
    spectrograms = {
        key: from_log_mel(window[np.newaxis], target=features).astype(np.float16)
        for key, window in archive.items()
        if key in wanted
    }
    present = sorted(key for key in wanted if key in audio or key in spectrograms)
    check_genres({key: wanted[key] for key in present}, TRACKS_TO_TUNE)
    artists = _artists_of(sources, files, present)
    tracks = tuple(
        TrackWindows(key, wanted[key], artists.get(key), audio.get(key), spectrograms.get(key))
        for key in present
    )
    learned = [row for row, key in enumerate(present) if key not in valid]
    held_out = [row for row, key in enumerate(present) if key in valid]
    check_genres({present[row]: wanted[present[row]] for row in learned}, 1)
    return LabelledMusic(
        tracks=tracks,
        labels=tuple(sorted({track.genre for track in tracks})),
        train=np.asarray(learned, dtype=np.int64),
        valid=np.asarray(held_out, dtype=np.int64),
        failed=failed,
        missing=len(listed - set(present)),
    )


def _lists(sources: DataSources) -> tuple[frozenset[str], frozenset[str]]:
    """Read both lists of tracks, or neither."""
    if sources.train_split is None and sources.valid_split is None:
        return frozenset(), frozenset()
    if sources.train_split is None or sources.valid_split is None:
        raise ModelError(
            "one list of tracks alone does not define a split",
            "Give two lists, of the tracks to train on and of those to validate on, or neither to"
            " train on all tracks.",
        )
    train, valid = read_split(sources.train_split), read_split(sources.valid_split)
    both = sorted(train & valid)
    if both:
        raise ModelError(
            f"{len(both)} tracks are in both lists, {both[0]} among them",
            "A track that is learned from cannot be held out as well.",
        )
    return train, valid


def _decode(
    files: Sequence[LabelledFile],
    features: CompressedMel,
    workers: int,
    on_file: Callable[[int], None] | None,
) -> tuple[dict[str, HalfArray], tuple[tuple[Path, str], ...]]:
    """Return the windows of each track, from its longest file, and the files that failed."""
    audio: dict[str, HalfArray] = {}
    failed: list[tuple[Path, str]] = []
    outcomes = load_windows([file.path for file in files], workers, features)
    for file, (path, windows) in zip(files, outcomes, strict=True):
        if on_file is not None:
            on_file(len(files))
        if isinstance(windows, RecsysError):
            failed.append((path, windows.message))
        elif file.key not in audio or len(windows) > len(audio[file.key]):
            audio[file.key] = windows.astype(np.float16)
    return audio, tuple(failed)


def _artists_of(
    sources: DataSources, files: Sequence[LabelledFile], keys: Sequence[str]
) -> Mapping[str, str | None]:
    """Return artists from the table that was given, or from GTZAN's public index and the tags."""
    if sources.artists:
        listed = read_artists(sources.artists)
        return {key: listed.get(key.split("/", 1)[1]) for key in keys}
    wanted = set(keys)
    tagged = {file.key: artist_of(file) for file in files if file.key in wanted}
    known = known_artists(keys)
    return {key: known.get(key) or tagged.get(key) for key in keys}
