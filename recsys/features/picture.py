"""Grey pictures of sound, as image models take them: drawn, with low frequencies at the bottom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recsys.errors import ModelError
from recsys.extras import require
from recsys.features.base import Features
from recsys.features.checks import HINT, check_stft, check_whole, compute_each
from recsys.features.descriptors import Sound, centroid, chroma

if TYPE_CHECKING:
    from recsys.types import FloatArray

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
        from recsys.features.one_librosa import librosa

        mel = librosa.feature.melspectrogram(
            S=sound.power, sr=self.sample_rate, n_mels=self.n_mels, fmax=self.top_hz
        )
        if not mel.any():
            return np.zeros(self.shape, dtype=np.float32)
        decibels = librosa.power_to_db(mel, ref=np.max, amin=1e-20, top_db=TOP_DB)
        return resized(decibels[::-1] / np.float32(TOP_DB) + 1, self.height, self.width)

    def _centroid(self, sound: Sound) -> FloatArray:
        from recsys.features.one_librosa import librosa

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
