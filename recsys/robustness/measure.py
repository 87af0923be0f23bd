"""Files through all variants and all models, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import QueryError, RecsysError
from recsys.library import scan
from recsys.robustness.figures import (
    HalfFigures,
    VariantFigures,
    half_figures,
    median_cosine,
    own_cosines,
    variant_figures,
)
from recsys.robustness.variants import (
    FIRST_HALF,
    HALVES,
    ORIGINAL,
    SECOND_HALF,
    VARIANTS,
    VariantListener,
    Windows,
)
from recsys.workers import WHOLE_FILE_LIMIT_S, WorkerPool

if TYPE_CHECKING:
    from recsys.classifier.inference import Classifier
    from recsys.types import FloatArray


@dataclass(frozen=True, slots=True)
class RobustnessOptions:
    """What to measure on.

    Attributes
    ----------
    limit : int or None
        At most so many tracks, drawn at random.
    seed : int
        For the draw and for the intervals.
    workers : int or None
        Decoding processes; None for one per processor.
    """

    limit: int | None = None
    seed: int = 0
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class Robustness:
    """The figures of one model.

    Attributes
    ----------
    model, fingerprint : str
        Its name, and the hash that tells it from others.
    median_cosine : float
        Between different tracks.
    variants : dict of str to VariantFigures
        By kind of variant.
    all_variants : VariantFigures
        Of all kinds together.
    halves : HalfFigures or None
        First halves looking for second halves inside their genre; None where no genre has two
        tracks.
    """

    model: str
    fingerprint: str
    median_cosine: float
    variants: dict[str, VariantFigures]
    all_variants: VariantFigures
    halves: HalfFigures | None


@dataclass(frozen=True, slots=True)
class RobustnessRun:
    """What was measured, for every model on the same tracks.

    Attributes
    ----------
    tracks : int
        Tracks that took part.
    found : int
        Audio files in the folder.
    genres : dict of str to int
        Tracks that took part by the name of their folder.
    models : tuple of Robustness
        In the order in which the models were given.
    failed : dict of Path to str
        Tracks that could not be heard, whole or in one of their forms, and why.
    """

    tracks: int
    found: int
    genres: dict[str, int]
    models: tuple[Robustness, ...]
    failed: dict[Path, str]


def measure_robustness(
    directory: Path,
    classifiers: Sequence[Classifier],
    options: RobustnessOptions = RobustnessOptions(),
    on_start: Callable[[int], object] = lambda _: None,
    on_track: Callable[[bool], object] = lambda _: None,
) -> RobustnessRun:
    """Measure how steady the embeddings of models are.

    Parameters
    ----------
    directory : Path
        Audio files, in folders by genre; the folder in which a file lies is its genre.
    classifiers : sequence of Classifier
        The models, at least one.
    options : RobustnessOptions
        What to measure on.
    on_start : callable
        Told how many tracks there will be.
    on_track : callable
        Told, once per track, whether it failed.

    Returns
    -------
    RobustnessRun

    Raises
    ------
    QueryError
        If there are fewer than two tracks that can be heard.
    """
    found = [file.path for file in scan(directory)]
    chosen = _draw(found, options)
    if len(chosen) < 2:
        raise _too_few(directory, len(chosen), {})
    on_start(len(chosen))
    settings = tuple(dict.fromkeys(classifier.features for classifier in classifiers))
    heard: dict[Path, list[dict[str, FloatArray]]] = {}
    failed: dict[Path, str] = {}
    librosa = any(features.uses_librosa for features in settings)
    limit = WHOLE_FILE_LIMIT_S
    with WorkerPool(options.workers, librosa=librosa, time_limit_s=limit) as pool:
        for path, outcome in pool.map(VariantListener(settings), chosen):
            if isinstance(outcome, RecsysError):
                failed[path] = outcome.message
            else:
                heard[path] = [
                    _embed(classifier, outcome, settings.index(classifier.features))
                    for classifier in classifiers
                ]
            on_track(isinstance(outcome, RecsysError))
    if len(heard) < 2:
        raise _too_few(directory, len(heard), failed)
    genres = [path.parent.name for path in heard]
    models = tuple(
        _figures(classifier, [own[number] for own in heard.values()], genres, options.seed)
        for number, classifier in enumerate(classifiers)
    )
    counts = {genre: genres.count(genre) for genre in sorted(set(genres))}
    return RobustnessRun(len(heard), len(found), counts, models, failed)


def _draw(found: Sequence[Path], options: RobustnessOptions) -> list[Path]:
    """Return the tracks to measure on, in the order of their names."""
    if options.limit is None or len(found) <= options.limit:
        return list(found)
    rng = np.random.default_rng(options.seed)
    places = rng.choice(len(found), options.limit, replace=False)
    return [found[place] for place in sorted(places)]


def _too_few(directory: Path, count: int, failed: dict[Path, str]) -> QueryError:
    first = next((f" ({path.name}: {reason})" for path, reason in failed.items()), "")
    return QueryError(
        f"{count} tracks in {directory} can be heard{first}; two are needed to be told apart",
        "Give a folder of music, DIR/GENRE/track.",
    )


def _embed(classifier: Classifier, windows: Windows, kind: int) -> dict[str, FloatArray]:
    """Return the embedding of every form of one track."""
    analyses = classifier.analyse([own[kind].astype(np.float32) for own in windows.values()])
    return {name: own.embedding for name, own in zip(windows, analyses, strict=True)}


def _figures(
    classifier: Classifier, heard: Sequence[dict[str, FloatArray]], genres: list[str], seed: int
) -> Robustness:
    by_form = {
        name: np.stack([track[name] for track in heard]) for name in (ORIGINAL, *VARIANTS, *HALVES)
    }
    originals = by_form[ORIGINAL]
    compared = {name: own_cosines(originals, by_form[name]) for name in VARIANTS}
    cosines, found = (np.concatenate(parts) for parts in zip(*compared.values(), strict=True))
    return Robustness(
        model=classifier.info.name,
        fingerprint=classifier.info.fingerprint,
        median_cosine=median_cosine(originals),
        variants={name: variant_figures(*own) for name, own in compared.items()},
        all_variants=variant_figures(cosines, found),
        halves=half_figures(by_form[FIRST_HALF], by_form[SECOND_HALF], genres, seed),
    )
