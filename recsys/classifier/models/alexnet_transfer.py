"""AlexNet's convolutions, frozen, one more convolution and two dense layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from recsys.classifier.models.layers import DenseHead, convolutions
from recsys.classifier.models.shapes import flat_size
from recsys.classifier.models.transfer import TransferModel

if TYPE_CHECKING:
    from collections.abc import Sequence


class AlexNetTransfer(TransferModel):
    """AlexNet's features with a convolution and two dense layers (Becker et al., 2021, Fig. 4).

    The text gives the order, convolution, ReLU, max-pooling, two dense layers, and no sizes;
    those here are choices. As in
    :class:`~recsys.classifier.models.cnn_simple.CNNSimple`, one of the dense layers is the
    output.

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : sequence of int
        Height and width of a grey picture, or 3, height and width.
    filters, kernel, pool : int
        Of the convolution, which is padded to keep the size.
    dense : int
        Width of the hidden layer, the embedding.
    dropout : float
        After the hidden layer, in training only.
    """

    def __init__(
        self,
        n_genres: int,
        shape: Sequence[int],
        filters: int = 128,
        kernel: int = 3,
        pool: int = 2,
        dense: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__("alexnet", shape)
        extra = convolutions(self.features_shape[0], (filters,), (kernel,), (pool,), same=True)
        width = flat_size(extra, self.features_shape)
        self.head = nn.Sequential(extra, DenseHead(width, (dense,), n_genres, dropout))
