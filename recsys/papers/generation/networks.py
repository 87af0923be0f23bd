"""Generator and discriminator of a DCGAN, both told the genre.

After Radford, Metz and Chintala (arXiv:1511.06434): strided convolutions of 4 x 4, batch
normalisation, no pooling and no dense hidden layers. The discriminator judges image and genre
together by an inner product (Miyato and Koyama, arXiv:1802.05637).
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

SMALLEST = 4
"""Side of the first map of the generator, and of the last one of the discriminator."""

WIDEST = 8
"""Multiple of the channels that no map exceeds."""

LEAK = 0.2
DEVIATION = 0.02
"""Slope of the leaky ReLU and deviation of the initial weights, as published."""


def n_doublings(size: int) -> int:
    """Return how often the smallest map is doubled; ValueError unless that gives the size."""
    doublings = (size // SMALLEST).bit_length() - 1
    if doublings < 2 or SMALLEST << doublings != size:
        raise ValueError(f"the side of an image must be 16, 32, 64, 128, ..., got {size}")
    return doublings


def _widths(size: int, channels: int) -> list[int]:
    """Return the channels of the maps from the largest but one to the smallest."""
    return [channels * min(WIDEST, 2**step) for step in range(n_doublings(size))]


class Generator(nn.Module):
    """Maps latent vectors (b, latent) and genres (b,) to images (b, 1, size, size) in [-1, 1]."""

    def __init__(self, size: int, n_genres: int, channels: int, latent: int) -> None:
        super().__init__()
        widths = _widths(size, channels)[::-1]
        self.latent = latent
        self.genres = nn.Embedding(n_genres, latent)
        self.first = nn.ConvTranspose2d(2 * latent, widths[0], SMALLEST, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for inputs, outputs in itertools.pairwise(widths):
            layers.append(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
        self.rest = nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], 1, 4, 2, 1), nn.Tanh())
        self.apply(_initialise)

    def forward(self, latent: Tensor, genres: Tensor) -> Tensor:
        """Return images; one genre per latent vector."""
        both = torch.cat([latent, self.genres(genres)], dim=1)
        images: Tensor = self.rest(self.first(both[:, :, None, None]))
        return images


class Discriminator(nn.Module):
    """Maps images (b, 1, size, size) and genres (b,) to logits (b,) of being real."""

    def __init__(self, size: int, n_genres: int, channels: int) -> None:
        super().__init__()
        widths = _widths(size, channels)
        layers: list[nn.Module] = [nn.Conv2d(1, widths[0], 4, 2, 1), nn.LeakyReLU(LEAK)]
        for inputs, outputs in itertools.pairwise(widths):
            layers.append(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False))
            layers += [nn.BatchNorm2d(outputs), nn.LeakyReLU(LEAK)]
        self.trunk = nn.Sequential(*layers)
        self.real = nn.Conv2d(widths[-1], 1, SMALLEST)
        self.genres = nn.Embedding(n_genres, widths[-1])
        self.apply(_initialise)

    def forward(self, images: Tensor, genres: Tensor) -> Tensor:
        """Return logits; one genre per image."""
        maps = self.trunk(images)
        of_genre = (maps.mean(dim=(2, 3)) * self.genres(genres)).sum(dim=1)
        logits: Tensor = self.real(maps)[:, 0, 0, 0] + of_genre
        return logits


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, DEVIATION)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, DEVIATION)
