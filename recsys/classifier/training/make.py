"""Making the default model: measured on held-out tracks, calibrated by artist, learned from all."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import asdict, dataclass
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
from recsys.classifier.card import ModelCard
from recsys.classifier.training.architectures import complete_config
from recsys.classifier.training.evaluate import as_dict, score
from recsys.classifier.training.heads import Lessons, hear, teacher_tags
from recsys.classifier.training.outliers import hear_outliers
from recsys.classifier.training.teacher import (
    LEAST_TRACKS as LEAST_TRACKS_FOR_TAGS,
)
from recsys.classifier.training.teacher import (
    TAGS,
    TagAgreement,
    keep_tags,
    measure_agreement,
)
from recsys.classifier.training.tune import Said, cross_validate, folds_by_artist, make_network, say
from recsys.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recsys.classifier.training.examples import PicturedMusic
    from recsys.classifier.training.musicnn_torch import MusiCNN
    from recsys.classifier.training.tune import FineTuneSettings
    from recsys.mel import CompressedMel
    from recsys.types import FloatArray, IdArray

# What a default model is bad at and what it must not be used for, in words, for its card.


FEW = 20
"""Tracks heard at length; figures of genres with fewer say next to nothing."""

NOT_FOR = (
    "deciding anything about people or money: payments, the rating of artists, filtering of"
    " content",
    "identifying recordings or performers",
)


def limits_of(metrics: Mapping[str, Any], features: CompressedMel) -> dict[str, list[str]]:
    """Return the limits of a default model, those that depend on what was measured as numbers.

    Parameters
    ----------
    metrics : mapping
        As in the card.
    features : CompressedMel
        What a window looks like.

    Returns
    -------
    dict
        ``bad_at`` and ``not_to_be_used_for``, sentences and ends of sentences.
    """
    return {
        "bad_at": [*_measured(metrics), *_always(features)],
        "not_to_be_used_for": list(NOT_FOR),
    }


def _measured(metrics: Mapping[str, Any]) -> list[str]:
    judged = metrics["cross_validation"]
    genres = judged["per_genre"]
    worst = min(genres, key=lambda genre: float(genres[genre]["precision"]))
    said = [
        f"It knows {len(genres)} genres: other music is given the nearest of them, or unknown.",
        f"{1 - judged['accuracy']:.0%} of {judged['n']} tracks that it had not learned from were"
        " given a wrong genre, often with confidence.",
        f"Least to be trusted is {worst}: {genres[worst]['precision']:.0%} of what is called so"
        " is so.",
    ]
    at_length = metrics.get("cross_validation_clips", judged)["per_genre"]
    few = [genre for genre in genres if at_length.get(genre, {"n": 0})["n"] < FEW]
    if few:
        said.append(
            f"Of {', '.join(few)} fewer than {FEW} tracks each were heard at length; what was"
            " measured of these says next to nothing."
        )
    return said


def _always(features: CompressedMel) -> list[str]:
    heard = features.max_windows * features.window_s
    return [
        "Tracks that it learned from (training.keys) are known nearly by heart: figures from them"
        " are worth nothing.",
        "Files of a few seconds get probabilities that are too high.",
        f"It hears at most {heard:g} s of a track, in {features.max_windows} pieces, and nothing"
        f" above {features.sample_rate / 2000:g} kHz.",
        "Unknown was learned from synthesised sounds: speech, field recordings or audio books may"
        " be given a genre.",
        "What encoders at low bit rates make of quiet treble moves the embedding.",
        "Tags are a guess at what listeners of last.fm wrote about 2010, learned at second hand.",
    ]


# What is known of a default model that was just made: calibration, figures, origin.


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
        Without a fingerprint, which :func:`recsys.classifier.card.save_model` adds.
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
    if len(places) >= LEAST_TRACKS_FOR_TAGS:
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


# ----------------------------------------------------------------------


LEAST_TRACKS = 20
"""With fewer there is nothing to calibrate by."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """The network, and what networks made the same way said of tracks unknown to them.

    Attributes
    ----------
    model : MusiCNN
        Learned from all tracks; tells the tags that are kept.
    out_of_fold : Said
        One row per track, by cross-validation.
    valid : Said or None
        Of the validation list, by a network that learned from the training list; None without
        lists.
    taught_tags : ndarray of float32, shape (n_tracks, n_tags)
        The teacher's, pooled.
    said_tags : ndarray of float32, shape (n_tracks, n_kept)
        The network's own of all tracks, pooled.
    agreement : dict
        Tag to its agreement with the teacher, of all tags.
    n_folds : int
        Of the cross-validation.
    """

    model: MusiCNN
    out_of_fold: Said
    valid: Said | None
    taught_tags: FloatArray
    said_tags: FloatArray
    agreement: dict[str, TagAgreement]
    n_folds: int

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the tags that are kept."""
        return tuple(tag for tag, found in self.agreement.items() if found.is_learned)


@dataclass(frozen=True, slots=True)
class Steps:
    """Who wants to know how far the work has come; each is called with the total.

    Attributes
    ----------
    on_track : callable or None
        After every track that was heard.
    on_step : callable or None
        After every step of every tuning.
    """

    on_track: Callable[[int], None] | None = None
    on_step: Callable[[int], None] | None = None


def make_default(
    teacher: MusiCNN,
    music: PicturedMusic,
    features: CompressedMel,
    settings: FineTuneSettings,
    steps: Steps | None = None,
) -> Made:
    """Make the default model.

    Parameters
    ----------
    teacher : MusiCNN
        See :func:`recsys.classifier.training.teacher.build_pruned`.
    music : PicturedMusic
        Labelled tracks.
    features : CompressedMel
        What a window looks like.
    settings : FineTuneSettings
    steps : Steps, optional
        Who is told of progress.

    Returns
    -------
    Made

    Raises
    ------
    ModelError
        If there are too few tracks to validate on, or all by one artist, or the training fails.
    """
    steps = steps or Steps()
    if len(music.tracks) < LEAST_TRACKS:
        raise ModelError(
            f"{len(music.tracks)} tracks are too few to learn from and to be measured on",
            f"Give {LEAST_TRACKS} at least; some hundreds make a useful model.",
        )
    folds = folds_by_artist(music.targets, music.groups, settings.folds, settings.seed)
    heard = hear(teacher, music.tracks, settings.variations, settings.seed, steps.on_track)
    outliers = hear_outliers(teacher, settings.outliers, settings.seed, features)
    lessons = Lessons(heard, music.targets, teacher_tags(teacher, heard), outliers)
    runs = len(folds) + 1 + bool(len(music.valid))
    total = runs * settings.epochs * settings.steps_per_epoch

    def on_step(_: float) -> None:
        if steps.on_step is not None:
            steps.on_step(total)

    out_of_fold = cross_validate(teacher, lessons, folds, settings, on_step)
    valid = None
    if len(music.valid):
        network = make_network(teacher, lessons.of(music.train), settings, settings.seed, on_step)
        valid = say(network, [heard[place].plain for place in music.valid])
    taught = np.stack([rows.mean(axis=0) for rows in lessons.tag_logits])
    agreement = measure_agreement(out_of_fold.tag_logits, taught, TAGS)
    final = make_network(teacher, lessons, settings, settings.seed, on_step)
    final = keep_tags(final, [n for n, tag in enumerate(TAGS) if agreement[tag].is_learned])
    said = say(final, [track.plain for track in heard])
    return Made(final, out_of_fold, valid, taught, said.tag_logits, agreement, len(folds))
