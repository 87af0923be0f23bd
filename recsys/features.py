"""Log-mel windows: the one picture of sound that the default model looks at.

The settings are those of the public GTZAN feature sets, so that a model trained here can be
applied to spectrograms made elsewhere. librosa is imported where it is used, because it costs
more than a second and most commands never need it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from recsys.types import FloatArray


@dataclass(frozen=True, slots=True)
class MelSettings:
    """Everything that decides what a log-mel window looks like.

    Attributes
    ----------
    sample_rate : int
        Hz.
    n_fft, hop_length : int
        Samples.
    n_mels : int
        Mel bands (Slaney scale and norm, librosa's default) from 0 Hz to half the sample rate.
    window_s : float
        Length of a window, seconds.
    top_db : float
        Range kept below the loudest point of the track, decibels.
    """

    sample_rate: int = 22_050
    n_fft: int = 2048
    hop_length: int = 512
    n_mels: int = 128
    window_s: float = 3.0
    top_db: float = 80.0

    @property
    def window_length(self) -> int:
        """Samples in a window."""
        return round(self.window_s * self.sample_rate)

    @property
    def frames(self) -> int:
        """Spectrogram frames in a window (centred frames, as librosa counts them)."""
        return 1 + self.window_length // self.hop_length

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as they stand in a model card."""
        return asdict(self)


MEL = MelSettings()
"""The settings of the default model."""


def log_mel(samples: FloatArray, settings: MelSettings = MEL) -> FloatArray:
    """Turn sound into log-mel spectrograms, standardised over all that is given.

    The decibels are standardised (mean 0, standard deviation 1) over all windows together, so
    the result does not change with the level of the recording.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_windows, n_samples)
        Windows of one track, nominally in [-1, 1], at ``settings.sample_rate``.
    settings : MelSettings
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
    import librosa

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
