"""Asking the default model about spectrograms instead of sound."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recsys.classifier.calibrate import softmax
from recsys.classifier.card import card_path, is_onnx
from recsys.classifier.inference import Classifier
from recsys.classifier.onnx import description_path
from recsys.errors import ModelError
from recsys.mel import CompressedMel, Features, compress, levelled

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.types import FloatArray

# Log-mel windows: the one picture of sound that the default model looks at.


@dataclass(frozen=True, kw_only=True)
class LogMel(Features):
    """Log-mel windows, standardised over the track.

    Half precision, a thousandth of a standard deviation, is finer than any encoding of the
    sound, and halves what has to travel between processes.

    Attributes
    ----------
    n_fft, hop_length : int
        Samples.
    n_mels : int
        Mel bands (Slaney scale and norm, librosa's default) from 0 Hz to half the sample rate.
    top_db : float
        Range kept below the loudest point of the track, decibels.
    """

    kind: ClassVar[str] = "log-mel"

    n_fft: int = 2048
    hop_length: int = 512
    n_mels: int = 128
    top_db: float = 80.0

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
"""The settings of the default model."""


def log_mel(samples: FloatArray, settings: LogMel = MEL) -> FloatArray:
    """Turn sound into log-mel spectrograms, standardised over all that is given.

    The decibels are standardised (mean 0, standard deviation 1) over all windows together, so
    the result does not change with the level of the recording.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_windows, n_samples)
        Windows of one track, nominally in [-1, 1], at ``settings.sample_rate``.
    settings : LogMel
        How to look at it.

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
    >>> picture = log_mel(tone[np.newaxis].astype(np.float32))
    >>> picture.shape
    (1, 128, 130)
    >>> quieter = log_mel(0.1 * tone[np.newaxis].astype(np.float32))
    >>> bool(np.allclose(picture, quieter, atol=1e-3))
    True
    """
    if samples.ndim != 2 or samples.size == 0:
        raise ValueError(f"samples must have shape (n_windows, n_samples), got {samples.shape}")

    from recsys.one_librosa import librosa

    power = librosa.feature.melspectrogram(
        y=np.ascontiguousarray(samples, dtype=np.float32),
        sr=settings.sample_rate,
        n_fft=settings.n_fft,
        hop_length=settings.hop_length,
        n_mels=settings.n_mels,
    )
    decibels: FloatArray = librosa.power_to_db(
        power, ref=np.max, amin=1e-20, top_db=settings.top_db
    )
    return standardise(decibels)


def standardise(values: FloatArray) -> FloatArray:
    """Shift and scale to mean 0 and standard deviation 1 over the whole array.

    Parameters
    ----------
    values : ndarray, any shape
        What to standardise. A constant array becomes zeros.

    Returns
    -------
    ndarray of float32, same shape
    """
    centred = values - values.mean(dtype=np.float64)
    deviation = float(np.sqrt(np.mean(np.square(centred, dtype=np.float64))))
    if deviation < 1e-6:
        return np.zeros(values.shape, dtype=np.float32)
    scaled: FloatArray = (centred / deviation).astype(np.float32)
    return scaled


# From the log-mel windows of public feature sets to the compressed ones of the default model.


USUAL_DEVIATION_DB = 14.6
"""Standard deviation of the decibels of a track before it was standardised: the mean over the
clips of GTZAN is 14.6, their standard deviation 2.6."""


def from_log_mel(
    windows: FloatArray, source: LogMel = MEL, target: CompressedMel | None = None
) -> FloatArray:
    """Turn standardised log-mel windows into compressed mel windows.

    The decibels get an ordinary range back; power is read between the centres of the bands, and
    the compressed values between the times of the frames. Both scales give power per hertz
    (Slaney norm), so that only the level differs, which is brought to the usual one.

    Parameters
    ----------
    windows : ndarray of float32, shape (n, source.n_mels, source.frames)
        Standardised decibels, see :func:`log_mel`. Every window is levelled on its
        own.
    source : LogMel
        How they were made.
    target : CompressedMel, optional
        What is wanted; its defaults if None.

    Returns
    -------
    ndarray of float32, shape (n, target.n_mels, target.frames)
    """
    target = target or CompressedMel()
    n, _, frames = windows.shape
    if n == 0:
        return np.empty((0, *target.shape), dtype=np.float32)
    decibels = USUAL_DEVIATION_DB * (windows - windows.max(axis=(1, 2), keepdims=True))
    bands = np.tensordot(decibels, _between_bands(source, target), axes=(1, 1))
    power = np.power(10.0, 0.1 * bands.transpose(0, 2, 1)).astype(np.float32)
    pictures = np.stack([compress(levelled(window)) for window in power])
    times = np.arange(target.frames) * target.hop_length / target.sample_rate
    places = np.clip(times * source.sample_rate / source.hop_length, 0, frames - 1)
    left = np.minimum(places.astype(np.int64), max(0, frames - 2))
    share = (places - left).astype(np.float32)
    right = np.minimum(left + 1, frames - 1)
    between: FloatArray = pictures[:, :, left] * (1 - share) + pictures[:, :, right] * share
    return between.reshape(n, target.n_mels, target.frames)


@lru_cache(maxsize=4)
def _between_bands(source: LogMel, target: CompressedMel) -> FloatArray:
    """Return the matrix (target.n_mels, source.n_mels) that reads between centres of bands."""

    def centres(n_mels: int, sample_rate: int) -> FloatArray:
        from recsys.one_librosa import librosa

        edges: FloatArray = librosa.mel_frequencies(n_mels=n_mels + 2, fmin=0, fmax=sample_rate / 2)
        return edges[1:-1]

    known = centres(source.n_mels, source.sample_rate)
    wanted = centres(target.n_mels, target.sample_rate)
    rows = np.eye(source.n_mels)
    matrix = np.stack([np.interp(wanted, known, row) for row in rows], axis=1)
    return matrix.astype(np.float32)


# ----------------------------------------------------------------------


_PIECE = 512
"""Windows that are converted together, for the sake of memory."""


def predict_mel(
    x: FloatArray, model: Path | None = None, device: str = "auto"
) -> tuple[FloatArray, FloatArray]:
    """Return what a model hears in log-mel windows of 3 s.

    Parameters
    ----------
    x : ndarray of float, shape (n, 128, 130)
        Log-mel as in the public feature sets of GTZAN: 22,050 Hz, FFT 2048, hop 512, decibels,
        standardised per track (see :func:`log_mel`). Every row is a track of
        its own.
    model : Path, optional
        The ``.safetensors`` file; the shipped model if None.
    device : str
        See :func:`recsys.classifier.inference.resolve_device`.

    Returns
    -------
    probabilities : ndarray of float32, shape (n, n_genres)
        Calibrated; rows sum to 1.
    embeddings : ndarray of float32, shape (n, d)
        Unit length.

    Raises
    ------
    ValueError
        If `x` has another shape, or holds values that are no numbers.
    ModelError
        If the model cannot be used, or looks at something that cannot be made from log-mel.
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
    classifier = _load_mel_input(model, device, _state_of(model))
    parts = [
        _predict(classifier, windows[start : start + _PIECE].astype(np.float32))
        for start in range(0, len(windows), _PIECE)
    ]
    if not parts:
        info = classifier.info
        return np.empty((0, len(info.labels)), np.float32), np.empty(
            (0, info.dimension), np.float32
        )
    return np.concatenate([p for p, _ in parts]), np.concatenate([e for _, e in parts])


def _state_of(model: Path | None) -> tuple[tuple[int, int], ...]:
    """Return what changes when the files of a model are written anew."""
    if model is None:
        return ()
    files = (model, description_path(model) if is_onnx(model) else card_path(model))
    states = [path.stat() for path in files if path.exists()]
    return tuple((state.st_mtime_ns, state.st_size) for state in states)


@lru_cache(maxsize=2)
def _load_mel_input(
    model: Path | None,
    device: str,
    state: tuple[tuple[int, int], ...],  # noqa: ARG001 (another one, another model)
) -> Classifier:
    """Load a model once for many calls."""
    return Classifier.load(model, device)


def _predict(classifier: Classifier, windows: FloatArray) -> tuple[FloatArray, FloatArray]:
    features = classifier.features
    if isinstance(features, CompressedMel):
        pictures = from_log_mel(windows, target=features)
    elif isinstance(features, LogMel) and features.shape == MEL.shape:
        pictures = windows
    else:
        raise ModelError(
            f"{classifier.info.name} looks at {features.kind} of shape {features.shape}, which"
            f" log-mel windows of shape {MEL.shape} cannot give",
            "Use the model that ships, or one that was trained on log-mel windows of 3 s.",
        )
    pooled = classifier.scores(list(pictures[:, np.newaxis]))
    probabilities = softmax(pooled.logits, classifier.card.temperature).astype(np.float32)
    return probabilities, pooled.embeddings
