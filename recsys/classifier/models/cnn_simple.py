"""Two convolutions and two dense layers over a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from recsys.classifier.models.layers import DenseHead, as_pictures, convolutions
from recsys.classifier.models.shapes import check_picture, flat_size

if TYPE_CHECKING:
    from collections.abc import Sequence


class CNNSimple(nn.Module):
    """Two convolutions with ReLU and max-pooling, two dense layers (Becker et al., 2021, Fig. 3).

    The text gives no sizes. Those here are small enough for a pass over a picture of 288 x 432 to
    take a tenth of a billion multiplications. Of the "2 fully connected layers" one is the
    output: the report calls its network with a single hidden layer a "2-layer ANN".

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : sequence of int
        Height and width of a picture, or channels, height and width.
    filters, kernels, pools : sequence of int
        Channels, side of the kernel and side of the pool, for each convolution.
    dense : int
        Width of the hidden layer, the embedding.
    dropout : float
        After the hidden layer, in training only.
    """

    def __init__(
        self,
        n_genres: int,
        shape: Sequence[int],
        filters: Sequence[int] = (8, 16),
        kernels: Sequence[int] = (5, 5),
        pools: Sequence[int] = (2, 4),
        dense: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        picture = check_picture(shape)
        self.trunk = convolutions(picture[0], filters, kernels, pools)
        self.head = DenseHead(flat_size(self.trunk, picture), (dense,), n_genres, dropout)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, ...) to logits (b, n_genres) and embedding (b, dense)."""
        return self.head(self.trunk(as_pictures(x)))  # type: ignore[no-any-return]
