"""One recipe on one division of the data: choose, train, and say what it makes of the rest."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recsys.classifier.training.architectures import (
    EachGenreAlone,
    Standardised,
    build_model,
    complete_config,
)
from recsys.classifier.training.loop import (
    EpochResult,
    LabelledInputs,
    Loss,
    PartialRun,
    Schedule,
    Shuffled,
    Training,
    TrainingSettings,
)
from recsys.errors import ModelError
from recsys.papers.estimators import ESTIMATORS, check_estimator, fit_estimator
from recsys.papers.networks import initialise
from recsys.papers.protocols import Fold
from recsys.papers.recipe import check_changes
from recsys.papers.transfer import BACKBONES, TransferModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor, nn

    from recsys.classifier.training.datasets import LabelledFile, SegmentSet
    from recsys.papers.recipe import Estimator, Fitting, NetworkTable, Recipe
    from recsys.types import IdArray

# Making the network of a recipe: its weights as they were before any training.


def make_network(
    recipe: Recipe, network: NetworkTable, n_genres: int, *, seed: int, weights: str
) -> nn.Module:
    """Make a recipe's network with fresh weights, and pretrained ones where it has them.

    Parameters
    ----------
    recipe : Recipe
        Its features give the shape, and its training the way to begin.
    network : NetworkTable
        Its own, or one of those it searches among.
    n_genres : int
    seed : int
    weights : str
        ``published``, ``random``, or the path of a file or of a folder of files.

    Returns
    -------
    nn.Module
        The same for the same seed; nothing else that draws by chance is disturbed.

    Raises
    ------
    ModelError
        If a setting is not known, sizes do not fit the features, or weights cannot be had.
    """
    assert recipe.training is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(
            network.architecture, n_genres, recipe.features.shape, network_config(network)
        )
        initialise(model, recipe.training.framework)
        if recipe.weights is not None:
            _load_backbone(model, recipe.weights, weights)
    return model


def _load_backbone(model: nn.Module, backbone: str, weights: str) -> None:
    """Give a network the pretrained weights that its recipe names."""
    if not isinstance(model, TransferModel) or model.name != backbone:
        raise ModelError(
            f"weights: those of {backbone} do not belong to this network",
            f"Take the architecture {backbone}-transfer, not standardised, or no weights.",
        )
    model.load_backbone(_weights_of(backbone, weights))


def _weights_of(backbone: str, weights: str) -> str:
    """Return the file of a backbone where a folder of weights was given."""
    folder = Path(weights)
    return str(folder / BACKBONES[backbone].file) if folder.is_dir() else weights


def network_config(network: NetworkTable) -> dict[str, Any]:
    """Return what :func:`.build_model` is told, as a model card keeps it.

    Parameters
    ----------
    network : NetworkTable

    Returns
    -------
    dict
    """
    return {**network.config, **({"standardise": True} if network.standardise else {})}


# Training a network as its paper did: Adam over shuffled batches.


def settings_of(training: Fitting, *, keep_best: bool) -> TrainingSettings:
    """Return the settings of the training loop for the ``[training]`` table of a recipe."""
    return TrainingSettings(
        epochs=training.epochs,
        batch=training.batch,
        steps_per_epoch=training.steps_per_epoch,
        learning_rate=training.learning_rate,
        epsilon=1e-7 if training.framework == "keras" else 1e-8,
        weight_decay=training.weight_decay,
        schedule=Schedule(training.schedule),
        plateau_factor=training.plateau_factor,
        plateau_patience=training.plateau_patience,
        patience=training.patience,
        l2=training.l2,
        loss=Loss(training.loss),
        label_smoothing=training.label_smoothing,
        mixup=training.mixup,
        average_decay=training.average_decay,
        augment=training.augment,
        keep_best=keep_best,
    )


def _backbone_features(model: Any, data: LabelledInputs, device: torch.device) -> LabelledInputs:  # noqa: ANN401 (a TransferModel)
    """Replace inputs by the output of the frozen backbone, which is then computed only once."""
    if not len(data):
        return data
    model.to(device).eval()
    with torch.inference_mode():
        features = [model.features(inputs.to(device)).cpu().numpy() for inputs, _ in data.chunks()]
    rows = np.arange(len(data), dtype=np.int64)
    return LabelledInputs(np.concatenate(features), data.targets[data.rows], rows)


# What decides the outcome of a training or a measurement, so that only such results are reused.


MEASUREMENT_VERSION = 1
"""To be raised by hand whenever a change of the code changes what a measurement finds."""

RANDOM = "random"
"""Name of pretrained weights that are none."""

_WORDS = frozenset(
    {"name", "title", "summary", "report", "source", "readings", "published", "unmeasured"}
)
"""Parts of a recipe that say something about it and change nothing."""


def recipe_identity(recipe: Recipe, options: FitOptions) -> list[object]:
    """Return all of a recipe and its options that decides what comes out.

    Sizes and settings that the recipe leaves to their defaults are written out: a default that
    changes makes it another run. What has no effect is left out.

    Parameters
    ----------
    recipe : Recipe
    options : FitOptions

    Returns
    -------
    list
        Ready for JSON.
    """
    said = recipe.model_dump(mode="json", exclude={*_WORDS, "features", "network", "estimator"})
    # Where no weights are wanted, which were offered makes no difference.
    weights = options.weights if recipe.weights else RANDOM
    epochs = options.epochs if recipe.training is not None else None
    return [
        said,
        _whole_network(recipe.network) if recipe.network else None,
        _whole_estimator(recipe.estimator) if recipe.estimator else None,
        recipe.features.as_dict(),
        *(options.seed, weights, epochs, options.by_report),
    ]


def _whole_network(network: NetworkTable) -> list[object]:
    config = network_config(network)
    try:
        return [network.architecture, complete_config(network.architecture, config)]
    except ModelError:
        # No such architecture, which whoever makes the network says better.
        return [network.architecture, config]


def _whole_estimator(estimator: Estimator) -> dict[str, Any]:
    defaults = ESTIMATORS[estimator.name][2] if estimator.name in ESTIMATORS else {}
    said = estimator.model_dump(mode="json")
    return {**said, "settings": {**defaults, **estimator.settings}}


def digest(parts: object) -> str:
    """Return 16 hexadecimal digits that stand for something ready for JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def music_digest(files: Iterable[LabelledFile]) -> str:
    """Return what changes when audio does: names, sizes and times of the last change.

    Parameters
    ----------
    files : iterable of LabelledFile

    Returns
    -------
    str
        The audio itself is not read: that would take longer than many a measurement.

    Raises
    ------
    OSError
        If a file has gone.
    """
    stats = [(file.key, file.path.stat()) for file in files]
    return digest([[key, stat.st_size, stat.st_mtime_ns] for key, stat in stats])


def file_digest(path: Path | None) -> str | None:
    """Return the SHA-256 of a small file, or None where there is none."""
    return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()


# ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FitOptions:
    """What a run of a recipe is given beside the recipe and the data.

    Attributes
    ----------
    seed : int
        Of everything random.
    device : torch.device
        Where networks compute.
    weights : str
        Pretrained weights: ``published``, ``random``, or the path of a file.
    epochs : int or None
        At most, instead of the recipe's.
    by_report : bool
        Choose and keep as the report did; otherwise whatever validation says is best.
    partial : Path or None
        Where the state of the training is kept.
    """

    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    weights: str = "published"
    epochs: int | None = None
    by_report: bool = False
    partial: Path | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """A recipe that has been trained.

    Attributes
    ----------
    model : nn.Module
        On the CPU, ready for inference: ``forward(inputs)`` gives scores and embedding.
    architecture : str
        For the model card,
    config : dict
        with everything needed to build the model again.
    history : tuple of EpochResult
        Of its training; empty for a classical model.
    notes : dict
        What was tried and chosen.
    seconds : float
        How long it took, search and all; what an interrupted run did before is counted too.
    """

    model: nn.Module
    architecture: str
    config: dict[str, Any]
    history: tuple[EpochResult, ...]
    notes: dict[str, Any]
    seconds: float = 0.0


def check_recipe(recipe: Recipe, n_genres: int, weights: str = "published") -> None:
    """Raise unless the recipe's model can be made, before anything is decoded.

    Parameters
    ----------
    recipe : Recipe
    n_genres : int
        Number of labels.
    weights : str
        As in :class:`FitOptions`; weights that cannot be had are an error now.

    Raises
    ------
    ModelError
        If a setting is not known, sizes do not fit the features, or weights cannot be had.
    MissingExtraError
        If a library is not installed.
    """
    try:
        if recipe.estimator is not None:
            check_estimator(recipe.estimator)
        else:
            _check_network(recipe, max(2, n_genres), weights)
    except ModelError as error:
        raise ModelError(
            f"the recipe {recipe.name} cannot be used: {error.message}", error.hint
        ) from error


def _check_network(recipe: Recipe, n_genres: int, weights: str) -> None:
    """Make the network, and every other one that the recipe searches among."""
    network, settings = recipe.network, recipe.training
    assert network is not None
    assert settings is not None
    make_network(recipe, network, n_genres, seed=0, weights=weights)
    for changed, changes in _combinations(recipe):
        make_network(recipe, changed, n_genres, seed=0, weights="random")
        check_changes(settings, changes)


def fit(
    recipe: Recipe,
    segments: SegmentSet,
    fold: Fold,
    options: FitOptions,
    on_epoch: Callable[[EpochResult], None] | None = None,
) -> Fitted:
    """Train a recipe on the training part of a division.

    Parameters
    ----------
    recipe : Recipe
    segments : SegmentSet
        All of the data.
    fold : Fold
        Which segments are learned from and which are validated on.
    options : FitOptions
    on_epoch : callable, optional
        Told after every epoch of a network.

    Returns
    -------
    Fitted

    Raises
    ------
    ModelError
        If the model cannot be made or trained.
    """
    if recipe.estimator is not None:
        return _fit_estimator(recipe, segments, fold, options)
    return _fit_network(recipe, segments, fold, options, on_epoch or (lambda _: None))


MEMORISE_EPOCHS = 60
"""In which a network must have learned a handful of tracks by heart."""


def memorise(recipe: Recipe, segments: SegmentSet, options: FitOptions) -> dict[str, Any]:
    """Check that a network can learn a few tracks by heart: one that cannot is broken.

    Parameters
    ----------
    recipe : Recipe
        A network; says how many tracks.
    segments : SegmentSet
        The first track of every genre is used, then the second, until there are enough.
    options : FitOptions

    Returns
    -------
    dict
        ``tracks``, ``segments``, ``accuracy`` on them in the end, and ``epochs`` needed.

    Raises
    ------
    ModelError
        If the network cannot be trained.
    """
    few = _first_of_each_genre(segments, recipe.memorise)
    fold = Fold(few, few[:0], few)
    alone = recipe.model_copy(update={"search": None})
    own = replace(options, partial=None)
    training = _train(alone, segments, fold, own, PartialRun(None, None), MEMORISE_EPOCHS)
    for result in training.epochs():
        if result.accuracy == 1.0:
            break
    tracks = len(np.unique(segments.track_of[few]))
    return {
        "tracks": tracks,
        "segments": len(few),
        "accuracy": result.accuracy,
        "epochs": result.epoch,
    }


def _first_of_each_genre(segments: SegmentSet, count: int) -> IdArray:
    """Return the segments of a few tracks, genres in turn."""
    targets = segments.track_targets
    turn = np.zeros(len(targets), dtype=np.int64)
    for genre in range(len(segments.labels)):
        turn[targets == genre] = np.arange(np.sum(targets == genre))
    chosen = np.lexsort((targets, turn))[:count]
    return np.flatnonzero(np.isin(segments.track_of, chosen)).astype(np.int64)


def _fit_estimator(recipe: Recipe, segments: SegmentSet, fold: Fold, options: FitOptions) -> Fitted:
    """Fit a classical model; away from the report its grid is judged by artist as well."""
    estimator = recipe.estimator
    assert estimator is not None
    started = time.monotonic()
    groups = None if options.by_report else segments.groups[fold.train]
    model, notes = fit_estimator(
        estimator,
        segments.inputs[fold.train],
        segments.targets[fold.train],
        n_genres=len(segments.labels),
        groups=groups,
        seed=options.seed,
    )
    seconds = time.monotonic() - started
    return Fitted(model, "scikit-learn", {"name": estimator.name}, (), notes, seconds)


def _fit_network(
    recipe: Recipe,
    segments: SegmentSet,
    fold: Fold,
    options: FitOptions,
    on_epoch: Callable[[EpochResult], None],
) -> Fitted:
    network = recipe.network
    notes: dict[str, Any] = {}
    assert network is not None
    started, earlier = time.monotonic(), 0.0
    identity = _identity(recipe, segments, fold, options)
    if recipe.search is not None:
        recipe, notes, earlier = _choose(recipe, segments, fold, options, identity, on_epoch)
        network = recipe.network
        assert network is not None
    training = _train(recipe, segments, fold, options, PartialRun(options.partial, identity))
    earlier += sum(result.seconds for result in training.history)
    for result in training.epochs():
        on_epoch(result)
    model = training.trained()
    config = network_config(network)
    assert recipe.training is not None
    if recipe.training.loss == "sigmoid":
        model, config = EachGenreAlone(model), {**config, "each_genre_alone": True}
    if recipe.weights is not None:
        notes["weights"] = options.weights
    seconds = earlier + time.monotonic() - started
    return Fitted(model.eval(), network.architecture, config, training.history, notes, seconds)


def _train(
    recipe: Recipe,
    segments: SegmentSet,
    fold: Fold,
    options: FitOptions,
    partial: PartialRun,
    epochs: int | None = None,
) -> Training:
    """Set up a training, or take up one that was interrupted; `epochs` overrides everything."""
    network, settings = recipe.network, recipe.training
    assert network is not None
    assert settings is not None
    most = min(options.epochs or settings.epochs, settings.epochs)
    settings = settings.model_copy(update={"epochs": epochs or most})
    model = make_network(
        recipe, network, len(segments.labels), seed=options.seed, weights=options.weights
    )
    if isinstance(model, Standardised):
        model.fit(segments.inputs, fold.train)
    return start_training(
        model,
        LabelledInputs(segments.inputs, segments.targets, fold.train),
        LabelledInputs(segments.inputs, segments.targets, fold.valid),
        settings_of(settings, keep_best=settings.keep == "best" or not options.by_report),
        seed=options.seed,
        n_genres=len(segments.labels),
        partial=partial,
        device=options.device,
    )


def start_training(
    model: nn.Module,
    train: LabelledInputs,
    valid: LabelledInputs,
    settings: TrainingSettings,
    *,
    seed: int,
    n_genres: int,
    partial: PartialRun,
    device: torch.device,
) -> Training:
    """Set up the loop; a frozen backbone is run once, and not in every epoch."""
    forward = None
    if isinstance(model, TransferModel) and not settings.augment:
        train, valid = (_backbone_features(model, part, device) for part in (train, valid))
        forward = _from_features
    return Training(
        model,
        Shuffled(train, settings),
        settings,
        seed=seed,
        n_genres=n_genres,
        valid=valid,
        partial=partial,
        device=device,
        forward=forward,
    )


def _from_features(model: Any, features: Tensor) -> Tensor:  # noqa: ANN401 (a TransferModel)
    logits: Tensor = model.from_features(features)[0]
    return logits


def _combinations(recipe: Recipe) -> list[tuple[NetworkTable, dict[str, Any]]]:
    """Return every combination of the search: the network, and changes of the training."""
    search, network = recipe.search, recipe.network
    if search is None or network is None:
        return []
    names = [*search.network, *search.training]
    found = []
    for values in product(*search.network.values(), *search.training.values()):
        chosen = dict(zip(names, values, strict=True))
        sizes = {name: chosen[name] for name in search.network}
        changed = network.model_copy(update={"config": {**network.config, **sizes}})
        found.append((changed, {name: chosen[name] for name in search.training}))
    return found


def _choose(
    recipe: Recipe,
    segments: SegmentSet,
    fold: Fold,
    options: FitOptions,
    identity: object,
    on_epoch: Callable[[EpochResult], None],
) -> tuple[Recipe, dict[str, Any], float]:
    """Try all combinations, and return the recipe with the best on validation.

    Finished trials are kept beside the state of the training, so that a search that was killed
    goes on with the next one; the seconds that they took before are returned too.
    """
    search, settings = recipe.search, recipe.training
    assert search is not None
    assert settings is not None
    if len(fold.valid) == 0:
        raise ModelError(
            f"the recipe {recipe.name} chooses its settings on validation, and there is none",
            "Give [protocol] a share for valid, and the music more artists of every genre.",
        )
    path = options.partial
    kept = PartialRun(path.with_name(path.name + ".search") if path else None, identity)
    state = kept.read(torch.device("cpu")) or {}
    done, seconds = state.get("trials", []), state.get("seconds", 0.0)
    earlier = seconds
    combinations = _combinations(recipe)
    for network, changes in combinations[len(done) :]:
        started = time.monotonic()
        shorter = {"epochs": min(search.epochs, options.epochs or search.epochs), **changes}
        trial = recipe.model_copy(
            update={"network": network, "training": settings.model_copy(update=shorter)}
        )
        done.append(_try(trial, segments, fold, options, on_epoch))
        seconds += time.monotonic() - started
        kept.write({"trials": done, "seconds": seconds})
    best = int(np.argmax(done))
    network, changes = combinations[best]
    sizes = {name: network.config[name] for name in search.network}
    notes = {"trials": len(done), "chosen": {**sizes, **changes}, "trial_accuracies": done}
    final = {"network": network, "training": settings.model_copy(update=changes)}
    return recipe.model_copy(update=final), notes, earlier


def _try(
    trial: Recipe,
    segments: SegmentSet,
    fold: Fold,
    options: FitOptions,
    on_epoch: Callable[[EpochResult], None],
) -> float:
    """Return the best validation accuracy of one combination; 0 if it cannot be trained."""
    training = _train(trial, segments, fold, options, PartialRun(None, None))
    try:
        for result in training.epochs():
            on_epoch(result)
    except ModelError:
        # The loss became infinite: too high a rate, say. The others may still be good.
        return 0.0
    return max(result.valid_accuracy or 0.0 for result in training.history)


def _identity(
    recipe: Recipe, segments: SegmentSet, fold: Fold, options: FitOptions
) -> list[object]:
    """Return what decides the outcome of a training."""
    keys = [track.key for track in segments.tracks]
    parts = [part.tolist() for part in (fold.train, fold.valid)]
    return [*recipe_identity(recipe, options), keys, *parts]
