"""From a model file to a network that listens, with PyTorch or without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.checkpoint import (
    DEFAULT_MODEL,
    REPLACE_HINT,
    ModelCard,
    card_path,
    is_onnx,
    load_card,
    read_weights,
)
from recsys.classifier.devices import is_processor, resolve_device
from recsys.classifier.musicnn_arrays import MusicnnArrays, fits
from recsys.errors import ModelError
from recsys.types import Effort

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from recsys.classifier.network import Network


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """Where a process finds a model with which it can listen itself.

    Attributes
    ----------
    checkpoint : Path or None
        The ``.safetensors`` file; None for the shipped model.
    effort : str
        How many windows of a track it analyses, an :class:`~recsys.types.Effort`.
    """

    checkpoint: Path | None
    effort: str


def load_network(path: Path | None = None, device: str = "auto") -> tuple[Network, ModelCard]:
    """Load a model to listen with, in the quickest way that there is for it.

    Parameters
    ----------
    path : Path, optional
        The ``.safetensors`` or ``.onnx`` file; the shipped model if None.
    device : str
        See :func:`recsys.classifier.devices.resolve_device`.

    Returns
    -------
    network : Network
    card : ModelCard

    Raises
    ------
    ModelError
        As :func:`load_model`, and if the device is not there.
    """
    path = path or DEFAULT_MODEL
    if not is_onnx(path) and _fits_any_process(card := load_card(path), device):
        return _load_arrays(path, card), card
    from recsys.classifier.torch_network import for_inference

    found = resolve_device(device)
    model, card = load_model(path)
    if card.architecture == "onnx":
        if device not in ("auto", "cpu"):
            raise ModelError(
                f"an ONNX model runs on the processor, not on {device!r}", "Leave --device out."
            )
        found = resolve_device("cpu")
    return for_inference(model, found), card


def place_for_any_process(
    path: Path | None, device: str = "auto", effort: str = Effort.FULL
) -> ModelPlace | None:
    """Return the place of a model that is small and ready at once; None for any other.

    Every process that decodes may have such a model of its own.

    Parameters
    ----------
    path, device
        As for :func:`load_network`.
    effort : str
        As in :class:`ModelPlace`.

    Raises
    ------
    ModelError
        If the card cannot be read or the device is not there.
    """
    if path is not None and is_onnx(path):
        return None
    return ModelPlace(path, effort) if _fits_any_process(load_card(path), device) else None


def _fits_any_process(card: ModelCard, device: str) -> bool:
    return fits(card) and is_processor(device)


def _load_arrays(path: Path, card: ModelCard) -> MusicnnArrays:
    """Load a model that fits any process."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        network = MusicnnArrays(load(read_weights(path, card)), card)
        logits, embeddings, *_ = network.of_windows(np.zeros((1, *card.features.shape), np.float32))
        of_tracks = network.of_tracks(embeddings)
    except (SafetensorError, KeyError, ValueError, IndexError) as error:
        raise _not_its_weights(path) from error
    if (logits if of_tracks is None else of_tracks).shape[1] != len(card.labels):
        raise _not_its_weights(path)
    _check_dimension(path, embeddings.shape[1], card)
    return network


def load_model(path: Path | None = None) -> tuple[nn.Module, ModelCard]:
    """Load a model and check that weights and card belong together.

    Parameters
    ----------
    path : Path, optional
        The ``.safetensors`` or ``.onnx`` file; the shipped model if None.

    Returns
    -------
    model : nn.Module
        On the CPU, in evaluation mode.
    card : ModelCard

    Raises
    ------
    ModelError
        If a file is missing, damaged, foreign, of a newer version, or belongs to another card.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from recsys.classifier.models import build_model

    path = path or DEFAULT_MODEL
    if is_onnx(path):
        from recsys.classifier.onnx_card import load_onnx

        return load_onnx(path)
    card = load_card(path)
    weights = read_weights(path, card)
    model = build_model(card.architecture, len(card.labels), card.features.shape, card.config)
    try:
        model.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError) as error:
        raise _not_its_weights(path) from error
    model.eval()
    with torch.inference_mode():
        _, embeddings, *_ = model(torch.zeros(1, *card.features.shape))
    _check_dimension(path, embeddings.shape[-1], card)
    return model, card


def _not_its_weights(path: Path) -> ModelError:
    return ModelError(f"{path} does not hold the weights its card describes", REPLACE_HINT)


def _check_dimension(path: Path, found: int, card: ModelCard) -> None:
    """Raise if the embedding is not as long as the card says; an index relies on it."""
    if found != card.dimension:
        raise ModelError(
            f"{card_path(path)} cannot be used: dimension: {card.dimension}, but the embedding of"
            f" {path.name} has {found}",
            REPLACE_HINT,
        )
