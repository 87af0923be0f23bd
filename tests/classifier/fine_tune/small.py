"""A small network, and tracks of planted genres as its front end would have heard them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from recsys.classifier.training.examples import HalfArray, PicturedTrack
from recsys.classifier.training.heads import HeardTrack, Lessons
from recsys.classifier.training.musicnn_torch import MusiCNN
from recsys.classifier.training.tune import FineTuneSettings
from recsys.types import IdArray

N_GENRES = 3
FILTERS = (2, 1, 1, 1, 1)
FRAMES = 12

QUICK = FineTuneSettings(
    epochs=1, steps_per_epoch=3, batch=8, variations=1, folds=3, outliers=5, seed=0
)
"""Nothing is learned in so few steps; everything is run."""


def small_network(seed: int = 0, n_genres: int = N_GENRES, n_tags: int = 4) -> MusiCNN:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MusiCNN(
            n_genres, filters=FILTERS, channels=6, hidden=16, dimension=10, n_tags=n_tags
        )
    return model.eval()


def heard_windows(genre: int, rng: np.random.Generator, count: int = 2) -> HalfArray:
    """Windows in which the filter with the number of the genre hears most."""
    windows = 0.3 * rng.standard_normal((count, sum(FILTERS), FRAMES))
    windows[:, genre] += 1.5
    return windows.astype(np.float16)


def heard_tracks(targets: Sequence[int] | IdArray, seed: int = 0) -> list[HeardTrack]:
    """Tracks of which there are sounds alone: one of each, with one changed copy."""
    rng = np.random.default_rng(seed)
    return [
        HeardTrack((heard_windows(genre, rng), heard_windows(genre, rng)), ()) for genre in targets
    ]


def lessons(targets: IdArray, seed: int = 0, outliers: int = 4, n_tags: int = 4) -> Lessons:
    rng = np.random.default_rng(seed + 1)
    tracks = heard_tracks(targets, seed)
    tags = [rng.standard_normal((len(track.plain), n_tags)).astype("f4") for track in tracks]
    silence = [np.full((1, sum(FILTERS), FRAMES), -3.0, np.float16) for _ in range(outliers)]
    return Lessons(tracks, targets, tags, silence)


def pictured(
    seed: int, windows: int = 2, *, sound: bool = True, spectrogram: bool = False
) -> PicturedTrack:
    """A track of random pictures."""
    rng = np.random.default_rng(seed)
    return PicturedTrack(
        f"genre/{seed}",
        "genre",
        None,
        random_pictures(rng, windows) if sound else None,
        random_pictures(rng, 1) if spectrogram else None,
    )


def random_pictures(rng: np.random.Generator, windows: int) -> HalfArray:
    return (3 * rng.random((windows, 96, 20))).astype(np.float16)


def equal_genres(per_genre: int, n_genres: int = N_GENRES) -> IdArray:
    return np.tile(np.arange(n_genres), per_genre)
