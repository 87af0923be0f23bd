"""Whether an input fits a network, found out before any training and without any arithmetic."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import torch
from torch.func import functional_call

from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

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


def dry_run(module: nn.Module, shape: Sequence[int]) -> Any:  # noqa: ANN401
    """Send nothing but a shape through a module.

    Everything happens on PyTorch's meta device: no values, no memory, well under a millisecond
    a layer.

    Parameters
    ----------
    module : nn.Module
        Left as it is.
    shape : sequence of int
        Of one input, without the batch.

    Returns
    -------
    object
        What the module's ``forward`` gives for a batch of two, on the meta device.

    Raises
    ------
    RuntimeError
        PyTorch's own, if the shape does not fit.
    """
    held = [*module.named_parameters(), *module.named_buffers()]
    outlines = {name: tensor.detach().to("meta") for name, tensor in held}
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            return functional_call(module, outlines, (torch.empty(2, *shape, device="meta"),))
    finally:
        for part, training in modes:
            part.training = training


def flat_size(trunk: nn.Module, shape: tuple[int, int, int]) -> int:
    """Count the values that convolutions and pools make of a picture.

    Parameters
    ----------
    trunk : nn.Module
        Maps (b, channels, height, width) to a tensor.
    shape : (int, int, int)
        Channels, height and width.

    Returns
    -------
    int

    Raises
    ------
    ModelError
        If the picture is too small; the hint says what is needed.
    """
    try:
        return math.prod(dry_run(trunk, shape).shape[1:])
    except RuntimeError as error:
        channels, height, width = shape
        raise ModelError(
            f"a picture of {height} x {width} is too small for the convolutions and pools of"
            " this model",
            _smallest_picture(trunk, channels),
        ) from error


def _smallest_picture(trunk: nn.Module, channels: int) -> str:
    sides = range(1, LARGEST_SIDE + 1)
    height = bisect_left(
        sides, x=True, key=lambda side: _fits(trunk, (channels, side, LARGEST_SIDE))
    )
    width = bisect_left(
        sides, x=True, key=lambda side: _fits(trunk, (channels, LARGEST_SIDE, side))
    )
    if LARGEST_SIDE in (height, width):
        return _CONFIG_HINT
    return f"It needs {sides[height]} x {sides[width]} at least; or give it smaller pools."


def _fits(trunk: nn.Module, shape: tuple[int, int, int]) -> bool:
    try:
        dry_run(trunk, shape)
    except RuntimeError:
        return False
    return True
