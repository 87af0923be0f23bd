"""The music that a recipe is trained on: found, decoded, and told about."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys.audio import decode
from recsys.classifier.training.datasets import (
    MIN_TRACKS,
    LabelledFile,
    LabelledTrack,
    SegmentSet,
    artist_of,
    check_genres,
    describe_balance,
    find_tracks,
    known_artists,
    load_windows,
    read_artists,
)
from recsys.classifier.training.datasets import describe as describe_gtzan
from recsys.errors import AudioError, MissingExtraError, ModelError, RecsysError, require
from recsys.library import AUDIO_SUFFIXES
from recsys.papers.features import COLUMNS, Picture, PublicTable
from recsys.workers import WHOLE_FILE_LIMIT_S, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from recsys.mel import Features
    from recsys.papers.recipe import Recipe
    from recsys.types import IdArray

# Segments from a table: the public CSV of hand-made features, one row per track or per segment.


SEGMENT = re.compile(r"(?P<track>.+)\.(?:0|[1-9]\d*)")
"""``blues.00000.3`` is segment 3; GTZAN pads only the numbers of tracks with zeros."""

FIRST_ROW = 2
"""As a spreadsheet counts: the first line holds the names of the columns."""

Row = dict[str, str | None]


def read_public_table(
    path: Path,
    columns: Sequence[str],
    *,
    artists: Mapping[str, str | None] | None = None,
    genres: tuple[str, ...] | None = None,
) -> SegmentSet:
    """Read the public feature table of GTZAN, or one like it.

    Parameters
    ----------
    path : Path
        CSV with the columns ``filename``, ``label`` and `columns`. A ``filename`` is that of a
        track (``blues.00000.wav``), or of a segment of it (``blues.00000.0.wav``) if all are.
    columns : sequence of str
        Which ones to take.
    artists : mapping, optional
        Key or name of a track to its artist.
    genres : tuple of str, optional
        Leave other genres out.

    Returns
    -------
    SegmentSet
        ``inputs`` has shape (n_rows, len(columns)), float32; tracks are in the order of their
        first rows, and known as ``label/name``.

    Raises
    ------
    ModelError
        If the table cannot be read, lacks a column or rows, or a cell is no number (with its row
        as a spreadsheet counts it); or if its genres or their tracks are too few.
    """
    rows = _read_rows(path, columns)
    keys = _track_keys(rows)
    inputs = np.asarray(
        [
            [_number(path, number, row, column) for column in columns]
            for number, row in enumerate(rows, start=FIRST_ROW)
        ],
        dtype=np.float32,
    )
    labels = [str(row["label"]) for row in rows]
    kept = [n for n, label in enumerate(labels) if genres is None or label in genres]
    check_genres({keys[n]: labels[n] for n in kept})
    numbers: dict[str, int] = {}
    track_of = np.asarray([numbers.setdefault(keys[n], len(numbers)) for n in kept], dtype=np.int64)
    known = artists or {}
    tracks = []
    for key in numbers:
        genre, name = key.split("/", 1)
        tracks.append(LabelledTrack(key, genre, known.get(key) or known.get(name)))
    ordered = tuple(sorted({track.genre for track in tracks}))
    return SegmentSet(tuple(tracks), inputs[kept], track_of, ordered)


def _read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows: list[Row] = list(reader)
            there = set(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(
            f"the feature table {path} cannot be read: {error}",
            "Give a CSV file such as features_30_sec.csv or features_3_sec.csv.",
        ) from error
    missing = [name for name in ("filename", "label", *columns) if name not in there]
    if missing:
        raise ModelError(
            f"the feature table {path} lacks {len(missing)} columns: {_some(missing)}",
            "Make it with `recsys features`, or take the public features_30_sec.csv.",
        )
    if not rows:
        raise ModelError(f"the feature table {path} has no rows", "Give one with tracks in it.")
    for number, row in enumerate(rows, start=FIRST_ROW):
        if not row["filename"] or not row["label"] or "/" in row["label"]:
            raise ModelError(
                f"{path}, row {number}: filename {row['filename']!r} with label {row['label']!r}",
                "Every row needs the name of a file and the genre of the track.",
            )
    return rows


def _track_keys(rows: Sequence[Row]) -> list[str]:
    """Return ``label/name`` of each row's track."""
    names = [PurePosixPath(str(row["filename"]).replace("\\", "/")).name for row in rows]
    stems = [_stem(name) for name in names]
    segments = [SEGMENT.fullmatch(stem) for stem in stems]
    if all(segments):
        stems = [match["track"] for match in segments if match]
    return [f"{row['label']}/{stem}" for row, stem in zip(rows, stems, strict=True)]


def _stem(name: str) -> str:
    stem, _, suffix = name.rpartition(".")
    return stem if stem and f".{suffix.lower()}" in AUDIO_SUFFIXES else name


def _number(path: Path, number: int, row: Row, column: str) -> float:
    text = row[column]
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > float(np.finfo(np.float32).max):
        raise ModelError(
            f"{path}, row {number}: {column} is {text!r}, not a number",
            "Correct the row or take it out.",
        )
    return value


def _some(names: Sequence[str]) -> str:
    listed = ", ".join(names[:5])
    return f"{listed} and others" if len(names) > 5 else listed


# From audio files to labelled segments.


MIN_SHARE = 0.9
"""Of a segment that a clip must fill; decoding repeats what is shorter."""

Skipped = tuple["Path", str]
"""A file that was left out, and why."""


@dataclass(frozen=True, slots=True)
class LoadedSegments:
    """What could be read, and what could not.

    Attributes
    ----------
    segments : SegmentSet
    skipped : tuple of (Path, str)
        Files that were left out, with the reason.
    """

    segments: SegmentSet
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class _Heard:
    """One file as a worker process returns it."""

    inputs: npt.NDArray[np.floating]
    duration_s: float
    artist: str | None


def load_segments(
    files: Sequence[LabelledFile],
    features: Features,
    *,
    artists: Mapping[str, str | None] | None = None,
    workers: int = 2,
    on_file: Callable[[int], None] | None = None,
    genres: tuple[str, ...] | None = None,
    min_tracks: int = MIN_TRACKS,
) -> LoadedSegments:
    """Decode labelled files into segments, in worker processes.

    Files that cannot be read, clips shorter than nine tenths of a segment, and of several files
    of one track all but the longest are left out and reported.

    Parameters
    ----------
    files : sequence of LabelledFile
        What to read.
    features : Features
        How a track is cut, and what a model sees of each segment.
    artists : mapping, optional
        Key or name of a track to its artist. Without it the files' tags are read.
    workers : int
        Processes that decode.
    on_file : callable, optional
        Called after each file with the number of files that there are to decode.
    genres : tuple of str, optional
        Leave other genres out.
    min_tracks : int
        How many tracks of a genre are needed.

    Returns
    -------
    LoadedSegments
        Tracks in the order of `files`.

    Raises
    ------
    ModelError
        If there are fewer than two genres or fewer than `min_tracks` tracks of one: before
        anything is decoded if that can be seen by then, else afterwards.
    MissingExtraError
        If a library that makes the features is not installed.
    """
    wanted = [file for file in files if genres is None or file.genre in genres]
    check_genres({file.key: file.genre for file in wanted}, min_tracks)
    gathered = _Gathered(features)
    with WorkerPool(workers, time_limit_s=WHOLE_FILE_LIMIT_S) as pool:
        work = partial(_hear, features=features, with_artist=artists is None)
        for file, outcome in pool.map(work, wanted):
            if isinstance(outcome, MissingExtraError):
                raise outcome
            if isinstance(outcome, RecsysError):
                gathered.skipped.append((file.path, outcome.message))
            else:
                gathered.add(file, outcome)
            if on_file is not None:
                on_file(len(wanted))
    tracks = gathered.tracks(artists)
    found = {track.key: track.genre for track in tracks}
    labels = sorted({file.genre for file in wanted})
    _check_what_is_left(found, labels, min_tracks, gathered.skipped)
    inputs, track_of = gathered.finish()
    segments = SegmentSet(tracks, inputs, track_of, tuple(labels))
    return LoadedSegments(segments, tuple(gathered.skipped))


def _hear(file: LabelledFile, features: Features, with_artist: bool) -> _Heard:
    """Decode one file; runs in a worker process."""
    waveform = decode(file.path, features)
    if waveform.duration_s < MIN_SHARE * features.window_s:
        raise AudioError(
            f"only {waveform.duration_s:.1f} s long, shorter than a segment of "
            f"{features.window_s:g} s",
            "Give longer clips, or choose a recipe with shorter segments.",
        )
    precision = np.float16 if features.half_precision else np.float32
    inputs: npt.NDArray[np.floating] = np.asarray(features.compute(waveform.windows), precision)
    if not np.all(np.isfinite(inputs)):
        raise AudioError(
            "its features are not all numbers", "The sound is damaged; replace the file."
        )
    return _Heard(inputs, waveform.duration_s, artist_of(file) if with_artist else None)


@dataclass(slots=True)
class _Span:
    """Where the segments of a file lie."""

    file: LabelledFile
    start: int
    count: int
    duration_s: float
    artist: str | None


class _Gathered:
    """All segments in one growing array, so that no track is held twice."""

    def __init__(self, features: Features) -> None:
        precision = np.float16 if features.half_precision else np.float32
        self.skipped: list[Skipped] = []
        self._inputs: npt.NDArray[np.floating] = np.empty((0, *features.shape), dtype=precision)
        self._used = 0
        self._spans: dict[str, _Span] = {}

    def add(self, file: LabelledFile, heard: _Heard) -> None:
        """Take a file's segments, unless a longer file of the same track is there."""
        earlier = self._spans.get(file.key)
        if earlier is not None and earlier.duration_s >= heard.duration_s:
            self.skipped.append((file.path, _repeats(file, earlier.file)))
            return
        if earlier is not None:
            self.skipped.append((earlier.file.path, _repeats(earlier.file, file)))
        start, count = self._used, len(heard.inputs)
        self._reserve(start + count)
        self._inputs[start : start + count] = heard.inputs
        self._used += count
        self._spans[file.key] = _Span(file, start, count, heard.duration_s, heard.artist)

    def tracks(self, artists: Mapping[str, str | None] | None) -> tuple[LabelledTrack, ...]:
        """Return the tracks that have segments, in the order of the files."""
        return tuple(
            LabelledTrack(key, span.file.genre, _artist(span.file, span.artist, artists))
            for key, span in self._spans.items()
        )

    def finish(self) -> tuple[npt.NDArray[np.floating], IdArray]:
        """Return the segments and the number of each one's track."""
        counts = [span.count for span in self._spans.values()]
        track_of = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
        if len(track_of) < self._used:
            # Only where one track had several files: what the longest replaced is in between.
            places = [np.arange(s.start, s.start + s.count) for s in self._spans.values()]
            return self._inputs[np.concatenate(places)], track_of
        self._resize(self._used)
        return self._inputs, track_of

    def _reserve(self, count: int) -> None:
        if count > len(self._inputs):
            self._resize(max(count, len(self._inputs) * 9 // 8, 64))

    def _resize(self, count: int) -> None:
        # In place: the system can lengthen a large array without holding it twice. No view of it
        # has been given out.
        self._inputs.resize((count, *self._inputs.shape[1:]), refcheck=False)


def _repeats(file: LabelledFile, longer: LabelledFile) -> str:
    return f"the same track as {longer.path}, which is as long or longer ({file.key})"


def _artist(
    file: LabelledFile, tagged: str | None, artists: Mapping[str, str | None] | None
) -> str | None:
    if artists is None:
        return tagged
    return artists.get(file.key) or artists.get(file.name)


def _check_what_is_left(
    found: Mapping[str, str], labels: Iterable[str], min_tracks: int, skipped: Sequence[Skipped]
) -> None:
    """Check again after decoding, and say why tracks are missing."""
    reason = f"; left out: {len(skipped)} files" if skipped else ""
    if skipped:
        reason += f", the first of them {skipped[0][0]}: {skipped[0][1]}"
    lost = sorted(set(labels) - set(found.values()))
    if lost:
        raise ModelError(
            f"no track of {', '.join(lost)} could be used{reason}",
            "Replace these files, or leave the folders of these genres out.",
        )
    try:
        check_genres(found, min_tracks)
    except ModelError as error:
        raise ModelError(error.message + reason, error.hint) from error


# ----------------------------------------------------------------------


JOINS = "+"
"""Between the genres in the name of a folder whose songs have several."""


@dataclass(frozen=True, slots=True)
class MixedSongs:
    """Songs of several genres each, to judge models that let several hold.

    Attributes
    ----------
    names : tuple of str
        Of the songs.
    inputs : tuple of ndarray, each (n_segments, *shape)
    genres : tuple of frozenset of str
        Those of each song.
    """

    names: tuple[str, ...]
    inputs: tuple[npt.NDArray[np.floating], ...]
    genres: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class RecipeData:
    """What a recipe learns from and is measured on.

    Attributes
    ----------
    segments : SegmentSet
    skipped : tuple of (Path, str)
        Files that were left out, with the reason.
    notes : tuple of str
        What a reader of the figures should know of the data.
    mixed : MixedSongs or None
        Songs of several genres, if there are any and the recipe can use them.
    """

    segments: SegmentSet
    skipped: tuple[tuple[Path, str], ...]
    notes: tuple[str, ...]
    mixed: MixedSongs | None = None


def find_music(directories: Sequence[Path]) -> list[LabelledFile]:
    """List the audio files in folders of genre folders; empty genre folders are passed over.

    Parameters
    ----------
    directories : sequence of Path

    Returns
    -------
    list of LabelledFile

    Raises
    ------
    ModelError
        If a folder is missing or holds no genre folder with audio.
    """
    return [file for one in directories for file in find_tracks(one, allow_empty=True)]


def genres_of(recipe: Recipe, files: Sequence[LabelledFile]) -> tuple[str, ...]:
    """Return the genres that a recipe will use, sorted."""
    found = {file.genre for file in files if JOINS not in file.genre}
    return tuple(sorted(found & set(recipe.genres) if recipe.genres else found))


def load_music(
    recipe: Recipe,
    files: Sequence[LabelledFile],
    *,
    artists: Path | None = None,
    workers: int = 2,
    on_file: Callable[[int], None] | None = None,
) -> RecipeData:
    """Decode what a recipe needs.

    Parameters
    ----------
    recipe : Recipe
    files : sequence of LabelledFile
        See :func:`find_music`.
    artists : Path, optional
        CSV with the columns track and artist; without it they are read from the tags. Of GTZAN
        those are known that neither names.
    workers : int
        Processes that decode.
    on_file : callable, optional
        Called after each file with the number of files that there are to decode.

    Returns
    -------
    RecipeData

    Raises
    ------
    ModelError
        If there is too little to learn from.
    MissingExtraError
        If a library that makes the features is not installed.
    """
    if isinstance(recipe.features, Picture):
        # Found now and not by every worker: the music is in order.
        require("PIL.Image", "papers")
    genres = genres_of(recipe, files)
    loaded = load_segments(
        files,
        recipe.features,
        artists=read_artists(artists) if artists else None,
        workers=workers,
        on_file=on_file,
        genres=genres,
    )
    mixed: MixedSongs | None = None
    failed: tuple[tuple[Path, str], ...] = ()
    if recipe.training is not None and recipe.training.loss == "sigmoid":
        mixed, failed = _load_mixed(files, recipe.features, genres, workers)
    segments, listed = _with_known_artists(loaded.segments)
    notes = (*_notes(recipe, segments, files), *listed)
    return RecipeData(segments, (*loaded.skipped, *failed), notes, mixed)


def load_table(recipe: Recipe, path: Path, artists: Path | None = None) -> RecipeData:
    """Read what a recipe needs from the public feature table instead of from audio.

    Parameters
    ----------
    recipe : Recipe
        Its features must be those of the table.
    path : Path
        CSV.
    artists : Path, optional
        CSV with the columns track and artist. Of GTZAN those are known that it does not name.

    Returns
    -------
    RecipeData

    Raises
    ------
    ModelError
        If the recipe looks at something else, or the table cannot be used.
    """
    if not isinstance(recipe.features, PublicTable):
        raise ModelError(
            f"the recipe {recipe.name} does not look at the columns of the public table",
            "Give it audio with --data.",
        )
    listed = read_artists(artists) if artists else None
    segments = _only(read_public_table(path, COLUMNS, artists=listed), recipe.genres)
    segments, known = _with_known_artists(segments)
    return RecipeData(segments, (), (*_notes(recipe, segments, ()), *known))


def artists_before_decoding(
    files: Sequence[LabelledFile], artists: Path | None = None
) -> dict[str, str | None]:
    """Return who plays on each track, as :func:`load_music` will find, without decoding.

    Parameters
    ----------
    files : sequence of LabelledFile
    artists : Path, optional
        CSV with the columns track and artist; without it the tags are read.

    Returns
    -------
    dict
        Key of every track to its artist, None where that is not known.

    Raises
    ------
    ModelError
        If the table cannot be read.
    """
    listed = read_artists(artists) if artists else None
    known = known_artists([file.key for file in files])
    found: dict[str, str | None] = {}
    for file in files:
        found[file.key] = found.get(file.key) or _artist_data(file, listed) or known.get(file.key)
    return found


def _artist_data(file: LabelledFile, listed: Mapping[str, str] | None) -> str | None:
    if listed is None:
        return artist_of(file)
    return listed.get(file.key) or listed.get(file.name)


def _with_known_artists(segments: SegmentSet) -> tuple[SegmentSet, tuple[str, ...]]:
    """Name the artists of GTZAN that neither a table nor tags name, and say of how many."""
    known = known_artists([track.key for track in segments.tracks])
    tracks = tuple(
        track if track.artist else replace(track, artist=known.get(track.key))
        for track in segments.tracks
    )
    count = sum(new.artist != old.artist for new, old in zip(tracks, segments.tracks, strict=True))
    if not count:
        return segments, ()
    words = f"the artists of {count} tracks are from the index of GTZAN that comes with recsys"
    return replace(segments, tracks=tracks), (words,)


def _only(segments: SegmentSet, genres: Sequence[str]) -> SegmentSet:
    """Leave out the genres that a recipe does not use, if it names those that it does."""
    if not genres:
        return segments
    kept = np.flatnonzero([track.genre in genres for track in segments.tracks])
    labels = tuple(label for label in segments.labels if label in genres)
    return replace(segments.subset(kept.astype(np.int64)), labels=labels)


def _notes(recipe: Recipe, segments: SegmentSet, files: Sequence[LabelledFile]) -> tuple[str, ...]:
    """Say what is uneven, missing or known to be wrong."""
    notes = [describe_balance(segments.tracks, wanted=recipe.genres)]
    unused = Counter(file.genre for file in files if file.genre not in segments.labels)
    if unused:
        words = ", ".join(f"{genre} ({count})" for genre, count in sorted(unused.items()))
        notes.append(f"not among the genres of this recipe: {words}")
    unknown = sum(track.artist is None for track in segments.tracks)
    if unknown:
        notes.append(f"{unknown} of {len(segments.tracks)} tracks have no known artist")
    keys = {track.key for track in segments.tracks} | {file.key for file in files}
    return (*notes, *describe_gtzan(sorted(keys)))


def _load_mixed(
    files: Sequence[LabelledFile], features: Features, labels: Sequence[str], workers: int
) -> tuple[MixedSongs | None, tuple[tuple[Path, str], ...]]:
    """Decode the songs in folders that name several known genres."""
    songs = [
        file
        for file in files
        if JOINS in file.genre and set(file.genre.split(JOINS)) <= set(labels)
    ]
    names, inputs, genres, failed = [], [], [], []
    loaded = load_windows([file.path for file in songs], workers, features)
    for file, (path, windows) in zip(songs, loaded, strict=True):
        if isinstance(windows, MissingExtraError):
            raise windows
        if isinstance(windows, RecsysError):
            failed.append((path, windows.message))
        else:
            names.append(file.key)
            inputs.append(windows)
            genres.append(frozenset(file.genre.split(JOINS)))
    mixed = MixedSongs(tuple(names), tuple(inputs), tuple(genres)) if names else None
    return mixed, tuple(failed)
