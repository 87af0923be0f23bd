"""Convolutions over MFCC frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from recsys.classifier.models.layers import DenseHead, convolutions
from recsys.classifier.models.shapes import check_axes, flat_size

if TYPE_CHECKING:
    from collections.abc import Sequence


class CNNMFCC(nn.Module):
    """Three convolutions with max-pooling and batch normalisation, one dense layer (Morrissey).

    Section 4.4 has 32 filters in each layer, with 3 x 3 and 2 x 2 kernels; Table 2 has 32, 64
    and 128 filters, all 3 x 3, and is taken. The report does not say how the edges are treated;
    unpadded, 13 coefficients are too few for three kernels of 3 and pools of 2, so the
    convolutions are padded to keep the size.

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : sequence of int
        Frames and MFCC.
    filters, kernels, pools : sequence of int
        Channels, side of the kernel and side of the pool, for each convolution.
    dense : int
        Width of the hidden layer, the embedding.
    dropout : float
        Before the output, in training only.
    """

    def __init__(
        self,
        n_genres: int,
        shape: Sequence[int],
        filters: Sequence[int] = (32, 64, 128),
        kernels: Sequence[int] = (3, 3, 3),
        pools: Sequence[int] = (2, 2, 2),
        dense: int = 64,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        frames, n_mfcc = check_axes(shape, ("frames", "n_mfcc"))
        self.trunk = convolutions(1, filters, kernels, pools, same=True, norm=True)
        self.head = DenseHead(
            flat_size(self.trunk, (1, frames, n_mfcc)), (dense,), n_genres, dropout
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, frames, n_mfcc) to logits (b, n_genres) and embedding (b, dense)."""
        return self.head(self.trunk(x.unsqueeze(1)))  # type: ignore[no-any-return]
