"""Fully connected layers only."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor, nn

from recsys.classifier.models.layers import DenseHead
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Dense(nn.Module):
    """The input as one long vector, through dense layers with ReLU.

    The small network of Mălinescu & Giurgiu (2024, section IV.iv: 256, 128, 64 over 13 MFCC; the
    text names no activation, ReLU is taken; their variant with dropout between the layers has
    ``dropout=0.5``), the MLP of Morrissey (its section 4.3 says 512, 256, 64, its Table 2 256,
    128, 64: the table is taken; regularised ``dropout=0.3``), and the baseline of Becker et al.
    (2021, ``hidden=(300,)``).

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : sequence of int
        Of an input, any number of axes.
    hidden : sequence of int
        Widths of the hidden layers; the last one is the embedding's.
    dropout : float
        After each hidden layer, in training only.
    """

    def __init__(
        self,
        n_genres: int,
        shape: Sequence[int],
        hidden: Sequence[int] = (256, 128, 64),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not shape or min(shape) < 1:
            raise ModelError(
                f"inputs of shape {tuple(shape)} do not fit this model, which reads any numbers",
                "Choose features that are not empty.",
            )
        self.head = DenseHead(math.prod(shape), hidden, n_genres, dropout)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, ...) to logits (b, n_genres) and embedding (b, hidden[-1])."""
        return self.head(x)  # type: ignore[no-any-return]
