"""Genres and tags of single files, without a library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import RecsysError
from recsys.genres import genre_among_all
from recsys.indexing.examine import FileAnalyser, TrackResult, analyses_of
from recsys.kinds import kind_of
from recsys.library import scan
from recsys.types import NOT_MUSIC, TIME_LIMIT_S, UNKNOWN
from recsys.workers import WorkerPool, default_workers

if TYPE_CHECKING:
    from recsys.classifier.inference import Classifier
    from recsys.types import FloatArray, Kind, ModelInfo


@dataclass(frozen=True, slots=True)
class TagScore:
    """One tag of one file."""

    score: float  # in [0, 1]; comparable between files, not between tags
    strength: float  # z-score, comparable between tags: ModelInfo.tag_strengths


@dataclass(frozen=True, slots=True)
class Classification:
    """Genres and tags of one file; both are empty when it failed."""

    path: Path  # as given
    genre: str  # the most probable one if it reaches its threshold, or "unknown"
    genres: tuple[str, ...]  # those that reach their thresholds, the most probable first
    label: str  # as a library shows it: the genre among all that the model knows, or the kind
    probabilities: dict[str, float]  # by genre; they sum to 1
    tags: dict[str, TagScore] = field(default_factory=dict)  # the strongest first
    kind: Kind | None = None  # None where the model cannot tell
    kind_probability: float | None = None  # of the kind
    vocals: float | None = None  # share of the time that is sung, in [0, 1]; of music alone
    warning: str | None = None  # defect of the file
    error: str | None = None  # why it could not be analysed
    hint: str = ""  # what helps then


def classify_files(
    files: Sequence[Path],
    classifier: Classifier,
    workers: int | None = None,
    *,
    time_limit_s: float = TIME_LIMIT_S,
) -> Iterator[Classification]:
    """Classify files in worker processes; yield one result per file, in the order given.

    A folder stands for the audio files under it. `workers` defaults to one per processor; no more
    are started than there are files.
    """
    files = [file for path in files for file in _files_of(path)]
    analyser = FileAnalyser(classifier.features, classifier.place)
    workers = min(workers or default_workers(), len(files))
    librosa = classifier.features.uses_librosa
    with WorkerPool(workers, librosa=librosa, time_limit_s=time_limit_s) as pool:
        for path, outcome in pool.map(analyser, files):
            yield _classification(path, outcome, classifier)


def _files_of(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    # A folder without audio fails like a file, by its own name.
    return [file.path for file in scan(path)] or [path]


def _classification(
    path: Path, outcome: TrackResult | RecsysError, classifier: Classifier
) -> Classification:
    if isinstance(outcome, RecsysError):
        return Classification(
            path, UNKNOWN, (), UNKNOWN, {}, error=outcome.message, hint=outcome.hint
        )
    (analysis,) = analyses_of([outcome], lambda: classifier)
    probabilities, info = analysis.probabilities, classifier.info
    judged = kind_of(info, analysis)
    by_genre = zip(info.labels, map(float, probabilities), strict=True)
    return Classification(
        path,
        genre=info.genre_of(probabilities),
        genres=info.genres_of(probabilities),
        label=str(judged.kind)
        if judged is not None and judged.kind in NOT_MUSIC
        else genre_among_all(info, analysis),
        probabilities=dict(by_genre),
        tags=_tags(info, analysis.tags),
        kind=None if judged is None else judged.kind,
        kind_probability=None if judged is None else judged.probability,
        vocals=None if judged is None else judged.vocals,
        warning=outcome.warning,
    )


def _tags(info: ModelInfo, scores: FloatArray) -> dict[str, TagScore]:
    strengths = info.tag_strengths(scores)
    order = np.argsort(-strengths, kind="stable")
    return {info.tags[i]: TagScore(float(scores[i]), float(strengths[i])) for i in order.tolist()}
