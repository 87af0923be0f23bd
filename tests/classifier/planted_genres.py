"""Small planted genres: steady tones, noise and clicks."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys.classifier.log_mel import MEL, log_mel

LABELS = ("clicks", "noise", "tone")
TINY: dict[str, dict[str, Any]] = {
    "cnn": {"channels": [4, 8, 8], "dimension": 16},
    "cnn-lstm": {"channels": [4, 8, 8], "dimension": 16, "hidden": 8},
}


def synthesise(
    genre: str, seed: int, seconds: float = 3.0, sample_rate: int = MEL.sample_rate
) -> np.ndarray:
    """Make a track of a planted genre."""
    rng = np.random.default_rng(seed)
    n = round(seconds * sample_rate)
    time = np.arange(n) / sample_rate
    hiss = 0.01 * rng.standard_normal(n)
    if genre == "tone":
        sound = 0.4 * np.sin(2 * np.pi * rng.uniform(300, 900) * time) + hiss
    elif genre == "noise":
        sound = 0.2 * rng.standard_normal(n)
    else:
        sound = hiss + 0.8 * (np.arange(n) % round(sample_rate * rng.uniform(0.2, 0.4)) < 40)
    return sound.astype(np.float32)


def spectrogram(genre: str, seed: int) -> np.ndarray:
    return log_mel(synthesise(genre, seed)[np.newaxis])
