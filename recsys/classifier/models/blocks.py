"""What both architectures are built from: a down-sampling stem, residual blocks, the head."""

from __future__ import annotations

from torch import Tensor, nn


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
