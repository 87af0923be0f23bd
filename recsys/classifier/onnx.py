"""ONNX models: inference by onnxruntime, and the TOML file that describes the network.

A model is run on silence and noise when it is loaded, so that every fault is found then.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, ValidationError, model_validator

from recsys.checks import regular
from recsys.classifier.card import ModelCard, check_calibration, check_tags
from recsys.classifier.inference import Device, n_network_genres
from recsys.errors import ModelError, require
from recsys.toml_tables import AnyFeatures, Table, faults_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.mel import Features
    from recsys.types import FloatArray

# The TOML file of an ONNX file.

AXES = {
    "log-mel": ("mels", "frames"),
    "compressed-mel": ("mels", "frames"),
    "mfcc": ("frames", "coefficients"),
    "stft": ("bins", "frames"),
    "picture": ("rows", "columns"),
}
"""Axes of a window in order, by the kind of its features."""


class Input(Table):
    """The table ``[input]``: the tensor of the windows."""

    name: str | None = None  # of the tensor; None if there is only one
    layout: tuple[str, ...] = ()  # its axes in order, see `OnnxDescription.layout`


class Outputs(Table):
    """The table ``[outputs]``: the names of the output tensors, one row per window each."""

    # Scores of the genres, one of the two; probabilities, of sigmoids for example, are scaled to
    # sum to 1.
    logits: str | None = None
    probabilities: str | None = None
    embedding: str  # of any length, compared by cosine
    # Scores of the tags, each on its own, one of the two or neither.
    tag_logits: str | None = None
    tag_probabilities: str | None = None

    @property
    def genres(self) -> str:
        """Name of the tensor with the scores of the genres."""
        return self.logits or self.probabilities or ""

    @property
    def tags(self) -> str | None:
        """Name of the tensor with the scores of the tags."""
        return self.tag_logits or self.tag_probabilities

    @model_validator(mode="after")
    def _one_of_each(self) -> Outputs:
        if bool(self.logits) == bool(self.probabilities):
            raise ValueError("name either logits or probabilities")
        if self.tag_logits and self.tag_probabilities:
            raise ValueError("name either tag_logits or tag_probabilities")
        return self


class TagOutputs(Table):
    """The table ``[tags]``: the tag head, see :class:`recsys.classifier.card.ModelCard`."""

    names: Annotated[tuple[str, ...], Field(min_length=1)]  # in the order of the outputs
    # Of the pooled tag logits over ordinary music, for z-scores.
    means: tuple[float, ...]
    deviations: tuple[float, ...]

    @model_validator(mode="after")
    def _fits_together(self) -> TagOutputs:
        check_tags(self.names, self.means, self.deviations)
        return self


class TrainingTracks(Table):
    """The table ``[training]``: tracks that the network learned from, ``genre/name`` each.

    An evaluation says how many of its tracks are among them, and ``--held-out`` leaves them out.
    """

    train: tuple[str, ...]
    valid: tuple[str, ...] = ()  # on which it was selected


class TextNetwork(Table):
    """The table ``[text]``: the other half of a text-audio model, a second ONNX file."""

    model: str  # the ONNX file; paths are relative to the TOML
    tokenizer: str = "tokenizer.json"
    input: str = "input_ids"  # of the tokens' ids
    mask: str | None = None  # of which of them count
    types: str | None = None  # of the sentence that each is in, always the first
    output: str  # one vector per text, in the space of the embeddings
    template: str = "{}"  # what is said of a phrase

    @model_validator(mode="after")
    def _has_a_place(self) -> TextNetwork:
        if self.template.count("{}") != 1:
            raise ValueError(f"template: {{}} is needed once, for the words; got {self.template!r}")
        return self


class OnnxDescription(Table):
    """The whole file."""

    name: str = ""  # by default that of the file
    licence: str = "unknown"
    labels: Annotated[tuple[str, ...], Field(min_length=2)]  # genres, in the order of the outputs
    features: AnyFeatures  # kind and its settings, as in a model card
    input: Input = Input()
    outputs: Outputs
    tags: TagOutputs | None = None
    temperature: float = 1.0  # pooled scores are divided by it
    temperatures: tuple[float, ...] = ()  # of tracks with one window, with two, ...; as in a card
    thresholds: float | tuple[float, ...] = 0.3  # one for all genres, or one each
    # Rows sum to 1; None where it was not measured.
    confusion: tuple[tuple[float, ...], ...] | None = None
    training: TrainingTracks | None = None  # None where it is not known
    text: TextNetwork | None = None

    @property
    def threshold_of_each(self) -> tuple[float, ...]:
        """The thresholds, one per label."""
        if isinstance(self.thresholds, tuple):
            return self.thresholds
        return (self.thresholds,) * len(self.labels)

    @property
    def layout(self) -> tuple[str, ...]:
        """The axes of the input in order: ``batch``, those of the features, perhaps ``channel``.

        By default ``batch`` and then the features' own order (:data:`AXES`; ``values`` for
        vectors). ``channel`` has length 1.
        """
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
        for temperature in (self.temperature, *self.temperatures):
            check_calibration(self.labels, temperature, self.threshold_of_each, self.confusion)
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
        """Return everything that changes the outputs of the model, ready for JSON."""
        left_out = {"name", "licence", "features", "training", "text"}
        if not self.temperatures:  # as the models that have one for all were identified before
            left_out.add("temperatures")
        plain = self.model_dump(exclude=left_out)
        return {**plain, "features": self.features.as_dict(), "layout": self.layout}


def axes_of(features: Features) -> tuple[str, ...]:
    """Return the names of the axes of a window."""
    shape = features.shape
    return ("values",) if len(shape) == 1 else AXES.get(features.kind, ("rows", "columns"))


def description_path(model: Path) -> Path:
    """Return the path of the TOML of an ONNX file."""
    return model.with_suffix(".toml")


def read_description(model: Path) -> OnnxDescription:
    """Read the TOML of an ONNX file.

    Raises ModelError if it is missing, is not TOML, or holds impossible values.
    """
    path = description_path(model)
    try:
        table = tomllib.loads(regular(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"the description {path} of the ONNX model cannot be read: {error.strerror or error}",
            "An ONNX model is two files, NAME.onnx and NAME.toml, which describes the inputs and"
            " outputs of the network; see docs/models.md.",
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ModelError(
            f"{path} is not TOML: {error}", "Correct the file at that place."
        ) from error
    try:
        return OnnxDescription.model_validate(table)
    except ValidationError as error:
        raise ModelError(
            f"{path} cannot be used: {'; '.join(faults_of(error))}",
            "Correct the file at that place; docs/models.md describes it.",
        ) from error


# The network.

LEAST_PROBABILITY = 1e-6
"""Clipping epsilon for the logit of a probability."""

WINDOWS_TRIED = 2

_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
FLOATS = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}


class OnnxSession:
    """A network in an ONNX file, with its TOML; a :class:`recsys.classifier.inference.Network`.

    The fingerprint is a hash of the network and of everything in the TOML that changes its outputs.
    Raises ModelError if a file cannot be read, the network does not load or does not match the
    TOML, and MissingExtraError without onnxruntime.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.description = read_description(path)
        content = read_file(path)
        self.fingerprint = _fingerprint(content, self.description)
        self._session = load_session(path, content)
        self._input, self._dtype, self._batch = self._check_input()
        self._outputs = self._check_outputs()
        self.dimension = self._try()

    def of_windows(self, windows: FloatArray) -> tuple[FloatArray, ...]:
        """See :meth:`recsys.classifier.inference.Network.of_windows`.

        Raises ModelError if the network fails, or an output is not finite.
        """
        size = self._batch or len(windows)
        parts = [
            self._forward(windows[start : start + size]) for start in range(0, len(windows), size)
        ]
        genres, embedding, *tags = (np.concatenate(rows) for rows in zip(*parts, strict=True))
        outputs = self.description.outputs
        if outputs.probabilities:
            genres = np.log(np.maximum(genres, LEAST_PROBABILITY))
        if outputs.tag_probabilities:
            kept = np.clip(tags[0], LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
            tags = [np.log(kept) - np.log1p(-kept)]
        return genres, embedding, *tags

    def _forward(self, windows: FloatArray) -> list[FloatArray]:
        """Run one batch, filled up with silence where the network wants more windows."""
        n = len(windows)
        missing = (self._batch or n) - n
        whole = np.concatenate([windows, np.zeros((missing, *windows.shape[1:]), windows.dtype)])
        inputs = _laid_out(whole, self.description).astype(self._dtype)
        try:
            raw = self._session.run(self._outputs, {self._input: inputs})
        except Exception as error:  # onnxruntime's have no other class in common
            raise self._wrong(f"fails on windows of shape {inputs.shape}: {error}") from error
        found = [np.asarray(rows, dtype=np.float32)[:n] for rows in raw]
        for name, rows in zip(self._outputs, found, strict=True):
            if not np.isfinite(rows).all():
                raise self._wrong(f"gives {name!r} that are no numbers (NaN or infinite)")
        return found

    def _check_input(self) -> tuple[str, str, int | None]:
        """Return name and type of the input, and its number of windows if that is fixed."""
        inputs = {tensor.name: tensor for tensor in self._session.get_inputs()}
        name = self.description.input.name or next(iter(inputs), "")
        if name not in inputs:
            raise self._wrong(f"has no input {name!r}; it has {', '.join(inputs) or 'none'}")
        if len(inputs) > 1:
            raise self._wrong(f"needs more than windows; its inputs are {', '.join(inputs)}")
        tensor = inputs[name]
        if tensor.type not in FLOATS:
            raise self._wrong(f"takes {tensor.type} as {name!r}, which is not floating-point")
        layout, given = self.description.layout, list(tensor.shape)
        window = np.empty((1, *self.description.features.shape), dtype=np.float32)
        wanted = _laid_out(window, self.description).shape
        fits = len(given) == len(wanted) and all(
            axis == "batch" or not isinstance(size, int) or size == length
            for axis, size, length in zip(layout, given, wanted, strict=True)
        )
        if not fits:
            axes = [
                axis if axis == "batch" else f"{axis} {length}"
                for axis, length in zip(layout, wanted, strict=True)
            ]
            raise self._wrong(
                f"takes {name!r} of shape {given}, and features and layout of its TOML make"
                f" [{', '.join(axes)}]"
            )
        batch = given[layout.index("batch")]
        return name, FLOATS[tensor.type], batch if isinstance(batch, int) else None

    def _check_outputs(self) -> list[str]:
        """Return the names of the outputs in use."""
        outputs = self.description.outputs
        there = {tensor.name: tensor.type for tensor in self._session.get_outputs()}
        names = [name for name in (outputs.genres, outputs.embedding, outputs.tags) if name]
        for name in names:
            if name not in there:
                raise self._wrong(f"has no output {name!r}; it has {', '.join(there)}")
            if there[name] not in FLOATS:
                raise self._wrong(f"gives {there[name]} as {name!r}, which is not floating-point")
        return names

    def _try(self) -> int:
        """Run the network on silence and noise, check the outputs; return the dimension."""
        shape = (WINDOWS_TRIED, *self.description.features.shape)
        noise = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        self._forward(np.zeros((self._batch or WINDOWS_TRIED, *shape[1:]), dtype=np.float32))
        genres, embedding, *tags = self._forward(noise[: self._batch])
        n = len(noise[: self._batch])
        self._check_rows(genres, self.description.outputs.genres, (n, len(self.description.labels)))
        if embedding.ndim != 2 or len(embedding) != n or embedding.shape[1] < 2:
            raise self._wrong(
                f"gives an embedding of shape {embedding.shape} for {n} windows; one row each"
                " is needed"
            )
        if self.description.tags:
            wanted = (n, len(self.description.tags.names))
            self._check_rows(tags[0], self.description.outputs.tags or "", wanted)
        self._check_probabilities(genres, tags)
        return int(embedding.shape[1])

    def _check_rows(self, rows: FloatArray, name: str, wanted: tuple[int, int]) -> None:
        if rows.shape != wanted:
            raise self._wrong(
                f"gives {name!r} of shape {rows.shape} for {wanted[0]} windows, and its TOML names"
                f" {wanted[1]}, so that {wanted} is needed"
            )

    def _check_probabilities(self, genres: FloatArray, tags: list[FloatArray]) -> None:
        outputs = self.description.outputs
        named = [(outputs.probabilities, genres)]
        named += [(outputs.tag_probabilities, rows) for rows in tags]
        for name, rows in named:
            if name and (rows.min() < -1e-3 or rows.max() > 1 + 1e-3):
                raise self._wrong(
                    f"gives {name!r} between {rows.min():.3g} and {rows.max():.3g}, which are no"
                    " probabilities"
                )

    def _wrong(self, what: str) -> ModelError:
        return ModelError(
            f"the ONNX model {self.path} {what}",
            f"Correct {description_path(self.path)}, or export the model again (docs/models.md).",
        )


def read_file(path: Path, named_in: Path | None = None) -> bytes:
    """Read a file of a model; ModelError, which says what names it, if it cannot be read."""
    if not str(path.absolute()).isprintable():
        raise ModelError(
            f"the path {str(path)!r} of an ONNX model cannot be written as text",
            "Give the file, or its folder, another name.",
        )
    try:
        return regular(path).read_bytes()
    except OSError as error:
        raise ModelError(
            f"{'the model ' if named_in is None else ''}{path} cannot be read:"
            f" {error.strerror or error}",
            "Check the path given with --model." if named_in is None else f"{named_in} names it.",
        ) from error


def load_session(path: Path, content: bytes) -> Any:  # noqa: ANN401 (onnxruntime has no types)
    """Start a session on the bytes that were hashed, so that no other file can run."""
    onnxruntime = require("onnxruntime", "onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal only: errors arrive as exceptions
    # Waiting threads must not spin on the processors that decode tracks meanwhile.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Weights outside the file are searched for where nothing can be, not in the working directory:
    # they would be neither hashed nor expected.
    options.add_session_config_entry(_WEIGHTS_FOLDER, os.devnull)
    try:
        session = onnxruntime.InferenceSession(
            content,
            sess_options=options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # it prints, and tries the same again
        )
        # Of a damaged file, names may be no text; that shows when they are asked for.
        for tensor in (*session.get_inputs(), *session.get_outputs()):
            _ = tensor.name, tensor.type, tensor.shape
        return session
    except Exception as error:  # onnxruntime's have no other class in common
        if "external data" in str(error).lower():
            raise ModelError(
                f"the ONNX model {path} keeps its weights in a file of their own",
                "Save it as one file: import onnx; onnx.save(onnx.load(OLD), NEW)",
            ) from error
        raise ModelError(
            f"the ONNX model {path} does not load: {str(error).strip()}",
            "The file may be damaged, or newer than the installed onnxruntime.",
        ) from error


def _laid_out(windows: FloatArray, description: OnnxDescription) -> FloatArray:
    """Bring windows (n, *shape) into the layout of the input."""
    axes = ["batch", *axes_of(description.features), "channel"]
    layout = description.layout
    order = [axes.index(axis) for axis in layout]
    if "channel" in layout:
        windows = windows[..., np.newaxis]
    return windows.transpose(order)


def file_fingerprint(path: Path) -> str:
    """Return the fingerprint of an ONNX file and its TOML, without running it."""
    return _fingerprint(read_file(path), read_description(path))


def _fingerprint(content: bytes, description: OnnxDescription) -> str:
    digest = hashlib.sha256(content)
    digest.update(json.dumps(description.deciding(), sort_keys=True).encode())
    return digest.hexdigest()[:16]


# The runtime that the core finds by name.


def load(path: Path, device: str) -> tuple[OnnxSession, ModelCard]:
    """Load an ONNX file and make its card; raises as :class:`OnnxSession`, or for the device."""
    _check_cpu(device)
    session = OnnxSession(path)
    return session, _card_of(session)


def onnx_card(path: Path) -> ModelCard:
    """Return the card of an ONNX file, which is loaded and run for it."""
    return _card_of(OnnxSession(path))


def network_of(
    card: ModelCard,
    tensors: Mapping[str, FloatArray],  # noqa: ARG001 (the network has none in the checkpoint)
    path: Path,  # noqa: ARG001
    device: str,
) -> OnnxSession:
    """Load the ONNX file below a head over whole tracks.

    Raises ModelError if the file cannot be used, or has changed since the card was written.
    """
    _check_cpu(device)
    file, known = card.config.get("file"), card.config.get("fingerprint")
    if not isinstance(file, str):
        raise ModelError(
            f"the card of the model {card.name} names no ONNX file: {file!r}",
            "The model card is damaged; make the model again.",
        )
    session = OnnxSession(Path(file))
    if session.fingerprint != known:
        raise ModelError(
            f"{file} or its TOML has changed (fingerprint {session.fingerprint}, the model card"
            f" has {known})",
            "Put the former files back, or make the model again.",
        )
    description, n_genres = session.description, n_network_genres(card)
    found = (len(description.labels), description.features.shape)
    if found != (n_genres, card.features.shape):
        raise ModelError(
            f"{file} has {found[0]} genres and windows of shape {found[1]}, the model card"
            f" {n_genres} and {card.features.shape}",
            "The model card is damaged; make the model again.",
        )
    return session


def _check_cpu(device: str) -> None:
    if device not in (Device.AUTO, Device.CPU):
        raise ModelError(f"an ONNX model runs on the CPU, not on {device!r}", "Leave --device out.")


ASSUMED_CONFUSION = 0.1
"""Share of a genre's tracks taken for other genres, evenly, where it was not measured."""


def _card_of(session: OnnxSession) -> ModelCard:
    description = session.description
    tags = description.tags
    return ModelCard(
        name=description.name or session.path.stem,
        architecture="onnx",
        config={"file": str(session.path.absolute()), "fingerprint": session.fingerprint},
        labels=description.labels,
        features=description.features,
        dimension=session.dimension,
        temperature=description.temperature,
        temperatures=description.temperatures,
        thresholds=description.threshold_of_each,
        confusion=description.confusion or _assumed_confusion(description),
        tags=tags.names if tags else (),
        tag_means=tags.means if tags else (),
        tag_deviations=tags.deviations if tags else (),
        training={"keys": description.training.model_dump()} if description.training else {},
        licence=description.licence,
        fingerprint=session.fingerprint,
    )


def _assumed_confusion(description: OnnxDescription) -> tuple[tuple[float, ...], ...]:
    n = len(description.labels)
    rows = np.full((n, n), ASSUMED_CONFUSION / (n - 1))
    np.fill_diagonal(rows, 1 - ASSUMED_CONFUSION)
    return tuple(tuple(row) for row in rows.tolist())
