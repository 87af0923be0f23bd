"""Model files: weights as safetensors, and a card (JSON) of the same name that describes them.

Most commands need only labels, thresholds and the fingerprint, so the card is read alone. Loading
the weights checks that both belong together.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.atomic import check_replaceable, write_bytes
from recsys.checks import regular
from recsys.classifier.calibrate import softmax, temperatures_of
from recsys.errors import ModelError
from recsys.mel import Features, at_effort, features_from_dict
from recsys.registry import Registry, find
from recsys.types import Effort, ModelInfo

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsys.types import FloatArray

CARD_VERSION = 1
"""Raise it when an older recsys would misread the card."""

DEFAULT_MODEL = Path(str(files("recsys.data"))) / "genre-model.safetensors"
"""The model that ships with recsys."""

_UPDATE_HINT = "Update recsys, or choose another model with --model."
REPLACE_HINT = "The file is damaged or not a recsys model; choose another with --model."
"""What to do about a model that cannot be used."""

_UNIT_TOLERANCE = 1e-3
"""How far a row of the confusion may be from summing to 1: cards hold rounded numbers."""


MOST_DIMENSIONS = 65_536
"""Of an embedding."""

_KINDS: dict[str, type] = {
    **dict.fromkeys(("name", "architecture", "created", "licence", "fingerprint"), str),
    **dict.fromkeys(("config", "training", "metrics", "limits"), dict),
    **dict.fromkeys(("dimension", "version"), int),
}
_SPOKEN = {str: "text", dict: "an object", int: "a whole number"}


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Everything about a model except its weights.

    Raises ValueError if lengths that must agree do not, or a number is out of its range.
    """

    name: str  # for display
    architecture: str
    config: dict[str, Any]  # further arguments of the architecture
    labels: tuple[str, ...]  # genres, in the order of the outputs
    features: Features  # input of the network
    dimension: int  # length of the embedding
    temperature: float  # divides pooled logits before the softmax
    thresholds: tuple[float, ...]  # per genre: least probability at which it is given
    confusion: tuple[tuple[float, ...], ...]  # Laplace-smoothed; true genres, rows sum to 1
    # Of a track with one window, with two, and so on; the last is that of more. Empty: one for all.
    temperatures: tuple[float, ...] = ()
    tags: tuple[str, ...] = ()  # outputs of the tag head; empty without one
    # Of the pooled tag logits of each tag over the training tracks, for z-scores.
    tag_means: tuple[float, ...] = ()
    tag_deviations: tuple[float, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)  # data, split, seed, settings
    metrics: dict[str, Any] = field(default_factory=dict)  # with the tracks they are from
    limits: dict[str, Any] = field(default_factory=dict)  # weaknesses and excluded uses, as text
    created: str = ""  # date, ISO 8601
    licence: str = "MIT"  # of the weights
    fingerprint: str = ""  # hash over everything that changes the outputs
    effort: Effort = Effort.FULL  # windows analysed; full in the card on disk
    version: int = CARD_VERSION  # of this format

    def __post_init__(self) -> None:
        self._check_kinds()
        n = len(self.labels)
        shape = np.shape(np.asarray(self.confusion, dtype=object))
        if n < 2 or len(set(self.labels)) != n or len(self.thresholds) != n or shape != (n, n):
            raise ValueError(
                f"{n} labels, {len(self.thresholds)} thresholds, confusion of shape {shape}"
            )
        for temperature in (self.temperature, *self.temperatures):
            check_calibration(self.labels, temperature, self.thresholds, self.confusion)
        check_tags(self.tags, self.tag_means, self.tag_deviations)

    def _check_kinds(self) -> None:
        """Raise ValueError for what is of another type: cards come from anywhere."""
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise ValueError(f"{name} is {value!r:.100}, must be {_SPOKEN[kind]}")
        if not isinstance(self.config.get("track_head", {}), dict):
            raise ValueError("the track_head of config must be an object")
        if not all(isinstance(label, str) and label for label in self.labels):
            raise ValueError("labels must be texts")
        if not 1 <= self.dimension <= MOST_DIMENSIONS:
            raise ValueError(f"dimension: {self.dimension} must be from 1 to {MOST_DIMENSIONS}")

    def at_effort(self, effort: str) -> ModelCard:
        """Return the card of the same model with the windows of another effort."""
        wanted = Effort(effort)
        features = at_effort(self.features, wanted)
        if features == self.features:
            return self
        return replace(self, features=features, effort=wanted)

    def probabilities(self, logits: FloatArray, windows: Sequence[int] = ()) -> FloatArray:
        """Calibrate pooled logits (n, n_genres) of tracks with so many `windows` each, (n,)."""
        fitted = temperatures_of(windows, self.temperatures) if self.temperatures else None
        return softmax(logits, self.temperature if fitted is None else fitted).astype(np.float32)

    def info(self) -> ModelInfo:
        """Return what the recommender needs."""
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
        """Return the card as stored on disk."""
        text = json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n"
        # A byte of a file name that is not UTF-8, among the training tracks: a backslash escape of
        # its surrogate is JSON for the same.
        return text.encode("utf-8", "backslashreplace").decode()

    @classmethod
    def from_json(cls, text: str, source: str = "the model card") -> ModelCard:
        """Read a card; `source` names it in error messages.

        Raises ModelError if it is not a card, was written by a newer recsys, or is inconsistent.
        """
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{source} is not JSON: {error}", REPLACE_HINT) from error
        if not isinstance(raw, dict) or not isinstance(raw.get("version"), int):
            raise ModelError(f"{source} is not a recsys model card", REPLACE_HINT)
        if raw["version"] > CARD_VERSION:
            raise ModelError(
                f"{source} has format {raw['version']}; this recsys reads up to {CARD_VERSION}",
                _UPDATE_HINT,
            )
        try:
            return cls(
                **{
                    **raw,
                    "labels": tuple(raw["labels"]),
                    "effort": Effort(raw.get("effort", Effort.FULL)),
                    "features": features_from_dict(raw["features"]),
                    "thresholds": tuple(map(float, raw["thresholds"])),
                    "confusion": tuple(tuple(map(float, row)) for row in raw["confusion"]),
                    "temperatures": tuple(map(float, raw.get("temperatures", ()))),
                    "tags": tuple(map(str, raw.get("tags", ()))),
                    "tag_means": tuple(map(float, raw.get("tag_means", ()))),
                    "tag_deviations": tuple(map(float, raw.get("tag_deviations", ()))),
                }
            )
        except KeyError as error:
            raise ModelError(f"{source} is incomplete: {error} is missing", REPLACE_HINT) from error
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            raise ModelError(f"{source} cannot be used: {error}", REPLACE_HINT) from error


def check_calibration(
    labels: Sequence[str],
    temperature: float,
    thresholds: Sequence[float],
    confusion: Sequence[Sequence[float]] | None,
) -> None:
    """Raise ValueError unless temperature, thresholds and confusion are in their ranges."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature: {temperature:g} must be finite and above 0")
    for label, threshold in zip(labels, thresholds, strict=True):
        if not 0 <= threshold <= 1:
            raise ValueError(f"thresholds: {threshold:g} of {label} must be from 0 to 1")
    for label, row in zip(labels, confusion or (), strict=False):
        for share in row:
            if not 0 <= share <= 1 + _UNIT_TOLERANCE:
                raise ValueError(f"confusion: {share:g} in the row of {label} must be from 0 to 1")
        if abs(sum(row) - 1) > _UNIT_TOLERANCE:
            raise ValueError(f"confusion: the row of {label} sums to {sum(row):.4g}, not to 1")


def check_tags(names: Sequence[str], means: Sequence[float], deviations: Sequence[float]) -> None:
    """Raise ValueError unless every tag has a unique name and statistics for its z-score."""
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


_HASHED = (
    *("architecture", "config", "labels", "features"),
    *("dimension", "temperature", "thresholds", "confusion"),
)
_HASHED_WHERE_GIVEN = ("temperatures", "tags", "tag_means", "tag_deviations")


def fingerprint(weights: bytes, card: ModelCard) -> str:
    """Hash everything that changes the outputs of a model, to 16 hexadecimal digits.

    Name, figures and other text of the card are left out.
    """
    fields = card.as_dict()
    known = {name: fields[name] for name in _HASHED}
    known |= {name: fields[name] for name in _HASHED_WHERE_GIVEN if fields[name]}
    digest = hashlib.sha256(weights)
    digest.update(json.dumps(known, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def embeddings_of(card: ModelCard) -> tuple[str, Effort]:
    """Return the identity of the model whose embeddings these are: another one below a head."""
    network = card.config.get("track_head", {}).get("embeddings_of", card.fingerprint)
    return str(network), card.effort


def card_path(model_path: Path) -> Path:
    """Return the path of the card of a model file."""
    return model_path.with_suffix(".json")


def check_model_path(path: Path) -> None:
    """Raise QueryError where a model written here would replace a file that is no model."""
    card = card_path(path)
    check_replaceable(card, "a model card", _is_card)
    check_replaceable(
        path,
        f"a model in safetensors with its card {card.name}",
        lambda head: (
            head[8:10] in {b'{"', b"{}"} and card.is_file() and _is_card(card.read_bytes())
        ),
    )


def _is_card(head: bytes) -> bool:
    return all(b'"%b":' % name in head for name in (b"architecture", b"labels", b"thresholds"))


def is_onnx(path: Path) -> bool:
    """Return whether a model is an ONNX file; every other one is safetensors with a card."""
    return path.suffix.lower() == ".onnx"


def load_card(path: Path | None = None) -> ModelCard:
    """Read the card of a model, without its weights.

    An ONNX model has none: its card is made from the TOML file and a trial run.

    Parameters
    ----------
    path : Path, optional
        The ``.safetensors`` or ``.onnx`` file; the shipped model if None.

    Raises
    ------
    ModelError
        If there is no card or it cannot be used.
    """
    if path is not None and is_onnx(path):
        card: ModelCard = find(Registry.RUNTIMES, "onnx").onnx_card(path)
        return card
    file = card_path(path or DEFAULT_MODEL)
    try:
        text = regular(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"the model card {file} cannot be read: {getattr(error, 'strerror', None) or error}",
            "A model is two files, NAME.safetensors and NAME.json; keep them together.",
        ) from error
    return ModelCard.from_json(text, str(file))


def write_model(path: Path, weights: Mapping[str, npt.NDArray[Any]], card: ModelCard) -> ModelCard:
    """Write a model and its card, each atomically.

    Parameters
    ----------
    path : Path
        Ends in ``.safetensors``; the card gets the same name with ``.json``.
    weights : mapping of str to ndarray
        Tensors by name.
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
    from safetensors.numpy import save

    # safetensors writes the memory of an array as it is, whatever its strides.
    content = save({name: np.asarray(value, order="C") for name, value in weights.items()})
    complete = replace(card, fingerprint=fingerprint(content, card))
    check_model_path(path)
    try:
        # Between the two, the new card does not match the old weights, and loading reports it. A
        # card without weights may be written again; weights without a card may be of any program.
        write_bytes(card_path(path), complete.to_json().encode())
        write_bytes(path, content)
    except OSError as error:
        raise ModelError(
            f"the model cannot be written to {path}: {error}",
            "Choose a folder that exists and is writable.",
        ) from error
    return complete


def read_tensors(path: Path, card: ModelCard) -> dict[str, npt.NDArray[Any]]:
    """Read the tensors of a model by name.

    Raises ModelError if the file is missing, damaged, or belongs to another card.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        weights = regular(path).read_bytes()
    except OSError as error:
        raise ModelError(
            f"the model {path} cannot be read: {error.strerror or error}",
            "Check the path given with --model.",
        ) from error
    found = fingerprint(weights, card)
    if found != card.fingerprint:
        raise ModelError(
            f"{path} and its card do not belong together, or one of them is damaged"
            f" (fingerprint {found}, the card has {card.fingerprint})",
            REPLACE_HINT,
        )
    try:
        return load(weights)
    except SafetensorError as error:
        raise wrong_weights(path) from error


def wrong_weights(path: Path) -> ModelError:
    """Return the error for weights that are not those of the card."""
    return ModelError(f"{path} does not hold the weights its card describes", REPLACE_HINT)
