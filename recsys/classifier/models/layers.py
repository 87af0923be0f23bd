"""What the networks of the published reports have in common: convolutions and a dense head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from recsys.classifier.models.shapes import positive_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence


class SameConv(nn.Sequential):
    """A convolution whose output is as large as its input, as Keras pads for ``same``.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel : int
        Side of the square kernel; the larger half of an even one's padding comes last.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        before, after = (kernel - 1) // 2, kernel // 2
        super().__init__(
            nn.ZeroPad2d((before, after, before, after)), nn.Conv2d(inputs, outputs, kernel)
        )


class DenseHead(nn.Module):
    """Fully connected layers; the last hidden one is the embedding.

    Parameters
    ----------
    inputs : int
        Width of what comes in.
    hidden : sequence of int
        Widths of the hidden layers.
    n_genres : int
        Number of labels.
    dropout : float
        After each hidden layer, in training only.
    linear : bool
        Leave out the ReLU after each hidden layer.
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        n_genres: int,
        dropout: float = 0.0,
        *,
        linear: bool = False,
    ) -> None:
        super().__init__()
        widths = positive_sizes("the widths of the dense layers", hidden)
        ins = (inputs, *widths[:-1])
        self.hidden = nn.ModuleList(nn.Linear(i, o) for i, o in zip(ins, widths, strict=True))
        self.activation: nn.Module = nn.Identity() if linear else nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(widths[-1], n_genres)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, ...) to logits (b, n_genres) and embedding (b, hidden[-1]).

        The embedding is taken before the dropout.
        """
        embedding = dropped = x.flatten(1)
        for layer in self.hidden:
            embedding = self.activation(layer(dropped))
            dropped = self.dropout(embedding)
        return self.output(dropped), embedding


def as_pictures(x: Tensor) -> Tensor:
    """Give pictures without channels, shape (b, height, width), a channel."""
    return x.unsqueeze(1) if x.dim() == 3 else x
