"""The MusiCNN network in NumPy.

Its outputs are those of :class:`recsys.classifier.training.musicnn_torch.MusiCNN` to within
rounding, in half the time. Importing PyTorch takes longer than the inference of twenty songs, so
every process that decodes runs the network itself, and no windows travel between processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys.types import FloatArray

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.classifier.card import ModelCard

FRAMES_TOGETHER = 16
"""Frames that share a row of the product over time: more frames mean fewer rows of more zeros."""


class BandFilters:
    """Filters (n, taps, bands) a few frames long and many mel bands high.

    A correlation is a product of spectra. Its inverse transform is wanted at few pitches and for a
    maximum only, so it is a matrix product; counted from the middle, the responses at a pitch and
    at its mirror image are the sum and the difference of an even and an odd part, of which the
    larger is the even part plus the absolute odd one. That halves the product.
    """

    def __init__(self, filters: FloatArray, n_mels: int) -> None:
        n, self.taps, bands = filters.shape
        self.n = n
        pitches = n_mels - bands + 1
        middle = (pitches - 1) / 2
        frequency = np.arange(n_mels // 2 + 1)
        turn = 2j * np.pi / n_mels
        spectrum = np.conj(np.fft.rfft(filters.astype(np.float64), n=n_mels, axis=2))
        # Of a real signal every frequency counts twice, but for the first and the last.
        twice = np.where((frequency == 0) | (2 * frequency == n_mels), 1, 2) / n_mels
        spectrum = (spectrum * np.exp(turn * frequency * middle) * twice).transpose(2, 1, 0)
        real, imaginary = spectrum.real, spectrum.imag
        self._spectra = np.stack(
            [np.hstack([real, -imaginary]), np.hstack([imaginary, real])]
        ).astype(np.float32)
        offsets = middle - np.arange((pitches + 1) // 2)
        angles = turn.imag * np.outer(offsets, frequency)
        self._even = np.cos(angles).astype(np.float32)
        self._odd = np.sin(angles).astype(np.float32)

    def strongest(self, spectra: FloatArray) -> FloatArray:
        """Return the highest response over the pitches at every frame, (rows, n).

        Takes (n_frequencies, rows, 2 * taps) from :func:`band_spectra`, with as many taps.
        """
        products = np.matmul(spectra, self._spectra)
        n_frequencies = len(spectra)
        responses = self._even @ products[0].reshape(n_frequencies, -1)
        odd = self._odd @ products[1].reshape(n_frequencies, -1)
        responses += np.abs(odd, out=odd)
        strongest: FloatArray = responses.max(axis=0).reshape(-1, self.n)
        return strongest


def band_spectra(spectrograms: FloatArray, taps: int) -> FloatArray:
    """Return the spectra along the bands of the `taps` frames around every frame.

    Maps (b, frames, n_mels) to (n_mels // 2 + 1, b * frames, 2 * taps), by frequency: for every
    frame the real parts of its surroundings, then the imaginary ones. Frames beyond the ends are 0.
    """
    b, frames, n_mels = spectrograms.shape
    padded = np.zeros((b, frames + taps - 1, n_mels), dtype=np.float32)
    padded[:, (taps - 1) // 2 :][:, :frames] = spectrograms
    spectrum = np.fft.rfft(padded, axis=2).transpose(2, 0, 1)
    around = np.empty((len(spectrum), b, frames, 2, taps), dtype=np.float32)
    for part, values in enumerate((spectrum.real, spectrum.imag)):
        joined = np.ascontiguousarray(values)
        for tap in range(taps):
            around[..., part, tap] = joined[:, :, tap : tap + frames]
    return around.reshape(len(spectrum), b * frames, 2 * taps)


class TimeFilters:
    """Filters (n, taps) over time alone, one mel band high."""

    def __init__(self, filters: FloatArray) -> None:
        self.n, self._taps = filters.shape
        self._reach = FRAMES_TOGETHER + self._taps - 1
        matrix = np.zeros((FRAMES_TOGETHER, self.n, self._reach), dtype=np.float32)
        for frame in range(FRAMES_TOGETHER):
            matrix[frame, :, frame : frame + self._taps] = filters
        self._matrix = np.ascontiguousarray(matrix.reshape(-1, self._reach).T)

    def strongest(self, spectrograms: FloatArray) -> FloatArray:
        """Return the highest response over the bands at every frame.

        Maps (b, n_mels, frames) to (b, frames, n). Frames beyond the ends are 0.
        """
        b, n_mels, frames = spectrograms.shape
        whole = -(-frames // FRAMES_TOGETHER) * FRAMES_TOGETHER
        padded = np.zeros((b, n_mels, whole + self._taps - 1), dtype=np.float32)
        padded[:, :, (self._taps - 1) // 2 :][:, :, :frames] = spectrograms
        rows = _pieces(padded, self._reach).reshape(-1, self._reach)
        responses = (rows @ self._matrix).reshape(b, n_mels, -1)
        strongest: FloatArray = responses.max(axis=1).reshape(b, whole, self.n)
        return strongest[:, :frames]


def _pieces(padded: FloatArray, length: int) -> npt.NDArray[np.float32]:
    """Return overlapping pieces of a length, one for every `FRAMES_TOGETHER` frames."""
    pieces = np.lib.stride_tricks.sliding_window_view(padded, length, axis=2)
    return np.ascontiguousarray(pieces[:, :, ::FRAMES_TOGETHER])


EPSILON = 1e-3
"""Of all batch normalisation, as in :mod:`recsys.classifier.training.musicnn_torch`."""

FRONT_BLOCKS = 5
LAYERS = 3

_TOGETHER = 2
"""Windows per pass of the front end: the responses of the filters stay in the cache."""

_UNIT_LENGTH = np.float32(1e-12)

_OWN_SIZES = frozenset(
    ("filters", "channels", "hidden", "dimension", "n_tags", "flatness", "genre_weight")
)


def fits(card: ModelCard) -> bool:
    """Return whether a model is a MusiCNN, with or without a head over whole tracks."""
    return card.architecture == "musicnn" and card.config.keys() <= _OWN_SIZES | {"track_head"}


class MusicnnArrays:
    """The network; a :class:`recsys.classifier.inference.Network`.

    Takes the weights of a MusiCNN by PyTorch's names, and a card for which :func:`fits` holds.
    Raises KeyError or ValueError if they do not belong together; wrong sizes may show only when
    it runs.
    """

    def __init__(self, weights: Mapping[str, FloatArray], card: ModelCard) -> None:
        self._weights = weights
        self._flatness = float(card.config.get("flatness", 3.0))
        self._genre_weight = float(card.config.get("genre_weight", 0.7))
        n_mels = card.features.shape[0]
        (self._input_scale,), (self._input_shift,) = self._norm("input_norm")
        self._bands: list[BandFilters] = []
        self._times: list[TimeFilters] = []
        self._front = []
        for number in range(FRONT_BLOCKS):
            name = f"front.{number}"
            # The lowest response, which counts where the slope is negative, is the highest of the
            # filter's opposite.
            signs = np.where(self._weights[f"{name}.norm.weight"] >= 0, 1, -1).astype(np.float32)
            filters = self._weights[f"{name}.conv.weight"][:, 0] * signs[:, None, None]
            if filters.shape[2] == 1:
                self._times.append(TimeFilters(filters[:, :, 0]))
            else:
                self._bands.append(BandFilters(filters, n_mels))
            bias = self._weights[f"{name}.conv.bias"]
            self._front.append((signs, bias, *self._norm(f"{name}.norm")))
        self._layers = [
            (
                _as_matrix(self._weights[f"layers.{number}.weight"]),
                self._weights[f"layers.{number}.bias"],
                *self._norm(f"norms.{number}"),
            )
            for number in range(LAYERS)
        ]
        self._dense = (*self._linear("dense"), *self._norm("dense_norm"))
        self._genres, self._embed, self._tags = map(self._linear, ("genres", "embed", "tags"))
        self._nothing = self._linear("nothing")

    def _norm(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Return scale and shift of a batch normalisation in evaluation mode."""
        weights = self._weights
        scale = weights[f"{name}.weight"] / np.sqrt(weights[f"{name}.running_var"] + EPSILON)
        return scale, weights[f"{name}.bias"] - scale * weights[f"{name}.running_mean"]

    def _linear(self, name: str) -> tuple[FloatArray, FloatArray]:
        weight = np.ascontiguousarray(self._weights[f"{name}.weight"].T)
        return weight, self._weights[f"{name}.bias"]

    def of_windows(self, windows: FloatArray) -> tuple[FloatArray, ...]:
        """See :meth:`recsys.classifier.inference.Network.of_windows`."""
        pooled = [
            self._pooled(self._front_end(windows[start : start + _TOGETHER]))
            for start in range(0, len(windows), _TOGETHER)
        ]
        weights, bias, scale, shift = self._dense
        penultimate = _rectified(np.concatenate(pooled) @ weights, bias, scale, shift)
        return self._heads(penultimate)

    def _front_end(self, windows: FloatArray) -> FloatArray:
        """Map (b, n_mels, frames) to the responses of the filters, (b, frames, n_filters)."""
        b, _, frames = windows.shape
        spectrograms = windows * self._input_scale + self._input_shift
        spectra = band_spectra(spectrograms.transpose(0, 2, 1), self._bands[0].taps)
        strongest = [block.strongest(spectra).reshape(b, frames, -1) for block in self._bands]
        strongest += [block.strongest(spectrograms) for block in self._times]
        rectified = [
            _rectified(responses * signs, bias, scale, shift)
            for responses, (signs, bias, scale, shift) in zip(strongest, self._front, strict=True)
        ]
        return np.concatenate(rectified, axis=2)

    def _pooled(self, responses: FloatArray) -> FloatArray:
        """Map (b, frames, n_filters) to maxima and means over time, (b, n_pooled)."""
        state = np.concatenate([responses, np.ones_like(responses[:, :, :1])], axis=2)
        states: list[FloatArray] = []
        for weights, bias, scale, shift in self._layers:
            change = _rectified(_convolved(state, weights), bias, scale, shift)
            state = states[-1] + change if states else change
            states.append(state)
        joined = np.concatenate([responses, *states], axis=2)
        return np.concatenate([joined.max(axis=1), joined.mean(axis=1)], axis=1)

    def _heads(self, penultimate: FloatArray) -> tuple[FloatArray, ...]:
        """Map (b, hidden) to logits, embedding and tag logits, as MusiCNN.heads does."""
        scores, logit = (penultimate @ w + b for w, b in (self._genres, self._nothing))
        music = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        no_music = -np.logaddexp(0, logit)
        logits = np.logaddexp(music + no_music, no_music + logit - np.log(scores.shape[1]))
        flat = scores / self._flatness
        genres = np.exp((flat - np.logaddexp.reduce(flat, axis=1, keepdims=True)) / 2)
        timbre = penultimate @ self._embed[0] + self._embed[1]
        timbre /= np.maximum(np.linalg.norm(timbre, axis=1, keepdims=True), _UNIT_LENGTH)
        embedding = np.concatenate([self._genre_weight * genres, timbre], axis=1)
        tags = penultimate @ self._tags[0] + self._tags[1]
        outputs: tuple[FloatArray, ...] = (logits.astype(np.float32), embedding, tags)
        return outputs


def _rectified(
    values: FloatArray, bias: FloatArray, scale: FloatArray, shift: FloatArray
) -> FloatArray:
    """Add a bias, rectify and normalise, along the last axis."""
    rectified: FloatArray = np.maximum(values + bias, 0) * scale + shift
    return rectified


def _as_matrix(weights: FloatArray) -> FloatArray:
    """Lay the filters (outputs, inputs, taps) of a layer out as (taps * inputs, outputs)."""
    return np.ascontiguousarray(weights.transpose(2, 1, 0)).reshape(-1, len(weights))


def _convolved(state: FloatArray, matrix: FloatArray) -> FloatArray:
    """Convolve (b, frames, inputs) over time; frames beyond the ends are 0."""
    b, frames, inputs = state.shape
    taps = len(matrix) // inputs
    padded = np.zeros((b, frames + taps - 1, inputs), dtype=np.float32)
    padded[:, (taps - 1) // 2 :][:, :frames] = state
    by_track, by_frame, by_input = padded.strides
    # The frames around a frame lie one after the other, so that a row is a view of all of them.
    rows = np.lib.stride_tricks.as_strided(
        padded, (b, frames, taps * inputs), (by_track, by_frame, by_input), writeable=False
    )
    outputs: FloatArray = rows @ matrix
    return outputs
