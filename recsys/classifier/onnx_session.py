"""An ONNX file that is ready to run, checked against what its TOML says of it.

Whatever can be wrong is found when the model is loaded: it is tried on silence and noise first.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.classifier.onnx_description import (
    OnnxDescription,
    axes_of,
    description_path,
    read_description,
)
from recsys.errors import ModelError
from recsys.extras import require

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.types import FloatArray

LEAST_PROBABILITY = 1e-6
"""Taken for 0 and, from the other side, for 1: neither has logarithmic odds."""

WINDOWS_TRIED = 2

_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
_FLOATS = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}


class OnnxSession:
    """A network in an ONNX file.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file; its TOML lies beside it.

    Attributes
    ----------
    description : OnnxDescription
        What the TOML says.
    fingerprint : str
        Hash of the network and of everything in the TOML that changes what the model says.
    dimension : int
        Length of the embedding.

    Raises
    ------
    ModelError
        If a file cannot be read, the network does not load, or it is not what the TOML says.
    MissingExtraError
        If onnxruntime is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.description = read_description(path)
        content = _read(path)
        self.fingerprint = _fingerprint(content, self.description)
        self._session = _load(path, content)
        self._input, self._dtype, self._batch = self._check_input()
        self._outputs = self._check_outputs()
        self.dimension = self._try()

    def run(self, windows: FloatArray) -> tuple[FloatArray, ...]:
        """Show the network windows.

        Parameters
        ----------
        windows : ndarray, shape (n, *shape)
            As the features of the description make them; at least one.

        Returns
        -------
        tuple of ndarray of float32
            Logits (n, n_genres), embedding (n, d) and, if there are tags, tag logits (n, n_tags).

        Raises
        ------
        ModelError
            If the network fails, or says something that is no number.
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
        shown = _laid_out(whole, self.description).astype(self._dtype)
        try:
            raw = self._session.run(self._outputs, {self._input: shown})
        except Exception as error:  # onnxruntime's have no other class in common
            raise self._wrong(f"fails on windows of shape {shown.shape}: {error}") from error
        found = [np.asarray(rows, dtype=np.float32)[:n] for rows in raw]
        for name, rows in zip(self._outputs, found, strict=True):
            if not np.isfinite(rows).all():
                raise self._wrong(f"gives {name!r} that are no numbers (NaN or infinite)")
        return found

    def _check_input(self) -> tuple[str, str, int | None]:
        """Return name and type of the input, and how many windows it takes if that is fixed."""
        inputs = {tensor.name: tensor for tensor in self._session.get_inputs()}
        name = self.description.input.name or next(iter(inputs), "")
        if name not in inputs:
            raise self._wrong(f"has no input {name!r}; it has {', '.join(inputs) or 'none'}")
        if len(inputs) > 1:
            raise self._wrong(f"needs more than windows; its inputs are {', '.join(inputs)}")
        tensor = inputs[name]
        if tensor.type not in _FLOATS:
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
        return name, _FLOATS[tensor.type], batch if isinstance(batch, int) else None

    def _check_outputs(self) -> list[str]:
        """Return the names of the outputs that are used."""
        outputs = self.description.outputs
        there = {tensor.name: tensor.type for tensor in self._session.get_outputs()}
        names = [name for name in (outputs.genres, outputs.embedding, outputs.tags) if name]
        for name in names:
            if name not in there:
                raise self._wrong(f"has no output {name!r}; it has {', '.join(there)}")
            if there[name] not in _FLOATS:
                raise self._wrong(f"gives {there[name]} as {name!r}, which is not floating-point")
        return names

    def _try(self) -> int:
        """Show the network silence and noise, check what it says, and return the dimension."""
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
            f"Correct {description_path(self.path)}, or export the model again; see docs/onnx.md.",
        )


def _read(path: Path) -> bytes:
    if not str(path.absolute()).isprintable():
        raise ModelError(
            f"the path {str(path)!r} of an ONNX model holds what cannot be written as text",
            "Give the file, or its folder, another name.",
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"the model {path} cannot be read: {error.strerror or error}",
            "Check the path given with --model.",
        ) from error


def _load(path: Path, content: bytes) -> Any:  # noqa: ANN401 (onnxruntime has no types)
    """Make a session of the file's bytes: what was hashed is what runs, and nothing else."""
    onnxruntime = require("onnxruntime", "onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is told by exceptions
    # Threads that wait must not burn the processors on which tracks are decoded meanwhile.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Weights outside the file are looked for where nothing can be, instead of in the folder in
    # which recsys happens to run.
    options.add_session_config_entry(_WEIGHTS_FOLDER, os.devnull)
    try:
        return onnxruntime.InferenceSession(
            content, sess_options=options, providers=["CPUExecutionProvider"]
        )
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


def _fingerprint(content: bytes, description: OnnxDescription) -> str:
    digest = hashlib.sha256(content)
    digest.update(json.dumps(description.deciding(), sort_keys=True).encode())
    return digest.hexdigest()[:16]
