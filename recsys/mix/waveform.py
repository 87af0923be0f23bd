"""The waveform of a whole track, as players show it: a few hundred peaks, one byte each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np

from recsys.audio import open_container
from recsys.errors import AudioError
from recsys.mix.measuring import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from recsys.types import FloatArray

PEAKS = 800
"""Peaks of a track, whatever its length."""

LIMIT_S = 60.0
"""Time that decoding a track for it may take: ten hours of music take less."""

_RATE_HZ = 8000
_STEP = 80  # samples of which the highest is kept at first: a hundredth of a second


def peaks_of(path: Path) -> bytes:
    """Return the :data:`PEAKS` peaks of a file, from 0 to 255 for full scale.

    AudioError if it cannot be decoded.
    """
    kept: list[FloatArray] = []
    rest = np.empty(0, np.float32)
    for block in mono_blocks(path, _RATE_HZ):
        samples = np.abs(np.concatenate([rest, block]))
        whole = len(samples) - len(samples) % _STEP
        kept.append(samples[:whole].reshape(-1, _STEP).max(axis=1))
        rest = samples[whole:]
    fine = np.concatenate([*kept, rest.max(keepdims=True)] if len(rest) else kept)
    if not len(fine):
        raise AudioError("no sound could be decoded", "The file is damaged; replace it.")
    return _reduced(fine).tobytes()


def _reduced(fine: FloatArray) -> npt.NDArray[np.uint8]:
    """Return the highest of each of :data:`PEAKS` stretches; a short sound repeats its own."""
    highest = np.maximum.reduceat(fine, stretches(len(fine), PEAKS))
    peaks: npt.NDArray[np.uint8] = (
        (np.nan_to_num(np.clip(highest, 0, 1)) * 255).round().astype(np.uint8)
    )
    return peaks


def mono_blocks(path: Path, rate_hz: int) -> Iterator[FloatArray]:
    """Yield the sound of a whole file in one channel, a second at a time, past damaged pieces.

    AudioError if it cannot be decoded.
    """
    mono = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
    with open_container(path, at_most=None) as container:
        for block in blocks(container):
            block.pts = None
            yield from (part.to_ndarray()[0] for part in mono.resample(block))


def stretches(length: int, count: int) -> npt.NDArray[np.intp]:
    """Return where `count` even stretches of a length begin; a short one repeats its own."""
    edges = np.linspace(0, length, count + 1)
    return np.minimum(edges[:-1].astype(np.intp), length - 1)
