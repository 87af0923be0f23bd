"""Convolutions over a mel picture of a whole clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from recsys.classifier.models.layers import DenseHead, as_pictures, convolutions
from recsys.classifier.models.shapes import check_picture, flat_size, positive_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence


class CNNMel(nn.Module):
    """Three convolutions, each with max-pooling and dropout, one dense layer (Mijares & Manua).

    The report gives the order of the layers and the 128 dense units ("Base Model"), and varies
    filters, kernels and dropout in a grid search whose choice it does not print. The defaults
    here are 32, 64 and 128 filters of 3 x 3 without padding (Keras' default), ReLU, pools of
    2 x 2 and a dropout of 0.25, after the pools only.

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : sequence of int
        Height and width of a picture, or channels, height and width.
    filters : sequence of int
        Channels of each convolution.
    kernel : int
        Side of all kernels.
    pool : int
        Side of all pools.
    dense : int
        Width of the hidden layer, the embedding.
    dropout : float
        After each pool, in training only.
    """

    def __init__(
        self,
        n_genres: int,
        shape: Sequence[int],
        filters: Sequence[int] = (32, 64, 128),
        kernel: int = 3,
        pool: int = 2,
        dense: int = 128,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        picture = check_picture(shape)
        count = len(positive_sizes("filters", filters))
        kernels, pools = [kernel] * count, [pool] * count
        self.trunk = convolutions(picture[0], filters, kernels, pools, dropout=dropout)
        self.head = DenseHead(flat_size(self.trunk, picture), (dense,), n_genres)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, ...) to logits (b, n_genres) and embedding (b, dense)."""
        return self.head(self.trunk(as_pictures(x)))  # type: ignore[no-any-return]
