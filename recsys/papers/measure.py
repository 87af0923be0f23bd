"""Measuring a recipe, by its paper protocol or an artist-grouped split, and its model card."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

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
from recsys.papers.data import mix_clips
from recsys.papers.fit import fit, overfit_check
from recsys.papers.protocols import divide_as_report, divide_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from recsys.classifier.calibrate import Float64Array
    from recsys.classifier.card import ModelCard
    from recsys.classifier.training.datasets import SegmentSet
    from recsys.classifier.training.loop import EpochResult
    from recsys.papers.data import MixedSong, RecipeData
    from recsys.papers.fit import FitOptions, Fitted
    from recsys.papers.protocols import Division, Fold
    from recsys.papers.recipe import Recipe
    from recsys.types import FloatArray, IdArray

BATCH = 64
"""Segments in one pass through a model."""

FOLDS = 5
"""Of the artist-grouped split where a track is one vector, which is quick to fit. Networks over
spectrograms and sequences are trained once, and a fifth of the tracks is tested."""


def predict_scores(
    model: nn.Module, segments: SegmentSet, rows: IdArray, *, by_track: bool, device: torch.device
) -> tuple[FloatArray, IdArray]:
    """Return scores before calibration, float32 (n, n_genres), and the true genres, (n,).

    One row per segment in the order of `rows`; with `by_track` one per track in ascending order,
    the mean over its segments.
    """
    model.to(device).eval()
    batches = [np.zeros((0, len(segments.labels)), dtype=np.float32)]
    with torch.inference_mode():
        for start in range(0, len(rows), BATCH):
            # In batches: float16 inputs become float32 here, twice their size.
            inputs = torch.from_numpy(segments.inputs[rows[start : start + BATCH]]).float()
            batches.append(model(inputs.to(device))[0].float().cpu().numpy())
    model.cpu()
    scores, targets = np.concatenate(batches), segments.targets[rows]
    if not by_track:
        return scores, targets
    _, first, track = np.unique(segments.track_of[rows], return_index=True, return_inverse=True)
    sums = np.zeros((len(first), scores.shape[1]), dtype=np.float64)
    np.add.at(sums, track, scores)
    means = (sums / np.bincount(track)[:, np.newaxis]).astype(np.float32)
    return means, targets[first]


def _artists(segments: SegmentSet, rows: IdArray, *, by_track: bool) -> IdArray:
    """Return the artist of each row of :func:`predict_scores`, as group ids."""
    if by_track:
        return segments.track_groups[np.unique(segments.track_of[rows])]
    return segments.groups[rows]


def _figures(evaluation: Evaluation, *, calibrated: bool) -> dict[str, Any]:
    """Return an evaluation ready for JSON; ``ece`` is None where no temperature was fitted."""
    return {**as_dict(evaluation), **({} if calibrated else {"ece": None})}


# The model card of a trained recipe.


def make_recipe_card(
    recipe: Recipe,
    fitted: Fitted,
    segments: SegmentSet,
    division: Division,
    options: FitOptions,
    *,
    name: str,
) -> tuple[ModelCard, Evaluation]:
    """Calibrate a trained recipe, measure it on the test part, and describe it.

    Temperature, thresholds and confusion come from the validation tracks. Where the protocol has
    none, thresholds and confusion come from the test tracks, which the card states, and nothing
    is calibrated: a temperature fitted to the test part would make it look calibrated.

    Parameters
    ----------
    recipe, fitted, segments, division, options
        The run; `fitted` was trained on the first fold.
    name : str
        Of the model, for people.

    Returns
    -------
    card : ModelCard
        Without a fingerprint.
    test : Evaluation
        Of tracks, or of segments where the protocol mixes them.
    """
    fold, labels = division.folds[0], segments.labels
    has_valid = len(fold.valid) > 0
    by_track, device = not division.leaky, options.device
    predict = partial(predict_scores, fitted.model, segments, by_track=by_track, device=device)
    known = predict(fold.valid if has_valid else fold.test)
    calibration = calibrate(*known, None if has_valid else 1.0)
    scores, targets = predict(fold.test)
    groups = _artists(segments, fold.test, by_track=by_track)
    measured = score(softmax(scores, calibration.temperature), targets, labels, groups)
    with torch.inference_mode():
        embedding = fitted.model(torch.from_numpy(segments.inputs[:1]).float())[1]
    card = make_card(
        fitted.model,
        fitted.architecture,
        fitted.config,
        name=name,
        labels=labels,
        features=recipe.features,
        dimension=int(embedding.shape[1]),
        calibration=calibration,
        training=_training_record(recipe, fitted, segments, division, options),
        metrics={
            "note": "Calibrated on validation."
            if has_valid
            else "Not calibrated: there is no validation; thresholds are those of the test part.",
            "unit": division.unit,
            "test": _figures(measured, calibrated=has_valid),
        },
    )
    return card, measured


def _training_record(
    recipe: Recipe, fitted: Fitted, segments: SegmentSet, division: Division, options: FitOptions
) -> dict[str, Any]:
    """Return what the card keeps of the training."""
    fold = division.folds[0]
    parts = {part: segments.track_of[getattr(fold, part)] for part in ("train", "valid", "test")}
    tracks = {part: np.unique(of) for part, of in parts.items()}
    return {
        "recipe": recipe.name,
        "report": recipe.report,
        "source": recipe.source,
        "protocol": division.protocol,
        "leaky": division.leaky,
        "split": division.description,
        "tracks": {part: len(own) for part, own in tracks.items()},
        "segments": {part: len(of) for part, of in parts.items()},
        # A later evaluation leaves out the tracks that were trained on.
        "keys": {
            part: sorted(segments.tracks[track].key for track in own)
            for part, own in tracks.items()
        },
        "seed": options.seed,
        "epochs_run": len(fitted.history),
        "best_epoch": max((entry.epoch for entry in fitted.history if entry.is_best), default=0),
        "history": history_entries(fitted.history),
        **fitted.notes,
        # Changes the last digits; which machines use it depends on their processor.
        "bfloat16": bool(fitted.history) and bfloat16_is_quick(options.device),
    }


def evaluate_mixed(
    recipe: Recipe, model: nn.Module, songs: Sequence[MixedSong], labels: Sequence[str]
) -> dict[str, Any]:
    """Measure how often a model with a sigmoid per genre finds exactly the genres of a song.

    Returns ``n``, ``accuracy``, its 95% ``interval``, and ``given``: song to predicted genres.
    """
    assert recipe.training is not None
    given = {}
    for song in songs:
        with torch.inference_mode():
            # The model returns log-probabilities.
            probabilities = model(torch.from_numpy(song.inputs).float())[0].exp().mean(0).numpy()
        # Strictly above, as the report defines it.
        above = probabilities > recipe.training.threshold
        given[song.name] = [label for label, holds in zip(labels, above, strict=True) if holds]
    right, n = sum(set(given[song.name]) == song.genres for song in songs), len(songs)
    return {
        "n": n,
        "accuracy": right / n,
        "interval": list(wilson_interval(right, n)),
        "given": given,
    }


# A measurement.


@dataclass(frozen=True, slots=True)
class Measurement:
    """Result of one recipe under one protocol; ready for JSON."""

    recipe: str
    data: str  # for people
    way: str  # "report": by the paper protocol; "honest": by an artist-grouped split
    protocol: str
    leaky: bool  # segments of one track were in training and test
    split: str  # for people
    unit: str  # of the counts: "track" or "segment"
    test: dict[str, Any]  # an Evaluation over all folds; ece is None without validation
    loss: float  # mean negative log-likelihood on test before calibration, nats
    train_accuracy: float | None  # of the kept model of the first fold, over segments
    folds: int
    seed: int
    minutes: float  # training and testing without decoding, interrupted runs included
    notes: dict[str, Any]
    history: list[dict[str, Any]]  # epochs of the first fold
    n_train: int  # in `unit`, of the smallest fold
    n_tracks: int
    unknown_artists: int  # tracks; each counts as an artist of its own


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
    """Train a recipe on every fold of the protocol, and test it on the rest.

    Parameters
    ----------
    recipe : Recipe
    data : RecipeData
    way : str
        ``report`` or ``honest``, see :class:`Measurement`.
    options : FitOptions
        ``by_report`` is set here.
    described : str
        The data, for people.
    folds : int, optional
        Of ``honest``; by default 5 where a track is one vector and 1 elsewhere.
    on_epoch : callable, optional
        Called after every epoch of a network.

    Raises
    ------
    ModelError
        If the data cannot be divided or the model cannot be trained.
    """
    options, segments = replace(options, by_report=way == "report"), data.segments
    if options.by_report:
        division = divide_as_report(recipe, segments, seed=options.seed)
    else:
        folds = folds or (FOLDS if len(recipe.features.shape) == 1 else 1)
        division = divide_for(recipe, segments, "by-artist", folds=folds, seed=options.seed)
    fitted, outputs, testing = _over_folds(recipe, segments, division, options, on_epoch)
    scores, probabilities, truth = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
    tested = [_artists(segments, fold.test, by_track=not division.leaky) for fold in division.folds]
    calibrated = all(len(fold.valid) for fold in division.folds)
    notes = _notes(recipe, data, fitted, options, division.folds[0])
    return Measurement(
        recipe=recipe.name,
        data=described,
        way=way,
        protocol=division.protocol,
        leaky=division.leaky,
        split=division.description,
        unit=division.unit,
        test=_figures(
            score(probabilities, truth, segments.labels, np.concatenate(tested)),
            calibrated=calibrated,
        ),
        loss=negative_log_likelihood(scores, truth),
        train_accuracy=_train_accuracy(fitted[0], segments, division.folds[0], options),
        folds=len(division.folds),
        seed=options.seed,
        minutes=(testing + sum(one.seconds for one in fitted)) / 60,
        notes={**notes, "calibrated_on": "validation" if calibrated else "nothing"},
        history=history_entries(fitted[0].history),
        n_train=min(
            len(fold.train if division.leaky else np.unique(segments.track_of[fold.train]))
            for fold in division.folds
        ),
        n_tracks=len(segments.tracks),
        unknown_artists=sum(track.artist is None for track in segments.tracks),
    )


_Outputs: TypeAlias = "tuple[FloatArray, Float64Array, IdArray]"
"""Scores, probabilities and true genres."""


def _over_folds(
    recipe: Recipe,
    segments: SegmentSet,
    division: Division,
    options: FitOptions,
    on_epoch: Callable[[EpochResult], None] | None,
) -> tuple[list[Fitted], list[_Outputs], float]:
    """Train on every fold and test on the rest; return also how many seconds the tests took."""
    fitted: list[Fitted] = []
    outputs = []
    testing = 0.0
    for number, fold in enumerate(division.folds):
        # Every fold is resumed on its own.
        state = options.partial and options.partial.with_suffix(f".{number}.pt")
        one = fit(recipe, segments, fold, replace(options, partial=state), on_epoch)
        started = time.monotonic()
        outputs.append(_test_outputs(one, segments, fold, division, options))
        testing += time.monotonic() - started
        # The first model is enough for the notes, and models are large.
        fitted.append(one if not fitted else replace(one, model=fitted[0].model))
    return fitted, outputs, testing


def _test_outputs(
    fitted: Fitted, segments: SegmentSet, fold: Fold, division: Division, options: FitOptions
) -> _Outputs:
    """Return scores, probabilities and true genres of the test part.

    Without validation nothing is calibrated: a temperature fitted to the test part would not
    hold for other tracks.
    """
    by_track, device = not division.leaky, options.device
    predict = partial(predict_scores, fitted.model, segments, by_track=by_track, device=device)
    scores, targets = predict(fold.test)
    temperature = fit_temperature(*predict(fold.valid)) if len(fold.valid) else 1.0
    return scores, softmax(scores, temperature), targets


def _train_accuracy(
    fitted: Fitted, segments: SegmentSet, fold: Fold, options: FitOptions
) -> float | None:
    """Return the accuracy of the kept model over the segments that it was trained on."""
    if "train_accuracy" in fitted.notes:
        return float(fitted.notes["train_accuracy"])
    scores, targets = predict_scores(
        fitted.model, segments, fold.train, by_track=False, device=options.device
    )
    return float(np.mean(scores.argmax(axis=1) == targets))


def _notes(
    recipe: Recipe, data: RecipeData, fitted: list[Fitted], options: FitOptions, first: Fold
) -> dict[str, Any]:
    """Return what else can be compared with the report."""
    notes: dict[str, Any] = {
        **fitted[0].notes,
        "epochs_run": [len(one.history) for one in fitted if one.history],
        "data": list(data.notes),
        "skipped": len(data.skipped),
        "skipped_files": [
            [f"{path.parent.name}/{path.name}", reason] for path, reason in data.skipped
        ],
    }
    if len(fitted) > 1 and "chosen" in notes:
        notes["chosen_per_fold"] = [one.notes["chosen"] for one in fitted]
    if recipe.memorise and options.by_report:
        notes["memorised"] = overfit_check(recipe, data.segments, options)
    if data.mixed:
        notes["mixed"] = evaluate_mixed(recipe, fitted[0].model, data.mixed, data.segments.labels)
    if data.clips:
        tested = np.unique(data.segments.track_of[first.test])
        tracks = [data.segments.tracks[number] for number in tested]
        if songs := mix_clips(data.clips, tracks, recipe.features, options.seed):
            labels = data.segments.labels
            notes["mixes"] = evaluate_mixed(recipe, fitted[0].model, songs, labels)
    return notes
