"""Convolutions beside a recurrent network, over a short-time Fourier transform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recsys.classifier.models.cnn_stft import CNNSTFT
from recsys.classifier.models.shapes import positive_sizes
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence


class PRCNN(CNNSTFT):
    """The parallel recurrent convolutional network (Feng et al., arXiv:1712.08370).

    Dawra, Bansal & Patel name it and give no size; the sizes are choices made here. Beside the
    branch of :class:`~recsys.classifier.models.cnn_stft.CNNSTFT` a bidirectional GRU reads the
    frames in order, after max-pooling over the bins and a linear layer (called an embedding
    there) that make them shorter. The last states of both directions and the values of the other
    branch, side by side, go into the softmax; they are the embedding.

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : sequence of int
        Frequency bins and frames.
    filters, pools : sequence of int
        Channels and side of the pool, for each convolution.
    kernel : int
        Height of all kernels, in bins.
    bin_pool : int
        Bins of which the recurrent branch sees the maximum.
    reduced : int
        Width of a frame as the GRU sees it.
    units : int
        Of the GRU in each direction.
    """

    def __init__(
        self,
        n_genres: int,
        shape: Sequence[int],
        filters: Sequence[int] = (16, 32, 64, 128, 64),
        pools: Sequence[int] = (2, 2, 2, 4, 4),
        kernel: int = 3,
        bin_pool: int = 2,
        reduced: int = 128,
        units: int = 64,
    ) -> None:
        super().__init__(n_genres, shape, filters, pools, kernel)
        sizes = (bin_pool, reduced, units)
        bin_pool, reduced, units = positive_sizes("bin_pool, reduced and units", sizes)
        if shape[0] < bin_pool:
            raise ModelError(
                f"{shape[0]} bins are fewer than the {bin_pool} of a pool", "Give a smaller pool."
            )
        self.pool = nn.MaxPool1d(bin_pool)
        self.reduce = nn.Linear(shape[0] // bin_pool, reduced)
        self.gru = nn.GRU(reduced, units, batch_first=True, bidirectional=True)
        self.output = nn.Linear(self.width + 2 * units, n_genres)

    def embed(self, x: Tensor) -> Tensor:
        """Map (b, bins, frames) to what goes into the last layer, (b, width + 2 * units)."""
        frames = self.reduce(self.pool(x.transpose(1, 2)))
        _, states = self.gru(frames)
        return torch.cat([super().embed(x), states[0], states[1]], dim=1)
