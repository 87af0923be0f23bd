"""MusiCNN without the filters that do nothing, and with heads for genres, embedding and tags.

Pons and Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging"
(ISMIR 2019 late-breaking); the front end is that of Pons et al., "End-to-end learning for music
audio tagging at scale" (ISMIR 2018). Of the 561 filters in the front end of their network for
the Million Song Dataset, weight decay has left 62 that are not zero; leaving the others out
changes no output by more than rounding does, and makes the network fifteen times faster.
"""

from __future__ import annotations

import math
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.classifier.training.architectures import check_axes, positive_sizes
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Where filters respond the most, by matrix products.

_FRAMES_TOGETHER = 16
"""Frames that share a row of the product where filters reach over time only."""


def highest_over_bands(spectrograms: Tensor, filters: Tensor) -> Tensor:
    """Return the highest response of filters over time and frequency at each frame, (b, frames, n).

    The maximum over the pitches at which a filter fits, as a convolution would give it.
    `spectrograms` is (b, frames + taps - 1, n_mels), with the margin that the filters need;
    `filters` is (n, taps, bands), of the same type, `bands` at most `n_mels`.
    """
    n, taps, bands = filters.shape
    windows, padded, n_mels = spectrograms.shape
    frames, pitches = padded - taps + 1, n_mels - bands + 1
    matrix = filters.new_zeros(pitches, n, taps, n_mels)
    up, *others = matrix.stride()
    matrix.as_strided((pitches, n, taps, bands), (up + 1, *others)).copy_(filters)
    rows = spectrograms.flatten(1).unfold(1, taps * n_mels, n_mels).reshape(-1, taps * n_mels)
    responses = rows @ matrix.view(pitches * n, -1).T
    return _highest(responses.view(windows, frames, pitches, n), 2)


def highest_over_time(spectrograms: Tensor, filters: Tensor) -> Tensor:
    """Return the highest response over the bands of filters over time alone, (b, frames, n).

    `spectrograms` is (b, frames + taps - 1, n_mels), with the margin that the filters need;
    `filters` is (n, taps, 1), of the same type.
    """
    n, taps, _ = filters.shape
    windows, padded, n_mels = spectrograms.shape
    frames = padded - taps + 1
    pieces, reach = -(-frames // _FRAMES_TOGETHER), _FRAMES_TOGETHER + taps - 1
    matrix = filters.new_zeros(_FRAMES_TOGETHER, n, reach)
    later, *others = matrix.stride()
    matrix.as_strided((_FRAMES_TOGETHER, n, taps), (later + 1, *others)).copy_(filters[:, :, 0])
    bands = functional.pad(
        spectrograms.transpose(1, 2), (0, -frames % _FRAMES_TOGETHER)
    ).contiguous()
    rows = bands.unfold(2, reach, _FRAMES_TOGETHER).reshape(-1, reach)
    responses = rows @ matrix.view(-1, reach).T
    whole = pieces * _FRAMES_TOGETHER
    highest = _highest(responses.view(windows, n_mels, whole * n), 1)
    return highest.view(windows, whole, n)[:, :frames]


def _highest(values: Tensor, axis: int) -> Tensor:
    """Return the maximum along an inner axis; for bfloat16 several times faster than ``amax``."""
    while (length := values.shape[axis]) > 1:
        half = (length + 1) // 2
        low, high = values.narrow(axis, 0, half), values.narrow(axis, length - half, half)
        values = torch.maximum(low, high)
    return values.squeeze(axis)


# Whether to compute in bfloat16.

_full: ContextVar[bool] = ContextVar("full", default=False)


def bfloat16_is_quick(device: torch.device) -> bool:
    """Return whether the device computes in bfloat16 in hardware, and may."""
    if _full.get():
        return False
    if device.type == "cpu":
        return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


@contextmanager
def full_precision() -> Iterator[None]:
    """Let networks compute in 32 bits everywhere, so that their outputs can be compared."""
    before = _full.set(True)
    try:
        yield
    finally:
        _full.reset(before)


# The network.

KERNELS = ((7, 38), (7, 67), (128, 1), (64, 1), (32, 1))
"""Of the front end, (frames, mel bands): two for timbre, three for rhythm."""

EPSILON = 1e-3
"""Of all batch normalisation, as TensorFlow has it."""

_TOGETHER = 2
"""Windows per pass of the front end on a CPU: the responses stay in its cache."""

_TOGETHER_BFLOAT16 = 8
"""The same in bfloat16: the matrix units of a CPU pay off with large products."""


def tag_head(hidden: int, n_tags: int) -> nn.Linear:
    """Build a linear layer; PyTorch's warning of one without outputs is silenced."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
        return nn.Linear(hidden, n_tags)


def _highest_musicnn(padded: Tensor, filters: Tensor) -> Tensor:
    """Return the highest response of filters at each frame, (b, filters, frames)."""
    if filters.shape[2] == 1:
        return highest_over_time(padded[:, 0], filters).transpose(1, 2)
    if filters.dtype == torch.bfloat16:
        return highest_over_bands(padded[:, 0], filters).transpose(1, 2)
    # A layout with channels last, for inputs of one channel, would slow the maximum down.
    return functional.conv2d(padded, filters.unsqueeze(1).contiguous()).amax(3)


class FrontEndBlock(nn.Module):
    """Filters over (frames, mel bands), of which only the strongest pitch at each frame counts."""

    def __init__(self, filters: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        before = (kernel[0] - 1) // 2
        self.padding = (0, 0, before, kernel[0] - 1 - before)
        self.conv = nn.Conv2d(1, filters, kernel)
        self.norm = nn.BatchNorm1d(filters, eps=EPSILON)

    def forward(self, spectrograms: Tensor) -> Tensor:
        """Map (b, 1, frames, n_mels) to (b, filters, frames)."""
        padded = functional.pad(spectrograms, self.padding)
        # Traced for ONNX, the graph holds a plain convolution, which runtimes optimise themselves.
        traced = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if self.training or traced:
            return self._strongest(functional.conv2d(padded, self.conv.weight))
        if spectrograms.device.type == "cpu":
            return self._on_processor(padded, halved=bfloat16_is_quick(spectrograms.device))
        if bfloat16_is_quick(spectrograms.device):
            padded, weight = padded.bfloat16(), self.conv.weight.bfloat16()
            return self._strongest(functional.conv2d(padded, weight).float())
        return self._strongest(functional.conv2d(padded, self.conv.weight))

    def _on_processor(self, padded: Tensor, *, halved: bool) -> Tensor:
        """Map padded spectrograms to the responses, on the CPU.

        The lowest response, which counts where the slope is negative, is the highest of the
        opposite filter: one maximum instead of two.
        """
        signs = torch.where(self.norm.weight >= 0, 1.0, -1.0)
        filters = signs.view(-1, 1, 1) * self.conv.weight[:, 0]
        if halved:
            padded, filters = padded.bfloat16(), filters.bfloat16()
        pieces = torch.split(padded, _TOGETHER_BFLOAT16 if halved else _TOGETHER)
        highest = torch.cat([_highest_musicnn(piece, filters) for piece in pieces])
        return self._counted(signs.view(-1, 1) * highest.float())

    def _strongest(self, responses: Tensor) -> Tensor:
        """Map the responses at every pitch, without bias, to the normalised strongest ones.

        The original rectifies and normalises before it takes the maximum. Both are monotonic, so
        the maximum may go first; where the slope is negative, the minimum takes its place.
        """
        rising = self.norm.weight.view(1, -1, 1) >= 0
        return self._counted(torch.where(rising, responses.amax(3), responses.amin(3)))

    def _counted(self, chosen: Tensor) -> Tensor:
        """Rectify and normalise (b, filters, frames)."""
        shift = self.conv.bias.view(1, -1, 1)  # type: ignore[union-attr]
        return self.norm(torch.relu(chosen + shift))  # type: ignore[no-any-return]


class MusiCNN(nn.Module):
    """Musically motivated convolutions, residual layers over time, pooling, three linear heads.

    The embedding has two parts: the position of a window between the genres (square roots of
    flattened probabilities, whose cosine is the affinity of Bhattacharyya), and its timbre (a
    linear map of the penultimate layer, of unit length).

    Parameters
    ----------
    n_genres : int
    shape : sequence of int
        Mel bands and frames of a window; any number of frames fits.
    filters : sequence of int
        Of the five blocks of the front end.
    channels : int
        Of the three layers over time.
    hidden : int
        Units of the penultimate layer.
    dimension : int
        Length of the embedding, genres included.
    n_tags : int
        Outputs of the tag head; may be 0.
    flatness : float
        Temperature of the probabilities in the embedding.
    genre_weight : float
        Length of the genre part of the embedding; the timbre part has length 1.
    """

    def __init__(
        self,
        n_genres: int,
        shape: Sequence[int] = (96, 188),
        filters: Sequence[int] = (22, 14, 3, 6, 17),
        channels: int = 64,
        hidden: int = 200,
        dimension: int = 128,
        n_tags: int = 50,
        flatness: float = 3.0,
        genre_weight: float = 0.7,
    ) -> None:
        super().__init__()
        n_mels, _ = check_axes(shape, ("mel bands", "frames"))
        widest = max(bands for _, bands in KERNELS)
        if n_mels < widest:
            raise ModelError(
                f"windows of {n_mels} mel bands are too narrow for filters of {widest}",
                "Give 96 mel bands, as the network was made for.",
            )
        self.flatness, self.genre_weight, self.dimension = flatness, genre_weight, dimension
        counts = positive_sizes("filters", filters, len(KERNELS))
        self.filters = counts
        self.input_norm = nn.BatchNorm2d(1, eps=EPSILON)
        self.front = nn.ModuleList(map(FrontEndBlock, counts, KERNELS))
        # One more input, always 1, stands for the constants of the pruned filters: with the padding
        # they end where the window does, which a bias would not.
        inputs = (sum(counts) + 1, channels, channels)
        self.layers = nn.ModuleList(nn.Conv1d(n, channels, 7, padding=3) for n in inputs)
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels, eps=EPSILON) for _ in inputs)
        self.n_pooled = 2 * (sum(counts) + 3 * channels)
        self.dense = nn.Linear(self.n_pooled, hidden)
        self.dense_norm = nn.BatchNorm1d(hidden, eps=EPSILON)
        self.genres = nn.Linear(hidden, n_genres)
        self.nothing = nn.Linear(hidden, 1)
        (timbre,) = positive_sizes("dimension without genres", (dimension - n_genres,))
        self.embed = nn.Linear(hidden, timbre)
        self.tags = tag_head(hidden, n_tags)

    def front_end(self, windows: Tensor) -> Tensor:
        """Map windows (b, n_mels, frames) to responses of the filters, (b, n_filters, frames)."""
        spectrograms = self.input_norm(windows.transpose(1, 2).unsqueeze(1))
        return torch.cat([block(spectrograms) for block in self.front], dim=1)

    def pooled(self, responses: Tensor) -> Tensor:
        """Map the responses of the filters to maxima and means over time, (b, n_pooled)."""
        state = torch.cat([responses, torch.ones_like(responses[:, :1])], dim=1)
        states: list[Tensor] = []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            change = norm(torch.relu(layer(state)))
            state = states[-1] + change if states else change
            states.append(state)
        joined = torch.cat([responses, *states], dim=1)
        return torch.cat([joined.amax(2), joined.mean(2)], dim=1)

    def penultimate(self, pooled: Tensor) -> Tensor:
        """Map maxima and means to the penultimate layer, (b, hidden)."""
        return self.dense_norm(torch.relu(self.dense(pooled)))  # type: ignore[no-any-return]

    def heads(self, penultimate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map the penultimate layer to logits, embedding and tag logits.

        An out-of-distribution window belongs to every genre alike: the logits are the logarithms
        of the genre probabilities, mixed with equal shares by the probability of that.
        """
        scores, logit = self.genres(penultimate), self.nothing(penultimate)
        music = functional.log_softmax(scores, dim=1)
        logits = torch.logaddexp(
            music + functional.logsigmoid(-logit),
            (functional.logsigmoid(logit) - math.log(music.shape[1])).expand_as(music),
        )
        genres = torch.softmax(scores / self.flatness, dim=1).sqrt()
        timbre = functional.normalize(self.embed(penultimate), dim=1)
        embedding = torch.cat([self.genre_weight * genres, timbre], dim=1)
        return logits, embedding, self.tags(penultimate)

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map windows of compressed mel (b, n_mels, frames) to the outputs of the three heads.

        Returns logits (b, n_genres), embedding (b, dimension), not of unit length, and tag logits
        (b, n_tags).
        """
        return self.heads(self.penultimate(self.pooled(self.front_end(windows))))
