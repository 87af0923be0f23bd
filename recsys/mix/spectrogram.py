"""The mel spectrogram of a whole track, as players show it: a few hundred frames of grey levels."""

from __future__ import annotations

import itertools
import math
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
_N_FFT, _HOP = 2048, 512  # the least hop: that of a long track is longer
_FINER = 16  # frames that are transformed for one of the result, at most
_LONGER = 4  # times its expected length that a file may have before the rest is left out
_PIECE = 2**17  # samples that are transformed at once


@dataclass(frozen=True, slots=True)
class SpectrogramOf:
    """What a worker process makes a spectrogram of; `duration_s` as far as it is known."""

    path: Path
    duration_s: float


def spectrogram_of(wanted: SpectrogramOf) -> npt.NDArray[np.uint8]:
    """Return grey levels, shape (BANDS, FRAMES): 255 for the loudest, 0 for silence.

    Memory does not grow with the length of the file. AudioError if it cannot be decoded.
    """
    most = FRAMES * _FINER
    hop = max(_HOP, int(min(wanted.duration_s, 1e7) * _RATE_HZ / most))
    frames: list[FloatArray] = []
    for power in _powers(mono_blocks(wanted.path, _RATE_HZ), hop):
        frames.extend(power)
        if len(frames) >= _LONGER * most:
            break
    if not frames:
        raise AudioError("no sound could be decoded", "The file is damaged; replace it.")
    return _levels(np.stack(frames))


def _powers(blocks: Iterator[FloatArray], hop: int) -> Iterator[FloatArray]:
    """Yield the mel power of sound, shape (n, BANDS), as if it was transformed in one piece."""
    half = _N_FFT // 2
    edge = math.ceil(half / hop)  # frames at either end of a piece that reach beyond it
    end = np.zeros(half, np.float32)
    held = [np.zeros(edge * hop, np.float32)]
    for block in itertools.chain(blocks, [end]):
        held.append(np.clip(np.nan_to_num(block), -8, 8))
        if block is end or sum(map(len, held)) >= max(_PIECE, 4 * hop):
            samples = np.concatenate(held)
            count = max(0, (len(samples) - half) // hop + 1 - edge)
            if count:
                mel = mel_power(samples[np.newaxis], _RATE_HZ, _N_FFT, hop, BANDS)[0]
                yield mel[:, edge : edge + count].T
            held = [samples[count * hop :]]


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
