"""A recipe: one published system, from its features to its figures.

Recipes are TOML files. Everything a file may hold is declared here, so that a misspelt key is an
error before anything is decoded, and not a setting that silently has no effect.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from recsys.errors import ModelError
from recsys.toml_tables import AnyFeatures, Table, faults_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

ORDER = (
    *("svm-36", "cnn-elbir", "dense-mfcc", "dense-dropout"),
    *("table-1", "mlp", "mlp-reg", "cnn-mfcc", "lstm-mfcc"),
    *("cnn-mel-base", "cnn-mel-tuned", "vgg16-transfer", "multi-genre"),
    *("knn", "cnn-stft", "prcnn", "cnn-mel-35"),
    *("ann", "cnn-simple", "alexnet-transfer"),
    *("cnn", "cnn-lstm"),
)
"""The recipes that come with recsys, report by report."""

Share = Annotated[float, Field(gt=0, lt=1)]
ShareOrNone = Annotated[float, Field(ge=0, lt=1)]
Accuracy = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class NetworkTable(Table):
    """``[network]``: a neural network."""

    architecture: str
    """Name of a registered architecture."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Its sizes, where they differ from the architecture's own."""
    standardise: bool = False
    """Shift and scale inputs to mean 0 and variance 1 over the training set."""


class Estimator(Table):
    """``[estimator]``: a classical model."""

    name: str
    """A key of :data:`recsys.papers.estimators.ESTIMATORS`."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Arguments of its constructor, where they differ."""
    scaler: Literal["standard", "min-max", "none"] = "standard"
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    """Settings to choose among by cross-validation, each with its candidates."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Of that cross-validation, stratified."""


class Fitting(Table):
    """``[training]``: how a network is trained; the names are those of Keras and PyTorch."""

    framework: Literal["keras", "torch"] = "keras"
    """Whose initial weights and constants of Adam are used."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    batch: Count = 32
    epochs: Count
    steps_per_epoch: Count | None = None
    """Batches in an epoch where the report counts them; else one pass."""
    patience: Count | None = None
    """Epochs without a lower validation loss after which training stops."""
    plateau_factor: Share | None = None
    """The learning rate is multiplied by this when the validation loss stays on a plateau,"""
    plateau_patience: Count = 5
    """for more than so many epochs, as PyTorch counts them."""
    schedule: Literal["constant", "cycle"] = "constant"
    """Of the learning rate; ``cycle`` is a rise and half a cosine down to 0."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Of AdamW; without it the optimiser is Adam."""
    l2: Annotated[float, Field(ge=0)] = 0.0
    """This times the sum of squares of all kernels is added to the loss."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability spread over all genres."""
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """Parameter of the Beta distribution for mixing inputs."""
    average_decay: Share | None = None
    """Of a running average of the weights, which is then validated and kept."""
    loss: Literal["softmax", "sigmoid"] = "softmax"
    """``softmax``: one genre a track; ``sigmoid``: each genre on its own,"""
    threshold: Share = 0.5
    """and it holds above this probability."""
    augment: bool = False
    """Shift and zoom images at random, by up to a tenth."""
    keep: Literal["last", "best"] = "last"
    """Weights of the last epoch, or of the best on validation. Away from the paper protocol the
    best are kept wherever there is validation."""


class Search(Table):
    """``[search]``: choice of settings on validation, by trying all combinations."""

    network: dict[str, list[Any]] = Field(default_factory=dict)
    """Sizes of the architecture with their candidates,"""
    training: dict[str, list[Any]] = Field(default_factory=dict)
    """and keys of ``[training]``."""
    epochs: Count
    """Of a trial, at most."""

    @model_validator(mode="after")
    def _has_a_choice(self) -> Search:
        candidates = [*self.network.values(), *self.training.values()]
        if not candidates or not all(candidates):
            raise ValueError("every setting to choose needs candidates, and one setting at least")
        return self


class Protocol(Table):
    """``[protocol]``: how the report divided its data."""

    split: Literal["random", "by-segment"]
    """By track, or with segments of one track on both sides."""
    test: Share
    valid: ShareOrNone = 0.0
    """Shares of all segments or tracks. Without `valid` the report validated on nothing."""
    test_count: Count | None = None
    """Number of test tracks, where the report gives it and the data has enough."""

    @model_validator(mode="after")
    def _leaves_something(self) -> Protocol:
        if self.test + self.valid >= 1:
            raise ValueError("test and valid leave nothing to learn from")
        return self


class GenreFigures(Table):
    """Published figures of one genre."""

    precision: Accuracy
    recall: Accuracy
    f1: Accuracy | None = None


class Published(Table):
    """``[published]``: the figures that the report states; accuracies, and the loss on test."""

    test: Accuracy | None = None
    train: Accuracy | None = None
    valid: Accuracy | None = None
    loss: float | None = None
    also: tuple[str, ...] = ()
    """Other figures, as text."""
    per_genre: dict[str, GenreFigures] = Field(default_factory=dict)


class Recipe(Table):
    """One published system: a neural network with its training, or a classical model."""

    name: str
    """Of the file, and after a colon of the variant."""
    title: str
    summary: str
    report: str
    source: str
    """Where in the report."""
    readings: tuple[str, ...] = ()
    """Decisions where the report is silent or contradicts itself, and why."""
    genres: tuple[str, ...] = ()
    """The genres used; all that are there if empty."""
    features: AnyFeatures
    network: NetworkTable | None = None
    training: Fitting | None = None
    search: Search | None = None
    estimator: Estimator | None = None
    weights: Literal["vgg16", "alexnet"] | None = None
    """Name of the pretrained weights that the report began from, which recsys does not ship."""
    protocol: Protocol
    published: Published = Published()
    unmeasured: str = ""
    """Why the published figure cannot be compared with, if it cannot."""
    memorise: Annotated[int, Field(ge=0)] = 0
    """Tracks of the overfit check that the report describes; 0 for none."""

    @model_validator(mode="after")
    def _one_model(self) -> Recipe:
        """Refuse what is neither a network nor a classical model, or both."""
        if (self.network is None) == (self.estimator is None):
            raise ValueError("exactly one of [network] and [estimator] is needed")
        if (self.network is None) != (self.training is None):
            raise ValueError("[training] belongs to [network], and every network needs it")
        return self

    @model_validator(mode="after")
    def _nothing_idle(self) -> Recipe:
        """Refuse settings that could have no effect, or could only fail after hours."""
        for fault in (self._idle_beside_network(), self._idle_training(), self._idle_estimator()):
            if fault:
                raise ValueError(fault)
        return self

    def _idle_beside_network(self) -> str:
        if self.network is None:
            for key in ("search", "weights", "memorise"):
                if getattr(self, key):
                    return f"{key} belongs to [network], and there is none"
        if self.search is not None and not self.protocol.valid:
            return "[search] chooses on validation: [protocol] needs a share for valid"
        return ""

    def _idle_training(self) -> str:
        training = self.training
        if training is None:
            return ""
        if training.augment and len(self.features.shape) != 2:
            return f"training.augment moves images, and inputs have shape {self.features.shape}"
        uses = {
            "patience": training.patience is not None,
            "plateau_factor": training.plateau_factor is not None,
            "keep": training.keep == "best",
        }
        watching = [name for name, used in uses.items() if used]
        if watching and not self.protocol.valid:
            return f"training.{watching[0]} watches validation: [protocol] needs a share for valid"
        given = training.model_fields_set
        if "plateau_patience" in given and training.plateau_factor is None:
            return "training.plateau_patience waits for training.plateau_factor, and there is none"
        if training.schedule == "cycle" and training.steps_per_epoch is None:
            return 'training.schedule = "cycle" needs training.steps_per_epoch'
        if "threshold" in given and training.loss != "sigmoid":
            return 'training.threshold belongs to loss = "sigmoid", and the loss is softmax'
        return ""

    def _idle_estimator(self) -> str:
        estimator = self.estimator
        if estimator is not None and "folds" in estimator.model_fields_set and not estimator.grid:
            return "estimator.folds are those in which a grid is tried, and there is none"
        return ""


def check_changes(settings: Fitting, changes: Mapping[str, Any]) -> None:
    """Raise ModelError unless a search may change keys of ``[training]`` to these values."""
    try:
        Fitting.model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"])
        raise ModelError(
            f"search.training.{key}: {fault['msg']}, got {changes.get(key)!r}",
            "Correct it in the recipe.",
        ) from error


# Finding and reading recipes.


def recipe_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with recsys, report by report."""
    return ORDER


def variant_names(name: str) -> tuple[str, ...]:
    """Return ``name:variant`` of each variant of a recipe; raises as :func:`load_recipe`."""
    base, _ = split_name(name)
    return tuple(f"{base}:{variant}" for variant in _variants(base, _read(base)))


def split_name(name: str) -> tuple[str, str | None]:
    """Take the name of a variant, None where there is none, from that of its recipe.

    Examples
    --------
    >>> split_name("table-1:svm"), split_name("C:/mine.toml")
    (('table-1', 'svm'), ('C:/mine.toml', None))
    """
    path, mark, variant = name.rpartition(".toml:")
    if mark:
        return f"{path}.toml", variant
    if name.endswith(".toml"):
        return name, None
    base, mark, variant = name.partition(":")
    return base, variant if mark else None


def load_recipe(name: str) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    name : str
        ``name`` or ``name:variant`` of a recipe that comes with recsys, or the path of a file
        that ends in ``.toml``, again with ``:variant`` after it or not.

    Returns
    -------
    Recipe

    Raises
    ------
    ModelError
        If there is no such recipe or variant, or the file has an unknown key or a value that
        cannot be.
    """
    base, variant = split_name(name)
    table = _read(base)
    variants = _variants(base, table)
    table.pop("variants", None)
    if "name" in table:
        raise _unusable(name, ["unknown key 'name': the file's name is the recipe's"])
    if variant is not None:
        if variant not in variants:
            raise ModelError(
                f"the recipe {base} has no variant {variant!r}",
                f"It has {', '.join(variants)}." if variants else "It has none.",
            )
        table = _vary(table, variants[variant])
    shown = name if base in ORDER else f"{Path(base).stem}{name[len(base) :]}"
    try:
        return Recipe.model_validate({**table, "name": shown})
    except ValidationError as error:
        raise _unusable(name, faults_of(error)) from error


def _read(name: str) -> dict[str, Any]:
    """Return the TOML of a recipe as it stands."""
    source: Traversable | Path
    if name in ORDER:
        source = files("recsys.papers") / "recipes" / f"{name}.toml"
    elif name.endswith(".toml"):
        source = Path(name)
    else:
        raise ModelError(
            f"unknown recipe {name!r}",
            f"Known are {', '.join(ORDER)}; or give the path of a .toml file. The model that ships"
            " is made by recsys train.",
        )
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"the recipe {name} cannot be read: {error.strerror or error}", "Check the path."
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(
            f"the recipe {name} is not TOML: {error}", "Correct the file at that place."
        ) from error


def _variants(name: str, table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the tables of a recipe's variants."""
    variants = table.get("variants", {})
    if not isinstance(variants, dict):
        raise _unusable(name, [f"variants: a table is needed, got {variants!r}"])
    for variant, changes in variants.items():
        if not isinstance(changes, dict):
            raise _unusable(name, [f"variants.{variant}: a table is needed, got {changes!r}"])
    return variants


def _vary(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a variant: its figures are its own, its readings are added to the recipe's."""
    varied = _merge(base, changes)
    varied["published"] = changes.get("published", {})
    readings = base.get("readings", []), changes.get("readings", [])
    if all(isinstance(some, list) for some in readings):
        varied["readings"] = [*readings[0], *readings[1]]
    return varied


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Lay tables over tables; anything else replaces."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        tables = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merge(old, value) if tables else value  # type: ignore[arg-type]
    return merged


def _unusable(name: str, faults: list[str]) -> ModelError:
    return ModelError(
        f"the recipe {name} cannot be used: {'; '.join(faults)}",
        "Correct the file at that place.",
    )
