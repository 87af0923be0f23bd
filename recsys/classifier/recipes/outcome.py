"""What a trained recipe says of the segments that it did not learn from, and its model card."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recsys.classifier.calibrate import (
    fit_temperature,
    fit_thresholds,
    smoothed_confusion,
    softmax,
)
from recsys.classifier.checkpoint import ModelCard
from recsys.classifier.evaluate import Evaluation, as_dict, score
from recsys.classifier.finish import history_entries
from recsys.classifier.models import complete_config
from recsys.classifier.precision import bfloat16_is_quick

if TYPE_CHECKING:
    from torch import nn

    from recsys.classifier.calibrate import Float64Array
    from recsys.classifier.protocols import Division, Fold
    from recsys.classifier.recipes.fit import FitOptions, Fitted
    from recsys.classifier.recipes.recipe import Recipe
    from recsys.classifier.segments import SegmentSet
    from recsys.types import FloatArray, IdArray

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


def calibrated(judged: Judged, temperature: float) -> Float64Array:
    """Return probabilities, shape (n, n_genres)."""
    return softmax(judged.scores, temperature)


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
    temperature = fit_temperature(known.scores, known.targets) if len(fold.valid) else 1.0
    probabilities = calibrated(known, temperature)
    test = judge(fitted.model, segments, fold.test, by_track=not division.leaky, device=device)
    measured = score(calibrated(test, temperature), test.targets, segments.labels)
    confusion = smoothed_confusion(
        probabilities.argmax(axis=1), known.targets, len(segments.labels)
    )
    card = ModelCard(
        name=name,
        architecture=fitted.architecture,
        config=complete_config(fitted.architecture, fitted.config),
        labels=segments.labels,
        features=recipe.features,
        dimension=_dimension(fitted.model, segments),
        temperature=temperature,
        thresholds=fit_thresholds(probabilities, known.targets),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        training=_training_notes(recipe, fitted, segments, division, fold, options),
        metrics={
            "note": "Calibrated on validation."
            if len(fold.valid)
            else "Not calibrated: there is no validation; thresholds are those of the test part.",
            "unit": test.unit,
            "test": figures(measured, calibrated=len(fold.valid) > 0),
        },
        created=datetime.now(UTC).date().isoformat(),
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
        "parameters": sum(parameter.numel() for parameter in fitted.model.parameters()),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _keys(segments: SegmentSet, tracks: IdArray) -> list[str]:
    """Name tracks, so that a later evaluation can tell which of them were learned from."""
    return sorted(segments.tracks[number].key for number in np.unique(tracks))
