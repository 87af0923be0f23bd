"""What a user says of an ONNX file: the TOML beside it.

ONNX holds the network and names of tensors, and nothing of what they mean: what sound goes in, what
a score stands for. Everything the file may say is declared here; a misspelt key is an error.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError, model_validator

from recsys.classifier.calibration_check import check_calibration, check_tags
from recsys.classifier.recipes.loading import faults_of
from recsys.classifier.recipes.recipe import AnyFeatures, Table
from recsys.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.features import Features

AXES = {
    "log-mel": ("mels", "frames"),
    "compressed-mel": ("mels", "frames"),
    "mfcc": ("frames", "coefficients"),
    "stft": ("bins", "frames"),
    "picture": ("rows", "columns"),
}
"""What the axes of a window are called, by the kind of features and in their order there."""


class Input(Table):
    """Where windows go in.

    Attributes
    ----------
    name : str or None
        Of the tensor; None if there is only one.
    layout : tuple of str
        Its axes in order: ``batch``, those of the features (:data:`AXES`; ``values`` where a window
        is a vector), and perhaps ``channel``, which has length 1. By default ``batch`` and then
        the features' own order.
    """

    name: str | None = None
    layout: tuple[str, ...] = ()


class Outputs(Table):
    """What comes out, each by the name of its tensor; one row per window.

    Attributes
    ----------
    logits, probabilities : str or None
        Scores of the genres, either of which a softmax makes probabilities, or in [0, 1]. One of
        the two. Probabilities that do not sum to 1, of a sigmoid for each genre say, count as
        shares in proportion.
    embedding : str
        Of any length; the cosine between two of them says how alike the music is.
    tag_logits, tag_probabilities : str or None
        Scores of the tags, each on its own: of which a sigmoid makes probabilities, or in [0, 1].
    """

    logits: str | None = None
    probabilities: str | None = None
    embedding: str
    tag_logits: str | None = None
    tag_probabilities: str | None = None

    @property
    def genres(self) -> str:
        """The tensor with the scores of the genres."""
        return self.logits or self.probabilities or ""

    @property
    def tags(self) -> str | None:
        """The tensor with the scores of the tags."""
        return self.tag_logits or self.tag_probabilities

    @model_validator(mode="after")
    def _one_of_each(self) -> Outputs:
        if bool(self.logits) == bool(self.probabilities):
            raise ValueError("name either logits or probabilities")
        if self.tag_logits and self.tag_probabilities:
            raise ValueError("name either tag_logits or tag_probabilities")
        return self


class Tags(Table):
    """The second head, see :class:`recsys.classifier.checkpoint.ModelCard`.

    Attributes
    ----------
    names : tuple of str
        In the order of the outputs.
    means, deviations : tuple of float
        Of the pooled tag logits over ordinary music: what makes strengths comparable.
    """

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    means: tuple[float, ...]
    deviations: tuple[float, ...]

    @model_validator(mode="after")
    def _fits_together(self) -> Tags:
        check_tags(self.names, self.means, self.deviations)
        return self


class OnnxDescription(Table):
    """The whole file.

    Attributes
    ----------
    name, licence : str
        For people; by default the name of the file, and ``unknown``.
    labels : tuple of str
        Genres, in the order of the outputs.
    features : Features
        What the model looks at: ``kind`` and the settings of that kind, as in a model card.
    input : Input
    outputs : Outputs
    tags : Tags or None
    temperature : float
        Pooled scores are divided by it; above 0.
    thresholds : float or tuple of float
        The probability, 0 to 1, from which a genre is said to hold: one for all, or one each.
    confusion : tuple of tuple of float or None
        As in a model card, rows sum to 1; None where it was never measured.
    """

    name: str = ""
    licence: str = "unknown"
    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    features: AnyFeatures
    input: Input = Input()
    outputs: Outputs
    tags: Tags | None = None
    temperature: float = 1.0
    thresholds: float | tuple[float, ...] = 0.3
    confusion: tuple[tuple[float, ...], ...] | None = None

    @property
    def threshold_of_each(self) -> tuple[float, ...]:
        """The thresholds, one per label."""
        if isinstance(self.thresholds, tuple):
            return self.thresholds
        return (self.thresholds,) * len(self.labels)

    @property
    def layout(self) -> tuple[str, ...]:
        """The axes of the input, in order."""
        return self.input.layout or ("batch", *axes_of(self.features))

    @model_validator(mode="after")
    def _fits_together(self) -> OnnxDescription:
        n = len(self.labels)
        if len(set(self.labels)) != n:
            raise ValueError("labels: a genre is named twice")
        if isinstance(self.thresholds, tuple) and len(self.thresholds) != n:
            raise ValueError(f"{n} labels and {len(self.thresholds)} thresholds")
        if self.confusion is not None and [len(row) for row in self.confusion] != [n] * n:
            raise ValueError(f"confusion: {n} rows of {n} numbers are needed")
        check_calibration(self.labels, self.temperature, self.threshold_of_each, self.confusion)
        if bool(self.tags) != bool(self.outputs.tags):
            raise ValueError("tags need a table [tags] and the name of their output, or neither")
        axes = ("batch", *axes_of(self.features))
        if sorted(axis for axis in self.layout if axis != "channel") != sorted(axes):
            raise ValueError(
                f"input.layout: {', '.join(axes)} are needed, each once, and perhaps channel;"
                f" got {', '.join(self.layout)}"
            )
        return self

    def deciding(self) -> dict[str, Any]:
        """Return everything that changes what the model says, ready for JSON."""
        plain = self.model_dump(exclude={"name", "licence", "features"})
        return {**plain, "features": self.features.as_dict(), "layout": self.layout}


def axes_of(features: Features) -> tuple[str, ...]:
    """Return what the axes of a window of these features are called."""
    shape = features.shape
    return ("values",) if len(shape) == 1 else AXES.get(features.kind, ("rows", "columns"))


def description_path(model: Path) -> Path:
    """Return where the TOML of an ONNX file lies."""
    return model.with_suffix(".toml")


def read_description(model: Path) -> OnnxDescription:
    """Read the TOML beside an ONNX file.

    Parameters
    ----------
    model : Path
        The ``.onnx`` file.

    Returns
    -------
    OnnxDescription

    Raises
    ------
    ModelError
        If it is not there, is no TOML, or says something that cannot be.
    """
    path = description_path(model)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"the description {path} of the ONNX model cannot be read: {error.strerror or error}",
            "An ONNX model is two files, NAME.onnx and NAME.toml, which says what the network is"
            " shown and what its outputs mean; see docs/onnx.md.",
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(
            f"{path} is not TOML: {error}", "Correct the file at that place."
        ) from error
    try:
        return OnnxDescription.model_validate(table)
    except ValidationError as error:
        raise ModelError(
            f"{path} cannot be used: {'; '.join(faults_of(error))}",
            "Correct the file at that place; docs/onnx.md says what it may hold.",
        ) from error
