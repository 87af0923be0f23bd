"""Products of matrices against convolutions, by PyTorch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from recsys.classifier.training.musicnn_torch import highest_over_bands, highest_over_time


def highest_by_convolution(pictures: Tensor, filters: Tensor) -> Tensor:
    heard = functional.conv2d(pictures.unsqueeze(1), filters.unsqueeze(1))
    return heard.amax(3).transpose(1, 2)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("windows", [0, 1, 3])
@pytest.mark.parametrize(
    ("frames", "taps", "bands", "n_mels"),
    [(188, 7, 38, 96), (20, 7, 67, 96), (1, 3, 5, 5), (9, 1, 1, 2), (5, 4, 1, 7)],
)
def test_over_bands(windows: int, frames: int, taps: int, bands: int, n_mels: int) -> None:
    pictures, filters = random(windows, frames + taps - 1, n_mels), random(4, taps, bands)
    expected = highest_by_convolution(pictures, filters)
    found = highest_over_bands(pictures, filters)
    assert found.shape == (windows, frames, 4)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("windows", [0, 1, 3])
@pytest.mark.parametrize(
    ("frames", "taps", "n_mels"), [(188, 128, 96), (32, 64, 5), (1, 1, 1), (17, 2, 3), (15, 40, 2)]
)
def test_over_time(windows: int, frames: int, taps: int, n_mels: int) -> None:
    pictures, filters = random(windows, frames + taps - 1, n_mels), random(5, taps, 1)
    expected = highest_by_convolution(pictures, filters)
    found = highest_over_time(pictures, filters)
    assert found.shape == (windows, frames, 5)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
