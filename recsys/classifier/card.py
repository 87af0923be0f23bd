"""Model files: weights as safetensors, and beside them a card that says what they are.

The card (JSON) is read without PyTorch, because most commands need only labels, thresholds and
the fingerprint. Loading the weights checks that both belong together.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.errors import ModelError
from recsys.mel import Features, at_effort, features_from_dict
from recsys.registry import Registry, find
from recsys.types import Effort, ModelInfo

if TYPE_CHECKING:
    from torch import nn

# The fingerprint of a model: by it a library knows what heard its tracks.


_HASHED = (
    *("architecture", "config", "labels", "features"),
    *("dimension", "temperature", "thresholds", "confusion"),
)
_HASHED_WHERE_GIVEN = ("tags", "tag_means", "tag_deviations")


def fingerprint(weights: bytes, card: ModelCard) -> str:
    """Hash everything that changes what the model says.

    Parameters
    ----------
    weights : bytes
        The safetensors file.
    card : ModelCard
        Architecture, labels, features, calibration and, where it has any, tags are hashed; words
        about the model are not.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    fields = card.as_dict()
    known = {name: fields[name] for name in _HASHED}
    # What came later counts only where it is used, so that older models keep their fingerprints.
    known |= {name: fields[name] for name in _HASHED_WHERE_GIVEN if fields[name]}
    digest = hashlib.sha256(weights)
    digest.update(json.dumps(known, sort_keys=True).encode())
    return digest.hexdigest()[:16]


# Whether the numbers that turn scores into genres can be what they are said to be.


TOLERANCE = 1e-3
"""How far a row of the confusion may be from summing to 1: numbers are written down rounded."""


def check_calibration(
    labels: Sequence[str],
    temperature: float,
    thresholds: Sequence[float],
    confusion: Sequence[Sequence[float]] | None,
) -> None:
    """Raise unless a model's calibration can be meant.

    Parameters
    ----------
    labels : sequence of str
        n genres, for the message.
    temperature : float
    thresholds : sequence of float, length n
    confusion : sequence of n sequences of n floats, or None
        None where it was never measured.

    Raises
    ------
    ValueError
        Naming the number that cannot be, and what it should be.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature: {temperature:g} must be finite and above 0")
    for label, threshold in zip(labels, thresholds, strict=True):
        if not 0 <= threshold <= 1:
            raise ValueError(f"thresholds: {threshold:g} of {label} must be from 0 to 1")
    for label, row in zip(labels, confusion or (), strict=False):
        for share in row:
            if not 0 <= share <= 1 + TOLERANCE:
                raise ValueError(f"confusion: {share:g} in the row of {label} must be from 0 to 1")
        if abs(sum(row) - 1) > TOLERANCE:
            raise ValueError(f"confusion: the row of {label} sums to {sum(row):.4g}, not to 1")


def check_tags(names: Sequence[str], means: Sequence[float], deviations: Sequence[float]) -> None:
    """Raise unless every tag has a name of its own and statistics that strengths need.

    Parameters
    ----------
    names : sequence of str
        Upper and lower case count as the same.
    means, deviations : sequence of float, as many
        Of the pooled tag logits.

    Raises
    ------
    ValueError
        Naming what cannot be, and what it should be.
    """
    counts = (len(names), len(means), len(deviations))
    if len(set(counts)) != 1:
        raise ValueError("{} names, {} means, {} deviations of tags".format(*counts))
    if len({name.casefold() for name in names}) != len(names):
        raise ValueError("tags: a tag is named twice")
    for name, mean, deviation in zip(names, means, deviations, strict=True):
        if not math.isfinite(mean):
            raise ValueError(f"the mean {mean:g} of the tag {name} must be finite")
        if not (math.isfinite(deviation) and deviation > 0):
            raise ValueError(
                f"the deviation {deviation:g} of the tag {name} must be finite and above 0"
            )


# ----------------------------------------------------------------------


CARD_VERSION = 1
"""Rises when an older recsys could no longer read the card rightly."""

DEFAULT_MODEL = Path(str(files("recsys.data"))) / "genre-model.safetensors"
"""The model that ships with recsys."""

_UPDATE_HINT = "Update recsys, or choose another model with --model."
REPLACE_HINT = "The file is damaged or not a recsys model; choose another with --model."
"""What to do about a model that cannot be used."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of a model beside its weights.

    Attributes
    ----------
    name : str
        For people.
    architecture : str
        Name of an architecture.
    config : dict
        Further arguments of the architecture.
    labels : tuple of str
        Genres, in the order of the outputs.
    features : Features
        What the model looks at.
    dimension : int
        Length of the embedding.
    temperature : float
        Pooled scores are divided by it before they become probabilities.
    thresholds : tuple of float
        Per genre: the probability from which it is said to hold.
    confusion : tuple of tuple of float
        Row-normalised, Laplace-smoothed; rows are true genres.
    tags : tuple of str
        Names of the second head's outputs: styles, moods, eras, voices. Empty for a model
        without one. Tags that were not learned well enough are not among its outputs.
    tag_means, tag_deviations : tuple of float
        Per tag, over the tracks that were learned from or validated on: mean and standard
        deviation of the pooled tag logits. They make strengths of scores, which compare between
        tags; see :meth:`recsys.types.ModelInfo.tag_strengths`.
    training : dict
        Data, split, seed, settings, command.
    metrics : dict
        On which tracks, how many, and what was measured.
    limits : dict
        What the model is bad at and what it must not be used for, in words.
    created : str
        Date, ISO 8601.
    licence : str
        Of the weights.
    fingerprint : str
        Hash over the weights and everything that changes what the model says.
    effort : Effort
        How many windows the model analyses; full in the card beside the weights.
    version : int
        Of this format.
    """

    name: str
    architecture: str
    config: dict[str, Any]
    labels: tuple[str, ...]
    features: Features
    dimension: int
    temperature: float
    thresholds: tuple[float, ...]
    confusion: tuple[tuple[float, ...], ...]
    tags: tuple[str, ...] = ()
    tag_means: tuple[float, ...] = ()
    tag_deviations: tuple[float, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    created: str = ""
    licence: str = "MIT"
    fingerprint: str = ""
    effort: Effort = Effort.FULL
    version: int = CARD_VERSION

    def at_effort(self, effort: str) -> ModelCard:
        """Return the card of the same model where it analyses fewer windows of a track.

        Parameters
        ----------
        effort : str
            An :class:`~recsys.types.Effort`.

        Returns
        -------
        ModelCard
            This very one if it has no more windows than that.
        """
        wanted = Effort(effort)
        features = at_effort(self.features, wanted)
        if features == self.features:
            return self
        return replace(self, features=features, effort=wanted)

    def info(self) -> ModelInfo:
        """Return what the recommender must know."""
        return ModelInfo(
            name=self.name,
            fingerprint=self.fingerprint,
            labels=self.labels,
            thresholds=self.thresholds,
            confusion=np.asarray(self.confusion, dtype=np.float32),
            dimension=self.dimension,
            tags=self.tags,
            tag_means=self.tag_means,
            tag_deviations=self.tag_deviations,
            effort=self.effort,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the card as plain values, ready for JSON."""
        return {**asdict(self), "features": self.features.as_dict()}

    def to_json(self) -> str:
        """Return the card as it stands on disk."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "the model card") -> ModelCard:
        """Read a card.

        Parameters
        ----------
        text : str
            JSON.
        source : str
            Where it comes from, for error messages.

        Returns
        -------
        ModelCard

        Raises
        ------
        ModelError
            If it is not a card, was written by a newer recsys, or contradicts itself.
        """
        try:
            raw = json.loads(text)
        except ValueError as error:
            raise ModelError(f"{source} is not JSON: {error}", REPLACE_HINT) from error
        if not isinstance(raw, dict) or not isinstance(raw.get("version"), int):
            raise ModelError(f"{source} is not a recsys model card", REPLACE_HINT)
        if raw["version"] > CARD_VERSION:
            raise ModelError(
                f"{source} has format {raw['version']}; this recsys reads up to {CARD_VERSION}",
                _UPDATE_HINT,
            )
        try:
            card = cls(
                **{
                    **raw,
                    "labels": tuple(raw["labels"]),
                    "effort": Effort(raw.get("effort", Effort.FULL)),
                    "features": features_from_dict(raw["features"]),
                    "thresholds": tuple(map(float, raw["thresholds"])),
                    "confusion": tuple(tuple(map(float, row)) for row in raw["confusion"]),
                    "tags": tuple(map(str, raw.get("tags", ()))),
                    "tag_means": tuple(map(float, raw.get("tag_means", ()))),
                    "tag_deviations": tuple(map(float, raw.get("tag_deviations", ()))),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{source} is incomplete: {error!r}", REPLACE_HINT) from error
        card._check(source)
        return card

    def _check(self, source: str) -> None:
        """Raise if lengths that must agree do not, or a number cannot be."""
        n = len(self.labels)
        shape = np.shape(np.asarray(self.confusion, dtype=object))
        if n < 2 or len(set(self.labels)) != n or len(self.thresholds) != n or shape != (n, n):
            raise ModelError(
                f"{source} contradicts itself: {n} labels, {len(self.thresholds)} thresholds,"
                f" confusion of shape {shape}",
                REPLACE_HINT,
            )
        try:
            check_calibration(self.labels, self.temperature, self.thresholds, self.confusion)
            check_tags(self.tags, self.tag_means, self.tag_deviations)
        except (TypeError, ValueError) as error:
            raise ModelError(f"{source} cannot be used: {error}", REPLACE_HINT) from error


def card_path(model_path: Path) -> Path:
    """Return where the card of a model file lies."""
    return model_path.with_suffix(".json")


def is_onnx(path: Path) -> bool:
    """Return whether a model is an ONNX file; every other one is of our own format."""
    return path.suffix.lower() == ".onnx"


def load_card(path: Path | None = None) -> ModelCard:
    """Read the card of a model, without its weights and without PyTorch.

    An ONNX model has none: its card is made of the TOML beside it and of trying it out.

    Parameters
    ----------
    path : Path, optional
        The ``.safetensors`` or ``.onnx`` file; the shipped model if None.

    Returns
    -------
    ModelCard

    Raises
    ------
    ModelError
        If there is no card or it cannot be used.
    """
    if path is not None and is_onnx(path):
        card: ModelCard = find(Registry.RUNTIMES, "onnx").onnx_card(path)
        return card
    beside = card_path(path or DEFAULT_MODEL)
    try:
        text = beside.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"the model card {beside} cannot be read: {getattr(error, 'strerror', None) or error}",
            "A model is two files, NAME.safetensors and NAME.json; keep them together.",
        ) from error
    return ModelCard.from_json(text, str(beside))


def save_model(path: Path, model: nn.Module, card: ModelCard) -> ModelCard:
    """Write a model and its card, each in one step.

    Parameters
    ----------
    path : Path
        Ends in ``.safetensors``; the card gets the same name with ``.json``.
    model : nn.Module
        Its weights are written as float32.
    card : ModelCard
        Its fingerprint is filled in.

    Returns
    -------
    ModelCard
        As written.

    Raises
    ------
    ModelError
        If the files cannot be written.
    """
    from safetensors.torch import save

    tensors = {
        name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()
    }
    weights = save(tensors)
    complete = replace(card, fingerprint=fingerprint(weights, card))
    try:
        _replace_file(path, weights)
        _replace_file(card_path(path), complete.to_json().encode())
    except OSError as error:
        raise ModelError(
            f"the model cannot be written to {path}: {error}",
            "Choose a folder that exists and that you may write to.",
        ) from error
    return complete


def _replace_file(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_weights(path: Path, card: ModelCard) -> bytes:
    """Read a safetensors file and check that it is the one its card describes.

    Raises
    ------
    ModelError
        If it is missing, damaged, or belongs to another card.
    """
    try:
        weights = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"the model {path} cannot be read: {error.strerror or error}",
            "Check the path given with --model.",
        ) from error
    if fingerprint(weights, card) != card.fingerprint:
        raise ModelError(
            f"{path} and its card do not belong together, or one of them is damaged"
            f" (fingerprint {fingerprint(weights, card)}, the card says {card.fingerprint})",
            REPLACE_HINT,
        )
    return weights
