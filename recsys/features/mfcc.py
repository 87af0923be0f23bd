"""Mel-frequency cepstral coefficients over time, as sequence models take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from recsys.features.base import Features
from recsys.features.checks import check_stft, check_whole, compute_each
from recsys.features.descriptors import N_MELS, Sound, mfcc

if TYPE_CHECKING:
    from recsys.types import FloatArray


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
