"""The feature kinds of the published reports, all computed by librosa.

Hand-made descriptors averaged over a window (:class:`Summary`, :class:`PublicTable`), MFCC over
time (:class:`Mfcc`), the magnitude spectrogram (:class:`Stft`) and grey images
(:class:`ImageFeatures`). A setting that cannot be raises ModelError.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from recsys.errors import ModelError, require
from recsys.mel import HINT, Features, check_choices, check_stft, check_whole, compute_each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recsys.types import FloatArray


def _librosa() -> Any:  # noqa: ANN401 (librosa is untyped)
    """Load librosa, which takes a second or two: only where features are computed."""
    from recsys.one_librosa import librosa

    return librosa


# Descriptors of one window, from one shared spectrum.


N_MELS = 128
"""Mel bands under the MFCC and the onsets (librosa's default)."""

CONTRAST_FMIN_HZ = 200.0
CONTRAST_BANDS = 6
"""Octaves of the spectral contrast; the range below them is one value more."""


@dataclass(frozen=True)
class Spectra:
    """One window of mono float32 samples, and its spectra, each computed when first used.

    Frames are centred, and the ends padded with zeros.
    """

    samples: FloatArray
    sample_rate: int
    n_fft: int
    hop_length: int

    @classmethod
    def of(cls, window: FloatArray, settings: SpectralFeatures) -> Spectra:
        """Return the spectra of a window with the settings of a feature kind."""
        return cls(window, settings.sample_rate, settings.n_fft, settings.hop_length)

    @property
    def framing(self) -> dict[str, int]:
        """Arguments of librosa's functions that cut samples into frames themselves."""
        return {"frame_length": self.n_fft, "hop_length": self.hop_length}

    @cached_property
    def stft(self) -> npt.NDArray[np.complex64]:
        """Complex spectrum, shape (1 + n_fft // 2, frames)."""
        return _librosa().stft(self.samples, n_fft=self.n_fft, hop_length=self.hop_length)  # type: ignore[no-any-return]

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
        librosa = _librosa()
        mel = librosa.feature.melspectrogram(S=self.power, sr=self.sample_rate, n_mels=N_MELS)
        return librosa.power_to_db(mel)  # type: ignore[no-any-return]

    def mfcc(self, n_mfcc: int) -> FloatArray:
        """Mel-frequency cepstral coefficients, shape (n_mfcc, frames)."""
        return _librosa().feature.mfcc(S=self.mel_db, n_mfcc=n_mfcc)  # type: ignore[no-any-return]

    def chroma(self) -> FloatArray:
        """Strength of the pitch classes from C, the strongest of a frame 1, shape (12, frames)."""
        with warnings.catch_warnings():
            # Silence has no tuning; librosa then assumes none, which is right.
            warnings.filterwarnings("ignore", message="Trying to estimate tuning")
            return _librosa().feature.chroma_stft(S=self.power, sr=self.sample_rate)  # type: ignore[no-any-return]

    def centroid(self) -> FloatArray:
        """Centre of mass of the spectrum, Hz, shape (1, frames)."""
        return _librosa().feature.spectral_centroid(S=self.magnitude, sr=self.sample_rate)  # type: ignore[no-any-return]


DESCRIPTORS: Mapping[str, Callable[[Spectra], FloatArray]] = {
    # Share of neighbouring samples between which the sign changes.
    "zcr": lambda s: _librosa().feature.zero_crossing_rate(s.samples, **s.framing),
    # Root mean square of the samples.
    "rms": lambda s: _librosa().feature.rms(y=s.samples, **s.framing),
    "centroid": Spectra.centroid,
    # Deviation of the spectrum around its centroid, Hz.
    "bandwidth": lambda s: _librosa().feature.spectral_bandwidth(S=s.magnitude, sr=s.sample_rate),
    # Frequency below which 85% of the magnitude is, Hz.
    "rolloff": lambda s: _librosa().feature.spectral_rolloff(
        S=s.magnitude, sr=s.sample_rate, roll_percent=0.85
    ),
    # Geometric by arithmetic mean of the spectrum: 1 for white noise, 0 for a tone.
    "flatness": lambda s: _librosa().feature.spectral_flatness(S=s.magnitude),
    # Peaks over valleys of the spectrum in seven bands, decibels.
    "contrast": lambda s: _librosa().feature.spectral_contrast(
        S=s.magnitude, sr=s.sample_rate, fmin=CONTRAST_FMIN_HZ, n_bands=CONTRAST_BANDS
    ),
    "chroma": Spectra.chroma,
}
"""All but the MFCC, of which there may be any number, by the name of the part."""

WIDTHS: Mapping[str, int] = {
    **dict.fromkeys(DESCRIPTORS, 1),
    "contrast": CONTRAST_BANDS + 1,
    "chroma": 12,
}
"""Values per frame."""


@dataclass(frozen=True, kw_only=True)
class SpectralFeatures(Features):
    """Features that librosa computes from the short-time Fourier transform of every window."""

    n_fft: int = 2048  # samples, as is hop_length
    hop_length: int = 512

    def __post_init__(self) -> None:
        check_stft(self)

    def compute(self, samples: FloatArray) -> FloatArray:
        """Map windows (n_windows, window_length) to features, float32 (n_windows, *shape)."""
        return compute_each(self, samples, self._of_window)

    @abstractmethod
    def _of_window(self, window: FloatArray) -> FloatArray:
        """Return the features of one window."""


@dataclass(frozen=True, kw_only=True)
class Mfcc(SpectralFeatures):
    """MFCC of every frame, time first, neither scaled nor centred; the first is the level.

    They are librosa's with its defaults: 128 mel bands, decibels with a floor 80 dB below the
    peak of the window, orthonormal DCT-II.

    Examples
    --------
    >>> Mfcc().shape
    (130, 13)
    """

    kind: ClassVar[str] = "mfcc"
    # The first coefficient reaches -1100, too coarse in float16.
    half_precision: ClassVar[bool] = False

    n_mfcc: int = 13

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self, "n_mfcc", 1, N_MELS)

    @property
    def shape(self) -> tuple[int, int]:
        """Frames (centred) and coefficients."""
        return 1 + self.window_length // self.hop_length, self.n_mfcc

    def _of_window(self, window: FloatArray) -> FloatArray:
        return Spectra.of(window, self).mfcc(self.n_mfcc).T


@dataclass(frozen=True, kw_only=True)
class Stft(SpectralFeatures):
    """Magnitude of the short-time Fourier transform (Hann window), frequency first.

    Frames are not centred, so none of them holds padding: 3 s at 22,050 Hz give the 513 x 128
    of Dawra, Bansal and Patel. Windows overlap by half, 19 in 30 s, as theirs do.

    Examples
    --------
    >>> Stft().shape
    (513, 128)
    """

    kind: ClassVar[str] = "stft"

    max_windows: int = 19
    overlap: float = 0.5
    n_fft: int = 1024

    @property
    def shape(self) -> tuple[int, int]:
        """Frequency bins and frames."""
        frames = 1 + (self.window_length - self.n_fft) // self.hop_length
        return 1 + self.n_fft // 2, frames

    def _of_window(self, window: FloatArray) -> FloatArray:
        spectrum = _librosa().stft(
            window, n_fft=self.n_fft, hop_length=self.hop_length, center=False
        )
        magnitude: FloatArray = np.abs(spectrum)
        return magnitude


# Descriptors averaged over a window: a few dozen numbers per track.


PARTS = (*DESCRIPTORS, "mfcc")
STATISTICS = ("mean", "var")
"""``var`` is the population variance."""


def summarise(frames: FloatArray, statistics: tuple[str, ...] = STATISTICS) -> FloatArray:
    """Reduce rows of frames, shape (n, frames), to their statistics, those of a row together.

    Examples
    --------
    >>> summarise(np.array([[1, 3], [5, 5]], dtype=np.float32)).tolist()
    [2.0, 1.0, 5.0, 0.0]
    """
    exact = frames.astype(np.float64)
    columns = {"mean": exact.mean(axis=1), "var": exact.var(axis=1)}
    return np.stack([columns[name] for name in statistics], axis=1).ravel().astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Summary(SpectralFeatures):
    """Mean, and variance if asked for, of descriptors over the frames of a window.

    The defaults are the 36 features of Mălinescu and Giurgiu: zero-crossing rate 1, centroid 1,
    contrast 7, bandwidth 1, rolloff (85%) 1, MFCC 13, chroma 12, over 30 s.

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
    parts: tuple[str, ...] = (  # of PARTS
        *("zcr", "centroid", "contrast", "bandwidth", "rolloff", "mfcc", "chroma"),
    )
    statistics: tuple[str, ...] = ("mean",)  # of STATISTICS
    n_mfcc: int = 13

    def __post_init__(self) -> None:
        for name in ("parts", "statistics"):
            # TOML and JSON hold lists; a tuple keeps the dataclass hashable.
            object.__setattr__(self, name, tuple(getattr(self, name)))
        super().__post_init__()
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
        """Number of `names`."""
        return (len(self.names),)

    def _numbers(self, part: str) -> list[str]:
        width = self.n_mfcc if part == "mfcc" else WIDTHS[part]
        numbered = part in {"mfcc", "contrast", "chroma"}
        return [str(number) for number in range(1, width + 1)] if numbered else [""]

    def _of_window(self, window: FloatArray) -> FloatArray:
        spectra = Spectra.of(window, self)
        frames = [
            spectra.mfcc(self.n_mfcc) if part == "mfcc" else DESCRIPTORS[part](spectra)
            for part in self.parts
        ]
        return summarise(np.vstack(frames), self.statistics)


# The 57 hand-made columns of the public GTZAN feature table.


N_MFCC = 20
MEDIAN_WIDTH = 31
"""Frames and bins over which harmonic and percussive sound are separated (librosa's default)."""

COLUMNS = (
    *(
        f"{name}_{statistic}"
        for name in (
            *("chroma_stft", "rms", "spectral_centroid", "spectral_bandwidth", "rolloff"),
            *("zero_crossing_rate", "harmony", "perceptr"),
        )
        for statistic in STATISTICS
    ),
    "tempo",
    *(f"mfcc{number}_{statistic}" for number in range(1, N_MFCC + 1) for statistic in STATISTICS),
)
"""Names of the values, in the order of the table; it has a filename, length and label too."""


@dataclass(frozen=True, kw_only=True)
class PublicTable(SpectralFeatures):
    """Mean and variance of seven descriptors, of 20 MFCC and of two parts of the sound, and tempo.

    All settings are librosa's defaults. ``harmony`` and ``perceptr`` are the samples of the
    harmonic and the percussive part of the sound (D. FitzGerald, "Harmonic/percussive separation
    using median filtering", DAFx 2010).
    """

    kind: ClassVar[str] = "public-table"
    half_precision: ClassVar[bool] = False

    @property
    def names(self) -> tuple[str, ...]:
        """One name per value: :data:`COLUMNS`."""
        return COLUMNS

    @property
    def shape(self) -> tuple[int]:
        """Number of values."""
        return (len(COLUMNS),)

    def _of_window(self, window: FloatArray) -> FloatArray:
        spectra = Spectra.of(window, self)
        parts = ("chroma", "rms", "centroid", "bandwidth", "rolloff", "zcr")
        # All pitch classes together: the table has no columns for each.
        rows = [DESCRIPTORS[part](spectra).reshape(1, -1) for part in parts]
        return np.concatenate(
            [
                *(summarise(row) for row in rows),
                summarise(_harmonic_and_percussive(spectra)),
                np.array([_tempo(spectra)], dtype=np.float32),
                summarise(spectra.mfcc(N_MFCC)),
            ]
        )


def _harmonic_and_percussive(spectra: Spectra) -> FloatArray:
    """Return the samples of both parts, shape (2, n_samples), as librosa.effects.hpss does."""
    librosa = _librosa()
    across_time = running_median(spectra.magnitude)
    across_frequency = running_median(np.ascontiguousarray(spectra.magnitude.T)).T
    share = librosa.util.softmask(across_time, across_frequency, power=2.0, split_zeros=True)
    n_samples = len(spectra.samples)
    return np.stack(
        [
            librosa.istft(
                part, n_fft=spectra.n_fft, hop_length=spectra.hop_length, length=n_samples
            )
            for part in (spectra.stft * share, spectra.stft * (1 - share))
        ]
    )


def running_median(rows: FloatArray) -> FloatArray:
    """Return the median over 31 neighbours in the row; rows are mirrored beyond their ends.

    The same as ``scipy.ndimage.median_filter(rows, size=(1, 31))`` in a tenth of the time: SciPy
    has a faster filter for one dimension, so all rows, which are contiguous, are joined.
    """
    from scipy.ndimage import median_filter

    margin = MEDIAN_WIDTH // 2
    padded = np.pad(rows, ((0, 0), (margin, margin)), mode="symmetric")
    filtered = median_filter(padded.ravel(), size=MEDIAN_WIDTH).reshape(padded.shape)
    medians: FloatArray = filtered[:, margin:-margin]
    return medians


def _tempo(spectra: Spectra) -> float:
    """Return beats per minute as a beat tracker finds them; 0 where nothing begins."""
    librosa = _librosa()
    onsets = librosa.onset.onset_strength(
        S=spectra.mel_db,
        sr=spectra.sample_rate,
        n_fft=spectra.n_fft,
        hop_length=spectra.hop_length,
        aggregate=np.median,
    )
    if not onsets.any():
        return 0.0
    tempo = librosa.feature.tempo(
        onset_envelope=onsets, sr=spectra.sample_rate, hop_length=spectra.hop_length
    )
    return float(tempo[0])


# Grey images, as image models take them.


CONTENTS = ("mel", "centroid", "chroma")

TOP_DB = 80.0
"""Black is this much below the loudest point of the image, decibels."""


@dataclass(frozen=True, kw_only=True)
class ImageFeatures(SpectralFeatures):
    """A grey image of a window, values in [0, 1], low frequencies at the bottom.

    - ``mel``: mel spectrogram in decibels; 1 is the loudest point, 0 is 80 dB below.
    - ``centroid``: the area under the curve of the spectral centroid, on a mel scale.
    - ``chroma``: strength of the pitch classes over time, C at the bottom.

    Silence gives a black image. Images are resized with bilinear filtering that averages when it
    shrinks; that needs Pillow.

    Examples
    --------
    >>> ImageFeatures(height=288, width=432).shape
    (288, 432)
    """

    kind: ClassVar[str] = "picture"

    content: str = "mel"  # of CONTENTS
    height: int = 128  # pixels
    width: int = 128
    n_mels: int = 128  # before resizing; for ``mel``
    fmax: float | None = None  # Hz at the top of ``mel`` and ``centroid``; None for Nyquist

    def __post_init__(self) -> None:
        super().__post_init__()
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
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    def _of_window(self, window: FloatArray) -> FloatArray:
        spectra = Spectra.of(window, self)
        if self.content == "chroma":
            return _resized(spectra.chroma()[::-1], self.height, self.width)
        librosa = _librosa()
        top_hz = self.sample_rate / 2 if self.fmax is None else self.fmax
        if self.content == "centroid":
            share = librosa.hz_to_mel(spectra.centroid()) / librosa.hz_to_mel(top_hz)
            level = _resized(share.astype(np.float32), 1, self.width) * np.float32(self.height)
            above_bottom = np.arange(self.height, dtype=np.float32)[::-1, np.newaxis]
            # A pixel that the curve crosses is as bright as the share of it below the curve.
            pixels: FloatArray = np.clip(level - above_bottom, 0, 1)
            return pixels
        mel = librosa.feature.melspectrogram(
            S=spectra.power, sr=self.sample_rate, n_mels=self.n_mels, fmax=top_hz
        )
        if not mel.any():
            return np.zeros(self.shape, dtype=np.float32)
        decibels = librosa.power_to_db(mel, ref=np.max, amin=1e-20, top_db=TOP_DB)
        return _resized(decibels[::-1] / np.float32(TOP_DB) + 1, self.height, self.width)


def _resized(image: FloatArray, height: int, width: int) -> FloatArray:
    """Resize a grey image with values in [0, 1]."""
    pillow = require("PIL.Image", "papers")
    grey = pillow.fromarray(np.ascontiguousarray(image, dtype=np.float32))
    bilinear = grey.resize((width, height), pillow.Resampling.BILINEAR)
    return np.clip(np.asarray(bilinear, dtype=np.float32), 0, 1)
