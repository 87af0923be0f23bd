"""How good a model is on labelled tracks, with the figures that a reader needs to judge it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recsys.classifier.calibrate import (
    expected_calibration_error,
    labels_to_numbers,
    wilson_interval,
)
from recsys.classifier.training.datasets import load_windows
from recsys.errors import ModelError, RecsysError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from recsys.classifier.inference import Classifier
    from recsys.classifier.training.datasets import LabelledFile
    from recsys.types import FloatArray, IdArray

# Intervals for figures over tracks that come in groups: whole artists are drawn, not tracks.


Float64Array = npt.NDArray[np.float64]

RESAMPLES = 1000

_CHUNK = 100
"""Resamples computed together, so that memory stays small with many artists."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure and its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Resampled:
    """A figure, and what it would have been with other artists.

    Attributes
    ----------
    value : float
        Over all tracks.
    resamples : ndarray of float64, shape (n_resamples,)
    """

    value: float
    resamples: Float64Array

    def less(self, other: Resampled) -> Resampled:
        """Return the difference to another figure over the same resamples."""
        return Resampled(self.value - other.value, self.resamples - other.resamples)

    def summary(self) -> Measured:
        """Return the figure with its percentile interval."""
        low, high = np.quantile(self.resamples, [0.025, 0.975])
        return Measured(self.value, float(low), float(high))


class GroupBootstrap:
    """Draws groups with replacement; the same groups for all that is measured.

    Parameters
    ----------
    groups : ndarray of int64, shape (n,)
        Which tracks belong together; any numbers.
    seed : int
        Of the draws.
    resamples : int
        How many.
    """

    def __init__(self, groups: IdArray, seed: int, resamples: int = RESAMPLES) -> None:
        self._group = np.unique(groups, return_inverse=True)[1]
        self._seed = seed
        self._resamples = resamples

    def measure(self, given: IdArray, targets: IdArray) -> tuple[Resampled, Resampled]:
        """Measure predictions.

        Parameters
        ----------
        given, targets : ndarray of int64, shape (n,)
            Predicted and true genres. A prediction below 0 is none of them, and wrong.

        Returns
        -------
        accuracy, macro_f1 : Resampled
            The F1 is the mean over the genres that have tracks (in that resample).
        """
        counts = self._counts(given, targets)
        accuracy, macro_f1 = _figures(counts.sum(axis=0)[np.newaxis])
        parts = [_figures(np.tensordot(drawn, counts, 1)) for drawn in self._draws()]
        return (
            Resampled(float(accuracy[0]), np.concatenate([part[0] for part in parts])),
            Resampled(float(macro_f1[0]), np.concatenate([part[1] for part in parts])),
        )

    def _counts(self, given: IdArray, targets: IdArray) -> Float64Array:
        """Count true, given and right tracks, shape (n_groups, 3, n_genres)."""
        n_groups = 1 + int(self._group.max())
        n_genres = 1 + int(max(given.max(), targets.max()))
        everywhere = np.ones(len(targets), dtype=bool)
        kinds = ((targets, everywhere), (given, given >= 0), (targets, given == targets))
        cells = n_groups * n_genres
        counts = [
            np.bincount(self._group[which] * n_genres + genres[which], minlength=cells)
            for genres, which in kinds
        ]
        shaped = [count.reshape(n_groups, n_genres) for count in counts]
        return np.stack(shaped, axis=1).astype(np.float64)

    def _draws(self) -> Iterator[Float64Array]:
        """Yield how often each group is drawn, shape (up to _CHUNK, n_groups)."""
        rng = np.random.default_rng(self._seed)
        n_groups = 1 + int(self._group.max())
        shares = np.full(n_groups, 1.0 / n_groups)
        for start in range(0, self._resamples, _CHUNK):
            size = min(_CHUNK, self._resamples - start)
            yield rng.multinomial(n_groups, shares, size=size).astype(np.float64)


def _figures(counts: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return accuracy and macro F1 of counts, shape (n, 3, n_genres), each of shape (n,)."""
    true, given, right = counts[:, 0], counts[:, 1], counts[:, 2]
    accuracy = right.sum(axis=1) / true.sum(axis=1)
    f1 = 2 * right / np.maximum(true + given, 1.0)
    present = true > 0
    return accuracy, (f1 * present).sum(axis=1) / present.sum(axis=1)


# ----------------------------------------------------------------------


TRACKS_PER_CALL = 16
"""Tracks that wait for the model together."""


@dataclass(frozen=True, slots=True)
class GenreScore:
    """How well one genre is recognised. ``n`` is the number of its tracks."""

    precision: float
    recall: float
    f1: float
    n: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures over whole tracks, each given its most probable genre.

    Attributes
    ----------
    n : int
        Tracks judged.
    accuracy : float
        Share given their genre.
    interval : (float, float)
        Of the accuracy, 95% (Wilson).
    macro_f1, weighted_f1 : float
        Mean F1 over the genres that have tracks: each counts the same, and as its tracks do.
    per_genre : dict
        Genre to its score.
    confusion : dict of dict
        True genre to predicted genre to number of tracks.
    ece : float
        Expected calibration error, 10 bins of equal width.
    """

    n: int
    accuracy: float
    interval: tuple[float, float]
    macro_f1: float
    weighted_f1: float
    per_genre: dict[str, GenreScore]
    confusion: dict[str, dict[str, int]]
    ece: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model said of one track.

    Attributes
    ----------
    path : Path
        The file.
    genre : str
        Its true genre.
    given : str
        The most probable one.
    confidence : float
        Probability of `given`.
    """

    path: Path
    genre: str
    given: str
    confidence: float


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The tracks whose confidence lies in ``[low, high)``; 1 belongs to the last bin.

    Attributes
    ----------
    low, high : float
        Edges, in [0, 1].
    n : int
        Tracks in it, at least one.
    confidence : float
        Their mean confidence.
    accuracy : float
        Share of them given their genre.
    interval : (float, float)
        Of the accuracy, 95% (Wilson).
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class FolderEvaluation:
    """An evaluation, what it rests on, and what could not take part in it.

    Attributes
    ----------
    evaluation : Evaluation
        Of the tracks that could be judged.
    failed : tuple of (Path, str)
        Files that could not be decoded, and why.
    predictions : tuple of Prediction
        One per track judged, in the order of the files.
    """

    evaluation: Evaluation
    failed: tuple[tuple[Path, str], ...]
    predictions: tuple[Prediction, ...]


def score(
    probabilities: npt.NDArray[np.floating], targets: IdArray, labels: Sequence[str]
) -> Evaluation:
    """Compare predictions with the truth.

    Parameters
    ----------
    probabilities : ndarray, shape (n, n_genres)
        Calibrated; rows sum to 1.
    targets : ndarray of int64, shape (n,)
        True genres, as numbers of `labels`.
    labels : sequence of str
        Genres.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If there is nothing to compare.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    if len(targets) == 0:
        raise ValueError("no tracks to judge")
    predicted = probabilities.argmax(axis=1)
    numbers = np.arange(len(labels))
    precision, recall, f1, support = precision_recall_fscore_support(
        targets, predicted, labels=numbers, zero_division=0.0
    )
    counts = confusion_matrix(targets, predicted, labels=numbers)
    right = int(np.sum(predicted == targets))
    present = [int(number) for number in numbers if support[number] > 0]
    return Evaluation(
        n=len(targets),
        accuracy=right / len(targets),
        interval=wilson_interval(right, len(targets)),
        macro_f1=float(np.mean(f1[present])),
        weighted_f1=float(np.average(f1[present], weights=support[present])),
        per_genre={
            labels[i]: GenreScore(
                float(precision[i]), float(recall[i]), float(f1[i]), int(support[i])
            )
            for i in present
        },
        confusion={
            labels[i]: {labels[j]: int(counts[i, j]) for j in range(len(labels))} for i in present
        },
        ece=expected_calibration_error(probabilities, targets),
    )


def evaluate_files(
    classifier: Classifier,
    files: Sequence[LabelledFile],
    *,
    workers: int = 2,
    on_file: Callable[[], None] | None = None,
) -> FolderEvaluation:
    """Decode and judge labelled files; memory stays bounded.

    Parameters
    ----------
    classifier : Classifier
        The model to measure.
    files : sequence of LabelledFile
        Every genre must be one of the model's.
    workers : int
        Processes that decode.
    on_file : callable, optional
        Called once per file, for a progress bar.

    Returns
    -------
    FolderEvaluation

    Raises
    ------
    ModelError
        If not one file could be judged, or a genre is not the model's.
    """
    labels = classifier.info.labels
    _check_known(files, labels)
    judged: list[LabelledFile] = []
    rows: list[FloatArray] = []
    failed: list[tuple[Path, str]] = []
    waiting: list[FloatArray] = []
    loaded = load_windows([file.path for file in files], workers, classifier.features)
    for file, (path, windows) in zip(files, loaded, strict=True):
        if isinstance(windows, RecsysError):
            failed.append((path, windows.message))
        else:
            waiting.append(windows)
            judged.append(file)
        if len(waiting) == TRACKS_PER_CALL:
            rows += [analysis.probabilities for analysis in classifier.analyse(waiting)]
            waiting = []
        if on_file is not None:
            on_file()
    rows += [analysis.probabilities for analysis in classifier.analyse(waiting)]
    if not rows:
        reason = failed[0][1] if failed else "there are none"
        raise ModelError(
            f"not one of {len(files)} tracks could be judged: {reason}",
            "Check the folder and the list.",
        )
    probabilities = np.stack(rows)
    targets = labels_to_numbers([file.genre for file in judged], labels)
    predictions = _predictions(judged, probabilities, labels)
    return FolderEvaluation(score(probabilities, targets, labels), tuple(failed), predictions)


def _check_known(files: Sequence[LabelledFile], labels: Sequence[str]) -> None:
    strange = sorted({file.genre for file in files} - set(labels))
    if strange:
        raise ModelError(
            f"the model does not know {', '.join(strange)}", f"It knows {', '.join(labels)}."
        )


def _predictions(
    files: Sequence[LabelledFile], probabilities: FloatArray, labels: Sequence[str]
) -> tuple[Prediction, ...]:
    return tuple(
        Prediction(file.path, file.genre, labels[int(row.argmax())], float(row.max()))
        for file, row in zip(files, probabilities, strict=True)
    )


def reliability(predictions: Sequence[Prediction], bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Compare confidence with accuracy, for a reliability diagram.

    Parameters
    ----------
    predictions : sequence of Prediction
        Of whole tracks.
    bins : int
        Equal in width over [0, 1].

    Returns
    -------
    tuple of ReliabilityBin
        Those that hold tracks, ascending. The mean gap between confidence and accuracy,
        weighted by ``n``, is the expected calibration error.

    References
    ----------
    C. Guo et al., "On calibration of modern neural networks", ICML 2017.
    """
    held: dict[int, list[Prediction]] = {}
    for prediction in predictions:
        place = min(int(prediction.confidence * bins), bins - 1)
        held.setdefault(place, []).append(prediction)
    return tuple(_bin(place, bins, held[place]) for place in sorted(held))


def _bin(place: int, bins: int, held: Sequence[Prediction]) -> ReliabilityBin:
    right = sum(prediction.genre == prediction.given for prediction in held)
    return ReliabilityBin(
        low=place / bins,
        high=(place + 1) / bins,
        n=len(held),
        confidence=sum(prediction.confidence for prediction in held) / len(held),
        accuracy=right / len(held),
        interval=wilson_interval(right, len(held)),
    )


def as_dict(evaluation: Evaluation) -> dict[str, Any]:
    """Return the evaluation as scripts and model cards hold it, plain and ready for JSON."""
    from dataclasses import asdict

    plain = asdict(evaluation)
    plain["interval"] = list(evaluation.interval)
    return plain
