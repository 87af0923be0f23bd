"""Grey pictures of sound, as image models take them: drawn, with low frequencies at the bottom."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from recsys.errors import ModelError, require
from recsys.mel import HINT, Features, check_choices, check_stft, check_whole, compute_each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recsys.types import FloatArray

# Hand-made descriptors of sound, one value or a few per frame, from one shared spectrum.


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
        from recsys.one_librosa import librosa

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
        from recsys.one_librosa import librosa

        mel = librosa.feature.melspectrogram(S=self.power, sr=self.sample_rate, n_mels=N_MELS)
        decibels: FloatArray = librosa.power_to_db(mel)
        return decibels


def zcr(sound: Sound) -> FloatArray:
    """Share of neighbouring samples between which the sign changes, shape (1, frames)."""
    from recsys.one_librosa import librosa

    rate: FloatArray = librosa.feature.zero_crossing_rate(
        sound.samples, frame_length=sound.n_fft, hop_length=sound.hop_length
    )
    return rate


def rms(sound: Sound) -> FloatArray:
    """Root mean square of the samples, shape (1, frames)."""
    from recsys.one_librosa import librosa

    level: FloatArray = librosa.feature.rms(
        y=sound.samples, frame_length=sound.n_fft, hop_length=sound.hop_length
    )
    return level


def centroid(sound: Sound) -> FloatArray:
    """Centre of mass of the spectrum, Hz, shape (1, frames)."""
    from recsys.one_librosa import librosa

    hz: FloatArray = librosa.feature.spectral_centroid(S=sound.magnitude, sr=sound.sample_rate)
    return hz


def bandwidth(sound: Sound) -> FloatArray:
    """Deviation of the spectrum around its centroid, Hz, shape (1, frames)."""
    from recsys.one_librosa import librosa

    hz: FloatArray = librosa.feature.spectral_bandwidth(S=sound.magnitude, sr=sound.sample_rate)
    return hz


def rolloff(sound: Sound) -> FloatArray:
    """Frequency below which 85% of the magnitude lies, Hz, shape (1, frames)."""
    from recsys.one_librosa import librosa

    hz: FloatArray = librosa.feature.spectral_rolloff(
        S=sound.magnitude, sr=sound.sample_rate, roll_percent=0.85
    )
    return hz


def flatness(sound: Sound) -> FloatArray:
    """Geometric by arithmetic mean of the spectrum: 1 for white noise, 0 for a tone."""
    from recsys.one_librosa import librosa

    ratio: FloatArray = librosa.feature.spectral_flatness(S=sound.magnitude)
    return ratio


def contrast(sound: Sound) -> FloatArray:
    """Peaks over valleys of the spectrum in seven bands, decibels, shape (7, frames)."""
    from recsys.one_librosa import librosa

    decibels: FloatArray = librosa.feature.spectral_contrast(
        S=sound.magnitude, sr=sound.sample_rate, fmin=CONTRAST_FMIN_HZ, n_bands=CONTRAST_BANDS
    )
    return decibels


def chroma(sound: Sound) -> FloatArray:
    """Strength of the pitch classes from C, the strongest of a frame 1, shape (12, frames)."""
    from recsys.one_librosa import librosa

    with warnings.catch_warnings():
        # Silence has no tuning; none is what is assumed then.
        warnings.filterwarnings("ignore", message="Trying to estimate tuning")
        strength: FloatArray = librosa.feature.chroma_stft(S=sound.power, sr=sound.sample_rate)
    return strength


def mfcc(sound: Sound, n_mfcc: int) -> FloatArray:
    """Mel-frequency cepstral coefficients, shape (n_mfcc, frames)."""
    from recsys.one_librosa import librosa

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


# Mel-frequency cepstral coefficients over time, as sequence models take them.


@dataclass(frozen=True, kw_only=True)
class Mfcc(Features):
    """MFCC of every frame, time first, neither scaled nor centred.

    They are librosa's with its defaults: 128 mel bands, decibels with a floor 80 dB below the
    peak of the window, orthonormal DCT-II. The first reaches -1100, too coarse in half precision.

    Attributes
    ----------
    n_mfcc : int
        Coefficients from the first (the level) on.
    n_fft, hop_length : int
        Samples.

    Raises
    ------
    ModelError
        If a setting is impossible.

    Examples
    --------
    >>> Mfcc().shape
    (130, 13)
    """

    kind: ClassVar[str] = "mfcc"
    half_precision: ClassVar[bool] = False

    n_mfcc: int = 13
    n_fft: int = 2048
    hop_length: int = 512

    def __post_init__(self) -> None:
        check_stft(self)
        check_whole(self, "n_mfcc", 1, N_MELS)

    @property
    def shape(self) -> tuple[int, int]:
        """Frames (centred) and coefficients."""
        return 1 + self.window_length // self.hop_length, self.n_mfcc

    def compute(self, samples: FloatArray) -> FloatArray:
        """Return the coefficients of windows, float32 (n_windows, frames, n_mfcc)."""
        return compute_each(self, samples, self._of_window)

    def _of_window(self, window: FloatArray) -> FloatArray:
        sound = Sound(window, self.sample_rate, self.n_fft, self.hop_length)
        return mfcc(sound, self.n_mfcc).T


# The plain magnitude spectrogram, with linear frequency.


@dataclass(frozen=True, kw_only=True)
class Stft(Features):
    """Magnitude of the short-time Fourier transform (Hann window), frequency first.

    Frames are not centred, so none of them holds padding: 3 s at 22,050 Hz give the 513 x 128
    of Dawra, Bansal and Patel. Windows overlap by half, 19 in 30 s, as theirs do.

    Attributes
    ----------
    n_fft, hop_length : int
        Samples.

    Raises
    ------
    ModelError
        If a setting is impossible.

    Examples
    --------
    >>> Stft().shape
    (513, 128)
    """

    kind: ClassVar[str] = "stft"

    max_windows: int = 19
    overlap: float = 0.5
    n_fft: int = 1024
    hop_length: int = 512

    def __post_init__(self) -> None:
        check_stft(self)

    @property
    def shape(self) -> tuple[int, int]:
        """Frequency bins and frames."""
        frames = 1 + (self.window_length - self.n_fft) // self.hop_length
        return 1 + self.n_fft // 2, frames

    def compute(self, samples: FloatArray) -> FloatArray:
        """Return the magnitudes of windows, float32 (n_windows, bins, frames), 0 or more."""
        return compute_each(self, samples, self._of_window)

    def _of_window(self, window: FloatArray) -> FloatArray:
        from recsys.one_librosa import librosa

        spectrum = librosa.stft(window, n_fft=self.n_fft, hop_length=self.hop_length, center=False)
        magnitude: FloatArray = np.abs(spectrum)
        return magnitude


# Hand-made descriptors, averaged over a window: a few dozen numbers per track.


PARTS = (*DESCRIPTORS, "mfcc")
STATISTICS = ("mean", "var")


@dataclass(frozen=True, kw_only=True)
class Summary(Features):
    """Mean, and variance if asked for, of descriptors over the frames of a window.

    The defaults are the 36 features of Mălinescu and Giurgiu: zero-crossing rate 1, centroid 1,
    contrast 7, bandwidth 1, rolloff (85%) 1, MFCC 13, chroma 12, over 30 s.

    Attributes
    ----------
    parts : tuple of str
        Among ``zcr``, ``rms``, ``centroid``, ``bandwidth``, ``rolloff``, ``flatness``,
        ``contrast``, ``chroma``, ``mfcc``.
    statistics : tuple of str
        Among ``mean``, ``var`` (population variance).
    n_mfcc : int
        Coefficients of the part ``mfcc``.
    n_fft, hop_length : int
        Samples.

    Raises
    ------
    ModelError
        If a setting is impossible.

    Examples
    --------
    >>> Summary().shape
    (36,)
    >>> Summary(parts=("rms", "mfcc"), n_mfcc=2, statistics=("mean", "var")).names
    ('rms_mean', 'rms_var', 'mfcc1_mean', 'mfcc1_var', 'mfcc2_mean', 'mfcc2_var')
    """

    kind: ClassVar[str] = "summary"
    half_precision: ClassVar[bool] = False

    window_s: float = 30.0
    max_windows: int = 1
    parts: tuple[str, ...] = (
        *("zcr", "centroid", "contrast", "bandwidth", "rolloff", "mfcc", "chroma"),
    )
    statistics: tuple[str, ...] = ("mean",)
    n_mfcc: int = 13
    n_fft: int = 2048
    hop_length: int = 512

    def __post_init__(self) -> None:
        for name in ("parts", "statistics"):  # files hold lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_stft(self)
        check_whole(self, "n_mfcc", 1, N_MELS)
        check_choices(self, "parts", PARTS)
        check_choices(self, "statistics", STATISTICS)
        needed = CONTRAST_FMIN_HZ * 2**CONTRAST_BANDS
        if "contrast" in self.parts and self.sample_rate <= needed:
            raise ModelError(
                f"features summary: sample_rate is {self.sample_rate} Hz, and the spectral"
                f" contrast needs more than {needed:.0f}",
                "Raise the sample rate or leave contrast out of parts.",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """One name per value; numbers of coefficients begin at 1."""
        return tuple(
            f"{part}{number}_{statistic}"
            for part in self.parts
            for number in self._numbers(part)
            for statistic in self.statistics
        )

    @property
    def shape(self) -> tuple[int]:
        """Number of values."""
        return (len(self.names),)

    def compute(self, samples: FloatArray) -> FloatArray:
        """Return the values of windows, float32 (n_windows, n_values), in the order of `names`."""
        return compute_each(self, samples, self._of_window)

    def _numbers(self, part: str) -> list[str]:
        width = self.n_mfcc if part == "mfcc" else WIDTHS[part]
        numbered = part in {"mfcc", "contrast", "chroma"}
        return [str(number) for number in range(1, width + 1)] if numbered else [""]

    def _of_window(self, window: FloatArray) -> FloatArray:
        sound = Sound(window, self.sample_rate, self.n_fft, self.hop_length)
        frames = np.vstack(
            [
                mfcc(sound, self.n_mfcc) if part == "mfcc" else DESCRIPTORS[part](sound)
                for part in self.parts
            ]
        )
        return summarise(frames, self.statistics)


def summarise(frames: FloatArray, statistics: tuple[str, ...] = STATISTICS) -> FloatArray:
    """Reduce rows of frames to their statistics, those of a row side by side.

    Parameters
    ----------
    frames : ndarray, shape (n, frames)
        A row per descriptor.
    statistics : tuple of str
        Among ``mean``, ``var``.

    Returns
    -------
    ndarray of float32, shape (n * len(statistics),)

    Examples
    --------
    >>> summarise(np.array([[1, 3], [5, 5]], dtype=np.float32)).tolist()
    [2.0, 1.0, 5.0, 0.0]
    """
    exact = frames.astype(np.float64)
    columns = {"mean": exact.mean(axis=1), "var": exact.var(axis=1)}
    return np.stack([columns[name] for name in statistics], axis=1).ravel().astype(np.float32)


# The 57 hand-made columns of the public GTZAN feature table, one name for each.


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
    from recsys.one_librosa import librosa

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
    from recsys.one_librosa import librosa

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


# ----------------------------------------------------------------------


CONTENTS = ("mel", "centroid", "chroma")

TOP_DB = 80.0
"""Black is this much below the loudest point of the picture, decibels."""


@dataclass(frozen=True, kw_only=True)
class Picture(Features):
    """A picture of a window, values in [0, 1], first row on top.

    - ``mel``: mel spectrogram in decibels; 1 is the loudest point, 0 is 80 dB below.
    - ``centroid``: the area under the curve of the spectral centroid, on a mel scale.
    - ``chroma``: strength of the pitch classes over time, C at the bottom.

    Silence gives a black picture. Pictures are brought to their size with bilinear filtering
    that averages when it shrinks.

    Attributes
    ----------
    content : str
        ``mel``, ``centroid`` or ``chroma``.
    height, width : int
        Pixels.
    n_mels : int
        Mel bands before the picture is brought to its size; for ``mel``.
    fmax : float or None
        Hz at the top of ``mel`` and ``centroid``; by default half the sample rate.
    n_fft, hop_length : int
        Samples.

    Raises
    ------
    ModelError
        If a setting is impossible.

    Examples
    --------
    >>> Picture(height=288, width=432).shape
    (288, 432)
    """

    kind: ClassVar[str] = "picture"

    content: str = "mel"
    height: int = 128
    width: int = 128
    n_mels: int = 128
    fmax: float | None = None
    n_fft: int = 2048
    hop_length: int = 512

    def __post_init__(self) -> None:
        check_stft(self)
        for name in ("height", "width", "n_mels"):
            check_whole(self, name, 1)
        if self.content not in CONTENTS:
            raise ModelError(
                f"features picture: content is {self.content!r}",
                f"Known are {', '.join(CONTENTS)}.",
            )
        if self.fmax is not None and not 0.0 < self.fmax <= self.sample_rate / 2:
            raise ModelError(
                f"features picture: fmax is {self.fmax}, must be above 0 and at most half the"
                f" sample rate, {self.sample_rate / 2:g}",
                HINT,
            )

    @property
    def top_hz(self) -> float:
        """Frequency at the top."""
        return self.sample_rate / 2 if self.fmax is None else self.fmax

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    def compute(self, samples: FloatArray) -> FloatArray:
        """Return the pictures of windows, float32 (n_windows, height, width), in [0, 1].

        Raises
        ------
        MissingExtraError
            If Pillow is not installed.
        """
        return compute_each(self, samples, self._of_window)

    def _of_window(self, window: FloatArray) -> FloatArray:
        sound = Sound(window, self.sample_rate, self.n_fft, self.hop_length)
        draw = {"mel": self._mel, "centroid": self._centroid, "chroma": self._chroma}
        return draw[self.content](sound)

    def _mel(self, sound: Sound) -> FloatArray:
        from recsys.one_librosa import librosa

        mel = librosa.feature.melspectrogram(
            S=sound.power, sr=self.sample_rate, n_mels=self.n_mels, fmax=self.top_hz
        )
        if not mel.any():
            return np.zeros(self.shape, dtype=np.float32)
        decibels = librosa.power_to_db(mel, ref=np.max, amin=1e-20, top_db=TOP_DB)
        return resized(decibels[::-1] / np.float32(TOP_DB) + 1, self.height, self.width)

    def _centroid(self, sound: Sound) -> FloatArray:
        from recsys.one_librosa import librosa

        share = librosa.hz_to_mel(centroid(sound)) / librosa.hz_to_mel(self.top_hz)
        level = resized(share.astype(np.float32), 1, self.width) * np.float32(self.height)
        above_bottom = np.arange(self.height, dtype=np.float32)[::-1, np.newaxis]
        # A pixel that the curve runs through is as bright as the share of it below the curve.
        pixels: FloatArray = np.clip(level - above_bottom, 0, 1)
        return pixels

    def _chroma(self, sound: Sound) -> FloatArray:
        return resized(chroma(sound)[::-1], self.height, self.width)


def resized(picture: FloatArray, height: int, width: int) -> FloatArray:
    """Bring a picture with values in [0, 1] to a size.

    Parameters
    ----------
    picture : ndarray, shape (rows, columns)
        Grey.
    height, width : int
        Pixels.

    Returns
    -------
    ndarray of float32, shape (height, width)
        In [0, 1].

    Raises
    ------
    MissingExtraError
        If Pillow is not installed.
    """
    image = require("PIL.Image", "papers")
    grey = image.fromarray(np.ascontiguousarray(picture, dtype=np.float32))
    bilinear = grey.resize((width, height), image.Resampling.BILINEAR)
    return np.clip(np.asarray(bilinear, dtype=np.float32), 0, 1)
