"""The architectures, by the name they have in a model card, in a recipe and on the command line.

All share one interface: ``forward(windows (b, *shape))`` gives ``(logits (b, n_genres),
embedding (b, d))``, and the constructor takes ``n_genres`` and the ``shape`` of an input
beside its own sizes.
"""

from __future__ import annotations

import inspect
import math
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.errors import ModelError
from recsys.registry import Registry, find, registered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from recsys.types import FloatArray, IdArray

# Whether an input fits a network, found out before any training.


LARGEST_SIDE = 4096
"""Pixels; up to here the smallest picture that fits is looked for."""

_CONFIG_HINT = "Correct the sizes of the model, in the recipe or in the model card."


def positive_sizes(name: str, values: Sequence[int], count: int | None = None) -> tuple[int, ...]:
    """Check sizes that come from a recipe or a card.

    Parameters
    ----------
    name : str
        What the sizes are called there.
    values : sequence of int
        One or more sizes.
    count : int, optional
        How many there must be.

    Returns
    -------
    tuple of int

    Raises
    ------
    ModelError
        If it is not a sequence of positive whole numbers of that length.
    """
    sizes = tuple(values) if isinstance(values, (list, tuple)) else ()
    whole = all(isinstance(size, int) and not isinstance(size, bool) for size in sizes)
    if not sizes or not whole or min(sizes) < 1:
        raise ModelError(f"{name} must be positive whole numbers, got {values!r}", _CONFIG_HINT)
    if count is not None and len(sizes) != count:
        raise ModelError(f"{name} must be {count} numbers, got {values!r}", _CONFIG_HINT)
    return sizes


def check_axes(shape: Sequence[int], *layouts: tuple[str, ...]) -> tuple[int, ...]:
    """Check the number of axes of an input.

    Parameters
    ----------
    shape : sequence of int
        Of one input, without the batch.
    *layouts : tuple of str
        Names of the axes that a network can read, one tuple per layout.

    Returns
    -------
    tuple of int
        The shape.

    Raises
    ------
    ModelError
        If no layout has as many axes, or an axis is empty.
    """
    sides = tuple(shape)
    if len(sides) not in map(len, layouts) or min(sides, default=0) < 1:
        wanted = " or ".join(f"({', '.join(names)})" for names in layouts)
        raise ModelError(
            f"inputs of shape {sides} do not fit this model, which reads {wanted}",
            "Choose the features that the model is meant for.",
        )
    return sides


def check_picture(shape: Sequence[int]) -> tuple[int, int, int]:
    """Check that an input is a picture.

    Parameters
    ----------
    shape : sequence of int
        ``(height, width)`` of a grey picture, or ``(channels, height, width)``.

    Returns
    -------
    channels, height, width : int

    Raises
    ------
    ModelError
        If it is no picture.
    """
    sides = check_axes(shape, ("height", "width"), ("channels", "height", "width"))
    channels, height, width = (1, *sides) if len(sides) == 2 else sides
    return channels, height, width


def picture_after(trunk: nn.Sequential, picture: tuple[int, int, int]) -> tuple[int, int, int]:
    """Work out what convolutions and pools make of a picture, from their settings alone.

    A forward pass would cost seconds in the largest networks, and PyTorch's meta device most of
    a second to import: too much for something done whenever a model is loaded.

    Parameters
    ----------
    trunk : nn.Sequential
        Convolutions and max-pools without dilation, zero padding, and layers that keep the size.
    picture : (int, int, int)
        Channels, height and width.

    Returns
    -------
    channels, height, width : int
        Zero or less where the picture is too small.
    """
    channels, height, width = picture
    for layer in trunk:
        if isinstance(layer, nn.Sequential):
            channels, height, width = picture_after(layer, (channels, height, width))
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


def flat_size(trunk: nn.Sequential, picture: tuple[int, int, int]) -> int:
    """Count the values that convolutions and pools make of a picture.

    Parameters
    ----------
    trunk : nn.Sequential
        As for :func:`picture_after`.
    picture : (int, int, int)
        Channels, height and width.

    Returns
    -------
    int

    Raises
    ------
    ModelError
        If the picture is too small; the hint says what is needed.
    """
    left = picture_after(trunk, picture)
    if min(left) > 0:
        return math.prod(left)
    _, height, width = picture
    needed = [_smallest_side(trunk, axis) for axis in (1, 2)]
    raise ModelError(
        f"a picture of {height} x {width} is too small for the convolutions and pools of this"
        " model",
        f"It needs {needed[0]} x {needed[1]} at least; or give the model smaller pools.",
    )


def _smallest_side(trunk: nn.Sequential, axis: int) -> int:
    sides = range(1, LARGEST_SIDE)
    return 1 + bisect_left(sides, 1, key=lambda side: picture_after(trunk, (1, side, side))[axis])


# What may stand around a network: scaling before it, and another reading of what comes out.


PIECE = 256
"""Inputs that are looked at together."""


class Standardised(nn.Module):
    """A network whose inputs are shifted and scaled first, by what the training set has taught.

    Parameters
    ----------
    network : nn.Module
        Sees inputs of mean 0 and variance 1.
    shape : tuple of int
        Of one input. The values of a vector are scaled each on its own, those of a picture
        all alike.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network = network
        size = tuple(shape) if len(shape) == 1 else (1,) * len(shape)
        self.register_buffer("shift", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def fit(self, inputs: npt.NDArray[np.floating], rows: IdArray) -> None:
        """Learn shift and scale.

        Parameters
        ----------
        inputs : ndarray, shape (n, *shape)
            Read in pieces: all pictures in double precision would be many gigabytes.
        rows : ndarray of int64, shape (n_train,)
            The training set, at least one. A value that never changes is only shifted.
        """
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
    """A network whose outputs are one yes or no for each genre.

    It gives logarithms of those probabilities, of which a softmax makes shares in proportion.

    Parameters
    ----------
    network : nn.Module
        Trained with a sigmoid for each genre.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, *shape) to log-probabilities (b, n_genres) and embedding (b, d)."""
        logits, embedding = self.network(inputs)
        return functional.logsigmoid(logits), embedding


class TrackHead(nn.Module):
    """A network whose genres are read off the embedding of the whole track.

    The genres of the network itself are kept in its weights and not used.

    Parameters
    ----------
    network : nn.Module
        Its embeddings and tags stay as they are.
    dimension : int
        Length of its embedding.
    n_genres : int
        Number of labels of the head.
    """

    def __init__(self, network: nn.Module, dimension: int, n_genres: int) -> None:
        super().__init__()
        self.network = network
        self.genres = nn.Linear(dimension, n_genres)

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Map (b, *shape) to (logits (b, n_genres), embedding (b, d), *rest): windows as tracks."""
        _, embedding, *rest = self.network(inputs)
        return self.genres(functional.normalize(embedding)), embedding, *rest

    def of_tracks(self, embeddings: Tensor) -> Tensor:
        """Map unit embeddings of tracks (n, d) to logits (n, n_genres)."""
        return self.genres(embeddings)  # type: ignore[no-any-return]


# Networks that PyTorch computes, on whatever device it can.


class TorchNetwork:
    """A module as a :class:`recsys.classifier.inference.Network`.

    Parameters
    ----------
    module : nn.Module
        Windows to (logits, embedding) or (logits, embedding, tag_logits).
    device : torch.device
        Where it computes; the module is moved there.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self.device = device
        self.module = module.to(device)

    def of_windows(self, windows: FloatArray) -> tuple[FloatArray, ...]:
        """See :meth:`recsys.classifier.inference.Network.of_windows`."""
        self.module.eval()
        with torch.inference_mode():
            outputs = self.module(torch.from_numpy(windows).to(self.device).float())
            return tuple(output.float().cpu().numpy() for output in outputs)

    def of_tracks(self, embeddings: FloatArray) -> FloatArray | None:
        """See :meth:`recsys.classifier.inference.Network.of_tracks`."""
        if not isinstance(self.module, TrackHead):
            return None
        with torch.inference_mode():
            logits: FloatArray = (
                self.module.of_tracks(torch.from_numpy(embeddings).to(self.device))
                .float()
                .cpu()
                .numpy()
            )
        return logits


def for_inference(module: nn.Module, device: torch.device) -> TorchNetwork:
    """Return a network that only listens, laid out in memory as convolutions are quickest."""
    # PyTorch's stubs lack the overload with a memory format alone.
    module = module.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return TorchNetwork(module, device)


# ----------------------------------------------------------------------


ARCHITECTURES = ("cnn", "cnn-lstm")
"""For log-mel windows of any music: what ``recsys train`` offers without a recipe."""


def complete_config(architecture: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in an architecture's default sizes, so that a card stays true when they change.

    Parameters
    ----------
    architecture : str
        Name in a model card.
    config : mapping
        What differs from the defaults.

    Returns
    -------
    dict
        Ready for JSON.

    Raises
    ------
    ModelError
        If the architecture is not known.
    """
    parameters = inspect.signature(_architecture(architecture)).parameters.values()
    sizes = {p.name: p.default for p in parameters if p.name not in {"n_genres", "shape"}}
    whole = {**sizes, **config}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in whole.items()}


def build_model(
    architecture: str, n_genres: int, shape: tuple[int, ...], config: Mapping[str, Any]
) -> nn.Module:
    """Make a model with fresh weights.

    Parameters
    ----------
    architecture : str
        Name in a model card.
    n_genres : int
        Number of labels.
    shape : tuple of int
        Of one input, without the batch.
    config : mapping
        Further arguments of the architecture's constructor. Every architecture understands
        ``standardise``, ``each_genre_alone`` and ``track_head`` beside its own, see
        this module. A track head has two sizes: ``dimension``, and
        ``network_genres``, how many the network under it knows.

    Returns
    -------
    nn.Module

    Raises
    ------
    ModelError
        If the architecture or one of its arguments is not known, an argument is impossible, or
        inputs of this shape do not fit the model.
    """
    kind = _architecture(architecture)
    sizes = dict(config)
    standardise = sizes.pop("standardise", False)
    each_genre_alone = sizes.pop("each_genre_alone", False)
    head = sizes.pop("track_head", None)
    try:
        network_genres, dimension = _head_sizes(head) if head else (n_genres, 0)
        model = kind(n_genres=network_genres, shape=shape, **sizes)
    except (TypeError, KeyError) as error:
        raise ModelError(
            f"the settings of this {architecture} model are not understood: {error}",
            "It may have been made by a newer recsys; update recsys or use another model.",
        ) from error
    except (ValueError, RuntimeError, MemoryError) as error:
        raise ModelError(
            f"a {architecture} model cannot be made with {dict(config)}: {error}",
            "Correct the sizes of the model, in the recipe or in the model card.",
        ) from error
    if standardise:
        model = Standardised(model, tuple(shape))
    if each_genre_alone:
        model = EachGenreAlone(model)
    return TrackHead(model, dimension, n_genres) if head else model


def _head_sizes(head: Mapping[str, int]) -> tuple[int, int]:
    return head["network_genres"], head["dimension"]


def _architecture(name: str) -> type[nn.Module]:
    try:
        architecture: type[nn.Module] = find(Registry.ARCHITECTURES, name)
    except KeyError:
        known = ", ".join(registered(Registry.ARCHITECTURES))
        raise ModelError(
            f"unknown architecture {name!r}", f"Known are {known}; a newer recsys may know more."
        ) from None
    return architecture
