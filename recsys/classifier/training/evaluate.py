"""Evaluate a model on labelled tracks: accuracy, F1, calibration, with intervals and counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recsys.bootstrap import bootstrap_interval
from recsys.classifier.calibrate import (
    expected_calibration_error,
    labels_to_numbers,
    wilson_interval,
)
from recsys.classifier.training.datasets import (
    artist_of,
    known_artists,
    load_windows,
    track_groups,
)
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
    """Figures over whole tracks, each predicted to have its most probable genre."""

    n: int  # tracks
    accuracy: float
    interval: tuple[float, float]  # of the accuracy, 95%, see `accuracy_interval`
    artists: int | None  # drawn as a whole for the interval; None where tracks were drawn
    macro_f1: float  # mean over the genres that have tracks
    weighted_f1: float  # the same, weighted by tracks
    per_genre: dict[str, GenreScore]
    confusion: dict[str, dict[str, int]]  # true genre to predicted genre to tracks
    ece: float  # expected calibration error, 10 bins of equal width


@dataclass(frozen=True, slots=True)
class Prediction:
    """Prediction for one track."""

    path: Path
    genre: str  # the true one
    given: str  # the most probable one
    confidence: float  # probability of `given`


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The tracks whose confidence lies in ``[low, high)``; 1 belongs to the last bin."""

    low: float
    high: float
    n: int  # at least one
    confidence: float  # mean
    accuracy: float  # share given their genre
    interval: tuple[float, float]  # of the accuracy, 95% (Wilson)


@dataclass(frozen=True, slots=True)
class FolderEvaluation:
    """An evaluation of a folder, its predictions, and the files that failed."""

    evaluation: Evaluation  # of the tracks that could be decoded
    failed: tuple[tuple[Path, str], ...]  # files that could not be decoded, and why
    predictions: tuple[Prediction, ...]  # in the order of the files


def accuracy_interval(
    right: npt.NDArray[np.bool_], groups: IdArray | None, seed: int = 0
) -> tuple[float, float]:
    """Return the 95% interval of the share of hits, with whole groups drawn at random.

    `groups` (n,) are artists, whose tracks are alike: an interval over single tracks is too narrow.
    Without groups of several tracks it is Wilson's, which holds for shares of 0 and 1 as well.
    """
    if groups is None or len(np.unique(groups)) == len(groups):
        return wilson_interval(int(right.sum()), len(right))
    return bootstrap_interval(right.astype(np.float64), groups, seed=seed)


def score(
    probabilities: npt.NDArray[np.floating],
    targets: IdArray,
    labels: Sequence[str],
    groups: IdArray | None = None,
) -> Evaluation:
    """Compare predictions with the truth.

    Parameters
    ----------
    probabilities : ndarray, shape (n, n_genres)
        Calibrated; rows sum to 1.
    targets : ndarray of int64, shape (n,)
        True genres, as rows of `labels`.
    labels : sequence of str
    groups : ndarray of int64, shape (n,), optional
        Artists, drawn as a whole for the interval; see :func:`accuracy_interval`.

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
    right = predicted == targets
    # A genre without tracks has no recall; it would count as 0 in the means.
    present = [int(number) for number in numbers if support[number] > 0]
    return Evaluation(
        n=len(targets),
        accuracy=float(right.mean()),
        interval=accuracy_interval(right, groups),
        artists=None if groups is None else len(np.unique(groups)),
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
    by_window: bool = False,
    on_file: Callable[[], None] | None = None,
) -> FolderEvaluation:
    """Decode labelled files and evaluate the predictions; memory stays bounded.

    Parameters
    ----------
    classifier : Classifier
    files : sequence of LabelledFile
        Every genre must be one of the model's.
    workers : int
        Processes that decode.
    by_window : bool
        Judge every window on its own, as some reports do, instead of whole tracks.
    on_file : callable, optional
        Called once per file, for a progress bar.

    Raises
    ------
    ModelError
        If no file could be decoded, or a genre is not the model's.
    """
    labels = classifier.info.labels
    if unknown := sorted({file.genre for file in files} - set(labels)):
        raise ModelError(
            f"the model does not know {', '.join(unknown)}", f"It knows {', '.join(labels)}."
        )
    decoded: list[LabelledFile] = []
    judged: list[int] = []  # the decoded file of each row
    rows: list[FloatArray] = []
    failed: list[tuple[Path, str]] = []
    waiting: list[FloatArray] = []
    loaded = load_windows([file.path for file in files], workers, classifier.features)
    for file, (path, windows) in zip(files, loaded, strict=True):
        if isinstance(windows, RecsysError):
            failed.append((path, windows.message))
        else:
            units = np.split(windows, len(windows)) if by_window else [windows]
            judged += [len(decoded)] * len(units)
            waiting += units
            decoded.append(file)
        # A few tracks at a time: the windows of a whole folder may not fit into memory.
        if len(waiting) >= TRACKS_PER_CALL:
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
    of_rows = [decoded[number] for number in judged]
    targets = labels_to_numbers([file.genre for file in of_rows], labels)
    predictions = tuple(
        Prediction(file.path, file.genre, labels[int(row.argmax())], float(row.max()))
        for file, row in zip(of_rows, probabilities, strict=True)
    )
    evaluation = score(probabilities, targets, labels, _artist_groups(decoded)[judged])
    return FolderEvaluation(evaluation, tuple(failed), predictions)


def _artist_groups(files: Sequence[LabelledFile]) -> IdArray:
    """Return the artist of each file, from its tags or the public index of GTZAN."""
    keys = [file.key for file in files]
    known = known_artists(keys)
    return track_groups(keys, [known.get(file.key) or artist_of(file) for file in files])


def reliability(predictions: Sequence[Prediction], bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Compare confidence with accuracy, for a reliability diagram; empty bins are left out.

    The mean gap between the two, weighted by ``n``, is the expected calibration error. C. Guo et
    al., "On calibration of modern neural networks", ICML 2017.
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
    """Return the evaluation as model cards hold it, plain and ready for JSON."""
    plain = asdict(evaluation)
    plain["interval"] = list(evaluation.interval)
    return plain
