"""Folders of genre folders, archives and lists, as small as they can be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.classifier.planted_genres import spectrogram, synthesise
from tests.cli.genre_music import tag
from tests.sounds import write

RATE = 16_000


def as_int8(spectrogram: np.ndarray) -> np.ndarray:
    """Round to the steps of public archives, 24 per standard deviation."""
    return np.clip(np.rint(24 * spectrogram), -127, 127).astype(np.int8)


def write_track(
    folder: Path, genre: str, number: int, seconds: float = 3.1, artist: str = ""
) -> Path:
    """Write ``GENRE/GENRE.00.flac`` with a sound of the genre."""
    sound = synthesise(genre, 100 + number, seconds, RATE)
    path = write(folder / genre / f"{genre}.{number:02d}.flac", sound, RATE)
    if artist:
        tag(path, artist, f"{genre} {number}")
    return path


def write_archive(path: Path, tracks: Sequence[tuple[str, int]]) -> Path:
    """Write spectrograms of tracks, given by genre and number."""
    np.savez(
        path,
        X=np.concatenate([as_int8(spectrogram(genre, 100 + number)) for genre, number in tracks]),
        genre=[genre for genre, _ in tracks],
        track=[f"{genre}.{number:02d}" for genre, number in tracks],
    )
    return path


def write_list(path: Path, tracks: Sequence[tuple[str, int]]) -> Path:
    path.write_text("".join(f"{genre}/{genre}.{number:02d}.au\n" for genre, number in tracks))
    return path
