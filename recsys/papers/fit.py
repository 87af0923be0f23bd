"""One recipe on one division of the data: choose, train, and say what it makes of the rest."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from recsys.classifier.training.architectures import (
    EachGenreAlone,
    Standardised,
    build_model,
    complete_config,
)
from recsys.classifier.training.musicnn_torch import bfloat16_is_quick
from recsys.classifier.training.partial import PartialRun
from recsys.classifier.training.train import NAN_HINT, EpochResult
from recsys.errors import ModelError
from recsys.memory import keep_freed_memory
from recsys.papers.estimators import ESTIMATORS, check_estimator, fit_estimator
from recsys.papers.networks import initialise
from recsys.papers.protocols import Fold
from recsys.papers.recipe import check_changes
from recsys.papers.transfer import BACKBONES, TransferModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import numpy.typing as npt
    from torch import Tensor, nn

    from recsys.classifier.training.datasets import LabelledFile, SegmentSet
    from recsys.papers.recipe import Estimator, Fitting, Network, Recipe
    from recsys.types import IdArray

# Making the network of a recipe: its weights as they were before any training.


def make_network(
    recipe: Recipe, network: Network, n_genres: int, *, seed: int, weights: str
) -> nn.Module:
    """Make a recipe's network with fresh weights, and pretrained ones where it has them.

    Parameters
    ----------
    recipe : Recipe
        Its features give the shape, and its training the way to begin.
    network : Network
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


def network_config(network: Network) -> dict[str, Any]:
    """Return what :func:`.build_model` is told, as a model card keeps it.

    Parameters
    ----------
    network : Network

    Returns
    -------
    dict
    """
    return {**network.config, **({"standardise": True} if network.standardise else {})}


# Training a recipe's network as its report did: plain Adam over shuffled batches.


BATCH = 64
"""Segments in one pass where nothing is learned."""

SAVE_EVERY_S = 10.0
"""Seconds of work that a kill may cost at least, so that quick epochs do not wait for the disk."""

SAVING_SHARE = 0.05
"""Share of the time that keeping the state may take: large networks are kept less often."""


@dataclass(frozen=True, slots=True)
class LabelledInputs:
    """Some of the segments in an array, which is large and so is not copied, and their genres.

    Attributes
    ----------
    inputs : ndarray of float16 or float32, shape (n, *shape)
    targets : ndarray of int64, shape (n,)
        Numbers of the genres.
    rows : ndarray of int64, shape (n_used,)
        Which segments are meant.
    """

    inputs: npt.NDArray[np.floating]
    targets: IdArray
    rows: IdArray

    def __len__(self) -> int:
        """Return the number of segments that are meant."""
        return len(self.rows)

    def batch(self, chosen: IdArray | slice) -> tuple[Tensor, Tensor]:
        """Return inputs as float32 and targets of some of the segments that are meant."""
        rows = self.rows[chosen]
        return torch.from_numpy(self.inputs[rows]).float(), torch.from_numpy(self.targets[rows])

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all that are meant, a few at a time and in their order."""
        for start in range(0, len(self), BATCH):
            yield self.batch(slice(start, start + BATCH))


class NetworkTraining:
    """A run that trains one network.

    Parameters
    ----------
    model : nn.Module
        With fresh weights; is trained in place.
    train : LabelledInputs
        To learn from.
    valid : LabelledInputs
        To watch, and to stop and choose by; may be empty.
    settings : Fitting
        How to train.
    seed : int
        Of everything random.
    partial : PartialRun
        Where the state is kept, and taken up from.
    device : torch.device
        Where to compute.
    keep_best : bool
        Keep the weights of the epoch with the lowest validation loss, not those of the last.
    """

    def __init__(
        self,
        model: nn.Module,
        train: LabelledInputs,
        valid: LabelledInputs,
        settings: Fitting,
        *,
        seed: int,
        partial: PartialRun,
        device: torch.device,
        keep_best: bool,
    ) -> None:
        if device.type == "cpu":
            keep_freed_memory()
        self._settings = settings
        self._seed = seed
        self._device = device
        self._partial = partial
        self._model: Any = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._bfloat16 = bfloat16_is_quick(device)
        self._keep_best = keep_best and len(valid) > 0
        self._train = self._once(train)
        self._valid = self._once(valid)
        trainable = [p for p in model.parameters() if p.requires_grad]
        epsilon = 1e-7 if settings.framework == "keras" else 1e-8
        self._optimiser = torch.optim.Adam(trainable, lr=settings.learning_rate, eps=epsilon)
        self._plateau = (
            torch.optim.lr_scheduler.ReduceLROnPlateau(
                self._optimiser, factor=settings.plateau_factor, patience=settings.plateau_patience
            )
            if settings.plateau_factor and len(valid)
            else None
        )
        self._history: list[dict[str, Any]] = []
        self._best: dict[str, Tensor] = {}
        if (state := partial.read(device)) is not None:
            self._resume(state)

    @property
    def history(self) -> tuple[EpochResult, ...]:
        """Results of all epochs so far, those before an interruption too."""
        return tuple(EpochResult(**entry) for entry in self._history)

    def epochs(self) -> Iterator[EpochResult]:
        """Train, and tell after each epoch.

        Yields
        ------
        EpochResult

        Raises
        ------
        ModelError
            If the loss is no longer a number.
        """
        saved, cost = time.monotonic(), 0.0
        while len(self._history) < self._settings.epochs and not self._is_exhausted():
            started = time.monotonic()
            loss, accuracy = self._train_epoch(len(self._history))
            valid_loss, valid_accuracy = self._validate()
            result = self._note(loss, accuracy, valid_loss, valid_accuracy, started)
            if time.monotonic() - saved >= max(SAVE_EVERY_S, cost / SAVING_SHARE):
                before = time.monotonic()
                self._save()
                saved = time.monotonic()
                cost = saved - before
            yield result

    def trained(self) -> nn.Module:
        """Return the network with the weights that the settings ask for, on the CPU.

        Raises
        ------
        ModelError
            If they are no longer numbers: the last step of all is followed by no loss that shows.
        """
        if self._keep_best and self._best:
            self._model.load_state_dict(self._best, strict=False)
        model: nn.Module = self._model.cpu().eval()
        if not all(bool(torch.isfinite(p).all()) for p in model.parameters()):
            raise ModelError(
                f"the weights became infinite or no numbers in epoch {len(self._history)}",
                NAN_HINT,
            )
        return model

    def _once(self, data: LabelledInputs) -> LabelledInputs:
        """Replace inputs by what the frozen part of the network makes of them, if it has one."""
        if not self._is_transfer or self._settings.augment or not len(data):
            return data
        self._model.eval()
        with torch.inference_mode():
            seen = [
                self._model.features(inputs.to(self._device)).cpu().numpy()
                for inputs, _ in data.chunks()
            ]
        return LabelledInputs(
            np.concatenate(seen), data.targets[data.rows], np.arange(len(data), dtype=np.int64)
        )

    @property
    def _is_transfer(self) -> bool:
        return hasattr(self._model, "from_features")

    def _forward(self, inputs: Tensor) -> Tensor:
        if self._is_transfer and not self._settings.augment:
            logits: Tensor = self._model.from_features(inputs)[0]
        else:
            logits = self._model(inputs)[0]
        return logits

    def _train_epoch(self, epoch: int) -> tuple[float, float]:
        """Return the mean loss and accuracy over the batches of one epoch."""
        rng = np.random.default_rng([self._seed, epoch])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self._model.train()
        losses, right, seen = [], 0, 0
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(rng.integers(2**62)))
            for chosen in self._batches(rng):
                inputs, targets = self._train.batch(chosen)
                inputs, targets = inputs.to(self._device), targets.to(self._device)
                if self._settings.augment:
                    inputs = shift_and_zoom(inputs, generator)
                loss, logits = self._step(inputs, targets)
                losses.append(loss * len(chosen))
                right += int((logits.argmax(1) == targets).sum())
                seen += len(chosen)
        return float(np.sum(losses)) / seen, right / seen

    def _batches(self, rng: np.random.Generator) -> Iterator[IdArray]:
        """Shuffle the training set and cut it up; what is left over is left out if it is one."""
        n, batch = len(self._train), self._settings.batch
        steps = self._settings.steps_per_epoch or -(-n // batch)
        wanted = min(steps * batch, n) if self._settings.steps_per_epoch is None else steps * batch
        order = np.concatenate([rng.permutation(n) for _ in range(-(-wanted // n))])[:wanted]
        for start in range(0, wanted, batch):
            chosen = order[start : start + batch]
            if len(chosen) > 1 or 1 in (batch, wanted):
                yield chosen

    def _step(self, inputs: Tensor, targets: Tensor) -> tuple[float, Tensor]:
        self._optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            logits = self._forward(inputs)
        loss = self._loss(logits.float(), targets)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(
                f"the training loss became {value} in epoch {len(self._history) + 1}",
                NAN_HINT,
            )
        if self._settings.l2:
            kernels = (p for p in self._model.parameters() if p.requires_grad and p.ndim >= 2)
            loss = loss + self._settings.l2 * sum(kernel.square().sum() for kernel in kernels)
        torch.autograd.backward(loss)
        self._optimiser.step()
        return value, logits.detach()

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self._settings.loss == "sigmoid":
            ones = functional.one_hot(targets, logits.shape[1]).float()
            return functional.binary_cross_entropy_with_logits(logits, ones)
        return functional.cross_entropy(logits, targets)

    def _validate(self) -> tuple[float | None, float | None]:
        """Return loss and accuracy over the validation segments, if there are any."""
        n = len(self._valid)
        if n == 0:
            return None, None
        self._model.eval()
        loss, right = 0.0, 0
        with torch.inference_mode():
            for inputs, targets in self._valid.chunks():
                logits = self._forward(inputs.to(self._device)).float().cpu()
                loss += float(self._loss(logits, targets)) * len(targets)
                right += int((logits.argmax(1) == targets).sum())
        return loss / n, right / n

    def _note(
        self,
        loss: float,
        accuracy: float,
        valid_loss: float | None,
        valid_accuracy: float | None,
        started: float,
    ) -> EpochResult:
        """Write an epoch into the history, and keep its weights if they are the best."""
        earlier = [entry["valid_loss"] for entry in self._history]
        is_best = valid_loss is None or valid_loss < min(earlier, default=math.inf)
        if valid_loss is not None:
            if is_best and self._keep_best:
                self._best = self._trained_state()
            if self._plateau is not None:
                self._plateau.step(valid_loss)
        result = EpochResult(
            epoch=len(self._history) + 1,
            epochs=self._settings.epochs,
            loss=loss,
            accuracy=accuracy,
            valid_loss=valid_loss,
            valid_accuracy=valid_accuracy,
            is_best=is_best,
            seconds=time.monotonic() - started,
        )
        self._history.append(asdict(result))
        return result

    def _trained_state(self) -> dict[str, Tensor]:
        """Copy all that training changes: frozen parts are large and stay as they are."""
        frozen = {name for name, p in self._model.named_parameters() if not p.requires_grad}
        state = self._model.state_dict()
        return {name: v.detach().clone() for name, v in state.items() if name not in frozen}

    def _is_exhausted(self) -> bool:
        """Whether the validation loss has not fallen for as many epochs as the report waits."""
        losses = [entry["valid_loss"] for entry in self._history]
        if self._settings.patience is None or not losses or losses[0] is None:
            return False
        return len(losses) - 1 - int(np.argmin(losses)) >= self._settings.patience

    def _save(self) -> None:
        self._partial.write(
            {
                "model": self._trained_state(),
                "optimiser": self._optimiser.state_dict(),
                "plateau": self._plateau.state_dict() if self._plateau else {},
                "best": self._best,
                "history": self._history,
            }
        )

    def _resume(self, state: Mapping[str, Any]) -> None:
        self._model.load_state_dict(state["model"], strict=False)
        self._optimiser.load_state_dict(state["optimiser"])
        if self._plateau is not None:
            self._plateau.load_state_dict(state["plateau"])
        self._best = state["best"]
        self._history = state["history"]


def shift_and_zoom(pictures: Tensor, generator: torch.Generator, most: float = 0.1) -> Tensor:
    """Shift and zoom each picture by its own random amounts; edges are continued.

    Parameters
    ----------
    pictures : Tensor, shape (b, height, width)
    generator : torch.Generator
        Source of all chance, on the CPU.
    most : float
        Largest shift and change of size, as a share of the picture.

    Returns
    -------
    Tensor, same shape
    """
    drawn = torch.rand(len(pictures), 3, generator=generator) * 2 * most - most
    turn = torch.zeros(len(pictures), 2, 3)
    turn[:, 0, 0] = turn[:, 1, 1] = 1.0 + drawn[:, 0]
    # The grid runs from -1 to 1, so a shift by a share of the picture is twice that.
    turn[:, :, 2] = 2 * drawn[:, 1:]
    size = [len(pictures), 1, *pictures.shape[1:]]
    grid = functional.affine_grid(turn, size, align_corners=False).to(pictures.device)
    moved = functional.grid_sample(
        pictures.unsqueeze(1), grid, padding_mode="border", align_corners=False
    )
    return moved.squeeze(1)


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


def _whole_network(network: Network) -> list[object]:
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
) -> NetworkTraining:
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
    targets = segments.targets
    return NetworkTraining(
        model,
        LabelledInputs(segments.inputs, targets, fold.train),
        LabelledInputs(segments.inputs, targets, fold.valid),
        settings,
        seed=options.seed,
        partial=partial,
        device=options.device,
        keep_best=settings.keep == "best" or not options.by_report,
    )


def _combinations(recipe: Recipe) -> list[tuple[Network, dict[str, Any]]]:
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
