"""Asking the default model about spectrograms instead of sound."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.calibrate import softmax
from recsys.classifier.checkpoint import card_path, is_onnx
from recsys.classifier.inference import Classifier
from recsys.classifier.onnx_description import description_path
from recsys.errors import ModelError
from recsys.features import MEL, CompressedMel, LogMel
from recsys.features.mel_conversion import from_log_mel

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.types import FloatArray

_PIECE = 512
"""Windows that are converted together, for the sake of memory."""


def predict_mel(
    x: FloatArray, model: Path | None = None, device: str = "auto"
) -> tuple[FloatArray, FloatArray]:
    """Return what a model hears in log-mel windows of 3 s.

    Parameters
    ----------
    x : ndarray of float, shape (n, 128, 130)
        Log-mel as in the public feature sets of GTZAN: 22,050 Hz, FFT 2048, hop 512, decibels,
        standardised per track (see :func:`recsys.features.log_mel`). Every row is a track of
        its own.
    model : Path, optional
        The ``.safetensors`` file; the shipped model if None.
    device : str
        See :func:`recsys.classifier.devices.resolve_device`.

    Returns
    -------
    probabilities : ndarray of float32, shape (n, n_genres)
        Calibrated; rows sum to 1.
    embeddings : ndarray of float32, shape (n, d)
        Unit length.

    Raises
    ------
    ValueError
        If `x` has another shape, or holds values that are no numbers.
    ModelError
        If the model cannot be used, or looks at something that cannot be made from log-mel.
    """
    windows = np.asarray(x)
    if windows.ndim != 3 or windows.shape[1:] != MEL.shape:
        expected = ", ".join(map(str, MEL.shape))
        raise ValueError(f"x must have shape (n, {expected}), got {windows.shape}")
    if not np.issubdtype(windows.dtype, np.floating):
        raise ValueError(f"x must hold floats, got {windows.dtype}")
    unfit = np.count_nonzero(~np.isfinite(windows))
    if unfit:
        raise ValueError(f"x must hold finite numbers, got {unfit} that are not")
    classifier = _load(model, device, _state_of(model))
    parts = [
        _predict(classifier, windows[start : start + _PIECE].astype(np.float32))
        for start in range(0, len(windows), _PIECE)
    ]
    if not parts:
        info = classifier.info
        return np.empty((0, len(info.labels)), np.float32), np.empty(
            (0, info.dimension), np.float32
        )
    return np.concatenate([p for p, _ in parts]), np.concatenate([e for _, e in parts])


def _state_of(model: Path | None) -> tuple[tuple[int, int], ...]:
    """Return what changes when the files of a model are written anew."""
    if model is None:
        return ()
    files = (model, description_path(model) if is_onnx(model) else card_path(model))
    states = [path.stat() for path in files if path.exists()]
    return tuple((state.st_mtime_ns, state.st_size) for state in states)


@lru_cache(maxsize=2)
def _load(
    model: Path | None,
    device: str,
    state: tuple[tuple[int, int], ...],  # noqa: ARG001 (another one, another model)
) -> Classifier:
    """Load a model once for many calls."""
    return Classifier.load(model, device)


def _predict(classifier: Classifier, windows: FloatArray) -> tuple[FloatArray, FloatArray]:
    features = classifier.features
    if isinstance(features, CompressedMel):
        pictures = from_log_mel(windows, target=features)
    elif isinstance(features, LogMel) and features.shape == MEL.shape:
        pictures = windows
    else:
        raise ModelError(
            f"{classifier.info.name} looks at {features.kind} of shape {features.shape}, which"
            f" log-mel windows of shape {MEL.shape} cannot give",
            "Use the model that ships, or one that was trained on log-mel windows of 3 s.",
        )
    pooled = classifier.scores(list(pictures[:, np.newaxis]))
    probabilities = softmax(pooled.logits, classifier.card.temperature).astype(np.float32)
    return probabilities, pooled.embeddings
