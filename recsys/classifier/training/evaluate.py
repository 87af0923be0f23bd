"""Evaluating a model on labelled tracks: accuracy, F1, calibration, with intervals and counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
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
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from recsys.classifier.inference import Classifier
    from recsys.classifier.training.datasets import LabelledFile
    from recsys.types import FloatArray, IdArray

TRACKS_PER_CALL = 16
"""Tracks per batch of inference."""


@dataclass(frozen=True, slots=True)
class GenreScore:
    """Figures of one genre over its ``n`` tracks."""

    precision: float
    recall: float
    f1: float
    n: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures over whole tracks, each predicted to have its most probable genre.

    Attributes
    ----------
    n : int
        Number of tracks.
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
    """Prediction for one track.

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
    """An evaluation of a folder, its predictions, and the files that failed.

    Attributes
    ----------
    evaluation : Evaluation
        Of the tracks that could be decoded.
    failed : tuple of (Path, str)
        Files that could not be decoded, and why.
    predictions : tuple of Prediction
        One per track, in the order of the files.
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
        raise ValueError("no tracks to evaluate")
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
    """Decode labelled files and evaluate the predictions; memory stays bounded.

    Parameters
    ----------
    classifier : Classifier
        The model to evaluate.
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
        If no file could be decoded, or a genre is not the model's.
    """
    labels = classifier.info.labels
    _check_known(files, labels)
    decoded: list[LabelledFile] = []
    rows: list[FloatArray] = []
    failed: list[tuple[Path, str]] = []
    waiting: list[FloatArray] = []
    loaded = load_windows([file.path for file in files], workers, classifier.features)
    for file, (path, windows) in zip(files, loaded, strict=True):
        if isinstance(windows, RecsysError):
            failed.append((path, windows.message))
        else:
            waiting.append(windows)
            decoded.append(file)
        if len(waiting) == TRACKS_PER_CALL:
            rows += [analysis.probabilities for analysis in classifier.analyse(waiting)]
            waiting = []
        if on_file is not None:
            on_file()
    rows += [analysis.probabilities for analysis in classifier.analyse(waiting)]
    if not rows:
        reason = failed[0][1] if failed else "there are none"
        raise ModelError(
            f"none of {len(files)} tracks could be evaluated: {reason}",
            "Check the folder and the list.",
        )
    probabilities = np.stack(rows)
    targets = labels_to_numbers([file.genre for file in decoded], labels)
    predictions = _predictions(decoded, probabilities, labels)
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
        number = min(int(prediction.confidence * bins), bins - 1)
        held.setdefault(number, []).append(prediction)
    return tuple(_bin(number, bins, held[number]) for number in sorted(held))


def _bin(number: int, bins: int, held: Sequence[Prediction]) -> ReliabilityBin:
    right = sum(prediction.genre == prediction.given for prediction in held)
    return ReliabilityBin(
        low=number / bins,
        high=(number + 1) / bins,
        n=len(held),
        confidence=sum(prediction.confidence for prediction in held) / len(held),
        accuracy=right / len(held),
        interval=wilson_interval(right, len(held)),
    )


def as_dict(evaluation: Evaluation) -> dict[str, Any]:
    """Return the evaluation as scripts and model cards hold it, plain and ready for JSON."""
    plain = asdict(evaluation)
    plain["interval"] = list(evaluation.interval)
    return plain
