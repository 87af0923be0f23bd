"""An LSTM over MFCC frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from recsys.classifier.models.layers import DenseHead
from recsys.classifier.models.shapes import check_axes, positive_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence


class LSTMMFCC(nn.Module):
    """Two LSTM layers, the last state of the second, one dense layer (Morrissey, section 4.5).

    Unlike Keras, PyTorch gives each LSTM layer two biases, which are added.

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : sequence of int
        Frames and MFCC.
    units : int
        Of each LSTM layer.
    layers : int
        LSTM layers.
    dense : int
        Width of the hidden layer, the embedding.
    dropout : float
        Before the output, in training only.
    """

    def __init__(
        self,
        n_genres: int,
        shape: Sequence[int],
        units: int = 64,
        layers: int = 2,
        dense: int = 64,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        _, n_mfcc = check_axes(shape, ("frames", "n_mfcc"))
        units, layers = positive_sizes("units and layers", (units, layers))
        self.lstm = nn.LSTM(n_mfcc, units, num_layers=layers, batch_first=True)
        self.head = DenseHead(units, (dense,), n_genres, dropout)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, frames, n_mfcc) to logits (b, n_genres) and embedding (b, dense)."""
        followed, _ = self.lstm(x)
        return self.head(followed[:, -1])  # type: ignore[no-any-return]
