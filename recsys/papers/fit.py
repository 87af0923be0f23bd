"""Training a recipe on one division of the data: choose its settings, then fit the model."""

from __future__ import annotations

import time
from contextlib import suppress
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
from recsys.papers.networks import initialise_like_keras
from recsys.papers.protocols import Fold
from recsys.papers.recipe import check_changes
from recsys.papers.transfer import BACKBONES, TransferModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from recsys.classifier.training.datasets import SegmentSet
    from recsys.papers.recipe import Fitting, NetworkTable, Recipe
    from recsys.types import IdArray

RANDOM = "random"
"""In place of pretrained weights: none."""

OVERFIT_EPOCHS = 60
"""In which a network must reach an accuracy of 1 on a handful of tracks."""


@dataclass(frozen=True, slots=True)
class FitOptions:
    """Options of a training that are not part of the recipe."""

    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    weights: str = "published"  # pretrained: "published", "random", or a file or folder
    epochs: int | None = None  # at most, if fewer than the recipe's
    by_report: bool = False  # choose and keep as the report did, not by validation
    partial: Path | None = None  # file for the state of an interrupted training


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained recipe; `architecture` and `config` build the model again."""

    model: nn.Module  # on the CPU in evaluation mode: inputs to (scores, embedding)
    architecture: str
    config: dict[str, Any]
    history: tuple[EpochResult, ...]  # empty for a classical model
    notes: dict[str, Any]
    seconds: float = 0.0  # search and interrupted runs included


# The identity of a training: results are reused only where it is the same.

_DESCRIPTIVE = frozenset(
    {"name", "title", "summary", "report", "source", "readings", "published", "unmeasured"}
)
"""Parts of a recipe that change nothing in the outcome."""


def recipe_identity(recipe: Recipe, options: FitOptions) -> list[object]:
    """Return everything of a recipe and its options that decides the outcome, ready for JSON.

    Defaults of architectures and estimators are written out: when one changes, results differ.
    """
    network, estimator = recipe.network, recipe.estimator
    own = recipe.model_dump(
        mode="json", exclude={*_DESCRIPTIVE, "features", "network", "estimator"}
    )
    whole_network: list[object] | None = None
    if network is not None:
        config = network.full_config
        # check_recipe reports an unknown architecture, with more context.
        with suppress(ModelError):
            config = complete_config(network.architecture, config)
        whole_network = [network.architecture, config]
    whole_estimator: dict[str, Any] | None = None
    if estimator is not None:
        defaults = ESTIMATORS[estimator.name][2] if estimator.name in ESTIMATORS else {}
        settings = {**defaults, **estimator.settings}
        whole_estimator = {**estimator.model_dump(mode="json"), "settings": settings}
    return [
        own,
        whole_network,
        whole_estimator,
        recipe.features.as_dict(),
        options.seed,
        # Options without an effect on this recipe must not force another measurement.
        options.weights if recipe.weights else RANDOM,
        options.epochs if recipe.training is not None else None,
        options.by_report,
    ]


# The network of a recipe before training.


def make_network(
    recipe: Recipe, network: NetworkTable, n_genres: int, *, seed: int, weights: str
) -> nn.Module:
    """Make a network with fresh weights, and pretrained ones where the recipe names some.

    `network` is the recipe's own or one that it searches among; `weights` as in
    :class:`FitOptions`. Raises ModelError if a setting is unknown, sizes do not fit the features,
    or weights are unavailable.
    """
    assert recipe.training is not None
    # Initial weights depend on the seed alone, and drawing them changes no other random numbers.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(
            network.architecture, n_genres, recipe.features.shape, network.full_config
        )
        if recipe.training.framework == "keras":
            initialise_like_keras(model)
        backbone = recipe.weights
        if backbone is not None:
            if not isinstance(model, TransferModel) or model.name != backbone:
                raise ModelError(
                    f"weights: those of {backbone} do not belong to this network",
                    f"Take the architecture {backbone}-transfer, not standardised, or no weights.",
                )
            folder = Path(weights)
            file = str(folder / BACKBONES[backbone].file) if folder.is_dir() else weights
            model.load_backbone(file)
    return model


def check_recipe(recipe: Recipe, n_genres: int, weights: str = "published") -> None:
    """Raise before anything is decoded unless the recipe's model can be made.

    Parameters
    ----------
    recipe : Recipe
    n_genres : int
        Number of labels.
    weights : str
        As in :class:`FitOptions`; unavailable weights are an error now.

    Raises
    ------
    ModelError
        If a setting is unknown, sizes do not fit the features, or weights are unavailable.
    MissingExtraError
        If a library is not installed.
    """
    try:
        if recipe.estimator is not None:
            check_estimator(recipe.estimator)
            return
        assert recipe.network is not None
        assert recipe.training is not None
        n_outputs = max(2, n_genres)
        make_network(recipe, recipe.network, n_outputs, seed=0, weights=weights)
        for network, changes in _combinations(recipe):
            make_network(recipe, network, n_outputs, seed=0, weights=RANDOM)
            check_changes(recipe.training, changes)
    except ModelError as error:
        raise ModelError(
            f"the recipe {recipe.name} cannot be used: {error.message}", error.hint
        ) from error


# Training.


def fit(
    recipe: Recipe,
    segments: SegmentSet,
    fold: Fold,
    options: FitOptions,
    on_epoch: Callable[[EpochResult], None] | None = None,
) -> Fitted:
    """Train a recipe on the training part of a fold.

    Parameters
    ----------
    recipe : Recipe
    segments : SegmentSet
        All of the data.
    fold : Fold
    options : FitOptions
    on_epoch : callable, optional
        Called after every epoch of a network.

    Raises
    ------
    ModelError
        If the model cannot be made or trained.
    """
    if recipe.estimator is not None:
        started = time.monotonic()
        model, notes = fit_estimator(
            recipe.estimator,
            segments.inputs[fold.train],
            segments.targets[fold.train],
            n_genres=len(segments.labels),
            # The report's grid search mixed artists; elsewhere they stay in one fold.
            groups=None if options.by_report else segments.groups[fold.train],
            seed=options.seed,
        )
        seconds = time.monotonic() - started
        return Fitted(model, "scikit-learn", {"name": recipe.estimator.name}, (), notes, seconds)
    return _fit_network(recipe, segments, fold, options, on_epoch or (lambda _: None))


def overfit_check(recipe: Recipe, segments: SegmentSet, options: FitOptions) -> dict[str, Any]:
    """Train a network on a few tracks only: one that cannot overfit them is broken.

    Returns ``tracks``, ``segments``, the final ``accuracy`` on them, ``epochs`` needed, and the
    ``curve``: the accuracy of every epoch.
    """
    rows = _first_of_each_genre(segments, recipe.memorise)
    fold = Fold(rows, rows[:0], rows)
    alone = recipe.model_copy(update={"search": None})
    own = replace(options, partial=None)
    training = _train(alone, segments, fold, own, PartialRun(None, None), OVERFIT_EPOCHS)
    curve = []
    for result in training.epochs():
        curve.append(result.accuracy)
        if result.accuracy == 1.0:
            break
    return {
        "tracks": len(np.unique(segments.track_of[rows])),
        "segments": len(rows),
        "accuracy": result.accuracy,
        "epochs": result.epoch,
        "curve": curve,
    }


def _first_of_each_genre(segments: SegmentSet, count: int) -> IdArray:
    """Return the segments of `count` tracks, taken from the genres in turn."""
    targets = segments.track_targets
    rank = np.zeros(len(targets), dtype=np.int64)
    for genre in range(len(segments.labels)):
        rank[targets == genre] = np.arange(np.sum(targets == genre))
    chosen = np.lexsort((targets, rank))[:count]
    return np.flatnonzero(np.isin(segments.track_of, chosen)).astype(np.int64)


def _fit_network(
    recipe: Recipe,
    segments: SegmentSet,
    fold: Fold,
    options: FitOptions,
    on_epoch: Callable[[EpochResult], None],
) -> Fitted:
    notes: dict[str, Any] = {}
    started, earlier = time.monotonic(), 0.0
    # A state may only be resumed by the same recipe on the same division of the same tracks.
    keys = [track.key for track in segments.tracks]
    rows = [fold.train.tolist(), fold.valid.tolist()]
    identity = [*recipe_identity(recipe, options), keys, *rows]
    if recipe.search is not None:
        recipe, notes, earlier = _choose(recipe, segments, fold, options, identity, on_epoch)
    assert recipe.network is not None
    assert recipe.training is not None
    training = _train(recipe, segments, fold, options, PartialRun(options.partial, identity))
    earlier += sum(result.seconds for result in training.history)
    for result in training.epochs():
        on_epoch(result)
    model, config = training.trained(), recipe.network.full_config
    if recipe.training.loss == "sigmoid":
        model, config = EachGenreAlone(model), {**config, "each_genre_alone": True}
    if recipe.weights is not None:
        notes["weights"] = options.weights
    seconds = earlier + time.monotonic() - started
    architecture = recipe.network.architecture
    return Fitted(model.eval(), architecture, config, training.history, notes, seconds)


def _train(
    recipe: Recipe,
    segments: SegmentSet,
    fold: Fold,
    options: FitOptions,
    partial: PartialRun,
    epochs: int | None = None,
) -> Training:
    """Set up a training, or resume an interrupted one; `epochs` overrides recipe and options."""
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


def settings_of(training: Fitting, *, keep_best: bool) -> TrainingSettings:
    """Return the settings of the training loop for the ``[training]`` table of a recipe."""
    own = training.model_dump(exclude={"framework", "threshold", "keep"})
    return TrainingSettings(
        **{**own, "schedule": Schedule(training.schedule), "loss": Loss(training.loss)},
        # Both are the defaults of Adam, in Keras and in PyTorch.
        epsilon=1e-7 if training.framework == "keras" else 1e-8,
        keep_best=keep_best,
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
    """Set up the loop; the features of a frozen backbone are computed once, not in every epoch."""
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
    """Return logits; the loop passes the running average of the model too, where it keeps one."""
    logits: Tensor = model.from_features(features)[0]
    return logits


def _backbone_features(
    model: TransferModel, data: LabelledInputs, device: torch.device
) -> LabelledInputs:
    """Replace inputs by the output of the frozen backbone."""
    if not len(data):
        return data
    model.to(device).eval()
    with torch.inference_mode():
        features = [model.features(inputs.to(device)).cpu().numpy() for inputs, _ in data.chunks()]
    rows = np.arange(len(data), dtype=np.int64)
    return LabelledInputs(np.concatenate(features), data.targets[data.rows], rows)


# The search among settings.


def _combinations(recipe: Recipe) -> list[tuple[NetworkTable, dict[str, Any]]]:
    """Return every combination of the search: the network, and changes of the training."""
    search, network = recipe.search, recipe.network
    if search is None or network is None:
        return []
    found = []
    for values in product(*search.network.values(), *search.training.values()):
        chosen = dict(zip([*search.network, *search.training], values, strict=True))
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
    """Return the recipe with the settings that are best on validation, notes, and seconds.

    Finished trials are written to a file next to the state of the training, so that a search
    resumes with the next trial. The seconds are those of the trials before that.
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
    accuracies, seconds = state.get("trials", []), state.get("seconds", 0.0)
    earlier = seconds
    combinations = _combinations(recipe)
    for network, changes in combinations[len(accuracies) :]:
        started = time.monotonic()
        shorter = {"epochs": min(search.epochs, options.epochs or search.epochs), **changes}
        trial = recipe.model_copy(
            update={"network": network, "training": settings.model_copy(update=shorter)}
        )
        accuracies.append(_best_valid_accuracy(trial, segments, fold, options, on_epoch))
        seconds += time.monotonic() - started
        kept.write({"trials": accuracies, "seconds": seconds})
    network, changes = combinations[int(np.argmax(accuracies))]
    sizes = {name: network.config[name] for name in search.network}
    notes = {
        "trials": len(accuracies),
        "chosen": {**sizes, **changes},
        "trial_accuracies": accuracies,
    }
    final = {"network": network, "training": settings.model_copy(update=changes)}
    return recipe.model_copy(update=final), notes, earlier


def _best_valid_accuracy(
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
        # The loss diverged, as with too high a learning rate; other trials may be good.
        return 0.0
    return max(result.valid_accuracy or 0.0 for result in training.history)
