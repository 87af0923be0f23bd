"""Hand-made descriptors of sound, one value or a few per frame, from one shared spectrum.

All are librosa's, with its defaults; what is shared here is the Fourier transform, which half
of them would otherwise repeat.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recsys.types import FloatArray

N_MELS = 128
"""Mel bands under the MFCC and the onsets (librosa's default)."""

CONTRAST_FMIN_HZ = 200.0
CONTRAST_BANDS = 6
"""Octaves of the spectral contrast; with what lies below them it has one value more."""


@dataclass(frozen=True)
class Sound:
    """One window of sound and its spectra, each computed when first asked for.

    Attributes
    ----------
    samples : ndarray of float32, shape (n_samples,)
        Mono.
    sample_rate : int
        Hz.
    n_fft, hop_length : int
        Samples. Frames are centred, and the ends padded with zeros.
    """

    samples: FloatArray
    sample_rate: int
    n_fft: int
    hop_length: int

    @cached_property
    def stft(self) -> npt.NDArray[np.complex64]:
        """Complex spectrum, shape (1 + n_fft // 2, frames)."""
        from recsys.features.one_librosa import librosa

        spectrum: npt.NDArray[np.complex64] = librosa.stft(
            self.samples, n_fft=self.n_fft, hop_length=self.hop_length
        )
        return spectrum

    @cached_property
    def magnitude(self) -> FloatArray:
        """Absolute values of the spectrum."""
        return np.abs(self.stft)

    @cached_property
    def power(self) -> FloatArray:
        """Squares of the magnitude."""
        return self.magnitude**2

    @cached_property
    def mel_db(self) -> FloatArray:
        """Mel spectrum in decibels (reference 1, floor 80 dB below the peak), (128, frames)."""
        from recsys.features.one_librosa import librosa

        mel = librosa.feature.melspectrogram(S=self.power, sr=self.sample_rate, n_mels=N_MELS)
        decibels: FloatArray = librosa.power_to_db(mel)
        return decibels


def zcr(sound: Sound) -> FloatArray:
    """Share of neighbouring samples between which the sign changes, shape (1, frames)."""
    from recsys.features.one_librosa import librosa

    rate: FloatArray = librosa.feature.zero_crossing_rate(
        sound.samples, frame_length=sound.n_fft, hop_length=sound.hop_length
    )
    return rate


def rms(sound: Sound) -> FloatArray:
    """Root mean square of the samples, shape (1, frames)."""
    from recsys.features.one_librosa import librosa

    level: FloatArray = librosa.feature.rms(
        y=sound.samples, frame_length=sound.n_fft, hop_length=sound.hop_length
    )
    return level


def centroid(sound: Sound) -> FloatArray:
    """Centre of mass of the spectrum, Hz, shape (1, frames)."""
    from recsys.features.one_librosa import librosa

    hz: FloatArray = librosa.feature.spectral_centroid(S=sound.magnitude, sr=sound.sample_rate)
    return hz


def bandwidth(sound: Sound) -> FloatArray:
    """Deviation of the spectrum around its centroid, Hz, shape (1, frames)."""
    from recsys.features.one_librosa import librosa

    hz: FloatArray = librosa.feature.spectral_bandwidth(S=sound.magnitude, sr=sound.sample_rate)
    return hz


def rolloff(sound: Sound) -> FloatArray:
    """Frequency below which 85% of the magnitude lies, Hz, shape (1, frames)."""
    from recsys.features.one_librosa import librosa

    hz: FloatArray = librosa.feature.spectral_rolloff(
        S=sound.magnitude, sr=sound.sample_rate, roll_percent=0.85
    )
    return hz


def flatness(sound: Sound) -> FloatArray:
    """Geometric by arithmetic mean of the spectrum: 1 for white noise, 0 for a tone."""
    from recsys.features.one_librosa import librosa

    ratio: FloatArray = librosa.feature.spectral_flatness(S=sound.magnitude)
    return ratio


def contrast(sound: Sound) -> FloatArray:
    """Peaks over valleys of the spectrum in seven bands, decibels, shape (7, frames)."""
    from recsys.features.one_librosa import librosa

    decibels: FloatArray = librosa.feature.spectral_contrast(
        S=sound.magnitude, sr=sound.sample_rate, fmin=CONTRAST_FMIN_HZ, n_bands=CONTRAST_BANDS
    )
    return decibels


def chroma(sound: Sound) -> FloatArray:
    """Strength of the pitch classes from C, the strongest of a frame 1, shape (12, frames)."""
    from recsys.features.one_librosa import librosa

    with warnings.catch_warnings():
        # Silence has no tuning; none is what is assumed then.
        warnings.filterwarnings("ignore", message="Trying to estimate tuning")
        strength: FloatArray = librosa.feature.chroma_stft(S=sound.power, sr=sound.sample_rate)
    return strength


def mfcc(sound: Sound, n_mfcc: int) -> FloatArray:
    """Mel-frequency cepstral coefficients, shape (n_mfcc, frames)."""
    from recsys.features.one_librosa import librosa

    coefficients: FloatArray = librosa.feature.mfcc(S=sound.mel_db, n_mfcc=n_mfcc)
    return coefficients


DESCRIPTORS: Mapping[str, Callable[[Sound], FloatArray]] = {
    "zcr": zcr,
    "rms": rms,
    "centroid": centroid,
    "bandwidth": bandwidth,
    "rolloff": rolloff,
    "flatness": flatness,
    "contrast": contrast,
    "chroma": chroma,
}
"""All but the MFCC, of which there may be any number, by the name of the part."""

WIDTHS: Mapping[str, int] = {
    **dict.fromkeys(DESCRIPTORS, 1),
    "contrast": CONTRAST_BANDS + 1,
    "chroma": 12,
}
"""Values per frame."""
