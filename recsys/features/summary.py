"""Hand-made descriptors, averaged over a window: a few dozen numbers per track."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recsys.errors import ModelError
from recsys.features.base import Features
from recsys.features.checks import check_choices, check_stft, check_whole, compute_each
from recsys.features.descriptors import (
    CONTRAST_BANDS,
    CONTRAST_FMIN_HZ,
    DESCRIPTORS,
    N_MELS,
    WIDTHS,
    Sound,
    mfcc,
)

if TYPE_CHECKING:
    from recsys.types import FloatArray

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
