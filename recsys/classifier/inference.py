"""Listening: log-mel windows of tracks in, probabilities, embeddings and tag scores out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.calibrate import softmax
from recsys.classifier.loading import ModelPlace, load_network
from recsys.classifier.musicnn_arrays import MusicnnArrays
from recsys.classifier.pooling import Pooled, pooled_outputs
from recsys.errors import ModelError
from recsys.types import Analysis, Effort

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from recsys.classifier.checkpoint import ModelCard
    from recsys.classifier.network import Network
    from recsys.features import Features
    from recsys.types import FloatArray, ModelInfo


class Classifier:
    """A model that is ready to listen.

    Parameters
    ----------
    network : Network
        What computes.
    card : ModelCard
        What the model is.
    place : ModelPlace, optional
        Where processes find the same one, if it is one for any process.
    """

    def __init__(self, network: Network, card: ModelCard, place: ModelPlace | None = None) -> None:
        self.card = card
        self.place = place
        self.info: ModelInfo = card.info()
        self.network = network

    @classmethod
    def load(
        cls, path: Path | None = None, device: str = "auto", effort: str = Effort.FULL
    ) -> Classifier:
        """Load a model from disk.

        Parameters
        ----------
        path : Path, optional
            The ``.safetensors`` or ``.onnx`` file; the shipped model if None.
        device : str
            See :func:`recsys.classifier.devices.resolve_device`.
        effort : str
            How many windows of a track it analyses, an :class:`~recsys.types.Effort`.

        Returns
        -------
        Classifier

        Raises
        ------
        ModelError
            If the model cannot be used or the device is not there.
        """
        network, card = load_network(path, device)
        place = ModelPlace(path, effort) if isinstance(network, MusicnnArrays) else None
        return cls(network, card.at_effort(effort), place)

    @property
    def features(self) -> Features:
        """What the model looks at."""
        return self.card.features

    def scores(self, tracks: Sequence[FloatArray]) -> Pooled:
        """Return pooled logits, unit embeddings and pooled tag logits, before calibration.

        Parameters
        ----------
        tracks : sequence of ndarray, each (n_windows, *shape)
            What ``features`` computes of each track.

        Returns
        -------
        Pooled
            Without tag logits where the card names no tags.

        Raises
        ------
        ModelError
            If the model's tags are not as many as its card says.
        ValueError
            If a track has no windows or windows of another size.
        """
        size = self.features.shape
        for windows in tracks:
            if len(windows) == 0 or windows.shape[1:] != size:
                wanted = ", ".join(map(str, size))
                raise ValueError(f"windows must have shape (n, {wanted}), got {windows.shape}")
        pooled = pooled_outputs(self.network, tracks)
        given, named = pooled.tag_logits.shape[1], len(self.card.tags)
        if named and given != named:
            raise ModelError(
                f"the model {self.card.name} gives {given} tags, its card names {named}",
                "The model and its card do not belong together; choose another with --model.",
            )
        return pooled if named else pooled._replace(tag_logits=pooled.tag_logits[:, :0])

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
        pooled = self.scores(tracks)
        probabilities = softmax(pooled.logits, self.card.temperature).astype(np.float32)
        # As a hyperbolic tangent, because the exponential of a large logit would overflow.
        tags = ((1 + np.tanh(pooled.tag_logits.astype(np.float64) / 2)) / 2).astype(np.float32)
        return [
            Analysis(row, embedding, self.info.fingerprint, scores, self.info.effort)
            for row, embedding, scores in zip(probabilities, pooled.embeddings, tags, strict=True)
        ]
