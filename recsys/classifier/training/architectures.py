"""Networks in PyTorch: built by the name of their architecture, loaded, saved and run.

Every architecture is a module that maps windows (b, *shape) to ``(logits (b, n_genres),
embedding (b, d))`` and perhaps tag logits; its constructor takes ``n_genres``, the ``shape`` of an
input and its own sizes.
"""

from __future__ import annotations

import inspect
import math
import platform
from bisect import bisect_left
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.classifier.card import (
    DEFAULT_MODEL,
    ModelCard,
    load_card,
    read_tensors,
    write_model,
    wrong_weights,
)
from recsys.classifier.inference import (
    Device,
    check_outputs,
    n_network_genres,
    network_tensors,
)
from recsys.errors import ModelError
from recsys.registry import Registry, find, registered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from recsys.classifier.calibrate import Calibration
    from recsys.mel import Features
    from recsys.types import FloatArray, IdArray

# Whether an input fits a network, checked before any training.

LARGEST_SIDE = 4096
"""Pixels; up to here the smallest input that fits is searched for."""

_CONFIG_HINT = "Correct the sizes of the model, in the recipe or in the model card."


def positive_sizes(name: str, values: Sequence[int], count: int | None = None) -> tuple[int, ...]:
    """Return sizes from a recipe or a card; raise ModelError unless they are positive integers."""
    sizes = tuple(values) if isinstance(values, (list, tuple)) else ()
    whole = all(isinstance(size, int) and not isinstance(size, bool) for size in sizes)
    if not sizes or not whole or min(sizes) < 1:
        raise ModelError(f"{name} must be positive whole numbers, got {values!r}", _CONFIG_HINT)
    if count is not None and len(sizes) != count:
        raise ModelError(f"{name} must be {count} numbers, got {values!r}", _CONFIG_HINT)
    return sizes


def check_axes(shape: Sequence[int], *layouts: tuple[str, ...]) -> tuple[int, ...]:
    """Return the shape of an input; raise ModelError unless it has the axes of a layout."""
    sides = tuple(shape)
    if len(sides) not in map(len, layouts) or min(sides, default=0) < 1:
        wanted = " or ".join(f"({', '.join(names)})" for names in layouts)
        raise ModelError(
            f"inputs of shape {sides} do not fit this model, which reads {wanted}",
            "Choose the features that the model is meant for.",
        )
    return sides


def check_image(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return channels, height and width of a two-dimensional input; ModelError for any other."""
    sides = check_axes(shape, ("height", "width"), ("channels", "height", "width"))
    channels, height, width = (1, *sides) if len(sides) == 2 else sides
    return channels, height, width


def image_after(trunk: nn.Sequential, image: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the size after convolutions, pools and zero padding; 0 or less if it is too small."""
    # From the settings alone: a forward pass would cost seconds in the largest networks, and
    # PyTorch's meta device most of a second to import, whenever a model is loaded.
    channels, height, width = image
    for layer in trunk:
        if isinstance(layer, nn.Sequential):
            channels, height, width = image_after(layer, (channels, height, width))
        elif isinstance(layer, nn.ZeroPad2d):
            left, right, top, bottom = layer.padding
            height, width = height + top + bottom, width + left + right
        elif isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            height, width = (
                _side_after(layer, side, axis) for axis, side in ((0, height), (1, width))
            )
            channels = layer.out_channels if isinstance(layer, nn.Conv2d) else channels
    return channels, height, width


def _side_after(layer: nn.Conv2d | nn.MaxPool2d, side: int, axis: int) -> int:
    settings = (layer.kernel_size, layer.stride, layer.padding)
    kernel, stride, padding = (
        int(value[axis]) if isinstance(value, tuple) else int(value) for value in settings
    )
    # What is used up stays so, even where a later layer would pad it.
    return (side + 2 * padding - kernel) // stride + 1 if side > 0 else 0


def flat_size(trunk: nn.Sequential, image: tuple[int, int, int]) -> int:
    """Return the number of values after convolutions and pools; ModelError if it is too small."""
    left = image_after(trunk, image)
    if min(left) > 0:
        return math.prod(left)
    _, height, width = image
    needed = [_smallest_side(trunk, axis) for axis in (1, 2)]
    raise ModelError(
        f"an input of {height} x {width} is too small for the convolutions and pools of this model",
        f"It needs {needed[0]} x {needed[1]} at least; or give the model smaller pools.",
    )


def _smallest_side(trunk: nn.Sequential, axis: int) -> int:
    sides = range(1, LARGEST_SIDE)
    return 1 + bisect_left(sides, 1, key=lambda side: image_after(trunk, (1, side, side))[axis])


# What may be put around a network.

PIECE = 256
"""Inputs that are averaged together."""


class Standardised(nn.Module):
    """A network on inputs standardised by the training set, each value of a vector on its own."""

    shift: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network = network
        size = tuple(shape) if len(shape) == 1 else (1,) * len(shape)
        self.register_buffer("shift", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def fit(self, inputs: npt.NDArray[np.floating], rows: IdArray) -> None:
        """Fit shift and scale to some rows; a constant value is only shifted."""
        # In pieces: all inputs in double precision would be many gigabytes.
        axes = 0 if self.shift.ndim == 1 else None
        parts = [rows[start : start + PIECE] for start in range(0, len(rows), PIECE)]
        sizes = np.asarray([len(part) for part in parts]) / len(rows)
        means = [inputs[part].mean(axis=axes, dtype="float64") for part in parts]
        mean = np.tensordot(sizes, means, 1)
        variances = [
            np.square(inputs[part].astype("float64") - mean).mean(axis=axes) for part in parts
        ]
        deviation = np.sqrt(np.tensordot(sizes, variances, 1))
        self.shift.copy_(torch.as_tensor(mean).reshape(self.shift.shape))
        spread = torch.as_tensor(deviation).reshape(self.scale.shape)
        self.scale.copy_(torch.where(spread > 1e-12, spread, torch.ones_like(spread)))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, *shape) to logits (b, n_genres) and embedding (b, d)."""
        return self.network((inputs - self.shift) / self.scale)  # type: ignore[no-any-return]


class EachGenreAlone(nn.Module):
    """A network trained with a sigmoid per genre; its logits become log-probabilities."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, *shape) to log-probabilities (b, n_genres) and embedding (b, d)."""
        logits, embedding = self.network(inputs)
        return functional.logsigmoid(logits), embedding


# Networks by name.


def complete_config(architecture: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in an architecture's default sizes, so that a card stays true when they change."""
    parameters = inspect.signature(_architecture(architecture)).parameters.values()
    sizes = {p.name: p.default for p in parameters if p.name not in {"n_genres", "shape"}}
    whole = {**sizes, **config}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in whole.items()}


def build_model(
    architecture: str, n_genres: int, shape: tuple[int, ...], config: Mapping[str, Any]
) -> nn.Module:
    """Build a network with fresh weights for `n_genres` and inputs of a shape, without the batch.

    `config` holds further arguments of the constructor. ``standardise`` and ``each_genre_alone`` go
    with any architecture; ``track_head`` is not part of the network. Raises ModelError if the
    architecture or an argument is unknown or impossible, or inputs of this shape do not fit.
    """
    kind = _architecture(architecture)
    sizes = dict(config)
    standardise = sizes.pop("standardise", False)
    each_genre_alone = sizes.pop("each_genre_alone", False)
    sizes.pop("track_head", None)
    try:
        model = kind(n_genres=n_genres, shape=shape, **sizes)
    except TypeError as error:
        raise ModelError(
            f"the settings of this {architecture} model are not known: {error}",
            "It may have been made by a newer recsys; update recsys or use another model.",
        ) from error
    except (ValueError, RuntimeError, MemoryError) as error:
        raise ModelError(
            f"a {architecture} model cannot be made with {dict(config)}: {error}",
            "Correct the sizes of the model, in the recipe or in the model card.",
        ) from error
    if standardise:
        model = Standardised(model, tuple(shape))
    return EachGenreAlone(model) if each_genre_alone else model


def _architecture(name: str) -> type[nn.Module]:
    try:
        architecture: type[nn.Module] = find(Registry.ARCHITECTURES, name)
    except KeyError:
        known = ", ".join(registered(Registry.ARCHITECTURES))
        raise ModelError(
            f"unknown architecture {name!r}", f"Known are {known}; a newer recsys may know more."
        ) from None
    return architecture


# The runtime that the core finds by name.


class TorchNetwork:
    """A module on a device as a :class:`recsys.classifier.inference.Network`."""

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self.device = device
        self.module = module.to(device)

    def of_windows(self, windows: FloatArray) -> tuple[FloatArray, ...]:
        """See :meth:`recsys.classifier.inference.Network.of_windows`."""
        self.module.eval()
        with torch.inference_mode():
            outputs = self.module(torch.from_numpy(windows).to(self.device).float())
            return tuple(output.float().cpu().numpy() for output in outputs)


def network_of(
    card: ModelCard, tensors: Mapping[str, FloatArray], path: Path, device: str
) -> TorchNetwork:
    """Return the network that a card describes, on a device; `path` is named in errors."""
    module = _module_of(card, tensors, path)
    # PyTorch's stubs lack the overload with a memory format alone.
    found = resolve_device(device)
    module = module.to(found, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TorchNetwork(module, found)


def resolve_device(name: str = Device.AUTO) -> torch.device:
    """Return a device; ``auto`` is the best available.

    Raises ModelError if the device is unknown or unavailable; it never falls back to the CPU.
    """
    if name not in tuple(Device):
        raise ModelError(f"unknown device {name!r}", f"Known are {', '.join(Device)}.")
    present = {
        Device.CUDA: torch.cuda.is_available(),
        Device.MPS: torch.backends.mps.is_available(),
        Device.CPU: True,
    }
    if name == Device.AUTO:
        return torch.device(next(device for device, there in present.items() if there))
    if not present[Device(name)]:
        raise ModelError(
            f"the device {name!r} is not available here",
            "Use --device cpu, or install a PyTorch that supports it.",
        )
    return torch.device(name)


# Model files.


def load_model(path: Path | None = None) -> tuple[nn.Module, ModelCard]:
    """Load the network of a checkpoint as a module on the CPU, in evaluation mode.

    The shipped model if `path` is None; a head over whole tracks is left out. Raises ModelError if
    a file is missing, damaged, foreign, of a newer version, or belongs to another card.
    """
    path = path or DEFAULT_MODEL
    card = load_card(path)
    tensors = read_tensors(path, card)
    if "track_head" in card.config:
        tensors = network_tensors(tensors)
    module = _module_of(card, tensors, path)
    check_outputs(TorchNetwork(module, torch.device("cpu")), card, path)
    return module, card


def _module_of(card: ModelCard, tensors: Mapping[str, FloatArray], path: Path) -> nn.Module:
    module = build_model(
        card.architecture, n_network_genres(card), card.features.shape, card.config
    )
    try:
        # A copy: PyTorch warns of arrays that are read-only.
        module.load_state_dict({name: torch.tensor(value) for name, value in tensors.items()})
    except RuntimeError as error:
        raise wrong_weights(path) from error
    return module.eval()


def save_model(path: Path, model: nn.Module, card: ModelCard) -> ModelCard:
    """Write a module and its card; see :func:`recsys.classifier.card.write_model`."""
    weights = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
    return write_model(path, weights, card)


def make_card(
    model: nn.Module,
    architecture: str,
    config: Mapping[str, Any],
    *,
    name: str,
    labels: Sequence[str],
    features: Features,
    dimension: int,
    calibration: Calibration,
    training: Mapping[str, Any],
    metrics: Mapping[str, Any],
    **more: Any,  # noqa: ANN401 (further fields of the card)
) -> ModelCard:
    """Describe a trained network; the fingerprint is set when it is saved.

    `config` holds the sizes that differ from the defaults; `calibration` is of tracks that were not
    trained on. Parameter count and versions are added to `training`.
    """
    return ModelCard(
        name=name,
        architecture=architecture,
        config=complete_config(architecture, config),
        labels=tuple(labels),
        features=features,
        dimension=dimension,
        temperature=calibration.temperature,
        temperatures=calibration.temperatures,
        thresholds=calibration.thresholds,
        confusion=calibration.confusion,
        training={
            **training,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        metrics=dict(metrics),
        created=datetime.now(UTC).date().isoformat(),
        **more,
    )
