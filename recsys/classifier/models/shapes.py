"""Whether an input fits a network, found out before any training."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING

from torch import nn

from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

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
