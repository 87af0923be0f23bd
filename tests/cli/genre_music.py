"""Genre folders of made-up sound: every genre has its own register, hiss and beat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mutagen
import numpy as np

from recsys.types import FloatArray
from tests.sounds import write

SAMPLE_RATE = 22_050

GENRES = ("blues", "classical", "metal")
"""Known to every recipe; some know nine genres only."""

TEN = (
    *("blues", "classical", "country", "disco", "hiphop"),
    *("jazz", "metal", "pop", "reggae", "rock"),
)

LISTS = "train.txt", "valid.txt"


def sound_of(
    genre: str, seed: int, duration_s: float, sample_rate: int = SAMPLE_RATE
) -> FloatArray:
    """A chord over hiss, struck at the genre's pace; the seed moves all of it a little."""
    place = TEN.index(genre)
    rng = np.random.default_rng([place, seed])
    n = round(duration_s * sample_rate)
    t = np.arange(n) / sample_rate
    root = 110.0 * 2 ** ((4 * place + rng.uniform(-0.5, 0.5)) / 12)
    chord = sum(np.sin(2 * np.pi * root * step * t) / step for step in (1, 1.5, 2 + place / 10))
    beat = 0.25 + 0.08 * place
    envelope = np.exp(-3 * np.mod(t, beat) / beat)
    hiss = rng.standard_normal(n) * (0.005 + 0.02 * (place % 4))
    return (0.2 * chord * envelope + hiss).astype(np.float32)


def make_genres(
    folder: Path,
    genres: Sequence[str] = GENRES,
    *,
    tracks: int = 4,
    duration_s: float = 3.2,
    artists: int = 4,
) -> Path:
    """Write GENRE/GENRE.00000.flac and so on, with artists in the tags."""
    for genre in genres:
        for number in range(tracks):
            path = folder / genre / f"{genre}.{number:05d}.flac"
            write(path, sound_of(genre, number, duration_s), SAMPLE_RATE)
            tag(path, f"{genre} artist {number % artists}", f"{genre} {number}")
    return folder


def tag(path: Path, artist: str, title: str) -> None:
    file = mutagen.File(path, easy=True)
    if file.tags is None:
        file.add_tags()
    file["artist"], file["title"] = artist, title
    file.save()
