"""Images are moved a little, and no more than that."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from recsys.classifier.training.loop import shift_and_zoom


def moved(images: Tensor, most: float, seed: int = 0) -> Tensor:
    return shift_and_zoom(images, torch.Generator().manual_seed(seed), most)


def test_nothing_is_moved_by_nothing() -> None:
    images = torch.rand(3, 7, 10)
    torch.testing.assert_close(moved(images, 0.0), images, atol=1e-5, rtol=0)


def test_an_image_of_one_shade_stays_as_it_is() -> None:
    images = torch.full((4, 8, 9), 0.3)
    torch.testing.assert_close(moved(images, 0.4), images)


def centre(image: Tensor) -> np.ndarray:
    """Where the light is, pixels."""
    weights = image.numpy().astype(np.float64)
    grid = np.indices(weights.shape)
    return (grid * weights).sum((1, 2)) / weights.sum()


def test_images_move_by_no_more_than_a_tenth_and_each_by_its_own() -> None:
    images = torch.zeros(24, 60, 60)
    images[:, 28:32, 28:32] = 1.0
    found = np.stack([centre(one) for one in moved(images, 0.1)]) - 29.5
    assert np.abs(found).max() <= 6.7
    assert np.abs(found).max() > 3.0
    assert len(np.unique(found.round(3), axis=0)) == 24


def test_a_zoom_changes_the_size_of_what_is_shown() -> None:
    images = torch.zeros(32, 60, 60)
    images[:, 20:40, 20:40] = 1.0
    areas = moved(images, 0.1).sum((1, 2)).numpy() / 400
    assert areas.min() >= 0.8
    assert areas.max() <= 1.25
    assert areas.max() - areas.min() > 0.1
