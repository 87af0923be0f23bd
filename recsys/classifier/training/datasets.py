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
from recsys.classifier.calibrate import labels_to_numbers
from recsys.classifier.log_mel import MEL, LogMel, from_log_mel
from recsys.credits import artists_of
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
    """Tracks that are one recording, or one piece by one artist."""

    tracks: tuple[str, ...]  # names such as ``jazz.00033``, sorted
    established_by: tuple[str, ...]  # catalogue, features or titles: see `source` in the JSON file

    @property
    def is_same_recording(self) -> bool:
        """Return whether more than equal titles shows it."""
        return set(self.established_by) != {"titles"}


@dataclass(frozen=True, slots=True)
class GtzanFaults:
    """The faults of GTZAN as published."""

    source: str  # where the lists come from
    corrupt: tuple[str, ...]  # names of tracks that cannot be decoded
    repetitions: tuple[Repetition, ...]  # no track is in two of them


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
def _performers() -> tuple[dict[str, str], dict[str, str]]:
    """Read ``data/gtzan-artists.csv``: who stands for each track, and for each artist as spelled.

    The spellings are in lower case.
    """
    text = (files("recsys.data") / "gtzan-artists.csv").read_text(encoding="utf-8")
    rows = [*csv.DictReader(text.splitlines())]
    of_artist = {row["artist"].strip().casefold(): row["group"] for row in rows}
    return {row["track"]: row["group"] for row in rows}, of_artist


def known_artists(keys: Collection[str]) -> dict[str, str]:
    """Return the artists of tracks (by ``genre/name``) from the public index of GTZAN (Sturm).

    Credits that share a performer bear one name: "Bob Marley" stands for The Wailers, too. Tracks
    without a known artist are left out; the result is empty if this is not GTZAN.

    Examples
    --------
    >>> known_artists(["blues/blues.00000", "blues/mine"])
    {}
    >>> known_artists(["blues/blues.00000"])
    {'blues/blues.00000': 'John Lee Hooker'}
    """
    if not looks_like_gtzan(keys):
        return {}
    listed, _ = _performers()
    named = [key for key in keys if _NAME.fullmatch(key) and _name(key) in listed]
    return {key: listed[_name(key)] for key in named}


def looks_like_gtzan(keys: Collection[str]) -> bool:
    """Return whether most tracks are named as in GTZAN.

    Examples
    --------
    >>> looks_like_gtzan(["jazz/jazz.00054", "pop/pop.00001"])
    True
    >>> looks_like_gtzan(["jazz/So What", "pop/pop.00001"])
    False
    """
    return 2 * sum(_NAME.fullmatch(key) is not None for key in keys) > len(keys)


def repetitions(keys: Collection[str]) -> list[tuple[str, ...]]:
    """Return the groups of two or more keys that are one recording or piece; none outside GTZAN.

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
    # Known recordings and pieces of equal title are counted apart: the latter may differ.
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
    """Pair every repeating track with the first of its group, as text."""
    return [f"{_name(key)} = {_name(group[0])}" for group in groups for key in group[1:]]


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _present(names: Iterable[str], keys: Collection[str]) -> tuple[str, ...]:
    """Return the keys of those tracks that are in the collection."""
    known = (f"{name.split('.', 1)[0]}/{name}" for name in names)
    return tuple(key for key in known if key in keys)


def _name(key: str) -> str:
    return key.split("/", 1)[1]


# Splits with no artist on both sides.


def track_groups(keys: Sequence[str], artists: Sequence[str | None]) -> IdArray:
    """Return a group id, from 0, of each track (n_tracks,): a group is on one side of a split.

    A group shares one of the artists that are credited together ("A & B" and "B feat. C"), or
    repeats a recording; both relations are followed transitively. Spellings of the index of GTZAN
    are joined as there. A track without an artist belongs to no other by it.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = {key: row for row, key in enumerate(keys)}
    _, performers = _performers()
    first_of: dict[str, int] = {}
    links = []
    for row, artist in enumerate(artists):
        # The index knows spellings that tags and tables of artists do not join.
        known = performers.get(artist.strip().casefold()) if artist else None
        names = artists_of(artist) + artists_of(known)
        links += [(row, first_of.setdefault(name, row)) for name in names]
    links += [(rows[group[0]], rows[key]) for group in repetitions(rows) for key in group]
    ends = np.asarray(links, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(links)), (ends[0], ends[1])), shape=(len(keys), len(keys)))
    numbers: IdArray = connected_components(graph, directed=False)[1].astype(np.int64)
    return numbers


def artist_folds(targets: IdArray, groups: IdArray, folds: int, seed: int) -> list[IdArray]:
    """Divide tracks into folds, no group in two of them, genres in proportion.

    Returns the rows held out by each fold; where large groups leave a fold empty, one fewer.
    Raises ValueError if there are fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if len(np.unique(groups)) < folds:
        raise ValueError(f"{folds} folds need as many groups, got {len(np.unique(groups))}")
    cutter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A genre of fewer tracks than folds cannot be in all of them, which is no mistake.
        warnings.filterwarnings("ignore", message="The least populated class")
        parts = [part for _, part in cutter.split(targets, targets, groups)]
    return [part.astype(np.int64) for part in parts if len(part)]


def hold_out_groups(targets: IdArray, groups: IdArray, share: float, seed: int) -> IdArray:
    """Return rows to set aside for validation: whole groups, genres in proportion, sorted.

    About `share` of the rows, in (0, 0.5]; none where the groups are too few. Every genre keeps
    rows to train on.
    """
    # Numbered in the order of the rows, so that the folds do not depend on how groups are named.
    _, firsts, numbers = np.unique(groups, return_index=True, return_inverse=True)
    groups = np.argsort(np.argsort(firsts))[numbers]
    # Genres of fewer tracks than the folds may miss one; they must not make the folds larger.
    most = int(np.unique(targets, return_counts=True)[1].max(initial=0))
    folds = max(2, min(round(1 / share), most, len(firsts)))
    held_out = np.zeros(len(targets), dtype=bool)
    if len(firsts) >= 2 and most >= folds:
        parts = artist_folds(targets, groups, folds, seed)
        held_out[min(parts, key=lambda part: _unevenness(targets, part))] = True
    for genre in np.unique(targets[held_out]):
        if np.all(held_out[targets == genre]):
            held_out[np.isin(groups, groups[targets == genre])] = False
    return np.flatnonzero(held_out).astype(np.int64)


def _unevenness(targets: IdArray, part: IdArray) -> float:
    """Sum up how far the genres of a part are from their shares: artists may be large."""
    _, numbers = np.unique(targets, return_inverse=True)
    overall = np.bincount(numbers) / len(targets)
    shares = np.bincount(numbers[part], minlength=len(overall)) / max(1, len(part))
    return float(np.abs(shares - overall).sum())


# Segments of tracks, as the recipes of the papers train on them.

MIN_TRACKS = 3
"""Of a genre: one to learn from, one to validate on, one to test."""


@dataclass(frozen=True, slots=True)
class LabelledTrack:
    """A track and its label."""

    key: str  # ``genre/name``, as split lists name it
    genre: str
    artist: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SegmentSet:
    """Segments of labelled tracks, every track with at least one."""

    tracks: tuple[LabelledTrack, ...]
    inputs: npt.NDArray[np.floating]  # (n_segments, *shape); float16 where that is precise enough
    track_of: IdArray  # (n_segments,): row of each segment's track in `tracks`
    labels: tuple[str, ...]  # sorted; a selection keeps all of them, so that targets stay

    @property
    def n_segments(self) -> int:
        """Number of segments."""
        return len(self.track_of)

    @property
    def track_targets(self) -> IdArray:
        """Row of each track's genre in `labels`, shape (n_tracks,)."""
        return labels_to_numbers([track.genre for track in self.tracks], self.labels)

    @property
    def targets(self) -> IdArray:
        """Row of each segment's genre in `labels`, shape (n_segments,)."""
        return self.track_targets[self.track_of]

    @property
    def track_groups(self) -> IdArray:
        """Group of each track, see :func:`.track_groups`."""
        return track_groups([t.key for t in self.tracks], [t.artist for t in self.tracks])

    @property
    def groups(self) -> IdArray:
        """Group of each segment's track."""
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


def check_genres(genres: Mapping[str, str], min_tracks: int = MIN_TRACKS) -> None:
    """Raise ModelError unless two genres have enough tracks each; `genres` maps keys to genres."""
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
    """An audio file whose genre is the name of its folder."""

    path: Path
    genre: str
    name: str  # of the file, without its extension

    @property
    def key(self) -> str:
        """``genre/name``, as split lists name the track."""
        return f"{self.genre}/{self.name}"


def find_tracks(directory: Path, *, allow_empty: bool = False) -> list[LabelledFile]:
    """List the audio files of ``directory/GENRE/**``, sorted by path.

    Raises ModelError if the folder is missing, holds no folders, or a genre folder holds no audio;
    `allow_empty` skips such genre folders instead.
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
    """Read the keys in a list of tracks, one ``genre/track.ext`` per line; extensions do not count.

    Empty lines and lines that begin with ``#`` are skipped. Raises ModelError if the file cannot be
    read, is empty, or a line has no genre.
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
    """Map track names to artists from a CSV with the columns ``track`` and ``artist``.

    Rows without an artist are skipped. Raises ModelError if the file cannot be read or lacks a
    column.
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
    """Return the artist in the file's tags, if there is one."""
    tags = read_tags(file.path)
    return tags.artist or tags.album_artist


def load_windows(
    paths: Sequence[Path], workers: int = 2, settings: Features = MEL
) -> Iterator[tuple[Path, FloatArray | RecsysError]]:
    """Decode files to inputs of a network in worker processes, in order.

    Yields each path with its windows (n_windows, *shape), or with the error of a file that cannot
    be used.
    """
    jobs = [(path, settings) for path in paths]
    librosa = settings.uses_librosa
    with WorkerPool(workers, librosa=librosa, time_limit_s=WHOLE_FILE_LIMIT_S) as pool:
        for (path, _), outcome in pool.map(_load_one, jobs):
            yield path, outcome


def _load_one(job: tuple[Path, Features]) -> FloatArray:
    path, settings = job
    return settings.compute(decode(path, settings).windows)


def load_for_two(
    paths: Sequence[Path], workers: int, one: Features, other: Features
) -> Iterator[tuple[FloatArray, FloatArray] | RecsysError]:
    """Decode files once to the inputs of two networks that read the same windows, in order."""
    jobs = [(path, one, other) for path in paths]
    with WorkerPool(workers, librosa=False, time_limit_s=WHOLE_FILE_LIMIT_S) as pool:
        for _, outcome in pool.map(_load_for_two, jobs):
            yield outcome


def _load_for_two(job: tuple[Path, Features, Features]) -> tuple[FloatArray, FloatArray]:
    path, one, other = job
    windows = decode(path, one).windows
    return one.compute(windows), other.compute(windows)


_QUANTUM = 24
"""Steps per standard deviation of an archive's int8: it covers more than 5 deviations."""


def read_mel_archive(path: Path, settings: LogMel = MEL) -> dict[str, FloatArray]:
    """Map keys to the ready-made spectrograms of an archive, float32 (n_mels, frames).

    The ``.npz`` holds ``X`` ((n, n_mels, frames), float, or int8 in steps of 1/24), ``genre`` and
    ``track``. Raises ModelError if it cannot be read or the spectrograms have another size.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            spectrograms, genres, tracks = (archive[name] for name in ("X", "genre", "track"))
    except Exception as error:  # whatever NumPy, zip files and zlib raise
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
    return {f"{g}/{t}": window for g, t, window in zip(genres, tracks, values, strict=True)}


# The music that the shipped kind of model is trained on.

TRACKS_TO_TUNE = 2
"""Least of a genre: one to learn from and one to validate on."""


@dataclass(frozen=True, slots=True)
class DataSources:
    """Sources of labelled music."""

    directories: tuple[Path, ...]  # folders of genre folders
    mel: Path | None = None  # archive of ready-made spectrograms, see `read_mel_archive`
    # a list of tracks; both lists or neither. Tracks in neither list are left out
    train_split: Path | None = None
    valid_split: Path | None = None
    artists: Path | None = None  # CSV with artists; without it they are read from the tags


@dataclass(frozen=True, slots=True, eq=False)
class TrackWindows:
    """The windows of a labelled track."""

    key: str
    genre: str
    artist: str | None
    audio: HalfArray | None  # (n, n_mels, frames), of its longest file
    spectrogram: HalfArray | None  # (1, n_mels, frames), of its ready-made spectrogram


@dataclass(frozen=True, slots=True, eq=False)
class LabelledMusic:
    """All labelled tracks, and their split."""

    tracks: tuple[TrackWindows, ...]  # sorted by key
    labels: tuple[str, ...]  # sorted
    train: IdArray  # rows of the training list
    valid: IdArray  # rows of the validation list; empty without lists
    failed: tuple[tuple[Path, str], ...]  # files that could not be decoded, and why
    missing: int  # tracks of the lists that were not found

    @property
    def targets(self) -> IdArray:
        """Row of each track's genre in `labels`, shape (n_tracks,)."""
        return labels_to_numbers([track.genre for track in self.tracks], self.labels)

    @property
    def groups(self) -> IdArray:
        """Group of each track, see :func:`.track_groups`."""
        return track_groups([t.key for t in self.tracks], [t.artist for t in self.tracks])


def load_music(
    sources: DataSources,
    features: CompressedMel,
    workers: int = 2,
    on_file: Callable[[int], None] | None = None,
) -> LabelledMusic:
    """Find, decode and split labelled music; `on_file` gets the number of files after each of them.

    Raises ModelError if a genre has too few tracks, there are fewer than two genres, or the lists
    cannot be used: unreadable, one without the other, or a track in both.
    """
    train, valid = _lists(sources)
    listed = train | valid
    files = [file for directory in sources.directories for file in find_tracks(directory)]
    archive = read_mel_archive(sources.mel) if sources.mel else {}
    genres = {file.key: file.genre for file in files}
    genres |= {key: key.split("/", 1)[0] for key in archive}
    wanted = {key: genre for key, genre in genres.items() if not listed or key in listed}
    check_genres(wanted, TRACKS_TO_TUNE)
    audio, failed = decode_tracks(
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


def decode_tracks(
    files: Sequence[LabelledFile],
    features: Features,
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
    """Return artists from the given table, or from GTZAN's public index and the tags."""
    if sources.artists:
        listed = read_artists(sources.artists)
        return {key: listed.get(key.split("/", 1)[1]) for key in keys}
    wanted = set(keys)
    tagged = {file.key: artist_of(file) for file in files if file.key in wanted}
    known = known_artists(keys)
    return {key: known.get(key) or tagged.get(key) for key in keys}
