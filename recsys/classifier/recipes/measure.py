"""Measuring a recipe: under its report's protocol, or honestly, and in full."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.classifier.calibrate import fit_temperature, negative_log_likelihood, softmax
from recsys.classifier.evaluate import score
from recsys.classifier.finish import history_entries
from recsys.classifier.recipes.fit import fit, memorise
from recsys.classifier.recipes.outcome import figures, judge
from recsys.classifier.recipes.protocol import divide_as_report, divide_for
from recsys.classifier.recipes.several import judge_mixed

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.classifier.calibrate import Float64Array
    from recsys.classifier.protocols import Division, Fold
    from recsys.classifier.recipes.data import RecipeData
    from recsys.classifier.recipes.fit import FitOptions, Fitted
    from recsys.classifier.recipes.outcome import Judged
    from recsys.classifier.recipes.recipe import Recipe
    from recsys.classifier.settings import EpochResult
    from recsys.types import FloatArray, IdArray

FOLDS = 5
"""Of the honest protocol where a track is one vector, which is quick: every track is tested once.
Networks over pictures and sequences are trained once, and a fifth of the tracks is tested."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured of one recipe under one protocol.

    Attributes
    ----------
    recipe : str
    data : str
        What it was measured on, in words.
    way : str
        ``report``: divided, chosen and judged as the report did; ``honest``: by track and
        artist, with choices made on validation.
    protocol : str
        How the data was divided.
    leaky : bool
        Segments of one track were on both sides.
    split : str
        The division in words.
    unit : str
        What was counted: ``track`` or ``segment``.
    test : dict
        See :class:`recsys.classifier.evaluate.Evaluation`; all folds together. ``ece`` is None
        where there was no validation to calibrate on.
    loss : float
        Mean negative log-likelihood on test, before calibration, nats.
    train_accuracy : float or None
        Of the kept model of the first fold on the segments that it learned from.
    folds : int
    seed : int
    minutes : float
        Training and judging, without decoding; before an interruption too.
    notes : dict
        What was tried and chosen, epochs run, and what else the report would tell.
    history : list of dict
        Epochs of the first fold.
    n_train : int or None
        Tracks learned from, or segments where `unit` is that; of the fold that has the fewest.
    n_tracks : int or None
        Tracks that there were.
    unknown_artists : int or None
        How many of them have no known artist, and so are an artist of their own.
    """

    recipe: str
    data: str
    way: str
    protocol: str
    leaky: bool
    split: str
    unit: str
    test: dict[str, Any]
    loss: float
    train_accuracy: float | None
    folds: int
    seed: int
    minutes: float
    notes: dict[str, Any]
    history: list[dict[str, Any]]
    n_train: int | None = None
    n_tracks: int | None = None
    unknown_artists: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return asdict(self)


def measure(
    recipe: Recipe,
    data: RecipeData,
    way: str,
    options: FitOptions,
    *,
    described: str,
    folds: int | None = None,
    on_epoch: Callable[[EpochResult], None] | None = None,
) -> Measurement:
    """Train a recipe as often as the protocol asks, and judge what it did not learn from.

    Parameters
    ----------
    recipe : Recipe
    data : RecipeData
    way : str
        ``report`` or ``honest``.
    options : FitOptions
        ``by_report`` is set here.
    described : str
        The data in words.
    folds : int, optional
        Of the honest protocol; by default 5 where a track is one vector and 1 elsewhere.
    on_epoch : callable, optional
        Told after every epoch of a network.

    Returns
    -------
    Measurement

    Raises
    ------
    ModelError
        If the data cannot be divided or the model cannot be trained.
    """
    options = replace(options, by_report=way == "report")
    division = _divide(recipe, data, way, folds, options.seed)
    fitted: list[Fitted] = []
    scores, probabilities, targets = [], [], []
    judging = 0.0
    for number, fold in enumerate(division.folds):
        one = fit(recipe, data.segments, fold, _of_fold(options, number), on_epoch)
        started = time.monotonic()
        raw, calibrated, truth = _judge_fold(one, data, division, fold, options)
        judging += time.monotonic() - started
        # One model is enough for the notes, and models are large.
        fitted.append(one if not fitted else replace(one, model=fitted[0].model))
        scores.append(raw)
        probabilities.append(calibrated)
        targets.append(truth)
    truth = np.concatenate(targets)
    validated = all(len(fold.valid) for fold in division.folds)
    evaluation = score(np.concatenate(probabilities), truth, data.segments.labels)
    return Measurement(
        recipe=recipe.name,
        data=described,
        way=way,
        protocol=division.protocol,
        leaky=division.leaky,
        split=division.description,
        unit="segment" if division.leaky else "track",
        test=figures(evaluation, calibrated=validated),
        loss=negative_log_likelihood(np.concatenate(scores), truth),
        train_accuracy=_train_accuracy(fitted[0], data, division.folds[0], options),
        folds=len(division.folds),
        seed=options.seed,
        minutes=(judging + sum(one.seconds for one in fitted)) / 60,
        notes={
            **_notes(recipe, data, fitted, options),
            "calibrated_on": "validation" if validated else "nothing",
        },
        history=history_entries(fitted[0].history),
        n_train=min(_learned(data, division, fold) for fold in division.folds),
        n_tracks=len(data.segments.tracks),
        unknown_artists=sum(track.artist is None for track in data.segments.tracks),
    )


def _learned(data: RecipeData, division: Division, fold: Fold) -> int:
    """Return how many tracks, or segments where these are counted, were learned from."""
    rows = fold.train if division.leaky else np.unique(data.segments.track_of[fold.train])
    return len(rows)


def _divide(recipe: Recipe, data: RecipeData, way: str, folds: int | None, seed: int) -> Division:
    if way == "report":
        return divide_as_report(recipe, data.segments, seed=seed)
    usual = FOLDS if len(recipe.features.shape) == 1 else 1
    return divide_for(recipe, data.segments, "by-artist", folds=folds or usual, seed=seed)


def _of_fold(options: FitOptions, number: int) -> FitOptions:
    """Keep the state of each fold in a file of its own."""
    if options.partial is None:
        return options
    return replace(options, partial=options.partial.with_suffix(f".{number}.pt"))


def _judge_fold(
    fitted: Fitted, data: RecipeData, division: Division, fold: Fold, options: FitOptions
) -> tuple[FloatArray, Float64Array, IdArray]:
    """Return scores, probabilities and the truth of the test part.

    Probabilities are calibrated on validation, and where there is none not at all: a temperature
    fitted to the test part would say nothing about other tracks.
    """

    def say(part: IdArray) -> Judged:
        by_track = not division.leaky
        return judge(fitted.model, data.segments, part, by_track=by_track, device=options.device)

    test, temperature = say(fold.test), 1.0
    if len(fold.valid):
        known = say(fold.valid)
        temperature = fit_temperature(known.scores, known.targets)
    return test.scores, softmax(test.scores, temperature), test.targets


def _train_accuracy(
    fitted: Fitted, data: RecipeData, fold: Fold, options: FitOptions
) -> float | None:
    """Return the share of the learned segments that the kept model gives their genre."""
    if "train_accuracy" in fitted.notes:
        return float(fitted.notes["train_accuracy"])
    own = judge(fitted.model, data.segments, fold.train, by_track=False, device=options.device)
    return float(np.mean(own.scores.argmax(axis=1) == own.targets))


def _notes(
    recipe: Recipe, data: RecipeData, fitted: list[Fitted], options: FitOptions
) -> dict[str, Any]:
    """Gather what else the report tells, so that it can be compared too."""
    notes: dict[str, Any] = {**fitted[0].notes}
    notes["epochs_run"] = [len(one.history) for one in fitted if one.history]
    notes["data"] = list(data.notes)
    notes["skipped"] = len(data.skipped)
    notes["skipped_files"] = [
        [f"{path.parent.name}/{path.name}", reason] for path, reason in data.skipped
    ]
    # Of a network it is measured on the kept model; older results have that of the last epoch.
    notes["train_accuracy_of"] = "kept model"
    if len(fitted) > 1 and "chosen" in notes:
        notes["chosen_per_fold"] = [one.notes["chosen"] for one in fitted]
    if recipe.memorise and options.by_report:
        notes["memorised"] = memorise(recipe, data.segments, options)
    if data.mixed is not None:
        notes["mixed"] = judge_mixed(recipe, fitted[0].model, data.mixed, data.segments.labels)
    return notes
