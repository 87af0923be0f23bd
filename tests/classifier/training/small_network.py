"""A small network, and responses of its front end to tracks of planted genres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from recsys.classifier.training.datasets import HalfArray, TrackWindows
from recsys.classifier.training.musicnn_torch import MusiCNN
from recsys.classifier.training.tune import TrackResponses, TuneSettings, TuningData
from recsys.types import IdArray

N_GENRES = 3
FILTERS = (2, 1, 1, 1, 1)
FRAMES = 12

USUAL = TuneSettings()

QUICK = TuneSettings(
    training=replace(USUAL.training, epochs=1, steps_per_epoch=3, batch=8),
    variations=1,
    folds=3,
    divisions=2,
    outliers=5,
)
"""Nothing is learned in so few steps; everything is run."""


def small_network(seed: int = 0, n_genres: int = N_GENRES, n_tags: int = 4) -> MusiCNN:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MusiCNN(
            n_genres, filters=FILTERS, channels=6, hidden=16, dimension=10, n_tags=n_tags
        )
    return model.eval()


def planted_windows(genre: int, rng: np.random.Generator, count: int = 2) -> HalfArray:
    """Windows in which the filter with the number of the genre responds most."""
    windows = 0.3 * rng.standard_normal((count, sum(FILTERS), FRAMES))
    windows[:, genre] += 1.5
    return windows.astype(np.float16)


def planted_tracks(targets: Sequence[int] | IdArray, seed: int = 0) -> list[TrackResponses]:
    """Tracks with audio alone, each with one augmented copy."""
    rng = np.random.default_rng(seed)
    return [
        TrackResponses((planted_windows(genre, rng), planted_windows(genre, rng)), ())
        for genre in targets
    ]


def tuning_data(targets: IdArray, seed: int = 0, outliers: int = 4, n_tags: int = 4) -> TuningData:
    rng = np.random.default_rng(seed + 1)
    tracks = planted_tracks(targets, seed)
    tags = [rng.standard_normal((len(track.plain), n_tags)).astype("f4") for track in tracks]
    silence = [np.full((1, sum(FILTERS), FRAMES), -3.0, np.float16) for _ in range(outliers)]
    return TuningData(tracks, targets, tags, silence)


def random_track(
    seed: int, windows: int = 2, *, audio: bool = True, spectrogram: bool = False
) -> TrackWindows:
    """A track of random windows."""
    rng = np.random.default_rng(seed)
    return TrackWindows(
        f"genre/{seed}",
        "genre",
        None,
        random_windows(rng, windows) if audio else None,
        random_windows(rng, 1) if spectrogram else None,
    )


def random_windows(rng: np.random.Generator, windows: int) -> HalfArray:
    return (3 * rng.random((windows, 96, 20))).astype(np.float16)


def equal_genres(per_genre: int, n_genres: int = N_GENRES) -> IdArray:
    return np.tile(np.arange(n_genres), per_genre)
