"""The data that a recipe is trained on: segments of audio files, or rows of the feature table."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys.audio import decode
from recsys.classifier.training.datasets import (
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
from recsys.papers.features import COLUMNS, ImageFeatures, PublicTable
from recsys.workers import WHOLE_FILE_LIMIT_S, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pandas as pd

    from recsys.mel import Features
    from recsys.papers.recipe import Recipe
    from recsys.types import IdArray

JOINS = "+"
"""Joins the genres in the name of a folder whose songs have several."""

MIN_SHARE = 0.9
"""Of a segment that a clip must fill; decoding repeats shorter clips."""

SEGMENT = re.compile(r"(?P<track>.+)\.(?:0|[1-9]\d*)")
"""``blues.00000.3`` is segment 3; GTZAN pads only the numbers of tracks with zeros."""

FIRST_ROW = 2
"""As a spreadsheet counts: the first line holds the names of the columns."""

Skipped = tuple[Path, str]
"""A file that was left out, and why."""


@dataclass(frozen=True, slots=True)
class MixedSong:
    """A song of several genres, to evaluate models with a sigmoid per genre."""

    name: str
    inputs: npt.NDArray[np.floating]  # (n_segments, *shape)
    genres: frozenset[str]


@dataclass(frozen=True, slots=True)
class RecipeData:
    """The data of a recipe."""

    segments: SegmentSet
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]  # on imbalance, missing artists and known faults
    mixed: tuple[MixedSong, ...] = ()  # empty unless the recipe can use them
    # By key, where there are no such songs: clips of two genres may be mixed instead.
    clips: Mapping[str, Path] = field(default_factory=dict)


def find_music(directories: Sequence[Path]) -> list[LabelledFile]:
    """List the audio files in folders of genre folders, without empty genre folders.

    Raises ModelError if a folder is missing or holds no genre folder with audio.
    """
    return [file for one in directories for file in find_tracks(one, allow_empty=True)]


def genres_of(recipe: Recipe, files: Iterable[LabelledFile]) -> tuple[str, ...]:
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
    """Decode the files that a recipe uses.

    Parameters
    ----------
    recipe : Recipe
    files : sequence of LabelledFile
        See :func:`find_music`.
    artists : Path, optional
        CSV with the columns track and artist; without it they are read from the tags. The index
        of GTZAN names those that neither does.
    workers : int
        Processes that decode.
    on_file : callable, optional
        Called after each file with the number of files to decode.

    Raises
    ------
    ModelError
        If there is too little to learn from.
    MissingExtraError
        If a library that makes the features is not installed.
    """
    if isinstance(recipe.features, ImageFeatures):
        # Otherwise every worker would report it as a fault of its file.
        require("PIL.Image", "papers")
    genres = genres_of(recipe, files)
    segments, skipped = load_segments(
        files,
        recipe.features,
        genres=genres,
        artists=read_artists(artists) if artists else None,
        workers=workers,
        on_file=on_file,
    )
    mixed: tuple[MixedSong, ...] = ()
    clips: dict[str, Path] = {}
    if recipe.training is not None and recipe.training.loss == "sigmoid":
        mixed, failed = _load_mixed(files, recipe.features, genres, workers)
        skipped += failed
        clips = {} if mixed else {file.key: file.path for file in files}
    return replace(_describe(recipe, segments, files, skipped, mixed), clips=clips)


def load_table(recipe: Recipe, path: Path, artists: Path | None = None) -> RecipeData:
    """Read the data of a recipe from the public feature table instead of from audio.

    Artists come from a CSV as in :func:`load_music`. Raises ModelError if the recipe has other
    features, or the table cannot be used.
    """
    if not isinstance(recipe.features, PublicTable):
        raise ModelError(
            f"the recipe {recipe.name} does not use the columns of the public table",
            "Give it audio with --data.",
        )
    listed = read_artists(artists) if artists else None
    segments = read_public_table(path, COLUMNS, artists=listed, genres=recipe.genres or None)
    return _describe(recipe, segments, (), (), ())


def artists_before_decoding(
    files: Sequence[LabelledFile], artists: Path | None = None
) -> dict[str, str | None]:
    """Return the artist of every track by key, as :func:`load_music` will, without decoding."""
    listed = read_artists(artists) if artists else None
    known = known_artists([file.key for file in files])
    found: dict[str, str | None] = {}
    for file in files:
        own = artist_of(file) if listed is None else _listed(file.key, listed)
        found[file.key] = found.get(file.key) or own or known.get(file.key)
    return found


def _listed(key: str, artists: Mapping[str, str | None]) -> str | None:
    """Return an artist that a table names, by ``genre/name`` or by name."""
    return artists.get(key) or artists.get(key.split("/", 1)[1])


def _describe(
    recipe: Recipe,
    segments: SegmentSet,
    files: Sequence[LabelledFile],
    skipped: tuple[Skipped, ...],
    mixed: tuple[MixedSong, ...],
) -> RecipeData:
    """Add the artists in the index of GTZAN, and note imbalance and known faults."""
    known = known_artists([track.key for track in segments.tracks])
    tracks = tuple(
        track if track.artist else replace(track, artist=known.get(track.key))
        for track in segments.tracks
    )
    named = sum(new.artist != old.artist for new, old in zip(tracks, segments.tracks, strict=True))
    notes = [describe_balance(tracks, wanted=recipe.genres)]
    unused = Counter(file.genre for file in files if file.genre not in segments.labels)
    if unused:
        listed = ", ".join(f"{genre} ({count})" for genre, count in sorted(unused.items()))
        notes.append(f"not among the genres of this recipe: {listed}")
    if unknown := sum(track.artist is None for track in segments.tracks):
        notes.append(f"{unknown} of {len(tracks)} tracks have no known artist")
    notes += describe_gtzan(sorted({track.key for track in tracks} | {file.key for file in files}))
    if named:
        notes.append(
            f"the artists of {named} tracks are from the index of GTZAN that comes with recsys"
        )
    return RecipeData(replace(segments, tracks=tracks), skipped, tuple(notes), mixed)


# From audio files to labelled segments.


@dataclass(slots=True)
class _DecodedTrack:
    """Segments of one file, as a worker process returns them."""

    inputs: npt.NDArray[np.floating]
    duration_s: float
    artist: str | None  # from the tags


@dataclass(slots=True)
class _TrackRows:
    """Rows of a track in the array of all segments."""

    file: LabelledFile
    rows: slice
    duration_s: float
    artist: str | None


class _SegmentArray:
    """The segments of all tracks in one array; of several files of a track the longest stays.

    Room is reserved for as many segments as there can be: the system gives memory only to rows
    that are written, and no segment is held twice, as in a list that is concatenated in the end.
    """

    def __init__(self, n_files: int, features: Features) -> None:
        room = (n_files * features.max_windows, *features.shape)
        self._inputs: npt.NDArray[np.floating] = np.empty(room, dtype=_precision(features))
        self._used = 0
        self.tracks: dict[str, _TrackRows] = {}

    def add(self, file: LabelledFile, decoded: _DecodedTrack, artist: str | None) -> list[Skipped]:
        """Take the segments of a file, or return which of two files of one track is left out."""
        other = self.tracks.get(file.key)
        if other is not None and other.duration_s >= decoded.duration_s:
            return [(file.path, _repeats(file, other.file))]
        rows = slice(self._used, self._used + len(decoded.inputs))
        self._inputs[rows] = decoded.inputs
        self._used = rows.stop
        self.tracks[file.key] = _TrackRows(file, rows, decoded.duration_s, artist)
        return [] if other is None else [(other.file.path, _repeats(other.file, file))]

    def finish(self) -> tuple[npt.NDArray[np.floating], IdArray]:
        """Return the inputs, (n_segments, *shape), and the number of each segment's track."""
        spans = [track.rows for track in self.tracks.values()]
        counts = [span.stop - span.start for span in spans]
        if sum(counts) < self._used:
            # Only where a longer file replaced a shorter one, whose rows are still in between.
            self._inputs = np.concatenate([self._inputs[span] for span in spans])
        else:
            # In place instead of a copy; no view of the array has been given out.
            self._inputs.resize((self._used, *self._inputs.shape[1:]), refcheck=False)
        return self._inputs, np.repeat(np.arange(len(counts), dtype=np.int64), counts)


def load_segments(
    files: Sequence[LabelledFile],
    features: Features,
    *,
    genres: tuple[str, ...] | None = None,
    artists: Mapping[str, str | None] | None = None,
    workers: int = 2,
    on_file: Callable[[int], None] | None = None,
) -> tuple[SegmentSet, tuple[Skipped, ...]]:
    """Decode labelled files into segments, in worker processes; tracks keep their order.

    Files that cannot be read, clips shorter than nine tenths of a segment, and of several files
    of one track all but the longest are left out and returned with the reason. `artists` maps the
    key or name of a track to its artist; without it the tags are read. Raises ModelError if there
    are fewer than two genres or too few tracks of one: before decoding if possible.
    """
    wanted = [file for file in files if genres is None or file.genre in genres]
    check_genres({file.key: file.genre for file in wanted})
    collected = _SegmentArray(len(wanted), features)
    skipped: list[Skipped] = []
    with WorkerPool(
        workers, librosa=features.uses_librosa, time_limit_s=WHOLE_FILE_LIMIT_S
    ) as pool:
        work = partial(_decode, features=features, with_artist=artists is None)
        for file, outcome in pool.map(work, wanted):
            if on_file is not None:
                on_file(len(wanted))
            if isinstance(outcome, MissingExtraError):
                # The fault of the installation, not of the file.
                raise outcome
            if isinstance(outcome, RecsysError):
                skipped.append((file.path, outcome.message))
                continue
            artist = outcome.artist if artists is None else _listed(file.key, artists)
            skipped += collected.add(file, outcome, artist)
    labels = tuple(sorted({file.genre for file in wanted}))
    tracks = tuple(
        LabelledTrack(key, own.file.genre, own.artist) for key, own in collected.tracks.items()
    )
    _check_remaining(tracks, labels, skipped)
    inputs, track_of = collected.finish()
    return SegmentSet(tracks, inputs, track_of, labels), tuple(skipped)


def _precision(features: Features) -> type[np.floating]:
    return np.float16 if features.half_precision else np.float32


def _decode(file: LabelledFile, features: Features, with_artist: bool) -> _DecodedTrack:
    """Decode one file; runs in a worker process."""
    waveform = decode(file.path, features)
    if waveform.duration_s < MIN_SHARE * features.window_s:
        raise AudioError(
            f"only {waveform.duration_s:.1f} s long, shorter than a segment of "
            f"{features.window_s:g} s",
            "Give longer clips, or choose a recipe with shorter segments.",
        )
    inputs = np.asarray(features.compute(waveform.windows), _precision(features))
    if not np.all(np.isfinite(inputs)):
        raise AudioError(
            "its features are not all numbers", "The sound is damaged; replace the file."
        )
    return _DecodedTrack(inputs, waveform.duration_s, artist_of(file) if with_artist else None)


def _repeats(file: LabelledFile, longer: LabelledFile) -> str:
    return f"the same track as {longer.path}, which is as long or longer ({file.key})"


def _check_remaining(
    tracks: Sequence[LabelledTrack], labels: Sequence[str], skipped: Sequence[Skipped]
) -> None:
    """Check again after decoding, and name the reason why tracks are missing."""
    reason = f"; left out: {len(skipped)} files" if skipped else ""
    if skipped:
        reason += f", the first of them {skipped[0][0]}: {skipped[0][1]}"
    if lost := sorted(set(labels) - {track.genre for track in tracks}):
        raise ModelError(
            f"no track of {', '.join(lost)} could be used{reason}",
            "Replace these files, or leave the folders of these genres out.",
        )
    try:
        check_genres({track.key: track.genre for track in tracks})
    except ModelError as error:
        raise ModelError(error.message + reason, error.hint) from error


def _load_mixed(
    files: Sequence[LabelledFile], features: Features, labels: Sequence[str], workers: int
) -> tuple[tuple[MixedSong, ...], tuple[Skipped, ...]]:
    """Decode the songs in folders that name several known genres."""
    songs = [
        file
        for file in files
        if JOINS in file.genre and set(file.genre.split(JOINS)) <= set(labels)
    ]
    read, failed = [], []
    loaded = load_windows([file.path for file in songs], workers, features)
    for file, (path, windows) in zip(songs, loaded, strict=True):
        if isinstance(windows, MissingExtraError):
            raise windows
        if isinstance(windows, RecsysError):
            failed.append((path, windows.message))
        else:
            read.append(MixedSong(file.key, windows, frozenset(file.genre.split(JOINS))))
    return tuple(read), tuple(failed)


MIXES = 50
"""As many as the report of Mijares and Manua had songs of two genres."""


def mix_clips(
    clips: Mapping[str, Path],
    tracks: Sequence[LabelledTrack],
    features: Features,
    seed: int,
    count: int = MIXES,
) -> tuple[MixedSong, ...]:
    """Mix clips of two genres each at the same level: a stand-in for songs of two genres.

    Every genre is in as many mixes, as far as that goes; its `tracks` are taken in turn. There are
    none with fewer than two genres.
    """
    rng = np.random.default_rng(seed)
    of_genre: dict[str, list[LabelledTrack]] = {}
    for row in rng.permutation(len(tracks)).tolist():
        if tracks[row].key in clips:
            of_genre.setdefault(tracks[row].genre, []).append(tracks[row])
    genres, taken = sorted(of_genre), Counter[str]()
    songs: list[MixedSong] = []
    while len(genres) > 1 and len(songs) < count:
        order = [genres[number] for number in rng.permutation(len(genres)).tolist()]
        for pair in zip(order[::2], order[1::2], strict=False):
            chosen = [of_genre[genre][taken[genre] % len(of_genre[genre])] for genre in pair]
            taken.update(pair)
            sounds = [decode(clips[track.key], features).windows for track in chosen]
            windows = min(len(sound) for sound in sounds)
            levels = [max(float(np.sqrt(np.mean(np.square(s)))), 1e-9) for s in sounds]
            mixed = sum(s[:windows] / level for s, level in zip(sounds, levels, strict=True))
            inputs = features.compute((mixed / np.abs(mixed).max()).astype(np.float32))
            name = " + ".join(track.key for track in chosen)
            songs.append(MixedSong(name, inputs, frozenset(pair)))
    return tuple(songs[:count])


# From the public CSV of hand-made features, one row per track or per segment.


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
        Features to take.
    artists : mapping, optional
        Key or name of a track to its artist.
    genres : tuple of str, optional
        Leave other genres out.

    Returns
    -------
    SegmentSet
        ``inputs`` has shape (n_rows, len(columns)), float32; tracks are in the order of their
        first rows, with the key ``label/name``.

    Raises
    ------
    ModelError
        If the table cannot be read, lacks a column or rows, or a cell is no number (with its row
        as a spreadsheet counts it); or if its genres or their tracks are too few.
    """
    frame = _read_table(path, columns)
    frame["key"] = frame["label"] + "/" + _track_names(frame["filename"])
    inputs = _numbers(path, frame, columns)
    if genres is not None:
        kept = frame["label"].isin(genres).to_numpy()
        frame, inputs = frame[kept], inputs[kept]
    first_rows = frame.drop_duplicates("key")
    check_genres(dict(zip(first_rows["key"], first_rows["label"], strict=True)))
    tracks = tuple(
        LabelledTrack(key, label, _listed(key, artists or {}))
        for key, label in zip(first_rows["key"], first_rows["label"], strict=True)
    )
    track_of: IdArray = frame["key"].factorize()[0].astype(np.int64)
    return SegmentSet(tracks, inputs, track_of, tuple(sorted(set(first_rows["label"]))))


def _read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a table as text and check its columns, names and labels."""
    pandas = require("pandas", "papers")
    try:
        # As text, so that a bad cell can be shown as it is in the file.
        frame: pd.DataFrame = pandas.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the feature table {path} cannot be read: {error}",
            "Give a CSV file such as features_30_sec.csv or features_3_sec.csv.",
        ) from error
    if missing := [name for name in ("filename", "label", *columns) if name not in frame]:
        names = ", ".join(missing[:5]) + (" and others" if len(missing) > 5 else "")
        raise ModelError(
            f"the feature table {path} lacks {len(missing)} columns: {names}",
            "Make it with `recsys papers features`, or take the public features_30_sec.csv.",
        )
    if frame.empty:
        raise ModelError(f"the feature table {path} has no rows", "Give one with tracks in it.")
    # A slash would make the key of the track ambiguous.
    bad = (frame["filename"] == "") | (frame["label"] == "") | frame["label"].str.contains("/")
    if bad.any():
        row = int(bad.argmax())
        name, label = frame.loc[row, ["filename", "label"]]
        raise ModelError(
            f"{path}, row {row + FIRST_ROW}: filename {name!r} with label {label!r}",
            "Every row needs the name of a file and the genre of the track.",
        )
    return frame


def _track_names(filenames: Iterable[str]) -> list[str]:
    """Return the track of each row: the filename without folder, suffix and segment number."""
    names = [PurePosixPath(name.replace("\\", "/")).name for name in filenames]
    stems = []
    for name in names:
        stem, _, suffix = name.rpartition(".")
        stems.append(stem if stem and f".{suffix.lower()}" in AUDIO_SUFFIXES else name)
    segments = [SEGMENT.fullmatch(stem) for stem in stems]
    return [match["track"] for match in segments if match] if all(segments) else stems


def _numbers(path: Path, frame: pd.DataFrame, columns: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return columns of text as numbers; the first cell that is none, row by row, raises."""
    pandas = require("pandas", "papers")
    texts = frame[list(columns)]
    values = texts.apply(pandas.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    good = np.abs(values) <= np.finfo(np.float32).max  # False for NaN
    if not good.all():
        row, column = np.argwhere(~good)[0]
        raise ModelError(
            f"{path}, row {row + FIRST_ROW}: {columns[column]} is {texts.iat[row, column]!r},"
            " not a number",
            "Correct the row or take it out.",
        )
    numbers: npt.NDArray[np.float32] = values.astype(np.float32)
    return numbers
