"""Pictures are moved a little, and no more than that."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from recsys.classifier.training.loop import shift_and_zoom


def moved(pictures: Tensor, most: float, seed: int = 0) -> Tensor:
    return shift_and_zoom(pictures, torch.Generator().manual_seed(seed), most)


def test_nothing_is_moved_by_nothing() -> None:
    pictures = torch.rand(3, 7, 10)
    torch.testing.assert_close(moved(pictures, 0.0), pictures, atol=1e-5, rtol=0)


def test_a_picture_of_one_shade_stays_as_it_is() -> None:
    pictures = torch.full((4, 8, 9), 0.3)
    torch.testing.assert_close(moved(pictures, 0.4), pictures)


def centre(picture: Tensor) -> np.ndarray:
    """Where the light is, pixels."""
    weights = picture.numpy().astype(np.float64)
    grid = np.indices(weights.shape)
    return (grid * weights).sum((1, 2)) / weights.sum()


def test_pictures_move_by_no_more_than_a_tenth_and_each_by_its_own() -> None:
    pictures = torch.zeros(24, 60, 60)
    pictures[:, 28:32, 28:32] = 1.0
    found = np.stack([centre(one) for one in moved(pictures, 0.1)]) - 29.5
    assert np.abs(found).max() <= 6.7
    assert np.abs(found).max() > 3.0
    assert len(np.unique(found.round(3), axis=0)) == 24


def test_a_zoom_changes_the_size_of_what_is_shown() -> None:
    pictures = torch.zeros(32, 60, 60)
    pictures[:, 20:40, 20:40] = 1.0
    areas = moved(pictures, 0.1).sum((1, 2)).numpy() / 400
    assert areas.min() >= 0.8
    assert areas.max() <= 1.25
    assert areas.max() - areas.min() > 0.1
