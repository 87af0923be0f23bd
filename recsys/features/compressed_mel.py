"""Mel windows as the MusiCNN networks see them: 96 bands at 16 kHz, logarithmically compressed.

Pons and Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging"
(ISMIR 2019 late-breaking), use ``log10(10000 m + 1)`` of a mel power spectrogram `m` and leave its
level as it is. Here the level of every track is brought to that of an ordinary recording first,
so that a quiet copy of a song sounds the same as a loud one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recsys.features.base import Features
from recsys.features.checks import check_stft, check_whole
from recsys.features.mel_power import mel_power

if TYPE_CHECKING:
    from recsys.types import FloatArray

USUAL_POWER = 0.2
"""Mean mel power to which every track is brought: about the median of GTZAN."""

SILENT_POWER = 1e-12
"""Below this mean power there is nothing to be made louder."""

COMPRESSION = 10_000.0
"""Factor in front of the power, as MusiCNN was trained with."""


@dataclass(frozen=True, kw_only=True)
class CompressedMel(Features):
    """Compressed mel windows, level with each other over a track.

    Attributes
    ----------
    n_fft, hop_length : int
        Samples.
    n_mels : int
        Mel bands (Slaney scale and norm, librosa's default) from 0 Hz to half the sample rate.

    Raises
    ------
    ModelError
        If a setting is impossible.
    """

    kind: ClassVar[str] = "compressed-mel"
    uses_librosa: ClassVar[bool] = False

    sample_rate: int = 16_000
    n_fft: int = 512
    hop_length: int = 256
    n_mels: int = 96

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
        """Return the compressed mel windows of one track.

        Parameters
        ----------
        samples : ndarray of float32, shape (n_windows, n_samples)
            At ``sample_rate``.

        Returns
        -------
        ndarray of float32, shape (n_windows, n_mels, n_frames)
            The same for every level of the recording. Silence gives zeros.

        Raises
        ------
        ValueError
            If `samples` is not two-dimensional or is empty.

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
        return compress(levelled(power))


def levelled(power: FloatArray) -> FloatArray:
    """Scale power to a mean of ``USUAL_POWER`` over the whole array; silence stays silent."""
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
