"""Measuring a recipe: under its report's protocol, or honestly, and in full."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recsys.classifier.calibrate import (
    calibrate,
    fit_temperature,
    negative_log_likelihood,
    softmax,
    wilson_interval,
)
from recsys.classifier.training.architectures import make_card
from recsys.classifier.training.evaluate import Evaluation, as_dict, score
from recsys.classifier.training.loop import history_entries
from recsys.classifier.training.musicnn_torch import bfloat16_is_quick
from recsys.papers.fit import fit, memorise
from recsys.papers.protocols import divide_as_report, divide_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from recsys.classifier.calibrate import Float64Array
    from recsys.classifier.card import ModelCard
    from recsys.classifier.training.datasets import SegmentSet
    from recsys.classifier.training.loop import EpochResult
    from recsys.papers.data import MixedSongs, RecipeData
    from recsys.papers.fit import FitOptions, Fitted
    from recsys.papers.protocols import Division, Fold
    from recsys.papers.recipe import Recipe
    from recsys.types import FloatArray, IdArray

# What a trained recipe says of the segments that it did not learn from, and its model card.


BATCH = 64
"""Segments in one pass through a model."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Scores of units that were not learned from.

    Attributes
    ----------
    scores : ndarray of float32, shape (n, n_genres)
        Before calibration; of a track, the means over its segments.
    targets : ndarray of int64, shape (n,)
        True genres.
    unit : str
        What a row is: ``track`` or ``segment``.
    """

    scores: FloatArray
    targets: IdArray
    unit: str


def judge(
    model: nn.Module,
    segments: SegmentSet,
    chosen: IdArray,
    *,
    by_track: bool,
    device: torch.device,
) -> Judged:
    """Run a model over segments.

    Parameters
    ----------
    model : nn.Module
        Inputs to (scores, embedding).
    segments : SegmentSet
    chosen : ndarray of int64
        Numbers of the segments to judge.
    by_track : bool
        Average the scores of a track's segments; otherwise every segment counts on its own.
    device : torch.device

    Returns
    -------
    Judged
        Tracks in ascending order of their numbers, or segments in the order of `chosen`.
    """
    scores = _scores(model.to(device).eval(), segments, chosen, device)
    model.cpu()
    targets = segments.targets[chosen]
    if not by_track:
        return Judged(scores, targets, "segment")
    tracks, place = np.unique(segments.track_of[chosen], return_inverse=True)
    sums = np.zeros((len(tracks), scores.shape[1]), dtype=np.float64)
    np.add.at(sums, place, scores)
    means = (sums / np.bincount(place)[:, np.newaxis]).astype(np.float32)
    first = np.unique(place, return_index=True)[1]
    return Judged(means, targets[first], "track")


def _scores(
    model: nn.Module, segments: SegmentSet, chosen: IdArray, device: torch.device
) -> FloatArray:
    rows = [np.zeros((0, len(segments.labels)), dtype=np.float32)]
    with torch.inference_mode():
        for start in range(0, len(chosen), BATCH):
            inputs = torch.from_numpy(segments.inputs[chosen[start : start + BATCH]]).float()
            rows.append(model(inputs.to(device))[0].float().cpu().numpy())
    return np.concatenate(rows)


def make_recipe_card(
    recipe: Recipe,
    fitted: Fitted,
    segments: SegmentSet,
    division: Division,
    fold: Fold,
    options: FitOptions,
    *,
    name: str,
) -> tuple[ModelCard, Evaluation]:
    """Calibrate a trained recipe, measure it on its test part, and describe it.

    Temperature, thresholds and confusion come from the validation tracks. Where the protocol has
    none, thresholds and confusion come from the test tracks, which the card says, and nothing is
    calibrated: a temperature fitted to the test part would make it look calibrated.

    Parameters
    ----------
    recipe, fitted, segments, division, fold, options
        The run.
    name : str
        Of the model, for people.

    Returns
    -------
    card : ModelCard
        Without a fingerprint.
    test : Evaluation
        Of the test part: of tracks, or of segments where the protocol mixes them.
    """
    device = options.device
    held_out = fold.valid if len(fold.valid) else fold.test
    known = judge(fitted.model, segments, held_out, by_track=not division.leaky, device=device)
    has_valid = len(fold.valid) > 0
    calibration = calibrate(known.scores, known.targets, None if has_valid else 1.0)
    test = judge(fitted.model, segments, fold.test, by_track=not division.leaky, device=device)
    probabilities = softmax(test.scores, calibration.temperature)
    measured = score(probabilities, test.targets, segments.labels)
    card = make_card(
        fitted.model,
        fitted.architecture,
        fitted.config,
        name=name,
        labels=segments.labels,
        features=recipe.features,
        dimension=_dimension(fitted.model, segments),
        calibration=calibration,
        training=_training_notes(recipe, fitted, segments, division, fold, options),
        metrics={
            "note": "Calibrated on validation."
            if has_valid
            else "Not calibrated: there is no validation; thresholds are those of the test part.",
            "unit": test.unit,
            "test": figures(measured, calibrated=has_valid),
        },
    )
    return card, measured


def figures(evaluation: Evaluation, *, calibrated: bool) -> dict[str, Any]:
    """Return an evaluation ready for JSON, without a calibration error where nothing was fitted.

    Parameters
    ----------
    evaluation : Evaluation
    calibrated : bool
        The temperature was fitted, to other tracks than these.

    Returns
    -------
    dict
        ``ece`` is None where `calibrated` is not.
    """
    plain = as_dict(evaluation)
    return plain if calibrated else {**plain, "ece": None}


def _dimension(model: nn.Module, segments: SegmentSet) -> int:
    with torch.inference_mode():
        return int(model(torch.from_numpy(segments.inputs[:1]).float())[1].shape[1])


def _training_notes(
    recipe: Recipe,
    fitted: Fitted,
    segments: SegmentSet,
    division: Division,
    fold: Fold,
    options: FitOptions,
) -> dict[str, Any]:
    parts = {part: segments.track_of[getattr(fold, part)] for part in ("train", "valid", "test")}
    return {
        "recipe": recipe.name,
        "report": recipe.report,
        "source": recipe.source,
        "protocol": division.protocol,
        "leaky": division.leaky,
        "split": division.description,
        "tracks": {part: len(np.unique(of)) for part, of in parts.items()},
        "segments": {part: len(of) for part, of in parts.items()},
        "keys": {part: _keys(segments, of) for part, of in parts.items()},
        "seed": options.seed,
        "epochs_run": len(fitted.history),
        "best_epoch": max((entry.epoch for entry in fitted.history if entry.is_best), default=0),
        "history": history_entries(fitted.history),
        **fitted.notes,
        # Decides the last digits, and is chosen by what the machine does quickly.
        "bfloat16": bool(fitted.history) and bfloat16_is_quick(options.device),
    }


def _keys(segments: SegmentSet, tracks: IdArray) -> list[str]:
    """Name tracks, so that a later evaluation can tell which of them were learned from."""
    return sorted(segments.tracks[number].key for number in np.unique(tracks))


# Songs of several genres, and models that let several hold.


def judge_mixed(
    recipe: Recipe, model: nn.Module, songs: MixedSongs, labels: Sequence[str]
) -> dict[str, Any]:
    """Measure how often exactly the right genres hold.

    Parameters
    ----------
    recipe : Recipe
        A genre holds where its probability is higher than the recipe's threshold.
    model : nn.Module
        Gives logarithms of a probability for each genre on its own.
    songs : MixedSongs
    labels : sequence of str
        Genres, in the order of the outputs.

    Returns
    -------
    dict
        ``n``, ``accuracy``, its 95% ``interval``, and ``given``: name of the song to its genres.
    """
    assert recipe.training is not None
    given = {}
    right = 0
    for name, inputs, truth in zip(songs.names, songs.inputs, songs.genres, strict=True):
        with torch.inference_mode():
            probabilities = model(torch.from_numpy(inputs).float())[0].exp().mean(0).numpy()
        holds = [
            label
            for label, probability in zip(labels, probabilities, strict=True)
            # The report's words: higher than the threshold.
            if probability > recipe.training.threshold
        ]
        given[name] = holds
        right += set(holds) == truth
    n = len(songs.names)
    return {
        "n": n,
        "accuracy": right / n,
        "interval": list(wilson_interval(right, n)),
        "given": given,
    }


# ----------------------------------------------------------------------


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
        See :class:`.Evaluation`; all folds together. ``ece`` is None
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
