"""A recipe: one published system, from its features to its figures.

Recipes are TOML files. Everything a file may hold is declared here, so that a misspelt key is an
error before anything is decoded, and not a setting that silently has no effect.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from recsys.errors import ModelError
from recsys.toml_tables import AnyFeatures, Table, faults_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

RECIPE_NAMES = (
    *("svm-36", "cnn-elbir", "dense-mfcc", "dense-dropout"),
    *("table-1", "mlp", "mlp-reg", "cnn-mfcc", "lstm-mfcc"),
    *("cnn-mel-base", "cnn-mel-tuned", "vgg16-transfer", "multi-genre"),
    *("knn", "cnn-stft", "prcnn", "cnn-mel-35"),
    *("ann", "cnn-simple", "alexnet-transfer"),
    *("cnn", "cnn-lstm"),
)
"""The recipes that come with recsys, report by report."""

GENERATOR_NAMES = ("dcgan",)
"""Those of generators, which :mod:`recsys.papers.generation` trains."""

_SHIPPED = RECIPE_NAMES + GENERATOR_NAMES

Share = Annotated[float, Field(gt=0, lt=1)]
ShareOrNone = Annotated[float, Field(ge=0, lt=1)]
Accuracy = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class NetworkTable(Table):
    """``[network]``: a neural network."""

    architecture: str  # registered
    config: dict[str, Any] = Field(default_factory=dict)  # sizes other than the defaults
    standardise: bool = False  # inputs, to mean 0 and variance 1 over the training set

    @property
    def full_config(self) -> dict[str, Any]:
        """The arguments of ``build_model``, as a model card keeps them."""
        return {**self.config, **({"standardise": True} if self.standardise else {})}


class Estimator(Table):
    """``[estimator]``: a classical model."""

    name: str  # in recsys.papers.estimators.ESTIMATORS
    settings: dict[str, Any] = Field(default_factory=dict)  # other than the defaults there
    scaler: Literal["standard", "min-max", "none"] = "standard"
    # Candidates of each setting, chosen by stratified cross-validation in `folds`.
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    folds: Annotated[int, Field(ge=2)] = 5


class Fitting(Table):
    """``[training]``: how a network is trained; the names are those of Keras and PyTorch."""

    # Of the initial weights and the constants of Adam.
    framework: Literal["keras", "torch"] = "keras"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    batch: Count = 32
    epochs: Count
    steps_per_epoch: Count | None = None  # where the report counts batches; else one pass
    patience: Count | None = None  # epochs without a lower validation loss before stopping
    # The factor of the learning rate after more than `plateau_patience` epochs without a lower
    # validation loss, as PyTorch counts them.
    plateau_factor: Share | None = None
    plateau_patience: Count = 5
    schedule: Literal["constant", "cycle"] = "constant"  # cycle: a rise, half a cosine down to 0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0  # of AdamW; 0 is Adam
    l2: Annotated[float, Field(ge=0)] = 0.0  # factor of the sum of squares of all kernels
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mixup: Annotated[float, Field(ge=0)] = 0.0  # parameter of the Beta distribution
    average_decay: Share | None = None  # of the running average of the weights, which is kept
    # softmax: one genre a track; sigmoid: every genre with a probability above `threshold`.
    loss: Literal["softmax", "sigmoid"] = "softmax"
    threshold: Share = 0.5
    augment: bool = False  # shift and zoom images at random, by up to a tenth
    # Epoch whose weights are kept under the paper protocol; elsewhere it is the best on
    # validation if there is validation.
    keep: Literal["last", "best"] = "last"


class Search(Table):
    """``[search]``: choice of settings on validation, by trying all combinations."""

    network: dict[str, list[Any]] = Field(default_factory=dict)  # sizes and their candidates
    training: dict[str, list[Any]] = Field(default_factory=dict)  # keys of [training] likewise
    epochs: Count  # of a trial, at most

    @model_validator(mode="after")
    def _has_a_choice(self) -> Search:
        candidates = [*self.network.values(), *self.training.values()]
        if not candidates or not all(candidates):
            raise ValueError("every setting to choose needs candidates, and one setting at least")
        return self


class Protocol(Table):
    """``[protocol]``: how the report divided its data."""

    split: Literal["random", "by-segment"]  # by track, or with segments of a track on both sides
    test: Share  # of all segments or tracks, as is `valid`
    valid: ShareOrNone = 0.0
    test_count: Count | None = None  # test tracks, where the report gives their number

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
    also: tuple[str, ...] = ()  # other figures, as text
    per_genre: dict[str, GenreFigures] = Field(default_factory=dict)


class RecipeBase(Table):
    """What every recipe says of the system and of its report."""

    name: str  # of the file, with :VARIANT
    title: str
    summary: str
    report: str
    source: str  # place in the report
    readings: tuple[str, ...] = ()  # decisions where the report is silent or contradicts itself


class Recipe(RecipeBase):
    """One published system: a neural network with its training, or a classical model."""

    genres: tuple[str, ...] = ()  # empty for all
    features: AnyFeatures
    network: NetworkTable | None = None
    training: Fitting | None = None
    search: Search | None = None
    estimator: Estimator | None = None
    weights: Literal["vgg16", "alexnet"] | None = None  # pretrained; recsys does not ship them
    protocol: Protocol
    published: Published = Published()
    unmeasured: str = ""  # why the published figure may not be comparable
    memorise: Annotated[int, Field(ge=0)] = 0  # tracks of the report's overfit check

    @model_validator(mode="after")
    def _one_model(self) -> Recipe:
        """Refuse a recipe without a model, or with two."""
        if (self.network is None) == (self.estimator is None):
            raise ValueError("exactly one of [network] and [estimator] is needed")
        if (self.network is None) != (self.training is None):
            raise ValueError("[training] belongs to [network], and every network needs it")
        return self

    @model_validator(mode="after")
    def _no_idle_setting(self) -> Recipe:
        """Refuse settings that could have no effect, or could only fail after hours."""
        if fault := self._idle_table() or self._idle_training() or self._idle_estimator():
            raise ValueError(fault)
        return self

    def _idle_table(self) -> str:
        if self.network is None:
            for key in ("search", "weights", "memorise"):
                if getattr(self, key):
                    return f"{key} needs [network]"
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
            return "training.plateau_patience needs training.plateau_factor"
        if training.schedule == "cycle" and training.steps_per_epoch is None:
            return 'training.schedule = "cycle" needs training.steps_per_epoch'
        if "threshold" in given and training.loss != "sigmoid":
            return 'training.threshold belongs to loss = "sigmoid", and the loss is softmax'
        return ""

    def _idle_estimator(self) -> str:
        estimator = self.estimator
        if estimator is not None and "folds" in estimator.model_fields_set and not estimator.grid:
            return "estimator.folds needs estimator.grid"
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

AnyRecipe = TypeVar("AnyRecipe", bound=RecipeBase)


def variant_names(name: str) -> tuple[str, ...]:
    """Return ``name:variant`` of each variant of a recipe; raises as :func:`load_recipe`."""
    base, _ = split_name(name)
    return tuple(f"{base}:{variant}" for variant in _variants(base, _read(base)))


def split_name(name: str) -> tuple[str, str | None]:
    """Split the name of a recipe from that of its variant, None where there is none.

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
    """Read and check a recipe.

    Parameters
    ----------
    name : str
        ``name`` or ``name:variant`` of a recipe that comes with recsys, or the path of a file
        that ends in ``.toml``, with or without ``:variant``.

    Raises
    ------
    ModelError
        If there is no such recipe or variant, or the file has an unknown key or a bad value.
    """
    table = read_recipe(name)
    if "generator" in table:
        raise ModelError(
            f"the recipe {name} generates music and has no accuracy",
            "Train it with recsys papers train, then use recsys papers generate.",
        )
    return checked(Recipe, name, table)


def read_recipe(name: str) -> dict[str, Any]:
    """Return the tables of a recipe or variant, unchecked but for its name, which is added."""
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
    shown = name if base in _SHIPPED else f"{Path(base).stem}{name[len(base) :]}"
    return {**table, "name": shown}


def checked(kind: type[AnyRecipe], name: str, table: Mapping[str, Any]) -> AnyRecipe:
    """Return the recipe of a kind that tables describe; raise ModelError with all their faults."""
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        raise _unusable(name, faults_of(error)) from error


def _read(name: str) -> dict[str, Any]:
    """Return the TOML of a recipe, unchecked."""
    source: Traversable | Path
    if name in _SHIPPED:
        source = files("recsys.papers") / "recipes" / f"{name}.toml"
    elif name.endswith(".toml"):
        source = Path(name).expanduser()
    else:
        raise ModelError(
            f"unknown recipe {name!r}",
            f"Known are {', '.join(_SHIPPED)}; or give the path of a .toml file. The model that"
            " ships is made by recsys train.",
        )
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"the recipe {name} cannot be read: {error.strerror or error}", "Check the path."
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
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
    """Return a variant: published figures are replaced, readings are added to the recipe's."""
    varied = _merge(base, changes)
    if "generator" not in base:
        varied["published"] = changes.get("published", {})
    readings = base.get("readings", []), changes.get("readings", [])
    if all(isinstance(some, list) for some in readings):
        varied["readings"] = [*readings[0], *readings[1]]
    return varied


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Merge tables recursively; anything else replaces."""
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
