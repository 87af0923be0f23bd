"""The text model of a text-audio model: the table ``[text]`` in the TOML of its ONNX file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.classifier.onnx import (
    FLOATS,
    description_path,
    file_fingerprint,
    load_session,
    read_description,
    read_file,
)
from recsys.errors import ModelError, require

if TYPE_CHECKING:
    from recsys.classifier.onnx import TextNetwork
    from recsys.types import FloatArray

MOST_TOKENS = 77
"""Tokens of a text that are read, unless the network says otherwise: those of CLIP and CLAP."""

_INTEGERS = {"tensor(int64)": "int64", "tensor(int32)": "int32"}
_NO_DIRECTION = 1e-12


class OnnxText:
    """The text model beside an ONNX file; a :class:`recsys.words.TextTower`.

    `model` is the ONNX file for sound, whose TOML has the `table`; `dimension` is that of its
    embeddings. Raises ModelError if a file cannot be read, or the network does not load, does not
    match the TOML or gives vectors of another dimension, and MissingExtraError without a library.
    """

    def __init__(self, model: Path, name: str, table: TextNetwork, dimension: int) -> None:
        self.name = name
        self._toml, self._table, self._dimension = description_path(model), table, dimension
        self.path = model.parent / table.model
        self._session = load_session(self.path, read_file(self.path, self._toml))
        self._type, length = self._check_inputs()
        self._check_output()
        self._tokenizer = self._load_tokenizer(length)

    def embed(self, text: str) -> FloatArray:
        """See :meth:`recsys.words.TextTower.embed`.

        Raises ModelError if the network fails, or its output is no vector of the right dimension.
        """
        encoded = self._tokenizer.encode(self._table.template.replace("{}", text))
        inputs = {self._table.input: np.array([encoded.ids], dtype=self._type)}
        if self._table.mask is not None:
            inputs[self._table.mask] = np.array([encoded.attention_mask], dtype=self._type)
        if self._table.types is not None:
            inputs[self._table.types] = np.array([encoded.type_ids], dtype=self._type)
        try:
            (raw,) = self._session.run([self._table.output], inputs)
        except Exception as error:  # onnxruntime's have no other class in common
            raise self._wrong(f"fails on {len(encoded.ids)} tokens of {text!r}: {error}") from error
        found: FloatArray = np.asarray(raw, dtype=np.float32)
        if found.ndim != 2 or len(found) != 1:
            raise self._wrong(
                f"gives {self._table.output!r} of shape {found.shape} for one text; one row is"
                " needed"
            )
        if found.shape[1] != self._dimension:
            raise self._wrong(
                f"gives vectors of {found.shape[1]} numbers, and the embeddings of the tracks have"
                f" {self._dimension}"
            )
        length = float(np.linalg.norm(found))
        if not _NO_DIRECTION < length < np.inf:
            raise self._wrong(f"gives a vector of length {length} for {text!r}")
        unit: FloatArray = found[0] / np.float32(length)
        return unit

    def _check_inputs(self) -> tuple[str, int | None]:
        """Return the type of the inputs, and the number of tokens if that is fixed."""
        given = {tensor.name: tensor for tensor in self._session.get_inputs()}
        table = self._table
        named = [name for name in (table.input, table.mask, table.types) if name is not None]
        for name in named:
            if name not in given:
                raise self._wrong(f"has no input {name!r}; it has {', '.join(given)}")
            if given[name].type not in _INTEGERS:
                raise self._wrong(f"takes {given[name].type} as {name!r}, which is no integer")
        for name in given:
            if name not in named:
                raise self._wrong(
                    f"needs {name!r}, which is none of input, mask and types in [text]"
                )
        tensor = given[self._table.input]
        if len(tensor.shape) != 2:
            raise self._wrong(f"takes {tensor.name!r} of shape {tensor.shape}, not (texts, tokens)")
        length = tensor.shape[1]
        return _INTEGERS[tensor.type], length if isinstance(length, int) else None

    def _check_output(self) -> None:
        there = {tensor.name: tensor.type for tensor in self._session.get_outputs()}
        name = self._table.output
        if name not in there:
            raise self._wrong(f"has no output {name!r}; it has {', '.join(there)}")
        if there[name] not in FLOATS:
            raise self._wrong(f"gives {there[name]} as {name!r}, which is not floating-point")

    def _load_tokenizer(self, length: int | None) -> Any:  # noqa: ANN401 (of an extra)
        path = self._toml.parent / self._table.tokenizer
        tokenizers = require("tokenizers", "words")
        content = read_file(path, self._toml)
        try:
            tokenizer = tokenizers.Tokenizer.from_buffer(content)
        except Exception as error:  # tokenizers raises Exception itself
            raise ModelError(
                f"{path} is no tokenizer: {error}",
                "It is the tokenizer.json of the text model; see docs/models.md.",
            ) from error
        tokenizer.enable_truncation(length or MOST_TOKENS)
        if length is None:
            tokenizer.no_padding()
        else:
            kept = tokenizer.padding or {}
            named = {key: kept[key] for key in ("pad_id", "pad_token") if key in kept}
            tokenizer.enable_padding(length=length, **named)
        return tokenizer

    def _wrong(self, what: str) -> ModelError:
        return ModelError(
            f"the text model {self.path} {what}",
            f"Correct the table [text] of {self._toml} (docs/models.md), or leave it out: --words"
            " then asks the tags.",
        )


def text_model_of(model: Path, fingerprint: str, dimension: int) -> OnnxText | None:
    """Return the text model beside an ONNX file, None where its TOML names none or is gone.

    Raises as :class:`OnnxText`, and ModelError if the file is not the one with this fingerprint, by
    which the tracks were analysed.
    """
    toml = description_path(model)
    if not toml.is_file():
        return None
    return _text_model_of(model, toml.stat().st_mtime_ns, fingerprint, dimension)


@lru_cache(maxsize=2)  # a session may take hundreds of MB; it is used by all threads
def _text_model_of(
    model: Path,
    changed: int,  # noqa: ARG001 (of the TOML: a new one is read again)
    fingerprint: str,
    dimension: int,
) -> OnnxText | None:
    description = read_description(model)
    if description.text is None:
        return None
    found = file_fingerprint(model)
    if found != fingerprint:
        raise ModelError(
            f"{model} or its TOML has changed (fingerprint {found}, the library was analysed by"
            f" {fingerprint}), so that its text model says nothing about these tracks",
            "Put the former files back, or analyse again: recsys index --reanalyse FOLDER",
        )
    return OnnxText(model, description.name or model.stem, description.text, dimension)
