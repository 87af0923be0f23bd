"""What the networks of the published reports have in common: convolutions and a dense head."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recsys.classifier.training.architectures import (
    check_axes,
    check_picture,
    flat_size,
    positive_sizes,
)
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

# What both architectures are built from: a down-sampling stem, residual blocks, the head.


class ConvNorm(nn.Sequential):
    """A convolution without bias and its batch normalisation.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel : int
        Odd side of the kernel; the picture keeps its size at stride 1.
    stride : int or (int, int)
        Step over mel bands and frames.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int | tuple[int, int] = 1
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
        )


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut (He et al., 2016, arXiv:1512.03385).

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    stride : int or (int, int)
        Step of the first convolution; the shortcut averages over the same cells.
    """

    def __init__(self, inputs: int, outputs: int, stride: int | tuple[int, int] = 1) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, stride)
        self.second = ConvNorm(outputs, outputs, 3)
        self.activation = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride not in (1, (1, 1)):
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False),
                ConvNorm(inputs, outputs, 1),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, inputs, mels, frames) to (b, outputs, mels / stride, frames / stride)."""
        out: Tensor = self.activation(self.first(x))
        return self.activation(self.second(out) + self.shortcut(x))  # type: ignore[no-any-return]


class Trunk(nn.Sequential):
    """Stem and residual stages: a log-mel window becomes a small map of features.

    The stem halves both axes at once and pools again after few channels, because nearly all
    the time would otherwise go into the first layers.

    Parameters
    ----------
    channels : sequence of int
        Of the stem and of each stage; every stage after the first halves both axes.
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

    Parameters
    ----------
    inputs, dimension, n_genres : int
        Widths.
    dropout : float
        Before the embedding and before the logits, in training only.
    """

    def __init__(self, inputs: int, dimension: int, n_genres: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(inputs, dimension, bias=False)
        self.norm = nn.BatchNorm1d(dimension, affine=False)
        self.classify = nn.Linear(dimension, n_genres)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, inputs) to logits (b, n_genres) and embedding (b, dimension)."""
        embedding: Tensor = self.norm(self.project(self.dropout(pooled)))
        return self.classify(self.dropout(embedding)), embedding


# Starting weights as the framework of a report would have drawn them.


def initialise(model: nn.Module, framework: str) -> None:
    """Draw a model's starting weights again, in place.

    Networks that were trained with Keras start elsewhere than PyTorch would have them start:
    Glorot-uniform kernels (Glorot & Bengio, 2010), orthogonal recurrent kernels, zero biases
    and, in an LSTM, forget gates that begin with a bias of 1.

    Parameters
    ----------
    model : nn.Module
        Weights that want no gradient, a frozen backbone's, stay as they are.
    framework : str
        ``"keras"``, or ``"torch"``, which leaves PyTorch's own.

    Raises
    ------
    ModelError
        If the framework is not known.
    """
    if framework not in ("keras", "torch"):
        raise ModelError(
            f"unknown framework {framework!r}", "Weights can start as in keras or as in torch."
        )
    if framework == "torch":
        return
    for module in model.modules():
        trained = any(p.requires_grad for p in module.parameters(recurse=False))
        if trained and isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif trained and isinstance(module, (nn.LSTM, nn.GRU)):
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
            # PyTorch's gates stand in the order input, forget, cell, output.
            parameter[module.hidden_size : 2 * module.hidden_size] = 1


# A residual CNN over log-mel windows.


class GenreCNN(nn.Module):
    """Convolutions, then the mean and the maximum over time and frequency.

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : (int, int)
        Mel bands and frames of a window; any number of frames will do.
    channels : tuple of int
        Stem and stages, see :class:`~recsys.papers.networks.Trunk`.
    dimension : int
        Length of the embedding.
    dropout : float
        In the head, in training only.
    """

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

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Look at log-mel windows.

        Parameters
        ----------
        windows : Tensor of float32, shape (b, n_mels, frames)
            Standardised log-mel.

        Returns
        -------
        logits : Tensor, shape (b, n_genres)
        embedding : Tensor, shape (b, dimension)
            Not yet of unit length.
        """
        features = self.trunk(windows.unsqueeze(1)).flatten(1, 2)
        features = torch.relu(self.mix_norm(self.mix(features)))
        return self.head(torch.cat([features.mean(2), features.amax(2)], dim=1))  # type: ignore[no-any-return]


# A residual CNN whose frames are read by a bidirectional LSTM.


class GenreCNNLSTM(nn.Module):
    """Convolutions see timbre, an LSTM follows it through time (Choi et al., arXiv:1609.04243).

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : (int, int)
        Mel bands and frames of a window; any number of frames will do.
    channels : tuple of int
        Stem and stages, see :class:`~recsys.papers.networks.Trunk`.
    dimension : int
        Length of the embedding.
    hidden : int
        Units of the LSTM in each direction.
    dropout : float
        In the head, in training only.
    """

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

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Look at log-mel windows.

        Parameters
        ----------
        windows : Tensor of float32, shape (b, n_mels, frames)
            Standardised log-mel.

        Returns
        -------
        logits : Tensor, shape (b, n_genres)
        embedding : Tensor, shape (b, dimension)
            Not yet of unit length.
        """
        features = self.trunk(windows.unsqueeze(1)).flatten(1, 2)
        features = torch.relu(self.mix_norm(self.mix(features))).transpose(1, 2)
        followed, _ = self.lstm(features)
        joined = torch.cat([features, followed], dim=2)
        return self.head(torch.cat([joined.mean(1), joined.amax(1)], dim=1))  # type: ignore[no-any-return]


# ----------------------------------------------------------------------


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


# A small convolution over hand-made features laid out as a picture.


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


# Convolutions over a mel picture of a whole clip.


class CNNMel(nn.Module):
    """Three convolutions, each with max-pooling and dropout, one dense layer (Mijares & Manua).

    The report gives the order of the layers and the 128 dense units ("Base Model"), and varies
    filters, kernels and dropout in a grid search whose choice it does not print. The defaults
    here are 32, 64 and 128 filters of 3 x 3 without padding (Keras' default), ReLU, pools of
    2 x 2 and a dropout of 0.25, after the pools only.

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : sequence of int
        Height and width of a picture, or channels, height and width.
    filters : sequence of int
        Channels of each convolution.
    kernel : int
        Side of all kernels.
    pool : int
        Side of all pools.
    dense : int
        Width of the hidden layer, the embedding.
    dropout : float
        After each pool, in training only.
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
        picture = check_picture(shape)
        count = len(positive_sizes("filters", filters))
        kernels, pools = [kernel] * count, [pool] * count
        self.trunk = convolutions(picture[0], filters, kernels, pools, dropout=dropout)
        self.head = DenseHead(flat_size(self.trunk, picture), (dense,), n_genres)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, ...) to logits (b, n_genres) and embedding (b, dense)."""
        return self.head(self.trunk(as_pictures(x)))  # type: ignore[no-any-return]


# Two convolutions that leave 23 x 35 cells of a mel picture, and three dense layers.


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


# Convolutions over MFCC frames.


class CNNMFCC(nn.Module):
    """Three convolutions with max-pooling and batch normalisation, one dense layer (Morrissey).

    Section 4.4 has 32 filters in each layer, with 3 x 3 and 2 x 2 kernels; Table 2 has 32, 64
    and 128 filters, all 3 x 3, and is taken. The report does not say how the edges are treated;
    unpadded, 13 coefficients are too few for three kernels of 3 and pools of 2, so the
    convolutions are padded to keep the size.

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : sequence of int
        Frames and MFCC.
    filters, kernels, pools : sequence of int
        Channels, side of the kernel and side of the pool, for each convolution.
    dense : int
        Width of the hidden layer, the embedding.
    dropout : float
        Before the output, in training only.
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
        self.head = DenseHead(
            flat_size(self.trunk, (1, frames, n_mfcc)), (dense,), n_genres, dropout
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, frames, n_mfcc) to logits (b, n_genres) and embedding (b, dense)."""
        return self.head(self.trunk(x.unsqueeze(1)))  # type: ignore[no-any-return]


# Two convolutions and two dense layers over a picture.


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


# Five convolutions over a short-time Fourier transform.


class CNNSTFT(nn.Module):
    """The convolutional branch of the parallel network of Feng et al. (arXiv:1712.08370), alone.

    Dawra, Bansal & Patel name the network and the input, 513 bins by 128 frames, and no size, so
    the sizes are choices made here. Five convolutions, three bins high and one frame wide and
    padded to keep the size, with pools of 2, 2, 2, 4 and 4 leave 4 x 1 cells of 64 channels. These
    256 values go into the softmax; they are the embedding.

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : sequence of int
        Frequency bins and frames.
    filters, pools : sequence of int
        Channels and side of the pool, for each convolution.
    kernel : int
        Height of all kernels, in bins.
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
        """Map (b, bins, frames) to what goes into the last layer, (b, width)."""
        embedding: Tensor = self.trunk(x.unsqueeze(1)).flatten(1)
        return embedding

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, bins, frames) to logits (b, n_genres) and embedding (b, width)."""
        embedding = self.embed(x)
        return self.output(embedding), embedding


# Convolutions beside a recurrent network, over a short-time Fourier transform.


class PRCNN(CNNSTFT):
    """The parallel recurrent convolutional network (Feng et al., arXiv:1712.08370).

    Dawra, Bansal & Patel name it and give no size; the sizes are choices made here. Beside the
    branch of :class:`~recsys.papers.networks.CNNSTFT` a bidirectional GRU reads the
    frames in order, after max-pooling over the bins and a linear layer (called an embedding
    there) that make them shorter. The last states of both directions and the values of the other
    branch, side by side, go into the softmax; they are the embedding.

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : sequence of int
        Frequency bins and frames.
    filters, pools : sequence of int
        Channels and side of the pool, for each convolution.
    kernel : int
        Height of all kernels, in bins.
    bin_pool : int
        Bins of which the recurrent branch sees the maximum.
    reduced : int
        Width of a frame as the GRU sees it.
    units : int
        Of the GRU in each direction.
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
        """Map (b, bins, frames) to what goes into the last layer, (b, width + 2 * units)."""
        frames = self.reduce(self.pool(x.transpose(1, 2)))
        _, states = self.gru(frames)
        return torch.cat([super().embed(x), states[0], states[1]], dim=1)


# An LSTM over MFCC frames.


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


# Fully connected layers only.


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
