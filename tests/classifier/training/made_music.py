"""Windows of synthetic music: genres of different registers, hiss and beats."""

from __future__ import annotations

import numpy as np

from recsys.classifier.training.datasets import LabelledMusic, TrackWindows
from recsys.mel import CompressedMel
from tests.cli.genre_music import GENRES, sound_of

FEATURES = CompressedMel()


def made_music(
    per_genre: int = 8, artists: int = 4, held_out: int = 0, excerpts: int = 0
) -> LabelledMusic:
    """Tracks of five windows; the last `held_out` of each genre are a validation list, and of the
    first `excerpts` there is one window alone. Each has a hiss of its own."""
    tracks = tuple(
        _track(genre, number, f"{genre} {number % artists}", 1 if number < excerpts else 5)
        for genre in GENRES
        for number in range(per_genre)
    )
    numbers = np.arange(len(tracks))
    is_valid = numbers % per_genre >= per_genre - held_out
    return LabelledMusic(tracks, GENRES, numbers[~is_valid], numbers[is_valid], (), 0)


def _track(genre: str, number: int, artist: str, windows: int) -> TrackWindows:
    rng = np.random.default_rng([GENRES.index(genre), number])
    sound = sound_of(genre, number, 3.0 * windows, FEATURES.sample_rate)
    hiss = 10 ** rng.uniform(-2.5, -1.0) * rng.standard_normal(len(sound))
    windows_of_it = FEATURES.compute((sound + hiss).reshape(windows, -1)).astype(np.float16)
    return TrackWindows(f"{genre}/{genre}.{number:02d}", genre, artist, windows_of_it, None)
