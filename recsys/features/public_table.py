"""The 57 hand-made columns of the public GTZAN feature table, one name for each.

The table was made with an earlier librosa; docs/feature-table.md says how closely each column
is met, and why some cannot be met exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recsys.features.base import Features
from recsys.features.checks import check_stft, compute_each
from recsys.features.descriptors import (
    Sound,
    bandwidth,
    centroid,
    chroma,
    mfcc,
    rms,
    rolloff,
    zcr,
)
from recsys.features.summary import summarise

if TYPE_CHECKING:
    from recsys.types import FloatArray

N_MFCC = 20
MEDIAN_WIDTH = 31
"""Frames and bins over which harmonic and percussive sound are told apart (librosa's default)."""


def _with_statistics(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}_{statistic}" for name in names for statistic in ("mean", "var"))


COLUMNS = (
    *_with_statistics(
        *("chroma_stft", "rms", "spectral_centroid", "spectral_bandwidth", "rolloff"),
        *("zero_crossing_rate", "harmony", "perceptr"),
    ),
    "tempo",
    *_with_statistics(*(f"mfcc{number}" for number in range(1, N_MFCC + 1))),
)
"""Names of the values, in the order of the table; it has a name, a length and a label beside."""


@dataclass(frozen=True, kw_only=True)
class PublicTable(Features):
    """Mean and variance of seven descriptors, of 20 MFCC and of two parts of the sound, and tempo.

    All settings are librosa's defaults. ``harmony`` and ``perceptr`` are the samples of the
    harmonic and the percussive part of the sound (median filtering of 31 frames and bins).

    Attributes
    ----------
    n_fft, hop_length : int
        Samples.

    Raises
    ------
    ModelError
        If a setting is impossible.

    References
    ----------
    D. FitzGerald, "Harmonic/percussive separation using median filtering", DAFx 2010.
    """

    kind: ClassVar[str] = "public-table"
    half_precision: ClassVar[bool] = False

    n_fft: int = 2048
    hop_length: int = 512

    def __post_init__(self) -> None:
        check_stft(self)

    @property
    def names(self) -> tuple[str, ...]:
        """One name per value: :data:`COLUMNS`."""
        return COLUMNS

    @property
    def shape(self) -> tuple[int]:
        """Number of values."""
        return (len(COLUMNS),)

    def compute(self, samples: FloatArray) -> FloatArray:
        """Return the values of windows, float32 (n_windows, 57), in the order of `COLUMNS`."""
        return compute_each(self, samples, self._of_window)

    def _of_window(self, window: FloatArray) -> FloatArray:
        sound = Sound(window, self.sample_rate, self.n_fft, self.hop_length)
        parts = (chroma, rms, centroid, bandwidth, rolloff, zcr)
        # All pitch classes together: the table has no columns for each.
        rows = [part(sound).reshape(1, -1) for part in parts]
        return np.concatenate(
            [
                *(summarise(row) for row in rows),
                summarise(_harmonic_and_percussive(sound)),
                np.array([_tempo(sound)], dtype=np.float32),
                summarise(mfcc(sound, N_MFCC)),
            ]
        )


def _harmonic_and_percussive(sound: Sound) -> FloatArray:
    """Return the samples of both parts, shape (2, n_samples), as librosa.effects.hpss does."""
    from recsys.features.one_librosa import librosa

    across_time = running_median(sound.magnitude)
    across_frequency = running_median(np.ascontiguousarray(sound.magnitude.T)).T
    share = librosa.util.softmask(across_time, across_frequency, power=2.0, split_zeros=True)
    length = len(sound.samples)
    return np.stack(
        [
            librosa.istft(part, n_fft=sound.n_fft, hop_length=sound.hop_length, length=length)
            for part in (sound.stft * share, sound.stft * (1 - share))
        ]
    )


def running_median(rows: FloatArray) -> FloatArray:
    """Return the median over 31 neighbours in the row; rows go on mirrored beyond their ends.

    Parameters
    ----------
    rows : ndarray, shape (n_rows, n_columns)
        Contiguous.

    Returns
    -------
    ndarray, same shape
        The same as ``scipy.ndimage.median_filter(rows, size=(1, 31))``, in a tenth of the time:
        SciPy has a quicker filter for one dimension, so all rows are laid end to end.
    """
    from scipy.ndimage import median_filter

    margin = MEDIAN_WIDTH // 2
    padded = np.pad(rows, ((0, 0), (margin, margin)), mode="symmetric")
    filtered = median_filter(padded.ravel(), size=MEDIAN_WIDTH).reshape(padded.shape)
    medians: FloatArray = filtered[:, margin:-margin]
    return medians


def _tempo(sound: Sound) -> float:
    """Return beats per minute as a beat tracker hears them; 0 where nothing begins."""
    from recsys.features.one_librosa import librosa

    onsets = librosa.onset.onset_strength(
        S=sound.mel_db,
        sr=sound.sample_rate,
        n_fft=sound.n_fft,
        hop_length=sound.hop_length,
        aggregate=np.median,
    )
    if not onsets.any():
        return 0.0
    tempo = librosa.feature.tempo(
        onset_envelope=onsets, sr=sound.sample_rate, hop_length=sound.hop_length
    )
    return float(tempo[0])
