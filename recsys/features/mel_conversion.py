"""From the log-mel windows of public feature sets to the compressed ones of the default model.

Who has only spectrograms can still ask the model. Nothing is gained by it: the finer times of the
smaller FFT are lost, and so is how far the decibels of the track reached.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from recsys.features.compressed_mel import CompressedMel, compress, levelled
from recsys.features.log_mel import MEL, LogMel

if TYPE_CHECKING:
    from recsys.types import FloatArray

USUAL_DEVIATION_DB = 14.6
"""Standard deviation of the decibels of a track before it was standardised: the mean over the
clips of GTZAN is 14.6, their standard deviation 2.6."""


def from_log_mel(
    windows: FloatArray, source: LogMel = MEL, target: CompressedMel | None = None
) -> FloatArray:
    """Turn standardised log-mel windows into compressed mel windows.

    The decibels get an ordinary range back; power is read between the centres of the bands, and
    the compressed values between the times of the frames. Both scales give power per hertz
    (Slaney norm), so that only the level differs, which is brought to the usual one.

    Parameters
    ----------
    windows : ndarray of float32, shape (n, source.n_mels, source.frames)
        Standardised decibels, see :func:`recsys.features.log_mel`. Every window is levelled on its
        own.
    source : LogMel
        How they were made.
    target : CompressedMel, optional
        What is wanted; its defaults if None.

    Returns
    -------
    ndarray of float32, shape (n, target.n_mels, target.frames)
    """
    target = target or CompressedMel()
    n, _, frames = windows.shape
    if n == 0:
        return np.empty((0, *target.shape), dtype=np.float32)
    decibels = USUAL_DEVIATION_DB * (windows - windows.max(axis=(1, 2), keepdims=True))
    bands = np.tensordot(decibels, _between_bands(source, target), axes=(1, 1))
    power = np.power(10.0, 0.1 * bands.transpose(0, 2, 1)).astype(np.float32)
    pictures = np.stack([compress(levelled(window)) for window in power])
    times = np.arange(target.frames) * target.hop_length / target.sample_rate
    places = np.clip(times * source.sample_rate / source.hop_length, 0, frames - 1)
    left = np.minimum(places.astype(np.int64), max(0, frames - 2))
    share = (places - left).astype(np.float32)
    right = np.minimum(left + 1, frames - 1)
    between: FloatArray = pictures[:, :, left] * (1 - share) + pictures[:, :, right] * share
    return between.reshape(n, target.n_mels, target.frames)


@lru_cache(maxsize=4)
def _between_bands(source: LogMel, target: CompressedMel) -> FloatArray:
    """Return the matrix (target.n_mels, source.n_mels) that reads between centres of bands."""
    from recsys.features.one_librosa import librosa

    def centres(n_mels: int, sample_rate: int) -> FloatArray:
        edges: FloatArray = librosa.mel_frequencies(n_mels=n_mels + 2, fmin=0, fmax=sample_rate / 2)
        return edges[1:-1]

    known = centres(source.n_mels, source.sample_rate)
    wanted = centres(target.n_mels, target.sample_rate)
    rows = np.eye(source.n_mels)
    matrix = np.stack([np.interp(wanted, known, row) for row in rows], axis=1)
    return matrix.astype(np.float32)
