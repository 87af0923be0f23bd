"""The labelled music that the default model is made from, as pictures of its windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys.classifier.log_mel import from_log_mel
from recsys.classifier.training.datasets import (
    artist_of,
    check_genres,
    find_tracks,
    known_artists,
    load_windows,
    read_artists,
    read_mel_archive,
    read_split,
    restore,
    track_groups,
)
from recsys.errors import ModelError, RecsysError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from recsys.classifier.training.datasets import LabelledFile
    from recsys.classifier.training.prepare import DataSources
    from recsys.mel import CompressedMel
    from recsys.types import IdArray

HalfArray = npt.NDArray[np.float16]

MIN_TRACKS = 2
"""Of a genre: one to learn from and one to validate on."""


@dataclass(frozen=True, slots=True, eq=False)
class PicturedTrack:
    """A track, and what can be seen of it.

    Attributes
    ----------
    key : str
        ``genre/name``.
    genre : str
        Its label.
    artist : str or None
        Who plays, where that is known.
    sound : ndarray of float16, shape (n, n_mels, frames), or None
        Windows of its longest audio file.
    spectrogram : ndarray of float16, shape (1, n_mels, frames), or None
        Its ready-made spectrogram, converted.
    """

    key: str
    genre: str
    artist: str | None
    sound: HalfArray | None
    spectrogram: HalfArray | None


@dataclass(frozen=True, slots=True, eq=False)
class PicturedMusic:
    """All tracks, and how they are divided.

    Attributes
    ----------
    tracks : tuple of PicturedTrack
        Sorted by key.
    labels : tuple of str
        Genres, sorted.
    train, valid : ndarray of int64
        Places of the tracks in the lists; `valid` is empty without lists.
    failed : tuple of (Path, str)
        Files that could not be used, and why.
    missing : int
        Tracks of the lists that were not found.
    """

    tracks: tuple[PicturedTrack, ...]
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
) -> PicturedMusic:
    """Find, decode and divide labelled music.

    Parameters
    ----------
    sources : DataSources
        Folders, spectrograms, lists and artists. With lists, tracks in neither of them are left
        alone.
    features : CompressedMel
        What a window looks like.
    workers : int
        Processes that decode.
    on_file : callable, optional
        Called after every file with how many there are.

    Returns
    -------
    PicturedMusic

    Raises
    ------
    ModelError
        If there are fewer than two genres, a genre has too few tracks, a list cannot be read, one
        of two lists is missing, or a track is in both.
    """
    train, valid = _lists(sources)
    listed = train | valid
    files = [file for directory in sources.directories for file in find_tracks(directory)]
    archive = read_mel_archive(sources.mel) if sources.mel else []
    genres = {file.key: file.genre for file in files} | {key: genre for key, genre, _ in archive}
    wanted = {key: genre for key, genre in genres.items() if not listed or key in listed}
    check_genres(wanted, MIN_TRACKS)
    sounds, failed = _decode(
        [file for file in files if file.key in wanted], features, workers, on_file
    )
    pictures = {
        key: from_log_mel(restore(pieces), target=features).astype(np.float16)
        for key, _, pieces in archive
        if key in wanted
    }
    present = sorted(key for key in wanted if key in sounds or key in pictures)
    check_genres({key: wanted[key] for key in present}, MIN_TRACKS)
    artists = _artists(sources, files, present)
    tracks = tuple(
        PicturedTrack(key, wanted[key], artists.get(key), sounds.get(key), pictures.get(key))
        for key in present
    )
    learned = [place for place, key in enumerate(present) if key not in valid]
    held_out = [place for place, key in enumerate(present) if key in valid]
    check_genres({present[place]: wanted[present[place]] for place in learned}, 1)
    return PicturedMusic(
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
            "one list of tracks alone does not say what the default recipe may use",
            "Give --train-split and --valid-split, or neither to learn from all tracks.",
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
    """Return the windows of each track, of its longest file, and what could not be decoded."""
    sounds: dict[str, HalfArray] = {}
    failed: list[tuple[Path, str]] = []
    outcomes = load_windows([file.path for file in files], workers, features)
    for file, (path, windows) in zip(files, outcomes, strict=True):
        if on_file is not None:
            on_file(len(files))
        if isinstance(windows, RecsysError):
            failed.append((path, windows.message))
        elif file.key not in sounds or len(windows) > len(sounds[file.key]):
            sounds[file.key] = windows.astype(np.float16)
    return sounds, tuple(failed)


def _artists(
    sources: DataSources, files: Sequence[LabelledFile], keys: Sequence[str]
) -> Mapping[str, str | None]:
    """Return who plays: from the table that was given, or the tags, and GTZAN's public index."""
    if sources.artists:
        listed = read_artists(sources.artists)
        return {key: listed.get(key.split("/", 1)[1]) for key in keys}
    wanted = set(keys)
    tagged = {file.key: artist_of(file) for file in files if file.key in wanted}
    known = known_artists(keys)
    return {key: known.get(key) or tagged.get(key) for key in keys}
