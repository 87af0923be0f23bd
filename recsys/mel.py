"""Features: the interface of all kinds, and the one kind of the shipped model.

:class:`CompressedMel` is the input of MusiCNN (Pons and Serra, "musicnn: pre-trained convolutional
neural networks for music audio tagging", ISMIR 2019 late-breaking): 96 mel bands at 16 kHz,
compressed as ``log10(10000 m + 1)``. Here the level of every track is normalised first, so that a
quiet copy of a song has the same features as a loud one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from recsys.errors import ModelError
from recsys.registry import Registry, find, registered
from recsys.types import Effort

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from recsys.types import FloatArray

HINT = "Correct the features in the recipe or the model card."

EFFORTS: dict[Effort, int | None] = {Effort.FAST: 3, Effort.BALANCED: 6, Effort.FULL: None}
"""Windows of a track at most; None for all that the model card asks for.

docs/results/analysis-speed.md has the cost and the accuracy of each."""

DEFAULT_EFFORT = Effort.BALANCED
"""Of a new library: within 0.01 of the accuracy of all windows, in three fifths of the time."""

USUAL_POWER = 0.2
"""Mean mel power to which every track is normalised: about the median of GTZAN."""

SILENT_POWER = 1e-12
"""Tracks of a lower mean power are silent: they are not normalised."""

COMPRESSION = 10_000.0
"""Factor of the power inside the logarithm, as in MusiCNN."""

_LINEAR_UP_TO_HZ = 1000.0
_HZ_PER_MEL = 200.0 / 3.0
_MELS_PER_E = 27.0 / np.log(6.4)
"""Above the linear part, the mels in which the frequency grows by a factor of e."""


@dataclass(frozen=True, kw_only=True)
class Features(ABC):
    """Settings of one kind of features, and of the windows of a track for which they are computed.

    Each kind is a frozen dataclass, kept in the model card, so that inference repeats what the
    model was trained on.

    Attributes
    ----------
    kind : str
        Name of the kind in model cards and recipes; the same for all instances.
    half_precision : bool
        The values fit float16 in range and precision; the same for all instances.
    uses_librosa : bool
        Computing them loads librosa, which is best done once for all processes; the same for all
        instances.
    sample_rate : int
        Hz.
    window_s : float
        Length of a window, seconds.
    max_windows : int
        Windows of a track at most, spread evenly over it.
    overlap : float
        Share of a window that it has in common with the next where a track is short, in [0, 1).
    """

    kind: ClassVar[str]
    half_precision: ClassVar[bool] = True
    uses_librosa: ClassVar[bool] = True

    sample_rate: int = 22_050
    window_s: float = 3.0
    max_windows: int = 10
    overlap: float = 0.0

    @property
    def window_length(self) -> int:
        """Samples in a window."""
        return round(self.window_s * self.sample_rate)

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of the features of one window."""

    @abstractmethod
    def compute(self, samples: FloatArray) -> FloatArray:
        """Compute the features of windows.

        Parameters
        ----------
        samples : ndarray of float32, shape (n_windows, window_length)
            Windows of one track, nominally in [-1, 1], at ``sample_rate``.

        Returns
        -------
        ndarray of float32, shape (n_windows, *shape)
        """

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as in a model card."""
        return {"kind": self.kind, **asdict(self)}


AnyFeatures = TypeVar("AnyFeatures", bound=Features)


def at_effort(features: AnyFeatures, effort: Effort) -> AnyFeatures:
    """Return features with at most the windows of an effort."""
    windows = EFFORTS[effort]
    if windows is None or windows >= features.max_windows:
        return features
    return replace(features, max_windows=windows)


# Checks of settings, for all kinds; each raises ModelError


MOST_VALUES = 2**25
"""Most samples of a window, and most of its features: 134 MB. A damaged or hostile model card must
not ask for more memory than there is."""


def check_framing(settings: Features) -> None:
    """Check the sample rate and how a track is cut into windows."""
    check_whole(settings, "sample_rate", 1, 768_000)
    check_whole(settings, "max_windows", 1, 10_000)
    _check_number(settings, "window_s")
    _check_number(settings, "overlap")
    if not 0 < settings.window_s <= MOST_VALUES or not 1 <= settings.window_length <= MOST_VALUES:
        raise ModelError(f"features {settings.kind}: window_s is {settings.window_s}", HINT)
    if not 0.0 <= settings.overlap < 1.0:
        raise ModelError(
            f"features {settings.kind}: overlap is {settings.overlap}, must be in [0, 1)", HINT
        )


def check_stft(settings: Features) -> None:
    """Check ``n_fft`` and ``hop_length`` too: a window must hold at least one frame."""
    check_framing(settings)
    check_whole(settings, "n_fft", 2, settings.window_length)
    check_whole(settings, "hop_length", 1)


def check_size(settings: Features) -> None:
    """Check that the features of a window fit into memory."""
    values = math.prod(settings.shape)
    if not 1 <= values <= MOST_VALUES:
        raise ModelError(
            f"features {settings.kind}: a window has {values} values, must have 1 to {MOST_VALUES}",
            HINT,
        )


def check_whole(settings: Features, name: str, least: int, most: int | None = None) -> None:
    """Check that a setting is a whole number from `least` to `most`."""
    value = getattr(settings, name)
    whole = isinstance(value, int) and not isinstance(value, bool)  # a bool is an int in Python
    if not whole or value < least or (most is not None and value > most):
        span = f"at least {least}" if most is None else f"{least} to {most}"
        raise ModelError(
            f"features {settings.kind}: {name} is {value!r}, must be a whole number, {span}", HINT
        )


def check_choices(settings: Features, name: str, known: tuple[str, ...]) -> None:
    """Check a list of names: at least one, each known, none twice."""
    chosen = getattr(settings, name)
    for choice in chosen:
        if choice not in known:
            raise ModelError(
                f"features {settings.kind}: {choice!r} among {name} is not known",
                f"Known are {', '.join(known)}.",
            )
    if not chosen or len(set(chosen)) < len(chosen):
        raise ModelError(
            f"features {settings.kind}: {name} is {chosen!r}, must name at least one, each once",
            HINT,
        )


def compute_each(
    settings: Features, samples: FloatArray, one: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    """Apply a function of one window to each: (n_windows, window_length) to (n_windows, *shape).

    ValueError if `samples` has another shape or is empty.
    """
    if samples.ndim != 2 or len(samples) == 0 or samples.shape[1] != settings.window_length:
        raise ValueError(
            f"samples must have shape (n_windows, {settings.window_length}), got {samples.shape}"
        )
    result = np.empty((len(samples), *settings.shape), dtype=np.float32)
    for row, window in enumerate(samples):
        result[row] = one(np.ascontiguousarray(window, dtype=np.float32))
    return result


def _check_number(settings: Features, name: str) -> None:
    value = getattr(settings, name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise ModelError(f"features {settings.kind}: {name} is {value!r}, must be a number", HINT)


# Mel power spectrograms as librosa computes them, in half the time and without loading it


def mel_power(
    samples: FloatArray, sample_rate: int, n_fft: int, hop_length: int, n_mels: int
) -> FloatArray:
    """Return the mel power spectrogram of windows, shape (n_windows, n_samples).

    The result has the shape (n_windows, n_mels, 1 + n_samples // hop_length) and equals
    ``librosa.feature.melspectrogram`` but for rounding: centred frames, with silence before the
    first and after the last sample, and bands from 0 Hz to half the sample rate.
    """
    filters = mel_filters(sample_rate, n_fft, n_mels).T
    n_frames = 1 + (samples.shape[1] - n_fft % 2) // hop_length
    mel = np.empty((len(samples), n_mels, n_frames), dtype=np.float32)
    # One window at a time: frames and spectra stay in the cache, which is twice as fast.
    for window, row in zip(samples.astype(np.float32, copy=False), mel, strict=True):
        padded = np.pad(window, n_fft // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
        spectra = np.fft.rfft(frames * _hann(n_fft))
        power = np.square(spectra.real)
        power += np.square(spectra.imag)
        row[:] = (power @ filters).T
    return mel


@lru_cache(maxsize=8)
def mel_filters(sample_rate: int, n_fft: int, n_mels: int) -> FloatArray:
    """Return triangular filters over FFT bins, shape (n_mels, 1 + n_fft // 2), read-only.

    They are evenly spaced in mel from 0 Hz to half the sample rate, and each has an area of 1 over
    the frequencies in Hz.
    """
    corners = mel_to_hz(np.linspace(0.0, hz_to_mel(sample_rate / 2), n_mels + 2))
    bins = np.fft.rfftfreq(n_fft, 1.0 / sample_rate)
    low, middle, high = (corners[i : n_mels + i, np.newaxis] for i in range(3))
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    filters: FloatArray = (triangles * 2.0 / (high - low)).astype(np.float32)
    filters.flags.writeable = False
    return filters


def hz_to_mel(hz: float) -> float:
    """Return a frequency in mel, on Slaney's scale."""
    if hz < _LINEAR_UP_TO_HZ:
        return hz / _HZ_PER_MEL
    above = _MELS_PER_E * np.log(hz / _LINEAR_UP_TO_HZ)
    return float(_LINEAR_UP_TO_HZ / _HZ_PER_MEL + above)


def mel_to_hz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Undo :func:`hz_to_mel`."""
    above = np.maximum(0.0, mels - _LINEAR_UP_TO_HZ / _HZ_PER_MEL) / _MELS_PER_E
    linear = np.minimum(mels * _HZ_PER_MEL, _LINEAR_UP_TO_HZ)
    hz: npt.NDArray[np.float64] = linear * np.exp(above)
    return hz


@lru_cache(maxsize=8)
def _hann(n_fft: int) -> FloatArray:
    """Return a periodic Hann window."""
    phase = 2.0 * np.pi * np.arange(n_fft) / n_fft
    window: FloatArray = (0.5 - 0.5 * np.cos(phase)).astype(np.float32)
    window.flags.writeable = False
    return window


# The features of the shipped model


@dataclass(frozen=True, kw_only=True)
class CompressedMel(Features):
    """Log-compressed mel spectrograms, normalised to one level over a track.

    The scale and norm of the bands are Slaney's, librosa's default. ModelError for an impossible
    setting.
    """

    kind: ClassVar[str] = "compressed-mel"
    uses_librosa: ClassVar[bool] = False

    sample_rate: int = 16_000
    n_fft: int = 512  # samples
    hop_length: int = 256  # samples
    n_mels: int = 96  # from 0 Hz to half the sample rate

    def __post_init__(self) -> None:
        check_stft(self)
        check_whole(self, "n_mels", 1)

    @property
    def frames(self) -> int:
        """Spectrogram frames in a window (centred frames, as librosa counts them)."""
        return 1 + self.window_length // self.hop_length

    @property
    def shape(self) -> tuple[int, int]:
        """Mel bands and frames."""
        return self.n_mels, self.frames

    def compute(self, samples: FloatArray) -> FloatArray:
        """Return the compressed mel windows of one track, shape (n_windows, n_mels, n_frames).

        They are the same for every level of the recording; silence gives zeros.

        Examples
        --------
        >>> mel = CompressedMel()
        >>> time = np.arange(mel.window_length, dtype=np.float32) / mel.sample_rate
        >>> tone = np.sin(2 * np.pi * 440 * time)[np.newaxis]
        >>> mel.compute(tone).shape
        (1, 96, 188)
        >>> bool(np.allclose(mel.compute(tone), mel.compute(0.1 * tone), atol=1e-3))
        True
        """
        if samples.ndim != 2 or samples.size == 0:
            raise ValueError(f"samples must have shape (n_windows, n_samples), got {samples.shape}")
        power = mel_power(samples, self.sample_rate, self.n_fft, self.hop_length, self.n_mels)
        return compress(normalise_level(power))


def normalise_level(power: FloatArray) -> FloatArray:
    """Scale power to a mean of :data:`USUAL_POWER` over the whole array; silence stays 0."""
    mean = float(power.mean(dtype=np.float64))
    if mean < SILENT_POWER:
        return np.zeros_like(power)
    scaled: FloatArray = power * np.float32(USUAL_POWER / mean)
    return scaled


def compress(power: FloatArray) -> FloatArray:
    """Return ``log10(10000 power + 1)``."""
    compressed: FloatArray = np.log10(1.0 + COMPRESSION * power).astype(np.float32)
    return compressed


def expand(compressed: FloatArray) -> FloatArray:
    """Undo :func:`compress`."""
    power: FloatArray = ((np.power(10.0, compressed) - 1.0) / COMPRESSION).astype(np.float32)
    return power


# Kinds of features by name


def feature_kind(name: object) -> type[Features]:
    """Return a kind of features by its name in model cards and recipes; ValueError if unknown."""
    # Before the registry, which takes 30 ms to read.
    if name == CompressedMel.kind:
        return CompressedMel
    known = registered(Registry.FEATURE_KINDS)
    if not isinstance(name, str) or name not in known:
        names = ", ".join((CompressedMel.kind, *known))
        raise ValueError(f"unknown kind {name!r}; known are {names}")
    kind: type[Features] = find(Registry.FEATURE_KINDS, name)
    return kind


def features_from_dict(settings: Mapping[str, Any]) -> Features:
    """Undo :meth:`Features.as_dict`; ValueError for an unknown kind, TypeError for such a field.

    Examples
    --------
    >>> features_from_dict(CompressedMel().as_dict()) == CompressedMel()
    True
    """
    fields = dict(settings)
    features = feature_kind(fields.pop("kind", None))(**fields)
    check_size(features)
    return features
