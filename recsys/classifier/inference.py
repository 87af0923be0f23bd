"""Listening: log-mel windows of tracks in, probabilities and embeddings out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from recsys.classifier.calibrate import softmax
from recsys.classifier.checkpoint import load_model
from recsys.classifier.pooling import pooled_scores
from recsys.errors import ModelError
from recsys.types import Analysis

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from recsys.classifier.checkpoint import ModelCard
    from recsys.features import Features
    from recsys.types import FloatArray, ModelInfo


def resolve_device(name: str = "auto") -> torch.device:
    """Find the device to compute on.

    Parameters
    ----------
    name : str
        ``auto`` (the best there is), ``cpu``, ``cuda`` or ``mps``.

    Returns
    -------
    torch.device

    Raises
    ------
    ModelError
        If the device is not known or not there; there is no silent fall to the CPU.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(device for device, there in present.items() if there))
    if name not in present:
        raise ModelError(f"unknown device {name!r}", f"Known are auto, {', '.join(present)}.")
    if not present[name]:
        raise ModelError(
            f"the device {name!r} is not available here",
            "Use --device cpu, or install a PyTorch that supports it.",
        )
    return torch.device(name)


class Classifier:
    """A model that is ready to listen.

    Parameters
    ----------
    model : nn.Module
        Windows to (logits, embedding).
    card : ModelCard
        What the model is.
    device : torch.device
        Where it computes.
    """

    def __init__(self, model: nn.Module, card: ModelCard, device: torch.device) -> None:
        self.card = card
        self.info: ModelInfo = card.info()
        self._device = device
        # PyTorch's stubs lack the overload with a memory format alone.
        self._model = model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    @classmethod
    def load(cls, path: Path | None = None, device: str = "auto") -> Classifier:
        """Load a model from disk.

        Parameters
        ----------
        path : Path, optional
            The ``.safetensors`` file; the shipped model if None.
        device : str
            See :func:`resolve_device`.

        Returns
        -------
        Classifier

        Raises
        ------
        ModelError
            If the model cannot be used or the device is not there.
        """
        found = resolve_device(device)
        model, card = load_model(path)
        return cls(model, card, found)

    @property
    def features(self) -> Features:
        """What the model looks at."""
        return self.card.features

    def scores(self, tracks: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Return pooled logits and unit embeddings, before calibration.

        Parameters
        ----------
        tracks : sequence of ndarray, each (n_windows, *shape)
            What ``features`` computes of each track.

        Returns
        -------
        logits : ndarray of float32, shape (n_tracks, n_genres)
        embeddings : ndarray of float32, shape (n_tracks, d)

        Raises
        ------
        ValueError
            If a track has no windows or windows of another size.
        """
        size = self.features.shape
        for windows in tracks:
            if len(windows) == 0 or windows.shape[1:] != size:
                wanted = ", ".join(map(str, size))
                raise ValueError(f"windows must have shape (n, {wanted}), got {windows.shape}")
        return pooled_scores(self._model, tracks, self._device)

    def analyse(self, tracks: Sequence[FloatArray]) -> list[Analysis]:
        """Listen to tracks.

        Parameters
        ----------
        tracks : sequence of ndarray, each (n_windows, *shape)
            What ``features`` computes of each track.

        Returns
        -------
        list of Analysis
            In the order of `tracks`. What is said of a track does not depend on the others.

        Raises
        ------
        ValueError
            If a track has no windows or windows of another size.
        """
        if not tracks:
            return []
        logits, embeddings = self.scores(tracks)
        probabilities = softmax(logits, self.card.temperature).astype(np.float32)
        return [
            Analysis(row, embedding, self.info.fingerprint)
            for row, embedding in zip(probabilities, embeddings, strict=True)
        ]
