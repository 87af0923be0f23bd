"""Listening: log-mel windows of tracks in, probabilities, embeddings and tag scores out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from recsys.classifier.calibrate import softmax
from recsys.classifier.card import (
    DEFAULT_MODEL,
    REPLACE_HINT,
    ModelCard,
    card_path,
    is_onnx,
    load_card,
    read_weights,
)
from recsys.classifier.musicnn import MusicnnArrays, fits
from recsys.errors import ModelError
from recsys.registry import Registry, find
from recsys.types import Analysis, Effort

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import nn

    from recsys.mel import Features
    from recsys.types import FloatArray, IdArray, ModelInfo

# What a network is to those who listen with it, whatever computes it.


class Network(Protocol):
    """A network that is ready to listen; arrays in, arrays out."""

    def of_windows(self, windows: FloatArray) -> tuple[FloatArray, ...]:
        """Listen to windows.

        Parameters
        ----------
        windows : ndarray of float32, shape (n, *shape)
            At least one, of any tracks.

        Returns
        -------
        logits : ndarray of float32, shape (n, n_genres)
        embeddings : ndarray of float32, shape (n, d)
            Not yet of unit length.
        tag_logits : ndarray of float32, shape (n, n_tags), optional
            Only of a network with tags.
        """

    def of_tracks(self, embeddings: FloatArray) -> FloatArray | None:
        """Map unit embeddings of tracks (n, d) to logits (n, n_genres).

        None for a network whose logits are the means of those of its windows.
        """


# Where to compute: what the user may name, and what there is.


DEVICES = ("auto", "cpu", "cuda", "mps")

_TRACES = (
    *("/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/nvgpu", "/dev/kfd", "/dev/dxg"),
    r"C:\Windows\System32\nvcuda.dll",
)
"""What drivers of accelerators leave: NVIDIA's, AMD's, that of Linux under Windows, Windows'."""


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
    import torch

    _check_known(name)
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(device for device, there in present.items() if there))
    if not present[name]:
        raise ModelError(
            f"the device {name!r} is not available here",
            "Use --device cpu, or install a PyTorch that supports it.",
        )
    return torch.device(name)


def is_processor(name: str) -> bool:
    """Return whether a device is the processor, without loading PyTorch where that can be told.

    Loading it takes seconds. For ``auto`` it is asked only where a driver has left its traces.

    Raises
    ------
    ModelError
        As :func:`resolve_device` does.
    """
    _check_known(name)
    if name == "cpu" or (name == "auto" and not _may_have_accelerator()):
        return True
    return resolve_device(name).type == "cpu"


def _check_known(name: str) -> None:
    if name not in DEVICES:
        raise ModelError(f"unknown device {name!r}", f"Known are {', '.join(DEVICES)}.")


def _may_have_accelerator() -> bool:
    return sys.platform == "darwin" or any(Path(trace).exists() for trace in _TRACES)


# From windows to tracks: bounded batches through the network, then means over each track.


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


# From a model file to a network that listens, with PyTorch or without it.


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
        See :func:`recsys.classifier.inference.resolve_device`.

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
    found = resolve_device(device)
    model, card = load_model(path)
    if card.architecture == "onnx":
        if device not in ("auto", "cpu"):
            raise ModelError(
                f"an ONNX model runs on the processor, not on {device!r}", "Leave --device out."
            )
        found = resolve_device("cpu")
    network: Network = find(Registry.RUNTIMES, "torch").for_inference(model, found)
    return network, card


def place_for_any_process(
    path: Path | None, device: str = "auto", effort: Effort = Effort.FULL
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

    path = path or DEFAULT_MODEL
    if is_onnx(path):
        loaded: tuple[nn.Module, ModelCard] = find(Registry.RUNTIMES, "onnx").load_onnx(path)
        return loaded
    card = load_card(path)
    weights = read_weights(path, card)
    torch_runtime = find(Registry.RUNTIMES, "torch")
    model: nn.Module = torch_runtime.build_model(
        card.architecture, len(card.labels), card.features.shape, card.config
    )
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


# ----------------------------------------------------------------------


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
            See :func:`recsys.classifier.inference.resolve_device`.
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
