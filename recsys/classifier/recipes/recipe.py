"""What a recipe says: one published system, from its features to its figures.

Recipes are TOML files. Everything a file may hold is declared here, so that a misspelt key is an
error before anything is decoded, and not a setting that silently has no effect.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from recsys.errors import ModelError
from recsys.features import FEATURE_KINDS, Features

if TYPE_CHECKING:
    from collections.abc import Mapping

Share = Annotated[float, Field(gt=0, lt=1)]
Figure = Annotated[float, Field(ge=0, le=1)]


class Table(BaseModel):
    """A table of a recipe: frozen, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _parse_features(value: object) -> object:
    """Read a ``[features]`` table as the dataclass of its kind."""
    if not isinstance(value, dict):
        return value
    settings = dict(value)
    kind = settings.pop("kind", None)
    if kind not in FEATURE_KINDS:
        raise ValueError(f"unknown kind {kind!r}; known are {', '.join(FEATURE_KINDS)}")
    cls = FEATURE_KINDS[kind]
    unknown = sorted(set(settings) - {field.name for field in fields(cls)})
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r} in features of kind {kind!r}")
    try:
        return TypeAdapter(cls).validate_python(settings)
    except ModelError as error:
        # Told together with what else is wrong with the recipe, and with its name.
        raise ValueError(error.message) from error


AnyFeatures = Annotated[Features, BeforeValidator(_parse_features)]
"""A ``[features]`` table: the settings of one kind."""


class Network(Table):
    """A neural network.

    Attributes
    ----------
    architecture : str
        A key of :data:`recsys.classifier.models.ARCHITECTURES`.
    config : dict
        Its sizes, where they differ from the architecture's own.
    standardise : bool
        Inputs are shifted and scaled to mean 0 and variance 1 over the training set.
    """

    architecture: str
    config: dict[str, Any] = {}
    standardise: bool = False


class Estimator(Table):
    """A classical model.

    Attributes
    ----------
    name : str
        A key of :data:`recsys.classifier.recipes.estimators.ESTIMATORS`.
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
    settings: dict[str, Any] = {}
    scaler: Literal["standard", "min-max", "none"] = "standard"
    grid: dict[str, list[Any]] = {}
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
    l2 : float
        This times the sum of squares of all kernels is added to the loss.
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
    l2: Annotated[float, Field(ge=0)] = 0.0
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

    network: dict[str, list[Any]] = {}
    training: dict[str, list[Any]] = {}
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
    per_genre: dict[str, GenreFigures] = {}


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
        if "threshold" in given and training.loss != "sigmoid":
            return 'training.threshold belongs to loss = "sigmoid", and the loss is softmax'
        return ""

    def _idle_estimator(self) -> str:
        """Say which setting of the classical model has nothing to act on, empty if all have."""
        estimator = self.estimator
        if estimator is not None and "folds" in estimator.model_fields_set and not estimator.grid:
            return "estimator.folds are those in which a grid is tried, and there is none"
        return ""
