"""Text models small enough to be made in a test: the vector of a text is the sum over its words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

from recsys.classifier.card import load_card
from recsys.types import FloatArray
from tests.classifier.small_onnx import make_onnx, write_description
from tests.planted import PlantedLibrary

TABLE = {"model": "text.onnx", "mask": "attention_mask", "output": "text_embeds"}


def make_text_onnx(
    folder: Path,
    directions: Mapping[str, FloatArray],
    *,
    tokens: int | str = "tokens",
    kind: int = TensorProto.INT64,
    types: bool = False,
) -> None:
    """Write text.onnx and tokenizer.json; padding, the first id, would spoil what is not masked."""
    dimension = len(next(iter(directions.values())))
    padding, unknown = np.full(dimension, 9.0), np.zeros(dimension)
    rows = np.stack([padding, unknown, *directions.values()]).astype(np.float32)
    nodes = [
        helper.make_node("Add", ["input_ids", "token_type_ids" if types else "zero"], ["ids"]),
        helper.make_node("Gather", ["rows", "ids"], ["of_tokens"]),
        helper.make_node("Cast", ["attention_mask"], ["counts"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["counts", "last"], ["column"]),
        helper.make_node("Mul", ["of_tokens", "column"], ["counted"]),
        helper.make_node("ReduceSum", ["counted", "middle"], ["text_embeds"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "text",
        [
            helper.make_tensor_value_info(name, kind, ["batch", tokens])
            for name in ("input_ids", "attention_mask", *(["token_type_ids"] if types else []))
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in ("text_embeds", "of_tokens")
        ],
        [
            numpy_helper.from_array(rows, "rows"),
            numpy_helper.from_array(np.zeros(1, helper.tensor_dtype_to_np_dtype(kind)), "zero"),
            numpy_helper.from_array(np.array([2]), "last"),
            numpy_helper.from_array(np.array([1]), "middle"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "text.onnx").write_bytes(model.SerializeToString())
    words = ("[PAD]", "[UNK]", *directions)
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))


def make_pair(
    folder: Path, directions: Mapping[str, FloatArray], table: Mapping[str, Any] | None = None
) -> Path:
    """Write both halves of a text-audio model; return the ONNX file for sound."""
    model = make_onnx(folder / "pair.onnx")
    make_text_onnx(folder, directions)
    write_description(model, name="Pair", text=dict(table or TABLE))
    return model


def analysed_by(planted: PlantedLibrary, model: Path) -> None:
    """Let a planted library be one that this ONNX model has analysed."""
    config = {"file": str(model), "fingerprint": load_card(model).fingerprint}
    card = json.dumps({"architecture": "onnx", "config": config})
    planted.store.set_model(planted.info, card, model)
