"""The mel spectrogram of a whole track, as players show it: a few hundred frames of grey levels."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import AudioError
from recsys.mel import mel_power
from recsys.mix.waveform import mono_blocks, stretches

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from recsys.types import FloatArray

BANDS = 96
"""Mel bands, low to high."""

FRAMES = 600
"""Frames of a track, whatever its length."""

RANGE_DB = 80.0
"""Below the loudest point of a track; what is quieter is black."""

LIMIT_S = 60.0
"""Time that decoding a track for it may take."""

_RATE_HZ = 22_050
_N_FFT, _HOP = 2048, 512
_EDGE = _N_FFT // 2 // _HOP  # frames at either end of a piece that reach beyond it
_PIECE = 256 * _HOP  # samples that are transformed at once
_FINER = 4  # columns that are kept for a frame of the result
_LONGER = 4  # times its expected length that a file may have before the rest is left out


@dataclass(frozen=True, slots=True)
class SpectrogramOf:
    """What a worker process makes a spectrogram of; `duration_s` as far as it is known."""

    path: Path
    duration_s: float


def spectrogram_of(wanted: SpectrogramOf) -> npt.NDArray[np.uint8]:
    """Return grey levels, shape (BANDS, FRAMES): 255 for the loudest, 0 for silence.

    Memory does not grow with the length of the file. AudioError if it cannot be decoded.
    """
    frames = wanted.duration_s * _RATE_HZ / _HOP
    together = max(1, int(frames / (FRAMES * _FINER)))
    columns: list[FloatArray] = []
    rest = np.empty((0, BANDS), np.float32)
    most = _LONGER * _FINER * FRAMES
    for power in _powers(mono_blocks(wanted.path, _RATE_HZ)):
        joined = np.concatenate([rest, power])
        whole = len(joined) - len(joined) % together
        columns.extend(joined[:whole].reshape(-1, together, BANDS).mean(axis=1))
        rest = joined[whole:]
        if len(columns) >= most:
            break
    if len(rest):
        columns.append(rest.mean(axis=0))
    if not columns:
        raise AudioError("no sound could be decoded", "The file is damaged; replace it.")
    return _levels(np.stack(columns))


def _powers(blocks: Iterator[FloatArray]) -> Iterator[FloatArray]:
    """Yield the mel power of sound, shape (n, BANDS), as if it was transformed in one piece."""
    silence = np.zeros(_EDGE * _HOP, np.float32)
    held = [silence]
    for block in itertools.chain(blocks, [silence]):
        held.append(np.clip(np.nan_to_num(block), -8, 8))
        if block is silence or sum(map(len, held)) >= _PIECE:
            samples = np.concatenate(held)
            count = len(samples) // _HOP + 1 - 2 * _EDGE
            if count > 0:
                mel = mel_power(samples[np.newaxis], _RATE_HZ, _N_FFT, _HOP, BANDS)[0]
                yield mel[:, _EDGE : _EDGE + count].T
            held = [samples[max(0, count) * _HOP :]]


def _levels(power: FloatArray) -> npt.NDArray[np.uint8]:
    starts = stretches(len(power), FRAMES)
    sums = np.add.reduceat(power, starts, axis=0)
    counts = np.maximum(1, np.diff(starts, append=len(power)))
    mean = sums / counts[:, np.newaxis]
    loudest = float(mean.max())
    if loudest <= 0:
        return np.zeros((BANDS, FRAMES), np.uint8)
    floor = 10 ** (-RANGE_DB / 10)
    below_db = 10 * np.log10(np.maximum(mean / loudest, floor))
    levels: npt.NDArray[np.uint8] = ((1 + below_db / RANGE_DB) * 255).round().astype(np.uint8)
    return np.ascontiguousarray(levels.T)
