"""The default network on a processor, without PyTorch.

It says what :class:`recsys.classifier.models.musicnn.MusiCNN` says, to within rounding, in half
the time, and is ready at once: loading PyTorch takes longer than listening to twenty songs. So
every process that decodes can listen as well, and no sound travels between processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.filter_responses import BandFilters, TimeFilters, band_spectra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.classifier.checkpoint import ModelCard
    from recsys.types import FloatArray

EPSILON = 1e-3
"""Of all batch normalisation, as in :mod:`recsys.classifier.models.musicnn`."""

FRONT_BLOCKS = 5
LAYERS = 3

_TOGETHER = 2
"""Windows that are looked at together: what the filters give stays in the cache."""

_UNIT_LENGTH = np.float32(1e-12)

_OWN_SIZES = frozenset(
    ("filters", "channels", "hidden", "dimension", "n_tags", "flatness", "genre_weight")
)


def fits(card: ModelCard) -> bool:
    """Return whether a model can be computed here: it is a MusiCNN, with or without own genres."""
    return card.architecture == "musicnn" and card.config.keys() <= _OWN_SIZES | {"track_head"}


class MusicnnArrays:
    """The network; a :class:`recsys.classifier.network.Network`.

    Parameters
    ----------
    weights : mapping of str to ndarray
        Of a MusiCNN, by the names that PyTorch gives them, with those of a head on own genres
        around it where the card has one.
    card : ModelCard
        For which :func:`fits` holds.

    Raises
    ------
    KeyError, ValueError
        If the weights are not those that the card describes; where only sizes differ, when it
        listens.
    """

    def __init__(self, weights: Mapping[str, FloatArray], card: ModelCard) -> None:
        self._own = "track_head" in card.config
        self._all = weights
        self._prefix = "network." if self._own else ""
        self._flatness = float(card.config.get("flatness", 3.0))
        self._genre_weight = float(card.config.get("genre_weight", 0.8))
        self._prepare(card.features.shape[0])

    def _prepare(self, n_mels: int) -> None:
        (self._input_scale,), (self._input_shift,) = self._norm("input_norm")
        self._bands: list[BandFilters] = []
        self._times: list[TimeFilters] = []
        self._front = []
        for number in range(FRONT_BLOCKS):
            name = f"front.{number}"
            # The lowest response, which counts where the slope is negative, is the highest of the
            # filter's opposite.
            signs = np.where(self._of(f"{name}.norm.weight") >= 0, 1, -1).astype(np.float32)
            filters = self._of(f"{name}.conv.weight")[:, 0] * signs[:, np.newaxis, np.newaxis]
            if filters.shape[2] == 1:
                self._times.append(TimeFilters(filters[:, :, 0]))
            else:
                self._bands.append(BandFilters(filters, n_mels))
            self._front.append((signs, self._of(f"{name}.conv.bias"), *self._norm(f"{name}.norm")))
        self._layers = [
            (
                _as_matrix(self._of(f"layers.{number}.weight")),
                self._of(f"layers.{number}.bias"),
                *self._norm(f"norms.{number}"),
            )
            for number in range(LAYERS)
        ]
        self._dense = (*self._linear("dense"), *self._norm("dense_norm"))
        self._genres, self._embed, self._tags = map(self._linear, ("genres", "embed", "tags"))
        self._nothing = self._linear("nothing")

    def _of(self, name: str) -> FloatArray:
        return self._all[self._prefix + name]

    def _norm(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Return scale and shift of a normalisation by what was learned of a batch."""
        scale = self._of(f"{name}.weight") / np.sqrt(self._of(f"{name}.running_var") + EPSILON)
        return scale, self._of(f"{name}.bias") - scale * self._of(f"{name}.running_mean")

    def _linear(self, name: str) -> tuple[FloatArray, FloatArray]:
        return np.ascontiguousarray(self._of(f"{name}.weight").T), self._of(f"{name}.bias")

    def of_windows(self, windows: FloatArray) -> tuple[FloatArray, ...]:
        """See :meth:`recsys.classifier.network.Network.of_windows`."""
        pooled = [
            self._pooled(self._heard(windows[start : start + _TOGETHER]))
            for start in range(0, len(windows), _TOGETHER)
        ]
        weights, bias, scale, shift = self._dense
        penultimate = _rectified(np.concatenate(pooled) @ weights, bias, scale, shift)
        return self._heads(penultimate)

    def of_tracks(self, embeddings: FloatArray) -> FloatArray | None:
        """See :meth:`recsys.classifier.network.Network.of_tracks`."""
        if not self._own:
            return None
        logits: FloatArray = embeddings @ self._all["genres.weight"].T + self._all["genres.bias"]
        return logits

    def _heard(self, windows: FloatArray) -> FloatArray:
        """Map (b, n_mels, frames) to what the front end hears, (b, frames, n_filters)."""
        b, _, frames = windows.shape
        pictures = windows * self._input_scale + self._input_shift
        spectra = band_spectra(pictures.transpose(0, 2, 1), self._bands[0].taps)
        heard = [block.strongest(spectra).reshape(b, frames, -1) for block in self._bands]
        heard += [block.strongest(pictures) for block in self._times]
        counted = [
            _rectified(responses * signs, bias, scale, shift)
            for responses, (signs, bias, scale, shift) in zip(heard, self._front, strict=True)
        ]
        return np.concatenate(counted, axis=2)

    def _pooled(self, heard: FloatArray) -> FloatArray:
        """Map (b, frames, n_filters) to maxima and means over time, (b, n_pooled)."""
        state = np.concatenate([heard, np.ones_like(heard[:, :, :1])], axis=2)
        states: list[FloatArray] = []
        for weights, bias, scale, shift in self._layers:
            change = _rectified(_convolved(state, weights), bias, scale, shift)
            state = states[-1] + change if states else change
            states.append(state)
        joined = np.concatenate([heard, *states], axis=2)
        return np.concatenate([joined.max(axis=1), joined.mean(axis=1)], axis=1)

    def _heads(self, penultimate: FloatArray) -> tuple[FloatArray, ...]:
        """Map (b, hidden) to logits, embedding and tag logits, as MusiCNN.heads says it."""
        scores, odds = (penultimate @ w + b for w, b in (self._genres, self._nothing))
        music = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        no_music = -np.logaddexp(0, odds)
        logits = np.logaddexp(music + no_music, no_music + odds - np.log(scores.shape[1]))
        flat = scores / self._flatness
        genres = np.exp((flat - np.logaddexp.reduce(flat, axis=1, keepdims=True)) / 2)
        sounding = penultimate @ self._embed[0] + self._embed[1]
        sounding /= np.maximum(np.linalg.norm(sounding, axis=1, keepdims=True), _UNIT_LENGTH)
        embedding = np.concatenate([self._genre_weight * genres, sounding], axis=1)
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
    """Convolve (b, frames, inputs) over time; beyond the ends there is nothing (0)."""
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
