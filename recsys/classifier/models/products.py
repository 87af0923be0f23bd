"""Where filters respond the most, by matrix products.

A processor with units for matrix products (AMX) computes a product quicker than a convolution
that has a fraction of its operations, when the convolution has a single input channel: that one
leaves most of such a unit idle. So the filters are laid out as a Toeplitz matrix, each of them
once for every place where it may stand, and all of it is one product. Long filters over time
alone gain by it on any processor.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_FRAMES_TOGETHER = 16
"""Frames that share a row of the product where filters reach over time only."""


def highest_over_bands(pictures: Tensor, filters: Tensor) -> Tensor:
    """Return the highest response of filters over time and frequency at each frame.

    Parameters
    ----------
    pictures : Tensor, shape (b, frames + taps - 1, n_mels)
        With the margin that the filters need.
    filters : Tensor, shape (n, taps, bands)
        Of the same type; `bands` at most `n_mels`.

    Returns
    -------
    Tensor, shape (b, frames, n)
        The maximum over the pitches at which a filter fits, as a convolution gives them.
    """
    n, taps, bands = filters.shape
    windows, padded, n_mels = pictures.shape
    frames, pitches = padded - taps + 1, n_mels - bands + 1
    matrix = filters.new_zeros(pitches, n, taps, n_mels)
    up, *others = matrix.stride()
    matrix.as_strided((pitches, n, taps, bands), (up + 1, *others)).copy_(filters)
    rows = pictures.flatten(1).unfold(1, taps * n_mels, n_mels).reshape(-1, taps * n_mels)
    responses = rows @ matrix.view(pitches * n, -1).T
    return _highest(responses.view(windows, frames, pitches, n), 2)


def highest_over_time(pictures: Tensor, filters: Tensor) -> Tensor:
    """Return the highest response of filters over time alone (one band wide) at each frame.

    Parameters
    ----------
    pictures : Tensor, shape (b, frames + taps - 1, n_mels)
        With the margin that the filters need.
    filters : Tensor, shape (n, taps, 1)
        Of the same type.

    Returns
    -------
    Tensor, shape (b, frames, n)
        The maximum over the bands.
    """
    n, taps, _ = filters.shape
    windows, padded, n_mels = pictures.shape
    frames = padded - taps + 1
    pieces, reach = -(-frames // _FRAMES_TOGETHER), _FRAMES_TOGETHER + taps - 1
    matrix = filters.new_zeros(_FRAMES_TOGETHER, n, reach)
    later, *others = matrix.stride()
    matrix.as_strided((_FRAMES_TOGETHER, n, taps), (later + 1, *others)).copy_(filters[:, :, 0])
    bands = functional.pad(pictures.transpose(1, 2), (0, -frames % _FRAMES_TOGETHER)).contiguous()
    rows = bands.unfold(2, reach, _FRAMES_TOGETHER).reshape(-1, reach)
    responses = rows @ matrix.view(-1, reach).T
    heard = pieces * _FRAMES_TOGETHER
    highest = _highest(responses.view(windows, n_mels, heard * n), 1)
    return highest.view(windows, heard, n)[:, :frames]


def _highest(values: Tensor, axis: int) -> Tensor:
    """Return the maximum along an inner axis, several times as quick as ``amax`` of bfloat16."""
    while (length := values.shape[axis]) > 1:
        half = (length + 1) // 2
        low, high = values.narrow(axis, 0, half), values.narrow(axis, length - half, half)
        values = torch.maximum(low, high)
    return values.squeeze(axis)
