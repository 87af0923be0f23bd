"""The plain magnitude spectrogram, with linear frequency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recsys.features.base import Features
from recsys.features.checks import check_stft, compute_each

if TYPE_CHECKING:
    from recsys.types import FloatArray


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
        from recsys.features.one_librosa import librosa

        spectrum = librosa.stft(window, n_fft=self.n_fft, hop_length=self.hop_length, center=False)
        magnitude: FloatArray = np.abs(spectrum)
        return magnitude
