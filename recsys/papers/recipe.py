"""What a recipe says: one published system, from its features to its figures.

Recipes are TOML files. Everything a file may hold is declared here, so that a misspelt key is an
error before anything is decoded, and not a setting that silently has no effect.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    Field,
    ValidationError,
    model_validator,
)

from recsys.errors import ModelError
from recsys.toml_tables import AnyFeatures, Table, faults_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

Share = Annotated[float, Field(gt=0, lt=1)]
Figure = Annotated[float, Field(ge=0, le=1)]


class Network(Table):
    """A neural network.

    Attributes
    ----------
    architecture : str
        A key of :data:`recsys.classifier.training.architectures.ARCHITECTURES`.
    config : dict
        Its sizes, where they differ from the architecture's own.
    standardise : bool
        Inputs are shifted and scaled to mean 0 and variance 1 over the training set.
    """

    architecture: str
    config: dict[str, Any] = Field(default_factory=dict)
    standardise: bool = False


class Estimator(Table):
    """A classical model.

    Attributes
    ----------
    name : str
        A key of :data:`recsys.papers.estimators.ESTIMATORS`.
    settings : dict
        Arguments of its constructor, where they differ.
    scaler : str
        What is done to the features first.
    grid : dict
        Settings to choose among by cross-validation, each with its candidates.
    folds : int
        Of that cross-validation, stratified.
    """

    name: str
    settings: dict[str, Any] = Field(default_factory=dict)
    scaler: Literal["standard", "min-max", "none"] = "standard"
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    folds: Annotated[int, Field(ge=2)] = 5


class Fitting(Table):
    """How a network is trained; the names are those of Keras and PyTorch.

    Attributes
    ----------
    framework : str
        Whose initial weights and constants of Adam are used.
    learning_rate : float
        Of Adam.
    batch, epochs : int
        Segments in a batch; passes over the training set at most.
    steps_per_epoch : int or None
        Batches in an epoch where the report counts them; else one pass.
    patience : int or None
        Epochs without a lower validation loss after which training stops.
    plateau_factor, plateau_patience : float or None, int
        The learning rate is multiplied by the factor after more than that many epochs without a
        lower validation loss, as PyTorch counts them.
    schedule : str
        Of the learning rate: ``constant``, or ``cycle``, a rise and half a cosine down to 0.
    weight_decay : float
        Of AdamW; without it the optimiser is Adam.
    l2 : float
        This times the sum of squares of all kernels is added to the loss.
    label_smoothing, mixup : float
        Probability spread over all genres; parameter of the Beta distribution for mixing inputs.
    average_decay : float or None
        Of a running average of the weights, which is then validated and kept.
    loss : str
        ``softmax``: one genre a track; ``sigmoid``: each genre on its own.
    threshold : float
        A genre holds above this probability, where each is on its own.
    augment : bool
        Pictures are shifted and zoomed at random, by up to a tenth.
    keep : str
        Weights of the ``last`` epoch, or of the ``best`` on validation. Away from the report's
        own protocol the best are kept wherever there is validation.
    """

    framework: Literal["keras", "torch"] = "keras"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    batch: Annotated[int, Field(ge=1)] = 32
    epochs: Annotated[int, Field(ge=1)]
    steps_per_epoch: Annotated[int, Field(ge=1)] | None = None
    patience: Annotated[int, Field(ge=1)] | None = None
    plateau_factor: Share | None = None
    plateau_patience: Annotated[int, Field(ge=1)] = 5
    schedule: Literal["constant", "cycle"] = "constant"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    l2: Annotated[float, Field(ge=0)] = 0.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mixup: Annotated[float, Field(ge=0)] = 0.0
    average_decay: Share | None = None
    loss: Literal["softmax", "sigmoid"] = "softmax"
    threshold: Share = 0.5
    augment: bool = False
    keep: Literal["last", "best"] = "last"


def check_changes(settings: Fitting, changes: Mapping[str, Any]) -> None:
    """Raise unless a training can be changed so.

    Parameters
    ----------
    settings : Fitting
        What is changed.
    changes : mapping
        Of a search: keys of ``[training]`` to other values.

    Raises
    ------
    ModelError
        If a key is not known or a value cannot be.
    """
    try:
        Fitting.model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"])
        raise ModelError(
            f"search.training.{key}: {fault['msg']}, got {changes.get(key)!r}",
            "Correct it in the recipe.",
        ) from error


class Search(Table):
    """Choice of settings on validation, by trying all combinations.

    Attributes
    ----------
    network, training : dict
        Settings with their candidates: sizes of the architecture, and keys of ``[training]``.
    epochs : int
        Of a trial, at most.
    """

    network: dict[str, list[Any]] = Field(default_factory=dict)
    training: dict[str, list[Any]] = Field(default_factory=dict)
    epochs: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _has_a_choice(self) -> Search:
        candidates = [*self.network.values(), *self.training.values()]
        if not candidates or not all(candidates):
            raise ValueError("every setting to choose needs candidates, and one setting at least")
        return self


class Protocol(Table):
    """How the report divided its data.

    Attributes
    ----------
    split : str
        ``random``: by track; ``by-segment``: segments of one track on both sides.
    test, valid : float
        Shares of all segments or tracks. Without `valid` the report validated on nothing.
    test_count : int or None
        Number of test tracks, where the report gives it and the data has enough.
    """

    split: Literal["random", "by-segment"]
    test: Share
    valid: Annotated[float, Field(ge=0, lt=1)] = 0.0
    test_count: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _leaves_something(self) -> Protocol:
        if self.test + self.valid >= 1:
            raise ValueError("test and valid leave nothing to learn from")
        return self


class GenreFigures(Table):
    """Published figures of one genre."""

    precision: Figure
    recall: Figure
    f1: Figure | None = None


class Published(Table):
    """What the report says it reached.

    Attributes
    ----------
    test, train, valid : float or None
        Accuracies.
    loss : float or None
        On test.
    also : tuple of str
        Other figures of the report, in words.
    per_genre : dict
        Genre to its figures.
    """

    test: Figure | None = None
    train: Figure | None = None
    valid: Figure | None = None
    loss: float | None = None
    also: tuple[str, ...] = ()
    per_genre: dict[str, GenreFigures] = Field(default_factory=dict)


class Recipe(Table):
    """One published system.

    Attributes
    ----------
    name : str
        Of the file, and after a colon of the variant.
    title, summary : str
        In a few words, and in a sentence.
    report, source : str
        Which report, and where in it.
    readings : tuple of str
        What had to be decided where the report is silent or contradicts itself, and why.
    genres : tuple of str
        The genres used; all that are there if empty.
    features : Features
        What the model sees.
    network, training, search : Network, Fitting, Search or None
        A neural network and how it is trained,
    estimator : Estimator or None
        or a classical model.
    weights : str or None
        Name of the pretrained weights that the report began from, which recsys does not ship.
    protocol : Protocol
        How the report divided its data.
    published : Published
        Its figures.
    unmeasured : str
        Why the published figure cannot be compared with, if it cannot.
    memorise : int
        Tracks that the network must be able to learn by heart, the report's check; 0 for none.
    """

    name: str
    title: str
    summary: str
    report: str
    source: str
    readings: tuple[str, ...] = ()
    genres: tuple[str, ...] = ()
    features: AnyFeatures
    network: Network | None = None
    training: Fitting | None = None
    search: Search | None = None
    estimator: Estimator | None = None
    weights: Literal["vgg16", "alexnet"] | None = None
    protocol: Protocol
    published: Published = Published()
    unmeasured: str = ""
    memorise: Annotated[int, Field(ge=0)] = 0

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
        if self.network is None:
            for key in ("search", "weights", "memorise"):
                if getattr(self, key):
                    raise ValueError(f"{key} belongs to [network], and there is none")
        if self.search is not None and not self.protocol.valid:
            raise ValueError("[search] chooses on validation: [protocol] needs a share for valid")
        shape = self.features.shape
        if self.training is not None and self.training.augment and len(shape) != 2:
            raise ValueError(f"training.augment moves pictures, and inputs have shape {shape}")
        for sentence in (self._idle_training(), self._idle_estimator()):
            if sentence:
                raise ValueError(sentence)
        return self

    def _idle_training(self) -> str:
        """Say which setting of the training has nothing to act on, empty if all have."""
        training = self.training
        if training is None:
            return ""
        given = training.model_fields_set
        watching = [
            name
            for name, used in (
                ("patience", training.patience is not None),
                ("plateau_factor", training.plateau_factor is not None),
                ("keep", training.keep == "best"),
            )
            if used
        ]
        if watching and not self.protocol.valid:
            return f"training.{watching[0]} watches validation: [protocol] needs a share for valid"
        if "plateau_patience" in given and training.plateau_factor is None:
            return "training.plateau_patience waits for training.plateau_factor, and there is none"
        if training.schedule == "cycle" and training.steps_per_epoch is None:
            return 'training.schedule = "cycle" needs training.steps_per_epoch'
        if "threshold" in given and training.loss != "sigmoid":
            return 'training.threshold belongs to loss = "sigmoid", and the loss is softmax'
        return ""

    def _idle_estimator(self) -> str:
        """Say which setting of the classical model has nothing to act on, empty if all have."""
        estimator = self.estimator
        if estimator is not None and "folds" in estimator.model_fields_set and not estimator.grid:
            return "estimator.folds are those in which a grid is tried, and there is none"
        return ""


# Finding and reading recipes.


ORDER = (
    *("svm-36", "cnn-elbir", "dense-mfcc", "dense-dropout"),
    *("table-1", "mlp", "mlp-reg", "cnn-mfcc", "lstm-mfcc"),
    *("cnn-mel-base", "cnn-mel-tuned", "vgg16-transfer", "multi-genre"),
    *("knn", "cnn-stft", "prcnn", "cnn-mel-35"),
    *("ann", "cnn-simple", "alexnet-transfer"),
    *("cnn", "cnn-lstm"),
)
"""The recipes that come with recsys, report by report."""


def recipe_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with recsys, report by report."""
    return ORDER


def variant_names(name: str) -> tuple[str, ...]:
    """Return the full names of a recipe's variants.

    Parameters
    ----------
    name : str
        Of a recipe that comes with recsys, or the path of a TOML file.

    Returns
    -------
    tuple of str
        ``name:variant`` each; empty if there are none.

    Raises
    ------
    ModelError
        As :func:`load_recipe`.
    """
    base, _ = split_name(name)
    return tuple(f"{base}:{variant}" for variant in _variants(base, _read(base)))


def split_name(name: str) -> tuple[str, str | None]:
    """Take the name of a variant from that of its recipe.

    Parameters
    ----------
    name : str
        As :func:`load_recipe` takes it. Paths may hold colons.

    Returns
    -------
    base : str
    variant : str or None
        None where no variant is named.

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


def _vary(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a variant; figures are its own, and what was read into the report adds up."""
    varied = _merge(base, changes)
    varied["published"] = changes.get("published", {})
    readings = base.get("readings", []), changes.get("readings", [])
    if all(isinstance(some, list) for some in readings):
        varied["readings"] = [*readings[0], *readings[1]]
    return varied


def _variants(name: str, table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the tables of a recipe's variants."""
    variants = table.get("variants", {})
    if not isinstance(variants, dict):
        raise _unusable(name, [f"variants: a table is needed, got {variants!r}"])
    for variant, changes in variants.items():
        if not isinstance(changes, dict):
            raise _unusable(name, [f"variants.{variant}: a table is needed, got {changes!r}"])
    return variants


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Lay tables over tables; what is no table replaces."""
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
