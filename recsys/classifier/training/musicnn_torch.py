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


def highest_over_bands(pictures: Tensor, filters: Tensor) -> Tensor:
    """Return the highest response of filters over time and frequency at each frame.

    Parameters
    ----------
    pictures : Tensor, shape (b, frames + taps - 1, n_mels)
        With the margin that the filters need.
    filters : Tensor, shape (n, taps, bands)
        Of the same type; `bands` at most `n_mels`.

    Returns
    -------
    Tensor, shape (b, frames, n)
        The maximum over the pitches at which a filter fits, as a convolution gives them.
    """
    n, taps, bands = filters.shape
    windows, padded, n_mels = pictures.shape
    frames, pitches = padded - taps + 1, n_mels - bands + 1
    matrix = filters.new_zeros(pitches, n, taps, n_mels)
    up, *others = matrix.stride()
    matrix.as_strided((pitches, n, taps, bands), (up + 1, *others)).copy_(filters)
    rows = pictures.flatten(1).unfold(1, taps * n_mels, n_mels).reshape(-1, taps * n_mels)
    responses = rows @ matrix.view(pitches * n, -1).T
    return _highest(responses.view(windows, frames, pitches, n), 2)


def highest_over_time(pictures: Tensor, filters: Tensor) -> Tensor:
    """Return the highest response of filters over time alone (one band wide) at each frame.

    Parameters
    ----------
    pictures : Tensor, shape (b, frames + taps - 1, n_mels)
        With the margin that the filters need.
    filters : Tensor, shape (n, taps, 1)
        Of the same type.

    Returns
    -------
    Tensor, shape (b, frames, n)
        The maximum over the bands.
    """
    n, taps, _ = filters.shape
    windows, padded, n_mels = pictures.shape
    frames = padded - taps + 1
    pieces, reach = -(-frames // _FRAMES_TOGETHER), _FRAMES_TOGETHER + taps - 1
    matrix = filters.new_zeros(_FRAMES_TOGETHER, n, reach)
    later, *others = matrix.stride()
    matrix.as_strided((_FRAMES_TOGETHER, n, taps), (later + 1, *others)).copy_(filters[:, :, 0])
    bands = functional.pad(pictures.transpose(1, 2), (0, -frames % _FRAMES_TOGETHER)).contiguous()
    rows = bands.unfold(2, reach, _FRAMES_TOGETHER).reshape(-1, reach)
    responses = rows @ matrix.view(-1, reach).T
    heard = pieces * _FRAMES_TOGETHER
    highest = _highest(responses.view(windows, n_mels, heard * n), 1)
    return highest.view(windows, heard, n)[:, :frames]


def _highest(values: Tensor, axis: int) -> Tensor:
    """Return the maximum along an inner axis, several times as quick as ``amax`` of bfloat16."""
    while (length := values.shape[axis]) > 1:
        half = (length + 1) // 2
        low, high = values.narrow(axis, 0, half), values.narrow(axis, length - half, half)
        values = torch.maximum(low, high)
    return values.squeeze(axis)


# Where a shorter number format is quick, and where it is not wanted.


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
    """Let networks compute in 32 bits everywhere, so that what they say can be compared."""
    before = _full.set(True)
    try:
        yield
    finally:
        _full.reset(before)


# ----------------------------------------------------------------------


KERNELS = ((7, 38), (7, 67), (128, 1), (64, 1), (32, 1))
"""Of the front end, (frames, mel bands): two that hear timbre, three that hear rhythm."""

EPSILON = 1e-3
"""Of all batch normalisation, as TensorFlow has it."""

_TOGETHER = 2
"""Windows in the front end at once, on a processor."""

_UNITS_TOGETHER = 8
"""The same where the processor has units for products, which are worth their while when large."""


def tag_head(hidden: int, n_tags: int) -> nn.Linear:
    """Make a linear layer; one without outputs is fine, and nothing to be warned of."""
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
    """Filters over time and frequency, of which only the strongest pitch at each moment counts.

    Parameters
    ----------
    filters : int
        Number of outputs.
    kernel : (int, int)
        Frames and mel bands.
    """

    def __init__(self, filters: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        before = (kernel[0] - 1) // 2
        self.padding = (0, 0, before, kernel[0] - 1 - before)
        self.conv = nn.Conv2d(1, filters, kernel)
        self.norm = nn.BatchNorm1d(filters, eps=EPSILON)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map (b, 1, frames, n_mels) to (b, filters, frames)."""
        padded = functional.pad(pictures, self.padding)
        # Who traces the network, to write it as ONNX, has other ways to be quick.
        traced = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if self.training or traced:
            return self._strongest(functional.conv2d(padded, self.conv.weight))
        if pictures.device.type == "cpu":
            return self._on_processor(padded, halved=bfloat16_is_quick(pictures.device))
        if bfloat16_is_quick(pictures.device):
            padded, weight = padded.bfloat16(), self.conv.weight.bfloat16()
            return self._strongest(functional.conv2d(padded, weight).float())
        return self._strongest(functional.conv2d(padded, self.conv.weight))

    def _on_processor(self, padded: Tensor, *, halved: bool) -> Tensor:
        """Map padded pictures to what counts, in half precision or not.

        The lowest response, which counts where the slope is negative, is the highest of the
        filter's opposite: half as much to look through as both.
        """
        signs = torch.where(self.norm.weight >= 0, 1.0, -1.0)
        filters = signs.view(-1, 1, 1) * self.conv.weight[:, 0]
        if halved:
            padded, filters = padded.bfloat16(), filters.bfloat16()
        # A few windows at a time: what the filters give is large, and stays in the cache.
        pieces = torch.split(padded, _UNITS_TOGETHER if halved else _TOGETHER)
        highest = torch.cat([_highest_musicnn(piece, filters) for piece in pieces])
        return self._counted(signs.view(-1, 1) * highest.float())

    def _strongest(self, heard: Tensor) -> Tensor:
        """Map what the filters give at every pitch, without bias, to what counts.

        The original rectifies and normalises before it takes the maximum. Both are monotonous, so
        that the maximum may go first; where the slope is negative, the minimum takes its place.
        """
        rising = self.norm.weight.view(1, -1, 1) >= 0
        return self._counted(torch.where(rising, heard.amax(3), heard.amin(3)))

    def _counted(self, chosen: Tensor) -> Tensor:
        """Rectify and normalise (b, filters, frames)."""
        shift = self.conv.bias.view(1, -1, 1)  # type: ignore[union-attr]
        return self.norm(torch.relu(chosen + shift))  # type: ignore[no-any-return]


class MusiCNN(nn.Module):
    """Musically motivated convolutions, residual layers over time, pooling, three linear heads.

    The embedding has two parts: where a window stands between the genres (square roots of flattened
    probabilities, whose cosine is the affinity of Bhattacharyya), and what it sounds like beside
    that (a linear picture of the penultimate layer, of unit length).

    Parameters
    ----------
    n_genres : int
        Number of labels.
    shape : sequence of int
        Mel bands and frames of a window; any number of frames will do.
    filters : sequence of int
        Of the five blocks of the front end.
    channels : int
        Of the three layers over time.
    hidden : int
        Units of the penultimate layer.
    dimension : int
        Length of the embedding, genres included.
    n_tags : int
        Outputs of the second head; may be 0.
    flatness : float
        Temperature of the probabilities in the embedding.
    genre_weight : float
        Length of the genres' part of the embedding, where the other part has length 1.
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
        genre_weight: float = 0.8,
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
        # One more input, always 1, stands for the constants that the filters left out gave: with
        # the padding they end where the window does, which a bias would not.
        inputs = (sum(counts) + 1, channels, channels)
        self.layers = nn.ModuleList(nn.Conv1d(n, channels, 7, padding=3) for n in inputs)
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels, eps=EPSILON) for _ in inputs)
        self.n_pooled = 2 * (sum(counts) + 3 * channels)
        self.dense = nn.Linear(self.n_pooled, hidden)
        self.dense_norm = nn.BatchNorm1d(hidden, eps=EPSILON)
        self.genres = nn.Linear(hidden, n_genres)
        self.nothing = nn.Linear(hidden, 1)
        (sounding,) = positive_sizes("dimension without genres", (dimension - n_genres,))
        self.embed = nn.Linear(hidden, sounding)
        self.tags = tag_head(hidden, n_tags)

    def front_end(self, windows: Tensor) -> Tensor:
        """Map windows (b, n_mels, frames) to what the filters heard, (b, n_filters, frames)."""
        pictures = self.input_norm(windows.transpose(1, 2).unsqueeze(1))
        return torch.cat([block(pictures) for block in self.front], dim=1)

    def pooled(self, heard: Tensor) -> Tensor:
        """Map what the filters heard to maxima and means over time, (b, n_pooled)."""
        state = torch.cat([heard, torch.ones_like(heard[:, :1])], dim=1)
        states: list[Tensor] = []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            change = norm(torch.relu(layer(state)))
            state = states[-1] + change if states else change
            states.append(state)
        joined = torch.cat([heard, *states], dim=1)
        return torch.cat([joined.amax(2), joined.mean(2)], dim=1)

    def penultimate(self, pooled: Tensor) -> Tensor:
        """Map maxima and means to the penultimate layer, (b, hidden)."""
        return self.dense_norm(torch.relu(self.dense(pooled)))  # type: ignore[no-any-return]

    def heads(self, penultimate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map the penultimate layer to logits, embedding and tag logits.

        What is no music belongs to every genre alike: the logits are the logarithms of the
        probabilities of the genres, mixed with equal shares by the probability that it is none.
        """
        scores, odds = self.genres(penultimate), self.nothing(penultimate)
        music = functional.log_softmax(scores, dim=1)
        logits = torch.logaddexp(
            music + functional.logsigmoid(-odds),
            (functional.logsigmoid(odds) - math.log(music.shape[1])).expand_as(music),
        )
        genres = torch.softmax(scores / self.flatness, dim=1).sqrt()
        sounding = functional.normalize(self.embed(penultimate), dim=1)
        embedding = torch.cat([self.genre_weight * genres, sounding], dim=1)
        return logits, embedding, self.tags(penultimate)

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Listen to windows.

        Parameters
        ----------
        windows : Tensor of float32, shape (b, n_mels, frames)
            What :class:`~recsys.mel.CompressedMel` computes.

        Returns
        -------
        logits : Tensor, shape (b, n_genres)
        embedding : Tensor, shape (b, dimension)
            Not yet of unit length.
        tag_logits : Tensor, shape (b, n_tags)
        """
        return self.heads(self.penultimate(self.pooled(self.front_end(windows))))
