"""From windows to tracks: bounded batches through the model, then means over each track."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from recsys.types import FloatArray, IdArray

WINDOWS_PER_BATCH = 64
"""Windows in one pass through the model: enough to keep it busy, little enough for memory."""


def pooled_scores(
    model: nn.Module,
    tracks: Sequence[FloatArray],
    device: torch.device,
    windows_per_batch: int = WINDOWS_PER_BATCH,
) -> tuple[FloatArray, FloatArray]:
    """Run the model over the windows of several tracks and average per track.

    Parameters
    ----------
    model : nn.Module
        Windows to (logits, embedding); is put into evaluation mode.
    tracks : sequence of ndarray of float16 or float32, each (n_windows, *shape)
        At least one window each.
    device : torch.device
        Where the model is.
    windows_per_batch : int
        Upper limit of what is in flight at a time.

    Returns
    -------
    logits : ndarray of float32, shape (n_tracks, n_genres)
        Mean over the windows.
    embeddings : ndarray of float32, shape (n_tracks, d)
        Mean over the windows, scaled to unit length.
    """
    model.eval()
    windows = chain.from_iterable(tracks)
    logits, embeddings = [], []
    with torch.inference_mode():
        while chunk := list(islice(windows, windows_per_batch)):
            scores, features = model(torch.from_numpy(np.stack(chunk)).to(device).float())
            logits.append(scores.float().cpu().numpy())
            embeddings.append(features.float().cpu().numpy())
    bounds = np.cumsum([0] + [len(windows) for windows in tracks])[:-1]
    counts = np.asarray([[len(windows)] for windows in tracks], dtype=np.float32)
    pooled = _means(np.concatenate(logits), bounds, counts)
    means = _means(np.concatenate(embeddings), bounds, counts)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return pooled, means / np.maximum(lengths, np.float32(1e-12))


def _means(rows: FloatArray, bounds: IdArray, counts: FloatArray) -> FloatArray:
    """Average consecutive rows; `bounds` says where each track begins."""
    sums: FloatArray = np.add.reduceat(rows, bounds, axis=0)
    return sums / counts
