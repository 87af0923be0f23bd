"""What the networks of the published reports have in common: convolutions and a dense head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from recsys.classifier.models.shapes import positive_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

KERAS_MOMENTUM = 0.01
KERAS_EPS = 1e-3
"""Keras' defaults of batch normalisation (its momentum of 0.99 is PyTorch's 0.01)."""


class SameConv(nn.Sequential):
    """A convolution whose output is as large as its input, as Keras pads for ``same``.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel : (int, int)
        Height and width; the larger half of an even one's padding comes last.
    """

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int]) -> None:
        height, width = kernel
        margins = ((width - 1) // 2, width // 2, (height - 1) // 2, height // 2)
        super().__init__(nn.ZeroPad2d(margins), nn.Conv2d(inputs, outputs, kernel))


def convolutions(
    channels: int,
    filters: Sequence[int],
    kernels: Sequence[int],
    pools: Sequence[int],
    *,
    flat: bool = False,
    same: bool = False,
    norm: bool = False,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Stack convolutions, each with ReLU and max-pooling.

    Parameters
    ----------
    channels : int
        Of the picture that comes in.
    filters, kernels, pools : sequence of int
        Channels, side of the kernel and side of the pool, for each convolution.
    flat : bool
        Kernels are one column wide.
    same : bool
        Pad so that a convolution keeps the size; otherwise there is no padding.
    norm : bool
        Batch normalisation after each pool, with Keras' constants.
    dropout : float
        After each pool, in training only.

    Returns
    -------
    nn.Sequential

    Raises
    ------
    ModelError
        If the sizes are not positive or not as many of each.
    """
    outputs = positive_sizes("filters", filters)
    sides = positive_sizes("kernels", kernels, len(outputs))
    steps = positive_sizes("pools", pools, len(outputs))
    layers: list[nn.Module] = []
    for i, o, side, step in zip((channels, *outputs[:-1]), outputs, sides, steps, strict=True):
        size = (side, 1) if flat else (side, side)
        layers.append(SameConv(i, o, size) if same else nn.Conv2d(i, o, size))
        layers += [nn.ReLU(), nn.MaxPool2d(step)]
        if norm:
            layers.append(nn.BatchNorm2d(o, eps=KERAS_EPS, momentum=KERAS_MOMENTUM))
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


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
