"""The waveform of a whole track, as players show it: a few hundred peaks, one byte each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np

from recsys.audio import open_container
from recsys.errors import AudioError
from recsys.mix.measuring import blocks

if TYPE_CHECKING:
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
    mono = av.AudioResampler(format="flt", layout="mono", rate=_RATE_HZ)
    kept: list[FloatArray] = []
    rest = np.empty(0, np.float32)
    with open_container(path, at_most=None) as container:
        for block in blocks(container):
            block.pts = None
            parts = [part.to_ndarray()[0] for part in mono.resample(block)]
            samples = np.abs(np.concatenate([rest, *parts]))
            whole = len(samples) - len(samples) % _STEP
            kept.append(samples[:whole].reshape(-1, _STEP).max(axis=1))
            rest = samples[whole:]
    fine = np.concatenate([*kept, rest.max(keepdims=True)] if len(rest) else kept)
    if not len(fine):
        raise AudioError("no sound could be decoded", "The file is damaged; replace it.")
    return _reduced(fine).tobytes()


def _reduced(fine: FloatArray) -> npt.NDArray[np.uint8]:
    """Return the highest of each of :data:`PEAKS` stretches; a short sound repeats its own."""
    edges = np.linspace(0, len(fine), PEAKS + 1)
    starts = np.minimum(edges[:-1].astype(np.intp), len(fine) - 1)
    highest = np.maximum.reduceat(fine, starts)
    peaks: npt.NDArray[np.uint8] = (
        (np.nan_to_num(np.clip(highest, 0, 1)) * 255).round().astype(np.uint8)
    )
    return peaks
