"""Genres and tags of single files, without a library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import RecsysError
from recsys.indexing.examine import FileAnalyser, TrackResult, analyses_of
from recsys.types import TIME_LIMIT_S, UNKNOWN
from recsys.workers import WorkerPool, default_workers

if TYPE_CHECKING:
    from recsys.classifier.inference import Classifier
    from recsys.types import FloatArray, ModelInfo


@dataclass(frozen=True, slots=True)
class TagScore:
    """One tag of one file.

    Attributes
    ----------
    score : float
        In [0, 1]; comparable between files, not between tags.
    strength : float
        z-score, comparable between tags: :meth:`recsys.types.ModelInfo.tag_strengths`.
    """

    score: float
    strength: float


@dataclass(frozen=True, slots=True)
class Classification:
    """Genres and tags of one file.

    Attributes
    ----------
    path : Path
        As given.
    genre : str
        The most probable genre if it reaches its threshold, or ``unknown``.
    genres : tuple of str
        Every genre that reaches its threshold, the most probable first; see
        :meth:`recsys.types.ModelInfo.genres_of`.
    probabilities : dict of str to float
        By genre; they sum to 1. Empty when the file failed.
    tags : dict of str to TagScore
        The strongest first; empty when the file failed, or the model has no tags.
    warning : str or None
        Defect of the file.
    error : str or None
        Why it could not be analysed.
    """

    path: Path
    genre: str
    genres: tuple[str, ...]
    probabilities: dict[str, float]
    tags: dict[str, TagScore] = field(default_factory=dict)
    warning: str | None = None
    error: str | None = None


def classify_files(
    files: Sequence[Path],
    classifier: Classifier,
    workers: int | None = None,
    *,
    time_limit_s: float = TIME_LIMIT_S,
) -> Iterator[Classification]:
    """Classify files in worker processes; yield one result per file, in the order given.

    `workers` defaults to one per processor; no more are started than there are files.
    """
    analyser = FileAnalyser(classifier.features, classifier.place)
    workers = min(workers or default_workers(), len(files))
    librosa = classifier.features.uses_librosa
    with WorkerPool(workers, librosa=librosa, time_limit_s=time_limit_s) as pool:
        for path, outcome in pool.map(analyser, files):
            yield _classification(path, outcome, classifier)


def _classification(
    path: Path, outcome: TrackResult | RecsysError, classifier: Classifier
) -> Classification:
    if isinstance(outcome, RecsysError):
        return Classification(path, UNKNOWN, (), {}, error=outcome.message)
    (analysis,) = analyses_of([outcome], lambda: classifier)
    probabilities, info = analysis.probabilities, classifier.info
    by_genre = zip(info.labels, map(float, probabilities), strict=True)
    return Classification(
        path,
        genre=info.genre_of(probabilities),
        genres=info.genres_of(probabilities),
        probabilities=dict(by_genre),
        tags=_tags(info, analysis.tags),
        warning=outcome.warning,
    )


def _tags(info: ModelInfo, scores: FloatArray) -> dict[str, TagScore]:
    strengths = info.tag_strengths(scores)
    order = np.argsort(-strengths, kind="stable")
    return {info.tags[i]: TagScore(float(scores[i]), float(strengths[i])) for i in order.tolist()}
