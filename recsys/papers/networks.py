"""The networks of the published reports, report by report, and the two that read log-mel windows.

Every network maps (b, *shape) to (logits (b, n_genres), embedding (b, d)). Sizes that a report
leaves open are chosen here; each docstring says which.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recsys.classifier.training.architectures import (
    check_axes,
    check_image,
    flat_size,
    positive_sizes,
)
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

Outputs = tuple[Tensor, Tensor]
"""Logits (b, n_genres) and embedding (b, d)."""

KERAS_MOMENTUM = 0.01
KERAS_EPS = 1e-3
"""Keras' defaults of batch normalisation (its momentum of 0.99 is PyTorch's 0.01)."""


# Building blocks of the reports' networks.


class SameConv(nn.Sequential):
    """A convolution whose output is as large as its input, as Keras pads for ``same``."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int]) -> None:
        height, width = kernel
        # The larger half of an even kernel's padding comes last.
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
    """Stack convolutions, each with ReLU and max-pooling, by their filters and square kernels.

    `flat` kernels are one column wide; `same` pads as Keras does; `norm` adds batch normalisation
    with Keras' constants and `dropout` a dropout after each pool. Raises ModelError if the sizes
    are not positive or not as many of each.
    """
    outputs = positive_sizes("filters", filters)
    sides = positive_sizes("kernels", kernels, len(outputs))
    steps = positive_sizes("pools", pools, len(outputs))
    layers: list[nn.Module] = []
    for i, o, side, step in zip((channels, *outputs[:-1]), outputs, sides, steps, strict=True):
        size = (side, 1) if flat else (side, side)
        layers.append(SameConv(i, o, size) if same else nn.Conv2d(i, o, size))
        # As ReLU before the pool, gradients included, on a fraction of the values.
        layers += [nn.MaxPool2d(step), nn.ReLU()]
        if norm:
            layers.append(nn.BatchNorm2d(o, eps=KERAS_EPS, momentum=KERAS_MOMENTUM))
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


class DenseHead(nn.Module):
    """Fully connected layers with ReLU (unless linear); the last hidden one is the embedding."""

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

    def forward(self, x: Tensor) -> Outputs:
        """Map (b, ...) to logits and embedding, which is taken before the dropout."""
        embedding = dropped = x.flatten(1)
        for layer in self.hidden:
            embedding = self.activation(layer(dropped))
            dropped = self.dropout(embedding)
        return self.output(dropped), embedding


class _TrunkAndHead(nn.Module):
    """Convolutions, then dense layers; inputs without channels are given one."""

    trunk: nn.Module
    head: nn.Module

    def forward(self, x: Tensor) -> Outputs:
        """Map (b, height, width) or (b, channels, height, width) to logits and embedding."""
        return self.head(self.trunk(with_channel(x)))  # type: ignore[no-any-return]


def with_channel(x: Tensor) -> Tensor:
    """Give images without channels, (b, height, width), a channel."""
    return x.unsqueeze(1) if x.dim() == 3 else x


def initialise_like_keras(model: nn.Module) -> None:
    """Draw a model's initial weights again, in place, with the defaults of Keras.

    These are Glorot-uniform kernels (Glorot & Bengio, 2010), orthogonal recurrent kernels, zero
    biases and, in an LSTM, forget gates with a bias of 1. Frozen weights stay as they are.
    """
    for module in model.modules():
        trained = any(p.requires_grad for p in module.parameters(recurse=False))
        if trained and isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif trained and isinstance(module, nn.LSTM | nn.GRU):
            _initialise_recurrent(module)


@torch.no_grad()
def _initialise_recurrent(module: nn.LSTM | nn.GRU) -> None:
    for name, parameter in module.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(parameter)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(parameter)
        else:
            parameter.zero_()
        if isinstance(module, nn.LSTM) and name.startswith("bias_ih"):
            # The order of PyTorch's gates is input, forget, cell, output.
            parameter[module.hidden_size : 2 * module.hidden_size] = 1


# Mălinescu & Giurgiu (2024), Morrissey and Becker et al. (2021): dense layers only.


class Dense(nn.Module):
    """The input as one vector, through dense layers with ReLU.

    Mălinescu & Giurgiu, section IV.iv: 256, 128, 64 over 13 MFCC; the text names no activation,
    ReLU is taken; their variant with dropout has ``dropout=0.5``. The MLP of Morrissey: section
    4.3 says 512, 256, 64, Table 2 says 256, 128, 64: the table is taken; regularised with
    ``dropout=0.3``. The baseline of Becker et al. has ``hidden=(300,)``.
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

    def forward(self, x: Tensor) -> Outputs:
        """Map (b, ...) to logits and embedding (b, hidden[-1])."""
        return self.head(x)  # type: ignore[no-any-return]


# Mălinescu & Giurgiu (2024).


class CNNElbir(nn.Module):
    """One convolution and three dense layers (section IV.iii).

    The report takes the network from Elbir et al. (2018, ASYU) and feeds it 36 features of a
    track, without saying how a vector becomes the image that a 3 x 3 convolution needs: here it
    is laid out in six rows of six, in the order of the features. ``Dense(256)``, ``Dense(128)``
    and ``Dense(64)`` stand there without an activation, while the output has one; so they are
    linear here, as Keras would make them.
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

    def forward(self, x: Tensor) -> Outputs:
        """Map (b, features) to logits and embedding (b, hidden[-1])."""
        return self.head(self.trunk(x))  # type: ignore[no-any-return]


# Morrissey: MFCC frames, time first.


class CNNMFCC(_TrunkAndHead):
    """Three convolutions with max-pooling and batch normalisation, one dense layer.

    Section 4.4 has 32 filters in each layer, with 3 x 3 and 2 x 2 kernels; Table 2 has 32, 64
    and 128 filters, all 3 x 3, which are the defaults. The report does not say how the edges are
    treated; unpadded, 13 coefficients are too few for three kernels of 3 and pools of 2, so the
    convolutions are padded to keep the size.
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
        width = flat_size(self.trunk, (1, frames, n_mfcc))
        self.head = DenseHead(width, (dense,), n_genres, dropout)


class LSTMMFCC(nn.Module):
    """Two LSTM layers, the last state of the second, one dense layer (section 4.5).

    Unlike Keras, PyTorch gives each LSTM layer two biases, which are added.
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

    def forward(self, x: Tensor) -> Outputs:
        """Map (b, frames, n_mfcc) to logits and embedding (b, dense)."""
        followed, _ = self.lstm(x)
        return self.head(followed[:, -1])  # type: ignore[no-any-return]


# Mijares & Manua: a mel spectrogram of a whole clip.


class CNNMel(_TrunkAndHead):
    """Three convolutions, each with max-pooling and dropout, one dense layer ("Base Model").

    The report gives the order of the layers and the 128 dense units, and varies filters, kernels
    and dropout in a grid search whose choice it does not print. The defaults here are 32, 64 and
    128 filters of 3 x 3 without padding (Keras' default), ReLU, pools of 2 x 2 and a dropout of
    0.25, after the pools only.
    """

    def __init__(
        self,
        n_genres: int,
        shape: Sequence[int],
        filters: Sequence[int] = (32, 64, 128),
        kernel: int = 3,
        pool: int = 2,
        dense: int = 128,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        image = check_image(shape)
        count = len(positive_sizes("filters", filters))
        self.trunk = convolutions(
            image[0], filters, [kernel] * count, [pool] * count, dropout=dropout
        )
        self.head = DenseHead(flat_size(self.trunk, image), (dense,), n_genres)


# Dawra, Bansal & Patel.


class CNNMel35(_TrunkAndHead):
    """Convolutions of 3 x 3 and 5 x 5, each with max-pooling, then three hidden layers.

    Their own network ("Methodology"). The report gives the two kernels, the 16 x 23 x 35 values
    that they end in, and the number of hidden layers. An image of 288 x 432 comes to exactly
    23 x 35 with pools of 2 and 6 and no padding: that is taken. The 8 filters of the first
    convolution and the widths 256, 128 and 64 are choices made here, as is ReLU.
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
        image = check_image(shape)
        self.trunk = convolutions(image[0], filters, kernels, pools)
        self.head = DenseHead(flat_size(self.trunk, image), hidden, n_genres, dropout)


class CNNSTFT(nn.Module):
    """The convolutional branch of the network of Feng et al. (arXiv:1712.08370), alone.

    The report names the network and the input, 513 bins by 128 frames, and no size, so the sizes
    are choices made here. Five convolutions, three bins high and one frame wide and padded to
    keep the size, with pools of 2, 2, 2, 4 and 4 leave 4 x 1 cells of 64 channels. These 256
    values go into the softmax; they are the embedding.
    """

    def __init__(
        self,
        n_genres: int,
        shape: Sequence[int],
        filters: Sequence[int] = (16, 32, 64, 128, 64),
        pools: Sequence[int] = (2, 2, 2, 4, 4),
        kernel: int = 3,
    ) -> None:
        super().__init__()
        bins, frames = check_axes(shape, ("bins", "frames"))
        kernels = [kernel] * len(positive_sizes("filters", filters))
        self.trunk = convolutions(1, filters, kernels, pools, flat=True, same=True)
        self.width = flat_size(self.trunk, (1, bins, frames))
        self.output = nn.Linear(self.width, n_genres)

    def embed(self, x: Tensor) -> Tensor:
        """Map (b, bins, frames) to the input of the last layer."""
        embedding: Tensor = self.trunk(x.unsqueeze(1)).flatten(1)
        return embedding

    def forward(self, x: Tensor) -> Outputs:
        """Map (b, bins, frames) to logits and embedding."""
        embedding = self.embed(x)
        return self.output(embedding), embedding


class PRCNN(CNNSTFT):
    """The parallel recurrent convolutional network (Feng et al., arXiv:1712.08370).

    The report gives no size; the sizes are choices made here. Parallel to the branch of
    :class:`CNNSTFT` a bidirectional GRU reads the frames in order, after max-pooling over the
    bins and a linear layer (called an embedding there) that make them shorter. The last states
    of both directions and the values of the other branch, concatenated, are the embedding.
    """

    def __init__(
        self,
        n_genres: int,
        shape: Sequence[int],
        filters: Sequence[int] = (16, 32, 64, 128, 64),
        pools: Sequence[int] = (2, 2, 2, 4, 4),
        kernel: int = 3,
        bin_pool: int = 2,
        reduced: int = 128,
        units: int = 64,
    ) -> None:
        super().__init__(n_genres, shape, filters, pools, kernel)
        sizes = (bin_pool, reduced, units)
        bin_pool, reduced, units = positive_sizes("bin_pool, reduced and units", sizes)
        if shape[0] < bin_pool:
            raise ModelError(
                f"{shape[0]} bins are fewer than the {bin_pool} of a pool", "Give a smaller pool."
            )
        self.pool = nn.MaxPool1d(bin_pool)
        self.reduce = nn.Linear(shape[0] // bin_pool, reduced)
        self.gru = nn.GRU(reduced, units, batch_first=True, bidirectional=True)
        self.output = nn.Linear(self.width + 2 * units, n_genres)

    def embed(self, x: Tensor) -> Tensor:
        """Map (b, bins, frames) to (b, width + 2 * units)."""
        frames = self.reduce(self.pool(x.transpose(1, 2)))
        _, states = self.gru(frames)
        return torch.cat([super().embed(x), states[0], states[1]], dim=1)


# Becker et al. (2021).


class CNNSimple(_TrunkAndHead):
    """Two convolutions with ReLU and max-pooling, two dense layers (Fig. 3).

    The text gives no sizes. Those here are small enough for a pass over an image of 288 x 432 to
    take a tenth of a billion multiplications. Of the "2 fully connected layers" one is the
    output: the report calls its network with a single hidden layer a "2-layer ANN".
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
        image = check_image(shape)
        self.trunk = convolutions(image[0], filters, kernels, pools)
        self.head = DenseHead(flat_size(self.trunk, image), (dense,), n_genres, dropout)


# Residual networks over log-mel windows of any length, of no report.


class ConvNorm(nn.Sequential):
    """A convolution without bias and its batch normalisation; odd kernels keep the size."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int | tuple[int, int] = 1
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
        )


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al., 2016, arXiv:1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int | tuple[int, int] = 1) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, stride)
        self.second = ConvNorm(outputs, outputs, 3)
        self.activation = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride not in (1, (1, 1)):
            # The shortcut averages over the cells that the first convolution steps over.
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False),
                ConvNorm(inputs, outputs, 1),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, inputs, mels, frames) to (b, outputs, mels / stride, frames / stride)."""
        out: Tensor = self.activation(self.first(x))
        return self.activation(self.second(out) + self.shortcut(x))  # type: ignore[no-any-return]


class Trunk(nn.Sequential):
    """Stem and residual stages; every stage after the first halves both axes.

    The stem halves both axes at once and pools again after few channels, because nearly all
    the time would otherwise go into the first layers.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        stem, *stages = channels
        layers: list[nn.Module] = [
            ConvNorm(1, stem, 5, 2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, ceil_mode=True),
        ]
        inputs = stem
        for number, outputs in enumerate(stages):
            layers.append(ResidualBlock(inputs, outputs, 1 if number == 0 else 2))
            inputs = outputs
        super().__init__(*layers)
        self.outputs = inputs
        self.reduction = 4 * 2 ** (len(stages) - 1)


class EmbeddingHead(nn.Module):
    """Pooled features to a centred embedding, and the embedding to genre logits.

    The embedding is linear and batch-normalised without scale or shift, so that over the
    training tracks every dimension has mean 0 and variance 1 and cosines spread around 0.
    """

    def __init__(self, inputs: int, dimension: int, n_genres: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(inputs, dimension, bias=False)
        self.norm = nn.BatchNorm1d(dimension, affine=False)
        self.classify = nn.Linear(dimension, n_genres)

    def forward(self, pooled: Tensor) -> Outputs:
        """Map (b, inputs) to logits (b, n_genres) and embedding (b, dimension)."""
        embedding: Tensor = self.norm(self.project(self.dropout(pooled)))
        return self.classify(self.dropout(embedding)), embedding


class GenreCNN(nn.Module):
    """Convolutions, then the mean and the maximum over time and frequency."""

    def __init__(
        self,
        n_genres: int,
        shape: tuple[int, int] = (128, 130),
        channels: tuple[int, ...] = (32, 64, 96, 144),
        dimension: int = 128,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(tuple(channels))
        bands = -(-shape[0] // self.trunk.reduction)
        self.mix = nn.Conv1d(self.trunk.outputs * bands, 2 * dimension, 1, bias=False)
        self.mix_norm = nn.BatchNorm1d(2 * dimension)
        self.head = EmbeddingHead(4 * dimension, dimension, n_genres, dropout)

    def forward(self, windows: Tensor) -> Outputs:
        """Map standardised log-mel (b, n_mels, frames) to logits and embedding."""
        features = self.trunk(windows.unsqueeze(1)).flatten(1, 2)
        features = torch.relu(self.mix_norm(self.mix(features)))
        return self.head(torch.cat([features.mean(2), features.amax(2)], dim=1))  # type: ignore[no-any-return]


class GenreCNNLSTM(nn.Module):
    """Convolutions, and a bidirectional LSTM over their frames (Choi et al., arXiv:1609.04243)."""

    def __init__(
        self,
        n_genres: int,
        shape: tuple[int, int] = (128, 130),
        channels: tuple[int, ...] = (32, 64, 96, 128),
        dimension: int = 128,
        hidden: int = 96,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(tuple(channels))
        bands = -(-shape[0] // self.trunk.reduction)
        self.mix = nn.Conv1d(self.trunk.outputs * bands, dimension, 1, bias=False)
        self.mix_norm = nn.BatchNorm1d(dimension)
        self.lstm = nn.LSTM(dimension, hidden, batch_first=True, bidirectional=True)
        self.head = EmbeddingHead(2 * (dimension + 2 * hidden), dimension, n_genres, dropout)

    def forward(self, windows: Tensor) -> Outputs:
        """Map standardised log-mel (b, n_mels, frames) to logits and embedding."""
        features = self.trunk(windows.unsqueeze(1)).flatten(1, 2)
        features = torch.relu(self.mix_norm(self.mix(features))).transpose(1, 2)
        followed, _ = self.lstm(features)
        joined = torch.cat([features, followed], dim=2)
        return self.head(torch.cat([joined.mean(1), joined.amax(1)], dim=1))  # type: ignore[no-any-return]
