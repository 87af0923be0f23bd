"""Two convolutions that leave 23 x 35 cells of a mel picture, and three dense layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from recsys.classifier.models.layers import DenseHead, as_pictures, convolutions
from recsys.classifier.models.shapes import check_picture, flat_size

if TYPE_CHECKING:
    from collections.abc import Sequence


class CNNMel35(nn.Module):
    """Convolutions of 3 x 3 and 5 x 5, each with max-pooling, then three hidden layers.

    The own network of Dawra, Bansal & Patel ("Methodology"). The report gives the two kernels,
    the 16 x 23 x 35 values that they end in, and the number of hidden layers. A picture of
    288 x 432 comes to exactly 23 x 35 with pools of 2 and 6 and no padding: that is taken. The
    8 filters of the first convolution and the widths 256, 128 and 64 are choices made here, as
    is ReLU.

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : sequence of int
        Height and width of a picture, or channels, height and width.
    filters, kernels, pools : sequence of int
        Channels, side of the kernel and side of the pool, for each convolution.
    hidden : sequence of int
        Widths of the hidden layers; the last one is the embedding's.
    dropout : float
        After each hidden layer, in training only.
    """

    def __init__(
        self,
        n_genres: int,
        shape: Sequence[int],
        filters: Sequence[int] = (8, 16),
        kernels: Sequence[int] = (3, 5),
        pools: Sequence[int] = (2, 6),
        hidden: Sequence[int] = (256, 128, 64),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        picture = check_picture(shape)
        self.trunk = convolutions(picture[0], filters, kernels, pools)
        self.head = DenseHead(flat_size(self.trunk, picture), hidden, n_genres, dropout)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, ...) to logits (b, n_genres) and embedding (b, hidden[-1])."""
        return self.head(self.trunk(as_pictures(x)))  # type: ignore[no-any-return]
