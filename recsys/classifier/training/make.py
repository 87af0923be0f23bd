"""The kind of model that ships: trained on all tracks, evaluated by cross-validation."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from recsys.bootstrap import bootstrap_interval
from recsys.classifier.calibrate import (
    Calibration,
    Float64Array,
    calibrate,
    expected_calibration_error,
    fit_temperature,
    softmax,
    temperatures_of,
)
from recsys.classifier.inference import Pooled
from recsys.classifier.training.agreement import (
    LEAST_TRACKS_FOR_TAGS,
    TagAgreement,
    measure_agreement,
)
from recsys.classifier.training.architectures import make_card, save_model
from recsys.classifier.training.datasets import artist_folds, load_music
from recsys.classifier.training.evaluate import as_dict, score
from recsys.classifier.training.loop import PartialRun, forget_partial, partial_path
from recsys.classifier.training.musicnn_torch import tag_head
from recsys.classifier.training.options import TrainOptions, TrainProgress
from recsys.classifier.training.second_teacher import (
    SecondTeaching,
    check_second_teacher,
    second_teaching,
)
from recsys.classifier.training.teacher import (
    TAGS,
    build_pruned,
    describe,
    find_checkpoint,
    read_checkpoint,
)
from recsys.classifier.training.tune import (
    TuneSettings,
    TuningData,
    fit_heads,
    front_end_responses,
    outlier_responses,
    outputs_of,
    teacher_tags,
    tune,
)
from recsys.errors import ModelError
from recsys.mel import DEFAULT_EFFORT, CompressedMel, at_effort

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from recsys.classifier.card import ModelCard
    from recsys.classifier.training.datasets import LabelledMusic
    from recsys.classifier.training.musicnn_torch import MusiCNN
    from recsys.classifier.training.tune import TrackResponses
    from recsys.types import FloatArray, IdArray

LEAST_TRACKS = 20
"""With fewer there is nothing to calibrate on."""

FULL_CLIP = 5
"""Windows of a long track; excerpts have fewer."""

_ENOUGH_LONG = 100
"""Long tracks from which on only these are calibrated on."""

_NEIGHBOURS = 10

LICENCE = (
    "MIT; made from the weights of MusiCNN, which are under the ISC licence:"
    " see MUSICNN-LICENSE.md in recsys.data"
)

TAUGHT = "; some units learned from outputs of YAMNet, Apache-2.0: see YAMNET-NOTICE.md"
"""Joins :data:`LICENCE` where there was a second teacher."""


@dataclass(frozen=True, slots=True, eq=False)
class DefaultModel:
    """The final network, and the outputs of networks like it for tracks they did not train on."""

    model: MusiCNN  # trained on all tracks; with the tags that are kept
    out_of_fold: Pooled  # one row per track, by cross-validation
    window_logits: tuple[FloatArray, ...]  # of each track (n_windows, n_genres), by the same
    other_folds: tuple[FloatArray, ...]  # logits of tracks as in `out_of_fold`, by other folds
    valid: Pooled | None  # of the validation list, by a network of the training list
    taught_tags: FloatArray  # (n_tracks, n_tags): of the teacher, pooled
    tag_logits: FloatArray  # (n_tracks, n_kept): of the network itself, pooled
    agreement: dict[str, TagAgreement]  # of every tag with the teacher
    n_folds: int

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the tags that are kept."""
        return tuple(tag for tag, found in self.agreement.items() if found.is_learned)


def train_default(
    options: TrainOptions, watcher: TrainProgress | None = None
) -> tuple[ModelCard, LabelledMusic]:
    """Train the kind of model that ships with recsys, and write it.

    An interrupted run resumes from the finished networks, and from the last saved epoch of the
    unfinished one.

    Parameters
    ----------
    options : TrainOptions
    watcher : TrainProgress, optional

    Returns
    -------
    card : ModelCard
        As written.
    music : LabelledMusic
        The training data, and the files that failed.

    Raises
    ------
    RecsysError
        If the published weights are missing, or the music is unusable or too little.
    """
    watcher = watcher or TrainProgress()
    checkpoint = find_checkpoint(options.weights)
    if options.unlabelled:
        check_second_teacher(options)
    variables = read_checkpoint(checkpoint)
    features = CompressedMel()
    music = load_music(options.sources, features, options.workers, watcher.file_decoded)
    watcher.music_loaded(music)
    teacher = build_pruned(variables, len(music.labels))
    second = None
    notes: dict[str, Any] = {"teacher": describe(checkpoint)}
    if options.unlabelled:
        second = second_teaching(teacher, music, options, watcher)
        notes["second_teacher"] = second.description
    made = make_default(teacher, music, features, options.settings, watcher, options.out, second)
    paths = (*options.sources.directories, options.sources.mel)
    notes["data"] = [path.name for path in paths if path]
    card = default_card(made, music, features, options.settings, name=options.out.stem, notes=notes)
    card = save_model(options.out, made.model, card)
    forget_partial(options.out)
    return card, music


def make_default(
    teacher: MusiCNN,
    music: LabelledMusic,
    features: CompressedMel,
    settings: TuneSettings,
    watcher: TrainProgress | None = None,
    out: Path | None = None,
    second: SecondTeaching | None = None,
) -> DefaultModel:
    """Tune the networks of the cross-validation, that of the training list, and the final one.

    They start from `teacher`, and a second one widens them. States of interrupted runs are saved
    next to `out`, the model file. Raises ModelError if there are too few tracks, all are by one
    artist, or the training fails.
    """
    watcher = watcher or TrainProgress()
    if len(music.tracks) < LEAST_TRACKS:
        raise ModelError(
            f"{len(music.tracks)} tracks are too few to train and to evaluate a model",
            f"Give {LEAST_TRACKS} at least; some hundreds make a useful model.",
        )
    divisions = [
        make_folds(music.targets, music.groups, settings.folds, settings.seed + number)
        for number in range(settings.divisions)
    ]
    folds = divisions[0]
    responses = front_end_responses(
        teacher, music.tracks, settings.variations, settings.seed, watcher.track_augmented
    )
    outliers = outlier_responses(teacher, settings.outliers, settings.seed, features)
    data = TuningData(responses, music.targets, teacher_tags(teacher, responses), outliers)
    tags = tuple(TAGS)
    if second is not None:
        data = _with_second(data, teacher, second)
        tags += second.tags
    everything = np.arange(len(music.tracks))
    total = settings.training.epochs * (sum(map(len, divisions)) + 1 + bool(len(music.valid)))

    def network(number: int, rows: IdArray, seed: int) -> MusiCNN:
        seeded = replace(settings, seed=seed)
        keys = [music.tracks[row].key for row in rows]
        partial = PartialRun(partial_path(out, number) if out else None, [asdict(seeded), keys])
        tuned = tune(
            _with_tags(teacher, len(tags)),
            data.of(rows),
            seeded,
            partial=partial,
            on_epoch=lambda _: watcher.epoch_trained(total),
        )
        if second is not None:
            tuned = second.widened(tuned, rows)
        return fit_heads(tuned, data.of(rows))

    # Numbered apart from the final network, 0, whose interrupted state must not be theirs.
    numbers = itertools.count(1)
    networks = []

    def of_fold(number: int, rows: IdArray) -> MusiCNN:
        networks.append(network(next(numbers), rows, settings.seed + number))
        return networks[-1]

    out_of_fold, *others = (out_of_fold_outputs(own, responses, of_fold) for own in divisions)
    window_logits = window_outputs(networks[: len(folds)], folds, responses)
    valid = None
    if len(music.valid):
        listed = network(next(numbers), music.train, settings.seed)
        valid = outputs_of(listed, [responses[row].plain for row in music.valid])
    taught = np.stack([rows.mean(axis=0) for rows in data.tag_logits])
    agreement = measure_agreement(out_of_fold.tag_logits, taught, tags)
    if second is not None:
        agreement |= second.agreement
    final = network(0, everything, settings.seed)
    final = keep_tags(final, [n for n, tag in enumerate(tags) if agreement[tag].is_learned])
    own = outputs_of(final, [track.plain for track in responses])
    return DefaultModel(
        final,
        out_of_fold,
        window_logits,
        tuple(other.logits for other in others),
        valid,
        taught,
        own.tag_logits,
        agreement,
        len(folds),
    )


def _with_second(data: TuningData, teacher: MusiCNN, second: SecondTeaching) -> TuningData:
    """Add the tags of the second teacher, its music, and its recordings that are no music."""
    both = [
        np.concatenate([own, second.labelled_logits(number, len(own))], axis=1)
        for number, own in enumerate(data.tag_logits)
    ]
    no_music = (*data.outliers, *second.not_music)
    return TuningData(data.tracks, data.targets, both, no_music, second.unlabelled(teacher))


def out_of_fold_outputs(
    folds: Sequence[IdArray],
    responses: Sequence[TrackResponses],
    train: Callable[[int, IdArray], MusiCNN],
) -> Pooled:
    """Return the outputs for every track of the network that was trained without its fold.

    `folds` holds the rows held out, together all of them; `train` maps the number of a fold and the
    rows to train on to a network.
    """
    everything = np.arange(len(responses))
    parts = []
    for number, held_out in enumerate(folds):
        network = train(number, np.setdiff1d(everything, held_out))
        parts.append(outputs_of(network, [responses[row].plain for row in held_out]))
    order = np.argsort(np.concatenate(folds))
    return Pooled(*(np.concatenate(rows)[order] for rows in zip(*parts, strict=True)))


def window_outputs(
    networks: Sequence[MusiCNN], folds: Sequence[IdArray], responses: Sequence[TrackResponses]
) -> tuple[FloatArray, ...]:
    """Return the genre logits of every window of every track, by the network of its fold."""
    found: dict[int, FloatArray] = {}
    for network, held_out in zip(networks, folds, strict=True):
        for row in held_out.tolist():
            plain = responses[row].plain
            found[row] = outputs_of(network, np.split(plain, len(plain))).logits
    return tuple(found[row] for row in sorted(found))


def make_folds(targets: IdArray, groups: IdArray, folds: int, seed: int) -> list[IdArray]:
    """Divide tracks into folds by artist, fewer than wanted where there are fewer artists."""
    n_groups = len(np.unique(groups))
    if n_groups < 2:
        raise ModelError(
            f"all {len(targets)} tracks are by one artist",
            "A model is evaluated on other artists than those it was trained on: correct the tags,"
            " or name the artists with --artists.",
        )
    count = min(folds, int(np.bincount(targets).max()), n_groups)
    return artist_folds(targets, groups, max(2, count), seed)


# Tags.


def _with_tags(model: MusiCNN, n_tags: int) -> MusiCNN:
    """Return a network whose tag head has so many outputs; the same one where it has."""
    if model.tags.out_features == n_tags:
        return model
    wider = copy.deepcopy(model)
    wider.tags = tag_head(model.tags.in_features, n_tags)
    return wider


def keep_tags(model: MusiCNN, outputs: Sequence[int]) -> MusiCNN:
    """Return a copy of a network with only some of the outputs of its tag head."""
    kept = copy.deepcopy(model)
    chosen = torch.as_tensor(list(outputs), dtype=torch.long)
    kept.tags = tag_head(model.tags.in_features, len(chosen))
    with torch.no_grad():
        kept.tags.weight.copy_(model.tags.weight[chosen])
        kept.tags.bias.copy_(model.tags.bias[chosen])
    return kept


# The card.


def default_card(
    made: DefaultModel,
    music: LabelledMusic,
    features: CompressedMel,
    settings: TuneSettings,
    *,
    name: str,
    notes: dict[str, Any],
) -> ModelCard:
    """Calibrate a model on its out-of-fold logits, and describe it.

    `notes` is added to the card's ``training`` part; the fingerprint comes when it is saved.
    """
    taught_twice = "second_teacher" in notes
    model, truth, logits = made.model, music.targets, made.out_of_fold.logits
    # One window is more confident than the mean of ten, and a library's tracks are long.
    long = _are_long(music)
    fitted = long if long.sum() >= _ENOUGH_LONG else np.ones_like(long)
    calibration = calibrate(
        logits,
        truth,
        fit_temperature(logits[fitted], truth[fitted]),
        _fit_temperatures(made, music, features.max_windows),
        _windows_of(music).tolist(),
    )
    metrics = _metrics(made, music, calibration, features, settings.seed)
    counts = Counter(track.genre for track in music.tracks)
    split = f"trained on all; evaluated by {made.n_folds}-fold cross-validation by artist"
    if made.valid:
        split += ", and on the validation list by a network of the training list"
    return make_card(
        model,
        "musicnn",
        {
            "filters": list(model.filters),
            "hidden": model.dense.out_features,
            "dimension": model.dimension,
            "n_tags": len(made.tags),
        },
        name=name,
        labels=music.labels,
        features=features,
        dimension=model.dimension,
        calibration=calibration,
        training={
            **notes,
            "recipe": "default",
            "tracks": {label: counts[label] for label in music.labels},
            "tracks_with_sound": sum(track.audio is not None for track in music.tracks),
            "keys": {"train": [track.key for track in music.tracks], "valid": []},
            "split": split,
            "seed": settings.seed,
            "settings": asdict(settings),
        },
        metrics=metrics,
        tags=made.tags,
        tag_means=tuple(made.tag_logits.mean(axis=0).tolist()),
        tag_deviations=tuple(np.maximum(made.tag_logits.std(axis=0), 1e-6).tolist()),
        limits=limits_of(metrics, features, taught_twice=taught_twice),
        licence=LICENCE + (TAUGHT if taught_twice else ""),
    )


def _are_long(music: LabelledMusic) -> npt.NDArray[np.bool_]:
    """Mark tracks that are longer than an excerpt."""
    return np.asarray([t.audio is not None and len(t.audio) >= FULL_CLIP for t in music.tracks])


def _windows_of(music: LabelledMusic) -> IdArray:
    """Return the number of windows of each track that its logits are the mean of."""
    return np.asarray([len(t.audio) if t.audio is not None else 1 for t in music.tracks])


def spread_windows(logits: FloatArray, count: int) -> FloatArray:
    """Return the mean (n_genres,) of `count` of the windows (n_windows, n_genres), evenly spread.

    As :func:`recsys.audio.plan_offsets` spreads them: each in the middle of an equal part.
    """
    chosen = ((np.arange(count) + 0.5) * len(logits) / count).astype(np.int64)
    mean: FloatArray = logits[chosen].mean(axis=0)
    return mean


def _fit_temperatures(made: DefaultModel, music: LabelledMusic, most: int) -> tuple[float, ...]:
    """Fit a temperature to long tracks cut down to one window, to two and so on up to `most`.

    Empty with too few long tracks: then one for all numbers of windows has to do.
    """
    found = []
    long, counts = _are_long(music), _windows_of(music)
    for count in range(1, most + 1):
        rows = np.flatnonzero(long & (counts >= count))
        if len(rows) < _ENOUGH_LONG:
            break
        logits = np.stack([spread_windows(made.window_logits[row], count) for row in rows])
        found.append(fit_temperature(logits, music.targets[rows]))
    return tuple(found)


def _metrics(
    made: DefaultModel,
    music: LabelledMusic,
    calibration: Calibration,
    features: CompressedMel,
    seed: int,
) -> dict[str, Any]:
    """Evaluate networks on tracks they were not trained on: all of them, and the long ones."""
    truth, probabilities = music.targets, calibration.probabilities
    long = _are_long(music)

    def figures(chances: Float64Array, rows: IdArray) -> dict[str, Any]:
        return _figures(chances, truth[rows], music.groups[rows], music.labels, seed)

    metrics: dict[str, Any] = {
        "note": "Every track was evaluated by a network that was not trained on it. Temperature and"
        " thresholds were fitted to the cross-validation, so its calibration is slightly too good."
        " The model itself was trained on all of these tracks.",
        "cross_validation": figures(probabilities, np.arange(len(truth))),
        "fold_seeds": _spread(made, music, long),
        "given_a_genre": calibration.share_with_a_genre,
        "tags": {tag: agreement.as_dict() for tag, agreement in made.agreement.items()},
    }
    if long.any() and not long.all():
        metrics["cross_validation_clips"] = figures(probabilities[long], np.flatnonzero(long))
        short = np.flatnonzero(~long)
        metrics["cross_validation_excerpts"] = figures(probabilities[short], short)
    fewer = at_effort(features, DEFAULT_EFFORT).max_windows
    full = np.flatnonzero(_windows_of(music) == features.max_windows)
    if len(full) and fewer < features.max_windows:
        logits = np.stack([spread_windows(made.window_logits[row], fewer) for row in full])
        chances = _calibrated(calibration, logits, np.full(len(full), fewer))
        metrics["clips_at_default_effort"] = {"windows": fewer, **figures(chances, full)}
    if made.valid is None:
        return metrics
    rows = music.valid
    chances = _calibrated(calibration, made.valid.logits, _windows_of(music)[rows])
    metrics["valid"] = figures(chances, rows)
    if len(rows) >= LEAST_TRACKS_FOR_TAGS:
        names = tuple(made.agreement)
        found = measure_agreement(made.valid.tag_logits, made.taught_tags[rows], names)
        metrics["tags_of_valid"] = {tag: agreement.as_dict() for tag, agreement in found.items()}
    some = long[rows]
    if some.any():
        metrics["valid_clips"] = {
            **figures(chances[some], rows[some]),
            **_neighbours(made.valid.embeddings[some], rows[some], music, seed),
        }
    return metrics


def _calibrated(calibration: Calibration, logits: FloatArray, windows: IdArray) -> Float64Array:
    fitted = calibration.temperatures
    return softmax(
        logits, temperatures_of(windows.tolist(), fitted) if fitted else calibration.temperature
    )


def _spread(
    made: DefaultModel, music: LabelledMusic, long: npt.NDArray[np.bool_]
) -> dict[str, list[float]]:
    """Return the cross-validated accuracy by each seed of the folds, of all and of long tracks."""
    right = [
        logits.argmax(axis=1) == music.targets
        for logits in (made.out_of_fold.logits, *made.other_folds)
    ]
    found = {"cross_validation": [float(own.mean()) for own in right]}
    if long.any() and not long.all():
        found["cross_validation_clips"] = [float(own[long].mean()) for own in right]
    return found


def _figures(
    probabilities: Float64Array,
    truth: IdArray,
    artists: IdArray,
    labels: tuple[str, ...],
    seed: int,
) -> dict[str, Any]:
    """Return all figures, with a bootstrap interval of the calibration error, by whole artists."""
    interval = bootstrap_interval(
        lambda rows: expected_calibration_error(probabilities[rows], truth[rows]),
        artists,
        seed=seed,
    )
    figures = as_dict(score(probabilities, truth, labels, artists))
    return {**figures, "ece_interval": list(interval)}


def _neighbours(
    embeddings: FloatArray, rows: IdArray, music: LabelledMusic, seed: int
) -> dict[str, Any]:
    """Return precision at 10 over tracks by other artists, and the median cosine of two tracks.

    Precision is divided by ten even where there are fewer such tracks.
    """
    cosines = embeddings @ embeddings.T
    genres, artists = music.targets[rows], music.groups[rows]
    others = np.where(artists[:, np.newaxis] == artists, -np.inf, cosines)
    nearest = np.argsort(-others, axis=1, kind="stable")[:, :_NEIGHBOURS]
    reachable = np.take_along_axis(others, nearest, axis=1) > -np.inf
    same = (genres[nearest] == genres[:, np.newaxis]) & reachable
    different = cosines[np.triu_indices(len(cosines), 1)]
    precision = same.sum(axis=1) / _NEIGHBOURS
    return {
        "precision_at_10_other_artists": float(precision.mean()),
        "precision_at_10_interval": list(bootstrap_interval(precision, artists, seed=seed)),
        "median_cosine_between_tracks": float(np.median(different)) if len(different) else None,
    }


# Known weaknesses and excluded uses, for the card.

FEW = 20
"""Long tracks; figures of genres with fewer mean next to nothing."""

NOT_FOR = (
    "deciding anything about people or money: payments, the rating of artists, filtering of"
    " content",
    "identifying recordings or performers",
)


def _about_excerpts(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return "Files of a few seconds get probabilities that are too high."
    return (
        f"Files of a few seconds: accuracy {figures['accuracy']:.2f}, calibration error"
        f" {figures['ece']:.2f} ({figures['n']} tracks)."
    )


def limits_of(
    metrics: Mapping[str, Any], features: CompressedMel, *, taught_twice: bool
) -> dict[str, list[str]]:
    """Word the limits of a model, ``bad_at`` and ``not_to_be_used_for``, from its figures."""
    judged = metrics["cross_validation"]
    genres = judged["per_genre"]
    worst = min(genres, key=lambda genre: float(genres[genre]["precision"]))
    at_length = metrics.get("cross_validation_clips", judged)["per_genre"]
    few = ", ".join(genre for genre in genres if at_length.get(genre, {"n": 0})["n"] < FEW)
    bad_at = [
        f"It knows {len(genres)} genres; other music gets the nearest of them, or unknown.",
        f"{1 - judged['accuracy']:.0%} of {judged['n']} tracks that it was not trained on got a"
        " wrong genre, often with high confidence.",
        f"Lowest precision: {worst} ({genres[worst]['precision']:.0%}).",
        f"Of {few}, fewer than {FEW} tracks each were longer than an excerpt; their figures mean"
        " next to nothing."
        if few
        else "",
        "Figures on its training tracks (training.keys) mean nothing: it is overfitted to them.",
        _about_excerpts(metrics.get("cross_validation_excerpts")),
        f"It analyses at most {features.max_windows * features.window_s:g} s of a track, in"
        f" {features.max_windows} windows, and nothing above {features.sample_rate / 2000:g} kHz.",
        "Unknown was trained on recordings without music, and on synthesised sounds; others may"
        " get a genre."
        if taught_twice
        else "Unknown was trained on synthesised sounds; speech, field recordings or audio books"
        " may get a genre.",
        "Artefacts of low bit rates in quiet treble shift the embedding.",
        "Tags are guesses at those of last.fm about 2010"
        + (
            " and at the classes of AudioSet, learned from two other networks."
            if taught_twice
            else ", learned from another network."
        ),
    ]
    return {"bad_at": [line for line in bad_at if line], "not_to_be_used_for": list(NOT_FOR)}
