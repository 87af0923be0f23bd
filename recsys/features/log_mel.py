"""Log-mel windows: the one picture of sound that the default model looks at.

The settings are those of the public GTZAN feature sets, so that a model trained here can be
applied to spectrograms made elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recsys.features.base import Features

if TYPE_CHECKING:
    from recsys.types import FloatArray


@dataclass(frozen=True, kw_only=True)
class LogMel(Features):
    """Log-mel windows, standardised over the track.

    Half precision, a thousandth of a standard deviation, is finer than any encoding of the
    sound, and halves what has to travel between processes.

    Attributes
    ----------
    n_fft, hop_length : int
        Samples.
    n_mels : int
        Mel bands (Slaney scale and norm, librosa's default) from 0 Hz to half the sample rate.
    top_db : float
        Range kept below the loudest point of the track, decibels.
    """

    kind: ClassVar[str] = "log-mel"

    n_fft: int = 2048
    hop_length: int = 512
    n_mels: int = 128
    top_db: float = 80.0

    @property
    def frames(self) -> int:
        """Spectrogram frames in a window (centred frames, as librosa counts them)."""
        return 1 + self.window_length // self.hop_length

    @property
    def shape(self) -> tuple[int, int]:
        """Mel bands and frames."""
        return self.n_mels, self.frames

    def compute(self, samples: FloatArray) -> FloatArray:
        """Return :func:`log_mel` of the windows."""
        return log_mel(samples, self)


MEL = LogMel()
"""The settings of the default model."""


def log_mel(samples: FloatArray, settings: LogMel = MEL) -> FloatArray:
    """Turn sound into log-mel spectrograms, standardised over all that is given.

    The decibels are standardised (mean 0, standard deviation 1) over all windows together, so
    the result does not change with the level of the recording.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_windows, n_samples)
        Windows of one track, nominally in [-1, 1], at ``settings.sample_rate``.
    settings : LogMel
        How to look at it.

    Returns
    -------
    ndarray of float32, shape (n_windows, n_mels, n_frames)
        ``n_frames`` is ``1 + n_samples // hop_length``. Silence gives zeros.

    Raises
    ------
    ValueError
        If `samples` is not two-dimensional or is empty.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 440 * np.arange(MEL.window_length) / MEL.sample_rate)
    >>> picture = log_mel(tone[np.newaxis].astype(np.float32))
    >>> picture.shape
    (1, 128, 130)
    >>> quieter = log_mel(0.1 * tone[np.newaxis].astype(np.float32))
    >>> bool(np.allclose(picture, quieter, atol=1e-3))
    True
    """
    if samples.ndim != 2 or samples.size == 0:
        raise ValueError(f"samples must have shape (n_windows, n_samples), got {samples.shape}")
    from recsys.features.one_librosa import librosa

    power = librosa.feature.melspectrogram(
        y=np.ascontiguousarray(samples, dtype=np.float32),
        sr=settings.sample_rate,
        n_fft=settings.n_fft,
        hop_length=settings.hop_length,
        n_mels=settings.n_mels,
    )
    decibels: FloatArray = librosa.power_to_db(
        power, ref=np.max, amin=1e-20, top_db=settings.top_db
    )
    return standardise(decibels)


def standardise(values: FloatArray) -> FloatArray:
    """Shift and scale to mean 0 and standard deviation 1 over the whole array.

    Parameters
    ----------
    values : ndarray, any shape
        What to standardise. A constant array becomes zeros.

    Returns
    -------
    ndarray of float32, same shape
    """
    centred = values - values.mean(dtype=np.float64)
    deviation = float(np.sqrt(np.mean(np.square(centred, dtype=np.float64))))
    if deviation < 1e-6:
        return np.zeros(values.shape, dtype=np.float32)
    scaled: FloatArray = (centred / deviation).astype(np.float32)
    return scaled
