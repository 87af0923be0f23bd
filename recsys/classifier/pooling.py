"""From windows to tracks: bounded batches through the network, then means over each track."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.classifier.network import Network
    from recsys.types import FloatArray, IdArray

WINDOWS_PER_BATCH = 64
"""Windows in one pass through the model: enough to keep it busy, little enough for memory."""


class Pooled(NamedTuple):
    """What a model says of tracks, one row each, before calibration.

    Attributes
    ----------
    logits : ndarray of float32, shape (n_tracks, n_genres)
        Mean over the windows; what the head says of the embedding where the network has one for
        whole tracks.
    embeddings : ndarray of float32, shape (n_tracks, d)
        Mean over the windows, scaled to unit length.
    tag_logits : ndarray of float32, shape (n_tracks, n_tags)
        Mean over the windows; no columns where the model has no tags.
    """

    logits: FloatArray
    embeddings: FloatArray
    tag_logits: FloatArray


def pooled_outputs(
    network: Network, tracks: Sequence[FloatArray], windows_per_batch: int = WINDOWS_PER_BATCH
) -> Pooled:
    """Run a network over the windows of several tracks and average per track.

    Parameters
    ----------
    network : Network
        What listens.
    tracks : sequence of ndarray of float16 or float32, each (n_windows, *shape)
        At least one window each.
    windows_per_batch : int
        Upper limit of what is in flight at a time.

    Returns
    -------
    Pooled
    """
    logits, embeddings, *tags = _means_over_windows(network, tracks, windows_per_batch)
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    units = embeddings / np.maximum(lengths, np.float32(1e-12))
    of_tracks = network.of_tracks(units)
    no_tags = np.empty((len(tracks), 0), dtype=np.float32)
    return Pooled(logits if of_tracks is None else of_tracks, units, tags[0] if tags else no_tags)


def pooled_scores(network: Network, tracks: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return logits and embeddings alone, see :func:`pooled_outputs`."""
    return pooled_outputs(network, tracks)[:2]


def _means_over_windows(
    network: Network, tracks: Sequence[FloatArray], windows_per_batch: int
) -> list[FloatArray]:
    """Return the mean of each output of the network over the windows of each track."""
    windows = chain.from_iterable(tracks)
    parts: list[tuple[FloatArray, ...]] = []
    while chunk := list(islice(windows, windows_per_batch)):
        parts.append(network.of_windows(np.stack(chunk).astype(np.float32, copy=False)))
    bounds = np.cumsum([0] + [len(windows) for windows in tracks])[:-1]
    counts = np.asarray([[len(windows)] for windows in tracks], dtype=np.float32)
    return [_means(np.concatenate(rows), bounds, counts) for rows in zip(*parts, strict=True)]


def _means(rows: FloatArray, bounds: IdArray, counts: FloatArray) -> FloatArray:
    """Average consecutive rows; `bounds` says where each track begins."""
    sums: FloatArray = np.add.reduceat(rows, bounds, axis=0)
    return sums / counts
