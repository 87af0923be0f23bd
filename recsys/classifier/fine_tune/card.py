"""What is known of a default model that was just made: calibration, figures, origin."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from recsys.classifier.calibrate import (
    Float64Array,
    expected_calibration_error,
    fit_temperature,
    fit_thresholds,
    smoothed_confusion,
    softmax,
)
from recsys.classifier.checkpoint import ModelCard
from recsys.classifier.evaluate import as_dict, score
from recsys.classifier.fine_tune.limits import limits_of
from recsys.classifier.fine_tune.tags import LEAST_TRACKS, measure_agreement
from recsys.classifier.fine_tune.teacher import TAGS
from recsys.classifier.models import complete_config

if TYPE_CHECKING:
    from recsys.classifier.fine_tune.make import Made
    from recsys.classifier.fine_tune.pictures import PicturedMusic
    from recsys.classifier.fine_tune.settings import FineTuneSettings
    from recsys.features import CompressedMel
    from recsys.types import FloatArray, IdArray

LICENCE = (
    "MIT; made from the weights of MusiCNN, which are under the ISC licence:"
    " see MUSICNN-LICENSE.md in recsys.data"
)

FULL_CLIP = 5
"""Windows from which on a track counts as heard at length; of others there are but 3 s."""

_ENOUGH = 100
"""Long tracks, to calibrate by these alone."""

_RESAMPLES = 1000
_NEIGHBOURS = 10


def make_default_card(
    made: Made,
    music: PicturedMusic,
    features: CompressedMel,
    settings: FineTuneSettings,
    *,
    name: str,
    notes: dict[str, Any],
) -> ModelCard:
    """Calibrate a default model by what was said of tracks out of their folds, and describe it.

    Parameters
    ----------
    made : Made
    music : PicturedMusic
        What it was made from.
    features : CompressedMel
        What a window looks like.
    settings : FineTuneSettings
    name : str
        For people.
    notes : dict
        More for the card's ``training`` part.

    Returns
    -------
    ModelCard
        Without a fingerprint, which :func:`recsys.classifier.checkpoint.save_model` adds.
    """
    model, truth = made.model, music.targets
    # One window is surer of itself than the mean of ten: a library's tracks are long.
    long = _heard_at_length(music)
    judged = long if long.sum() >= _ENOUGH else np.ones_like(long)
    temperature = fit_temperature(made.out_of_fold.logits[judged], truth[judged])
    probabilities = softmax(made.out_of_fold.logits, temperature)
    thresholds = fit_thresholds(probabilities, truth)
    confusion = smoothed_confusion(probabilities.argmax(axis=1), truth, len(music.labels))
    sizes = {
        "filters": list(model.filters),
        "dimension": model.dimension,
        "n_tags": len(made.tags),
    }
    deviations = np.maximum(made.said_tags.std(axis=0), 1e-6)
    metrics = _metrics(made, music, probabilities, thresholds, temperature, settings.seed)
    return ModelCard(
        name=name,
        architecture="musicnn",
        config=complete_config("musicnn", sizes),
        labels=music.labels,
        features=features,
        dimension=model.dimension,
        temperature=temperature,
        thresholds=thresholds,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        tags=made.tags,
        tag_means=tuple(made.said_tags.mean(axis=0).tolist()),
        tag_deviations=tuple(deviations.tolist()),
        training=_training(made, music, settings, notes),
        metrics=metrics,
        limits=limits_of(metrics, features),
        created=datetime.now(UTC).date().isoformat(),
        licence=LICENCE,
    )


def _heard_at_length(music: PicturedMusic) -> npt.NDArray[np.bool_]:
    """Mark tracks of which there is more than an excerpt."""
    return np.asarray([t.sound is not None and len(t.sound) >= FULL_CLIP for t in music.tracks])


def _training(
    made: Made, music: PicturedMusic, settings: FineTuneSettings, notes: dict[str, Any]
) -> dict[str, Any]:
    counts = Counter(track.genre for track in music.tracks)
    return {
        **notes,
        "recipe": "default",
        "tracks": {label: counts[label] for label in music.labels},
        "tracks_with_sound": sum(track.sound is not None for track in music.tracks),
        "keys": {"train": [track.key for track in music.tracks], "valid": []},
        "split": f"learned from all; measured by {made.n_folds}-fold cross-validation by artist"
        + (", and on the validation list by a network of the training list" if made.valid else ""),
        "seed": settings.seed,
        "settings": asdict(settings),
        "parameters": sum(parameter.numel() for parameter in made.model.parameters()),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _metrics(
    made: Made,
    music: PicturedMusic,
    probabilities: Float64Array,
    thresholds: tuple[float, ...],
    temperature: float,
    seed: int,
) -> dict[str, Any]:
    """Judge tracks by networks that had not learned from them, all of them and the long ones."""
    truth, labels = music.targets, music.labels
    long = _heard_at_length(music)
    best = probabilities.argmax(axis=1)
    metrics: dict[str, Any] = {
        "note": "Every track was judged by a network that had not learned from it; temperature and"
        " thresholds were chosen on the cross-validation, so that its calibration is a little too"
        " good. The shipped network learned from all of these tracks.",
        "cross_validation": _judged(probabilities, truth, labels, seed),
        "given_a_genre": float(np.mean(probabilities.max(axis=1) >= np.asarray(thresholds)[best])),
        "tags": {tag: agreement.as_dict() for tag, agreement in made.agreement.items()},
    }
    if long.any() and not long.all():
        metrics["cross_validation_clips"] = _judged(probabilities[long], truth[long], labels, seed)
    if made.valid is None:
        return metrics
    places, chances = music.valid, softmax(made.valid.logits, temperature)
    metrics["valid"] = _judged(chances, truth[places], labels, seed)
    if len(places) >= LEAST_TRACKS:
        found = measure_agreement(made.valid.tag_logits, made.taught_tags[places], TAGS)
        metrics["tags_of_valid"] = {tag: agreement.as_dict() for tag, agreement in found.items()}
    some = long[places]
    if some.any():
        metrics["valid_clips"] = {
            **_judged(chances[some], truth[places][some], labels, seed),
            **_neighbours(made.valid.embeddings[some], places[some], music),
        }
    return metrics


def _judged(
    probabilities: Float64Array, truth: IdArray, labels: tuple[str, ...], seed: int
) -> dict[str, Any]:
    """Return all figures, with a bootstrap interval of the calibration error."""
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(truth), size=(_RESAMPLES, len(truth)))
    errors = [expected_calibration_error(probabilities[draw], truth[draw]) for draw in draws]
    interval = np.percentile(errors, [2.5, 97.5]).tolist()
    return {**as_dict(score(probabilities, truth, labels)), "ece_interval": interval}


def _neighbours(embeddings: FloatArray, places: IdArray, music: PicturedMusic) -> dict[str, Any]:
    """Return how the embedding puts these tracks beside each other.

    Precision is the share of a track's genre among the ten tracks by other artists that are nearest
    to it. It is always divided by ten, also where there are fewer.
    """
    cosines = embeddings @ embeddings.T
    genres, artists = music.targets[places], music.groups[places]
    others = np.where(artists[:, np.newaxis] == artists, -np.inf, cosines)
    nearest = np.argsort(-others, axis=1, kind="stable")[:, :_NEIGHBOURS]
    reachable = np.take_along_axis(others, nearest, axis=1) > -np.inf
    same = (genres[nearest] == genres[:, np.newaxis]) & reachable
    different = cosines[np.triu_indices(len(cosines), 1)]
    return {
        "precision_at_10_other_artists": float(same.sum(axis=1).mean() / _NEIGHBOURS),
        "median_cosine_between_tracks": float(np.median(different)) if len(different) else None,
    }
