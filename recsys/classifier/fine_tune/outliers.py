"""Sounds that are no music, as the front end of the network hears them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.fine_tune.hearing import listen
from recsys.classifier.outliers import synthesise

if TYPE_CHECKING:
    from recsys.classifier.fine_tune.pictures import HalfArray
    from recsys.classifier.models.musicnn import MusiCNN
    from recsys.features import CompressedMel


def hear_outliers(
    model: MusiCNN, count: int, seed: int, features: CompressedMel
) -> tuple[HalfArray, ...]:
    """Synthesise sounds that are no music and let the front end listen to them.

    Parameters
    ----------
    model : MusiCNN
        Its front end listens.
    count : int
        How many sounds, every kind about as often.
    seed : int
        Of all chance.
    features : CompressedMel
        What a window looks like.

    Returns
    -------
    tuple of ndarray of float16, each (n_windows, n_filters, frames)
        The windows of one sound each.
    """
    length = features.window_length
    heard = []
    for sound in synthesise(count, seed, features.sample_rate):
        windows = sound[: len(sound) // length * length].reshape(-1, length)
        heard.append(listen(model, features.compute(np.ascontiguousarray(windows))))
    return tuple(heard)
