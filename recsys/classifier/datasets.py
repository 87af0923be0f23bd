"""Labelled music: folders of genre folders, split lists, artists, and ready-made spectrograms.

A track is known by its key, ``genre/name`` without the extension, as the public GTZAN lists
write it; several files may show one track (a clip and an excerpt of it, say).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys.audio import decode
from recsys.errors import ModelError, RecsysError
from recsys.features import MEL, Features, LogMel
from recsys.library import AUDIO_SUFFIXES, read_tags
from recsys.workers import WHOLE_FILE_LIMIT_S, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from recsys.types import FloatArray

Pieces = npt.NDArray[np.int8]
"""Log-mel pieces of one track, shape (n_pieces, n_mels, frames), in steps of 1 / QUANTUM."""

QUANTUM = 24
"""Steps per standard deviation of a stored picture: int8 then covers more than 5 deviations."""

PIECE_S = 10.0
MAX_PIECES = 3
"""Training hears up to three pieces of 10 s spread over a track: a 30 s clip is heard whole."""


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


@dataclass(frozen=True, slots=True)
class Example:
    """What training knows of one track.

    Attributes
    ----------
    key : str
        ``genre/name``.
    genre : str
        Its label.
    views : tuple of ndarray of int8, each (n_pieces, n_mels, frames)
        The same track as different files show it.
    """

    key: str
    genre: str
    views: tuple[Pieces, ...]


@dataclass(frozen=True, slots=True)
class ValidTrack:
    """A track to validate on: its windows as inference sees them.

    Attributes
    ----------
    key : str
        ``genre/name``.
    genre : str
        Its label.
    windows : ndarray of float32, shape (n_windows, n_mels, frames)
    """

    key: str
    genre: str
    windows: FloatArray


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
    """Decode many files into what a model looks at, in worker processes and in order.

    Parameters
    ----------
    paths : sequence of Path
        Audio files.
    workers : int
        Processes.
    settings : Features
        What the model looks at.

    Yields
    ------
    tuple of (Path, ndarray (n_windows, *shape) or RecsysError)
        The error of a file that cannot be used stands in its place.
    """
    jobs = [(path, settings) for path in paths]
    yield from _load(jobs, workers)


def load_pieces(
    files: Sequence[LabelledFile], workers: int = 2, settings: LogMel = MEL
) -> Iterator[tuple[LabelledFile, Pieces | RecsysError]]:
    """Decode many files into long pieces, from which training draws its windows.

    Parameters
    ----------
    files : sequence of LabelledFile
        What to read.
    workers : int
        Processes.
    settings : LogMel
        What a window looks like; a piece is longer and otherwise the same.

    Yields
    ------
    tuple of (LabelledFile, ndarray of int8 (n_pieces, n_mels, frames) or RecsysError)
        Standardised over the pieces of the track.
    """
    longer = replace(settings, window_s=PIECE_S, max_windows=MAX_PIECES)
    jobs = [(file.path, longer) for file in files]
    for file, (_, loaded) in zip(files, _load(jobs, workers), strict=True):
        yield file, loaded if isinstance(loaded, RecsysError) else quantise(loaded)


def quantise(pictures: FloatArray) -> Pieces:
    """Round standardised pictures to int8, a quarter of the memory."""
    return np.clip(np.rint(pictures * QUANTUM), -127, 127).astype(np.int8)


def restore(pieces: Pieces) -> FloatArray:
    """Undo :func:`quantise`, up to the rounding."""
    return pieces.astype(np.float32) / np.float32(QUANTUM)


_Job = tuple[Path, Features]


def _load(jobs: Sequence[_Job], workers: int) -> Iterator[tuple[Path, FloatArray | RecsysError]]:
    with WorkerPool(workers, time_limit_s=WHOLE_FILE_LIMIT_S) as pool:
        for (path, _), outcome in pool.map(_load_one, jobs):
            yield path, outcome


def _load_one(job: _Job) -> FloatArray:
    path, settings = job
    return settings.compute(decode(path, settings).windows)


def read_mel_archive(path: Path, settings: LogMel = MEL) -> list[tuple[str, str, Pieces]]:
    """Read ready-made spectrograms.

    Parameters
    ----------
    path : Path
        ``.npz`` with ``X`` (int8 in steps of 1/24, or float; (n, n_mels, frames)), ``genre`` and
        ``track``.
    settings : LogMel
        What the pictures must look like.

    Returns
    -------
    list of (key, genre, ndarray of int8 (1, n_mels, frames))

    Raises
    ------
    ModelError
        If the archive cannot be read or its pictures have another size.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            pictures, genres, tracks = (archive[name] for name in ("X", "genre", "track"))
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise ModelError(
            f"spectrograms cannot be read from {path}: {error}",
            "It must be an .npz file with the arrays X, genre and track.",
        ) from error
    expected = (len(tracks), settings.n_mels, settings.frames)
    if pictures.shape != expected or len(genres) != len(tracks):
        raise ModelError(
            f"{path}: X has shape {pictures.shape}, expected {expected}",
            "One log-mel window per track, made with the settings of the model.",
        )
    whole = pictures if pictures.dtype == np.int8 else quantise(pictures)
    return [
        (f"{genre}/{track}", str(genre), picture[np.newaxis])
        for genre, track, picture in zip(genres, tracks, whole, strict=True)
    ]


def merge_views(views: Iterable[tuple[str, str, Pieces]]) -> list[Example]:
    """Gather the views of each track.

    Parameters
    ----------
    views : iterable of (key, genre, pieces)
        In any order.

    Returns
    -------
    list of Example
        Sorted by key.
    """
    gathered: dict[tuple[str, str], list[Pieces]] = {}
    for key, genre, pieces in views:
        gathered.setdefault((key, genre), []).append(pieces)
    return [Example(key, genre, tuple(gathered[key, genre])) for key, genre in sorted(gathered)]
