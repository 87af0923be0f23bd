"""A small convolution over hand-made features laid out as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from recsys.classifier.models.layers import DenseHead, SameConv
from recsys.classifier.models.shapes import check_axes, flat_size, positive_sizes
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence


class CNNElbir(nn.Module):
    """One convolution and three dense layers (Mălinescu & Giurgiu, 2024, section IV.iii).

    The report takes the network from Elbir et al. (2018, ASYU) and feeds it 36 features of a
    track, without saying how a vector becomes the picture that a 3 x 3 convolution needs: here
    it is laid out in six rows of six, in the order of the features. ``Dense(256)``,
    ``Dense(128)`` and ``Dense(64)`` stand there without an activation, while the output has one;
    so they are linear here, as Keras would make them.

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : sequence of int
        Number of features.
    picture : (int, int)
        Rows and columns, as many cells as features.
    filters : int
        Channels of the convolution.
    hidden : sequence of int
        Widths of the dense layers; the last one is the embedding's.
    linear : bool
        No activation after the dense layers; otherwise ReLU.
    """

    def __init__(
        self,
        n_genres: int,
        shape: Sequence[int],
        picture: Sequence[int] = (6, 6),
        filters: int = 32,
        hidden: Sequence[int] = (256, 128, 64),
        linear: bool = True,
    ) -> None:
        super().__init__()
        (n_features,) = check_axes(shape, ("features",))
        rows, columns = positive_sizes("picture", picture, 2)
        if rows * columns != n_features:
            raise ModelError(
                f"{n_features} features do not fill a picture of {rows} x {columns}",
                f"Give {rows * columns} features, or another picture.",
            )
        (filters,) = positive_sizes("filters", (filters,))
        self.trunk = nn.Sequential(
            nn.Unflatten(1, (1, rows, columns)),
            SameConv(1, filters, (3, 3)),
            nn.LeakyReLU(0.1),
            nn.MaxPool2d(2),
        )
        width = flat_size(self.trunk, (1, rows, columns))
        self.head = DenseHead(width, hidden, n_genres, linear=linear)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, features) to logits (b, n_genres) and embedding (b, hidden[-1])."""
        return self.head(self.trunk(x))  # type: ignore[no-any-return]
