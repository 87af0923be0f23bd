"""Log-mel windows: the features of other models, and inference on ready-made spectrograms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recsys.classifier.inference import Classifier, Device
from recsys.errors import ModelError
from recsys.mel import (
    CompressedMel,
    Features,
    check_stft,
    check_whole,
    compress,
    hz_to_mel,
    mel_power,
    mel_to_hz,
    normalise_level,
)

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.classifier.calibrate import Float64Array
    from recsys.types import FloatArray

USUAL_DEVIATION_DB = 14.6
"""Standard deviation of the decibels of a track before it was standardised: the mean over the
clips of GTZAN is 14.6, their standard deviation 2.6."""

_WINDOWS_PER_BATCH = 512
"""Windows that are converted together, which bounds memory."""


@dataclass(frozen=True, kw_only=True)
class LogMel(Features):
    """Log-mel windows, standardised over the track.

    Half precision, a thousandth of a standard deviation, is finer than any encoding of the
    sound, and halves the data that travels between processes.
    """

    kind: ClassVar[str] = "log-mel"
    uses_librosa: ClassVar[bool] = False

    n_fft: int = 2048  # samples
    hop_length: int = 512  # samples
    n_mels: int = 128  # Slaney scale and norm (librosa's default), 0 Hz to half the sample rate
    top_db: float = 80.0  # range below the loudest point of the track

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
        """Return :func:`log_mel` of the windows."""
        return log_mel(samples, self)


MEL = LogMel()
"""The settings of the public feature sets of GTZAN."""


def log_mel(samples: FloatArray, settings: LogMel = MEL) -> FloatArray:
    """Compute log-mel spectrograms, standardised over all windows together.

    Standardising makes the result independent of the level of the recording.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_windows, n_samples)
        Windows of one track, nominally in [-1, 1], at ``settings.sample_rate``.
    settings : LogMel

    Returns
    -------
    ndarray of float32, shape (n_windows, n_mels, n_frames)
        ``n_frames`` is ``1 + n_samples // hop_length``. Silence gives zeros.

    Raises
    ------
    ValueError
        If `samples` is not two-dimensional or is empty.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 440 * np.arange(MEL.window_length) / MEL.sample_rate)
    >>> windows = log_mel(tone[np.newaxis].astype(np.float32))
    >>> windows.shape
    (1, 128, 130)
    >>> quieter = log_mel(0.1 * tone[np.newaxis].astype(np.float32))
    >>> bool(np.allclose(windows, quieter, atol=1e-3))
    True
    """
    if samples.ndim != 2 or samples.size == 0:
        raise ValueError(f"samples must have shape (n_windows, n_samples), got {samples.shape}")
    power = mel_power(
        samples, settings.sample_rate, settings.n_fft, settings.hop_length, settings.n_mels
    )
    # The floor keeps the logarithm of silence finite, far below any recording.
    decibels = 10.0 * np.log10(np.maximum(power, np.float32(1e-20)))
    return standardise(np.maximum(decibels, decibels.max() - settings.top_db))


def standardise(values: FloatArray) -> FloatArray:
    """Shift and scale to mean 0 and deviation 1 over the whole array; a constant gives zeros."""
    centred = values - values.mean(dtype=np.float64)
    deviation = float(np.sqrt(np.mean(np.square(centred, dtype=np.float64))))
    if deviation < 1e-6:
        return np.zeros(values.shape, dtype=np.float32)
    scaled: FloatArray = (centred / deviation).astype(np.float32)
    return scaled


def from_log_mel(
    windows: FloatArray, source: LogMel = MEL, target: CompressedMel | None = None
) -> FloatArray:
    """Convert standardised log-mel windows to compressed mel windows (n, n_mels, frames).

    The decibels get their usual range back; power is interpolated between the centres of the
    bands, and the compressed values between the times of the frames. Both scales give power per
    hertz (Slaney norm), so only the level differs, which is normalised for every window.
    """
    target = target or CompressedMel()
    n, _, frames = windows.shape
    if n == 0:
        return np.empty((0, *target.shape), dtype=np.float32)
    # Relative to the loudest point: the level is unknown after standardising.
    decibels = USUAL_DEVIATION_DB * (windows - windows.max(axis=(1, 2), keepdims=True))
    bands = np.tensordot(decibels, _between_bands(source, target), axes=(1, 1))
    power = np.power(10.0, 0.1 * bands.transpose(0, 2, 1)).astype(np.float32)
    compressed = np.stack([compress(normalise_level(window)) for window in power])
    times = np.arange(target.frames) * target.hop_length / target.sample_rate
    position = np.clip(times * source.sample_rate / source.hop_length, 0, frames - 1)
    left = np.minimum(position.astype(np.int64), max(0, frames - 2))
    share = (position - left).astype(np.float32)
    right = np.minimum(left + 1, frames - 1)
    between: FloatArray = compressed[:, :, left] * (1 - share) + compressed[:, :, right] * share
    return between.reshape(n, target.n_mels, target.frames)


@lru_cache(maxsize=4)
def _between_bands(source: LogMel, target: CompressedMel) -> FloatArray:
    """Return the matrix (target.n_mels, source.n_mels) that interpolates between band centres."""

    def centres(n_mels: int, sample_rate: int) -> Float64Array:
        return mel_to_hz(np.linspace(0.0, hz_to_mel(sample_rate / 2), n_mels + 2))[1:-1]

    known = centres(source.n_mels, source.sample_rate)
    wanted = centres(target.n_mels, target.sample_rate)
    rows = np.eye(source.n_mels)
    matrix = np.stack([np.interp(wanted, known, row) for row in rows], axis=1)
    return matrix.astype(np.float32)


def predict_mel(
    x: FloatArray, model: Path | None = None, device: str = Device.AUTO
) -> tuple[FloatArray, FloatArray]:
    """Run a model on log-mel windows of 3 s.

    Parameters
    ----------
    x : ndarray of float, shape (n, 128, 130)
        Log-mel as in the public feature sets of GTZAN: 22,050 Hz, FFT 2048, hop 512, decibels,
        standardised per track (see :func:`log_mel`). Every row counts as one track.
    model : Path, optional
        The ``.safetensors`` file; the shipped model if None.
    device : str
        See :meth:`recsys.classifier.inference.Classifier.load`.

    Returns
    -------
    probabilities : ndarray of float32, shape (n, n_genres)
        Calibrated; rows sum to 1.
    embeddings : ndarray of float32, shape (n, d)
        Unit length.

    Raises
    ------
    ValueError
        If `x` has another shape, or holds values that are not finite.
    ModelError
        If the model cannot be used, or its input cannot be computed from log-mel.
    """
    windows = np.asarray(x)
    if windows.ndim != 3 or windows.shape[1:] != MEL.shape:
        expected = ", ".join(map(str, MEL.shape))
        raise ValueError(f"x must have shape (n, {expected}), got {windows.shape}")
    if not np.issubdtype(windows.dtype, np.floating):
        raise ValueError(f"x must hold floats, got {windows.dtype}")
    unfit = np.count_nonzero(~np.isfinite(windows))
    if unfit:
        raise ValueError(f"x must hold finite numbers, got {unfit} that are not")
    classifier = _loaded(model, device, _files_of(model))
    parts = [
        _predict(classifier, windows[start : start + _WINDOWS_PER_BATCH].astype(np.float32))
        for start in range(0, len(windows), _WINDOWS_PER_BATCH)
    ]
    if not parts:
        info = classifier.info
        return np.empty((0, len(info.labels)), np.float32), np.empty(
            (0, info.dimension), np.float32
        )
    return np.concatenate([p for p, _ in parts]), np.concatenate([e for _, e in parts])


def _files_of(model: Path | None) -> tuple[tuple[int, int], ...]:
    """Return times and sizes of the files of a model, which change when it is written again."""
    if model is None:
        return ()
    paths = (model.with_suffix(suffix) for suffix in (model.suffix, ".json", ".toml"))
    states = [path.stat() for path in paths if path.exists()]
    return tuple((state.st_mtime_ns, state.st_size) for state in states)


@lru_cache(maxsize=2)
def _loaded(
    model: Path | None,
    device: str,
    files: tuple[tuple[int, int], ...],  # noqa: ARG001 (part of the key of the cache)
) -> Classifier:
    """Load a model once for many calls."""
    return Classifier.load(model, device)


def _predict(classifier: Classifier, windows: FloatArray) -> tuple[FloatArray, FloatArray]:
    features = classifier.features
    if isinstance(features, CompressedMel):
        inputs = from_log_mel(windows, target=features)
    elif isinstance(features, LogMel) and features.shape == MEL.shape:
        inputs = windows
    else:
        raise ModelError(
            f"the input of {classifier.info.name} is {features.kind} of shape {features.shape},"
            f" which cannot be computed from log-mel windows of shape {MEL.shape}",
            "Use the shipped model, or one that was trained on log-mel windows of 3 s.",
        )
    pooled = classifier.scores(list(inputs[:, np.newaxis]))
    return classifier.card.probabilities(pooled.logits, [1] * len(inputs)), pooled.embeddings
