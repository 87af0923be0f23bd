"""Heads for the numbers, fitted to what VibeNet says of a library's own tracks.

VibeNet (PyPI ``vibenet``, GPL-3) is no part of recsys. Who has it installed may let it judge some
of their tracks; the heads stay in that library.

tracks --judge (workers)--> numbers --cross_validated, ridge--> Heads
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recsys.audio import decode
from recsys.classifier.log_mel import LogMel
from recsys.credits import spaced_artists
from recsys.errors import QueryError, RecsysError, require
from recsys.mood.numbers import Heads, MoodNumbers
from recsys.recommender.presence import is_there
from recsys.types import MOOD_NUMBERS, NOT_MUSIC
from recsys.workers import WHOLE_FILE_LIMIT_S, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from recsys.store import Store
    from recsys.types import Analysis, IdArray, ModelInfo, Track

TEACHER_RATE, EXCERPT_S = 16_000, 30.0
"""VibeNet's sample rate, and the middle of a track that it judges: it learned from such clips."""

FOLDS = 5
RIDGE = 100.0
"""Weight of the penalty, over standardised inputs. Of 10, 30, 100 and 300 it correlates best on 429
clips of GTZAN, grouped by artist; the others differ by less than 0.02."""

LEAST_TRACKS = 50

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MoodFitOptions:
    """How to fit heads. QueryError for fewer tracks than :data:`LEAST_TRACKS`."""

    tracks: int = 300  # drawn at random
    seed: int = 0  # of the draw and the folds
    workers: int | None = None  # decoding processes; None for one per processor

    def __post_init__(self) -> None:
        if self.tracks < LEAST_TRACKS:
            raise QueryError(
                f"{self.tracks} tracks are too few for heads", f"Give {LEAST_TRACKS} or more."
            )


@dataclass(frozen=True, slots=True, eq=False)
class MoodFit:
    """Heads, and how well they agree with the teacher."""

    heads: Heads
    tracks: int  # that were judged
    artists: int
    # Rank correlations, cross-validated by artist, and those of the table's numbers; None where a
    # number is not known, or the same everywhere.
    correlations: dict[str, float | None]
    of_table: dict[str, float | None]
    failed: dict[Path, str]  # tracks that were not judged, and why


def fit_heads(
    info: ModelInfo,
    moods: MoodNumbers,
    tracks: Sequence[tuple[Track, Analysis]],
    options: MoodFitOptions = MoodFitOptions(),
    *,
    judge: Callable[[Path], tuple[float, ...]] | None = None,
    on_start: Callable[[int], object] = lambda _: None,
    on_track: Callable[[bool], object] = lambda _: None,
) -> MoodFit:
    """Let a teacher judge tracks, and fit heads to its numbers.

    Parameters
    ----------
    info : ModelInfo
        The model of the analyses.
    moods : MoodNumbers
        What the library uses now; its table is compared.
    tracks : sequence of Track and Analysis
    options : MoodFitOptions
    judge : callable, optional
        Returns the :data:`recsys.types.MOOD_NUMBERS` of a file; importable by name. By default
        VibeNet.
    on_start, on_track : callable
        Called with the number of tracks, and after each with whether it failed.

    Raises
    ------
    RecsysError
        VibeNet is not installed, or it judged too few tracks.
    """
    if judge is None:
        require("vibenet", "vibenet")
        judge = ask_vibenet
    known = {track.path: (track, analysis) for track, analysis in tracks}
    judged: dict[Path, tuple[float, ...]] = {}
    failed: dict[Path, str] = {}
    on_start(len(known))
    with WorkerPool(options.workers, time_limit_s=WHOLE_FILE_LIMIT_S) as pool:
        for path, outcome in pool.map_unordered(judge, known):
            if isinstance(outcome, RecsysError):
                failed[path] = outcome.message
            else:
                judged[path] = outcome
            on_track(isinstance(outcome, RecsysError))
    if len(judged) < LEAST_TRACKS:
        raise QueryError(
            f"only {len(judged)} of {len(known)} tracks were judged: {LEAST_TRACKS} are needed",
            next(iter(failed.values()), "Index more music, or give a higher --tracks."),
        )
    present = [known[path] for path in known if path in judged]
    wanted = np.array([judged[track.path] for track, _ in present])
    embeddings = np.stack([analysis.embedding for _, analysis in present])
    scores = np.stack([analysis.tags for _, analysis in present])
    inputs = np.hstack([embeddings, info.tag_strengths(scores)]).astype(np.float64)
    groups = _groups([track for track, _ in present])
    predicted = cross_validated(inputs, wanted, groups, options.seed)
    by_table = replace(moods, heads=None).values(info, embeddings, scores).astype(np.float64)
    correlations = _correlations(predicted, wanted)
    about = {
        "teacher": getattr(judge, "__name__", str(judge)).removeprefix("ask_"),
        "tracks": len(present),
        "artists": len(set(groups.tolist())),
        "seed": options.seed,
        "rank_correlations": {name: r and round(r, 3) for name, r in correlations.items()},
    }
    weights = ridge(inputs, wanted).astype(np.float32)
    return MoodFit(
        Heads(info.fingerprint, str(info.effort), weights, about),
        len(present),
        len(set(groups.tolist())),
        correlations,
        _correlations(by_table, wanted),
        failed,
    )


def sample_of(store: Store, options: MoodFitOptions) -> list[tuple[Track, Analysis]]:
    """Return tracks of music drawn at random whose files are there, one of each sound."""
    music = (track for track in store.all_tracks() if track.kind not in NOT_MUSIC)
    tracks = {track.audio_hash: track for track in music if is_there(track.path)}
    order = np.random.default_rng(options.seed).permutation(len(tracks))
    known = [*tracks.values()]
    drawn = [known[i] for i in order[: options.tracks].tolist()]
    analyses = store.analyses([track.id for track in drawn])
    return [(track, analyses[track.id]) for track in drawn if track.id in analyses]


def ask_vibenet(path: Path) -> tuple[float, ...]:
    """Return what VibeNet says of the middle of a file."""
    middle = LogMel(sample_rate=TEACHER_RATE, window_s=EXCERPT_S, max_windows=1)
    (answer,) = _vibenet().predict(decode(path, middle).windows[0], sr=TEACHER_RATE)
    return tuple(float(getattr(answer, name)) for name in MOOD_NUMBERS)


@cache
def _vibenet() -> Any:  # noqa: ANN401 (of another package)
    return require("vibenet", "vibenet").load_model()


def _groups(tracks: Sequence[Track]) -> IdArray:
    """Return a number per artist; tracks without one are by one each."""
    names = [next(iter(spaced_artists(track)), f"\t{track.id}") for track in tracks]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def ridge(inputs: Float64Array, wanted: Float64Array) -> Float64Array:
    """Return weights (d + 1, n_numbers) of inputs (n, d) by ridge regression, a constant last."""
    mean, deviation = inputs.mean(axis=0), inputs.std(axis=0) + 1e-9
    standardised = (inputs - mean) / deviation
    squares = standardised.T @ standardised + RIDGE * np.eye(inputs.shape[1])
    centre = wanted.mean(axis=0)
    slopes = np.linalg.solve(squares, standardised.T @ (wanted - centre)) / deviation[:, None]
    weights: Float64Array = np.vstack([slopes, centre - mean @ slopes])
    return weights


def cross_validated(
    inputs: Float64Array, wanted: Float64Array, groups: IdArray, seed: int
) -> Float64Array:
    """Return predictions of every row by heads that saw none of its group."""
    labels = np.unique(groups)
    np.random.default_rng(seed).shuffle(labels)
    predicted = np.zeros_like(wanted)
    for fold in range(FOLDS):
        out = np.isin(groups, labels[fold::FOLDS])
        weights = ridge(inputs[~out], wanted[~out])
        predicted[out] = inputs[out] @ weights[:-1] + weights[-1]
    return predicted


def _correlations(predicted: Float64Array, wanted: Float64Array) -> dict[str, float | None]:
    found = map(rank_correlation, predicted.T, wanted.T)
    return {n: None if np.isnan(r) else r for n, r in zip(MOOD_NUMBERS, found, strict=True)}


def rank_correlation(one: Float64Array, other: Float64Array) -> float:
    """Return Spearman's rank correlation; NaN where a value is NaN or all are equal.

    Examples
    --------
    >>> rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 90.0]))
    1.0
    """
    if np.isnan(one).any() or np.isnan(other).any():
        return float("nan")
    ranks = []
    for values in (one, other):
        ordered = np.sort(values)
        left, right = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
        ranks.append((left + right) / 2)
    with np.errstate(invalid="ignore"):
        return float(np.round(np.corrcoef(ranks[0], ranks[1])[0, 1], 12))
