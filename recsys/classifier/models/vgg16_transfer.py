"""VGG16's convolutions, frozen, and one dense layer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from recsys.classifier.models.layers import DenseHead
from recsys.classifier.models.transfer import TransferModel

if TYPE_CHECKING:
    from collections.abc import Sequence


class VGG16Transfer(TransferModel):
    """VGG16 (Simonyan & Zisserman, arXiv:1409.1556) with a new head (Mijares & Manua).

    The report ("Transfer Learning: VGG16") repeats the grey picture three times, freezes all
    convolutional layers and adds 128 dense units, a dropout of 0.5 and the output. What joins
    the two is not said; the features are flattened. Nor is it said how the pixels were scaled;
    they are normalised as the weights expect.

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : sequence of int
        Height and width of a grey picture, or 3, height and width.
    dense : int
        Width of the hidden layer, the embedding.
    dropout : float
        After the hidden layer, in training only.
    """

    def __init__(
        self, n_genres: int, shape: Sequence[int], dense: int = 128, dropout: float = 0.5
    ) -> None:
        super().__init__("vgg16", shape)
        self.head = DenseHead(math.prod(self.features_shape), (dense,), n_genres, dropout)
