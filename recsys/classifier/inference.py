"""Inference: windows of tracks in; probabilities, unit embeddings and tag scores out.

The shipped architecture runs in NumPy. Any other model runs in the runtime that a wing registers:
PyTorch for the other checkpoints, onnxruntime for ONNX files.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from recsys.classifier.card import (
    DEFAULT_MODEL,
    REPLACE_HINT,
    ModelCard,
    card_path,
    is_onnx,
    load_card,
    read_tensors,
    wrong_weights,
)
from recsys.classifier.musicnn import MusicnnArrays, fits
from recsys.errors import MissingExtraError, ModelError, install_command
from recsys.registry import Registry, find
from recsys.types import Analysis, Effort

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recsys.mel import Features
    from recsys.types import FloatArray, IdArray, ModelInfo

WINDOWS_PER_BATCH = 64
"""Windows in one forward pass: enough to keep a network busy, few enough for memory."""

NETWORK_PREFIX = "network."
"""Of the tensors of a network whose genres come from a head over whole tracks."""


class Device(StrEnum):
    """Where a model runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


class Network(Protocol):
    """A network in any runtime; arrays in, arrays out."""

    def of_windows(self, windows: FloatArray) -> tuple[FloatArray, ...]:
        """Run the network on windows.

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


@dataclass(frozen=True, slots=True)
class LinearHead:
    """Genre logits as a linear function of a track's unit embedding."""

    weight: FloatArray  # (n_genres, d)
    bias: FloatArray  # (n_genres,)

    def logits(self, embeddings: FloatArray) -> FloatArray:
        """Map unit embeddings (n, d) to logits (n, n_genres), before calibration."""
        return embeddings @ self.weight.T + self.bias


class Pooled(NamedTuple):
    """Outputs of a network averaged over each track, before calibration."""

    logits: FloatArray  # (n_tracks, n_genres): mean over the windows, or of the head
    embeddings: FloatArray  # (n_tracks, d): mean over the windows, scaled to unit length
    tag_logits: FloatArray  # (n_tracks, n_tags): mean over the windows; n_tags may be 0


def pooled_outputs(
    network: Network,
    tracks: Sequence[FloatArray],
    head: LinearHead | None = None,
    windows_per_batch: int = WINDOWS_PER_BATCH,
) -> Pooled:
    """Run a network over the windows of tracks, each (n_windows, *shape), and average per track.

    Every track needs a window. A head gives the genres instead of the network; at most
    `windows_per_batch` windows are in memory at a time.
    """
    # Tracks share batches, so that short ones do not leave them half empty.
    windows = chain.from_iterable(tracks)
    parts: list[tuple[FloatArray, ...]] = []
    while chunk := list(islice(windows, windows_per_batch)):
        parts.append(network.of_windows(np.stack(chunk).astype(np.float32, copy=False)))
    bounds = np.cumsum([0] + [len(windows) for windows in tracks])[:-1]
    counts = np.asarray([[len(windows)] for windows in tracks], dtype=np.float32)
    logits, embeddings, *tags = (
        _means(np.concatenate(rows), bounds, counts) for rows in zip(*parts, strict=True)
    )
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    units = embeddings / np.maximum(lengths, np.float32(1e-12))
    no_tags = np.empty((len(tracks), 0), dtype=np.float32)
    return Pooled(head.logits(units) if head else logits, units, tags[0] if tags else no_tags)


def _means(rows: FloatArray, bounds: IdArray, counts: FloatArray) -> FloatArray:
    """Average consecutive rows; a track begins at each of the bounds."""
    sums: FloatArray = np.add.reduceat(rows, bounds, axis=0)
    return sums / counts


# Loading a model, and where it runs.


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """Where a worker process finds a model that it can run itself."""

    checkpoint: Path | None  # the ``.safetensors`` file; None for the shipped model
    effort: str  # an Effort


def check_device(name: str) -> None:
    """Raise ModelError or MissingExtraError unless a device is known and can be used here."""
    if name not in tuple(Device):
        raise ModelError(f"unknown device {name!r}", f"Known are {', '.join(Device)}.")
    if name not in (Device.AUTO, Device.CPU):
        _runtime("torch", f"the device {name!r}").resolve_device(name)


def place_for_any_process(
    path: Path | None, device: str = Device.AUTO, effort: Effort = Effort.FULL
) -> ModelPlace | None:
    """Return the place of a model that every worker process can run itself, None for any other.

    Such a model runs in NumPy: it is small, and ready as soon as it is read. Raises ModelError if
    the card cannot be read.
    """
    if path is not None and is_onnx(path):
        return None
    return ModelPlace(path, effort) if _runs_in_numpy(load_card(path), device) else None


def load_head(path: Path, card: ModelCard) -> LinearHead:
    """Read the head over whole tracks of a model, without its network; raises ModelError."""
    return _head_of(read_tensors(path, card), path)


def _runs_in_numpy(card: ModelCard, device: str) -> bool:
    return fits(card) and device in (Device.AUTO, Device.CPU)


def _runtime(name: str, needed_by: str) -> Any:  # noqa: ANN401 (a module of a wing)
    try:
        return find(Registry.RUNTIMES, name)
    except ModuleNotFoundError as error:
        extra = {"torch": "train"}.get(name, name)
        raise MissingExtraError(
            f"{needed_by} needs {error.name}, which is not installed",
            f"Install it with: {install_command(extra)}",
        ) from error


def _network_of(path: Path, card: ModelCard, device: str) -> tuple[Network, LinearHead | None]:
    """Load the network of a checkpoint, and its head over whole tracks where it has one."""
    tensors = read_tensors(path, card)
    head = None
    if "track_head" in card.config:
        head = _head_of(tensors, path)
        tensors = network_tensors(tensors)
        if head.weight.shape != (len(card.labels), card.dimension):
            raise wrong_weights(path)
    network: Network
    if _runs_in_numpy(card, device):
        try:
            with np.errstate(all="ignore"):  # check_outputs finds what is not finite
                network = MusicnnArrays(tensors, card)
        except (KeyError, ValueError, IndexError, TypeError, OverflowError) as error:
            raise wrong_weights(path) from error
    else:
        name = "onnx" if card.architecture == "onnx" else "torch"
        network = _runtime(name, f"the model {path.name}").network_of(card, tensors, path, device)
    check_outputs(network, card, path)
    return network, head


def check_outputs(network: Network, card: ModelCard, path: Path) -> None:
    """Raise unless the outputs have the sizes of the card; an index relies on the dimension."""
    try:
        silence = np.zeros((1, *card.features.shape), np.float32)
        with np.errstate(all="ignore"):
            logits, embeddings, *tags = network.of_windows(silence)
            # Squared, because an embedding is divided by its length.
            squares = np.square(embeddings.astype(np.float32))
            finite = all(np.isfinite(rows).all() for rows in (logits, squares, *tags))
    except (ValueError, IndexError, TypeError) as error:
        raise wrong_weights(path) from error
    if not finite:
        raise ModelError(
            f"{path} gives numbers that are not finite: its weights are damaged", REPLACE_HINT
        )
    if logits.shape[1] != n_network_genres(card):
        raise wrong_weights(path)
    if embeddings.shape[1] != card.dimension:
        raise ModelError(
            f"{card_path(path)} cannot be used: dimension: {card.dimension}, but the embedding of"
            f" {path.name} has {embeddings.shape[1]}",
            REPLACE_HINT,
        )


def _head_of(tensors: Mapping[str, FloatArray], path: Path) -> LinearHead:
    try:
        return LinearHead(tensors["genres.weight"], tensors["genres.bias"])
    except KeyError as error:
        raise wrong_weights(path) from error


def network_tensors(tensors: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return the tensors of the network below a head over whole tracks, by their own names."""
    return {
        name.removeprefix(NETWORK_PREFIX): value
        for name, value in tensors.items()
        if name.startswith(NETWORK_PREFIX)
    }


def n_network_genres(card: ModelCard) -> int:
    """Return the number of genres of the network itself, which a head may replace by others."""
    return int(card.config.get("track_head", {}).get("network_genres", len(card.labels)))


class Classifier:
    """A model that is ready for inference.

    Parameters
    ----------
    network : Network
    card : ModelCard
    head : LinearHead, optional
        Gives the genres of whole tracks instead of the network.
    place : ModelPlace, optional
        Where worker processes find the same model, if they can run it.
    """

    def __init__(
        self,
        network: Network,
        card: ModelCard,
        head: LinearHead | None = None,
        place: ModelPlace | None = None,
    ) -> None:
        self.network = network
        self.card = card
        self.head = head
        self.place = place
        self.info: ModelInfo = card.info()

    @classmethod
    def load(
        cls, path: Path | None = None, device: str = Device.AUTO, effort: str = Effort.FULL
    ) -> Classifier:
        """Load a model from disk.

        Parameters
        ----------
        path : Path, optional
            The ``.safetensors`` or ``.onnx`` file; the shipped model if None.
        device : str
            One of :class:`Device`. ``auto`` is NumPy for the shipped architecture, and the best
            device that there is for any other.
        effort : str
            How many windows of a track it analyses, an :class:`~recsys.types.Effort`.

        Returns
        -------
        Classifier

        Raises
        ------
        ModelError
            If the model cannot be used or the device is not there.
        MissingExtraError
            If the model or the device needs a library that is not installed.
        """
        check_device(device)
        path = path or DEFAULT_MODEL
        if is_onnx(path):
            network, card = _runtime("onnx", f"the model {path.name}").load(path, device)
            return cls(network, card.at_effort(effort))
        card = load_card(path)
        network, head = _network_of(path, card, device)
        shipped = None if path == DEFAULT_MODEL else path
        place = ModelPlace(shipped, effort) if _runs_in_numpy(card, device) else None
        return cls(network, card.at_effort(effort), head, place)

    @property
    def features(self) -> Features:
        """Input of the network."""
        return self.card.features

    def scores(self, tracks: Sequence[FloatArray]) -> Pooled:
        """Return pooled logits, unit embeddings and pooled tag logits, before calibration.

        Takes the outputs of ``features.compute`` for each track; there are no tag logits where the
        card names no tags. Raises ModelError if the network has other tags than the card, and
        ValueError if a track has no windows or windows of another size.
        """
        size = self.features.shape
        for windows in tracks:
            if len(windows) == 0 or windows.shape[1:] != size:
                wanted = ", ".join(map(str, size))
                raise ValueError(f"windows must have shape (n, {wanted}), got {windows.shape}")
        pooled = pooled_outputs(self.network, tracks, self.head)
        given, named = pooled.tag_logits.shape[1], len(self.card.tags)
        if named and given != named:
            raise ModelError(
                f"the model {self.card.name} gives {given} tags, its card names {named}",
                "The model and its card do not belong together; choose another with --model.",
            )
        return pooled if named else pooled._replace(tag_logits=pooled.tag_logits[:, :0])

    def analyse(self, tracks: Sequence[FloatArray]) -> list[Analysis]:
        """Return one analysis per track, in order; no track changes that of another.

        Parameters
        ----------
        tracks : sequence of ndarray, each (n_windows, *shape)
            Outputs of ``features.compute`` for each track.

        Raises
        ------
        ValueError
            If a track has no windows or windows of another size.
        """
        if not tracks:
            return []
        pooled = self.scores(tracks)
        probabilities = self.card.probabilities(pooled.logits, [len(own) for own in tracks])
        # As a hyperbolic tangent, because the exponential of a large logit would overflow.
        tags = ((1 + np.tanh(pooled.tag_logits.astype(np.float64) / 2)) / 2).astype(np.float32)
        return [
            Analysis(row, embedding, self.info.fingerprint, scores, self.info.effort)
            for row, embedding, scores in zip(probabilities, pooled.embeddings, tags, strict=True)
        ]
