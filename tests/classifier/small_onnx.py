"""ONNX files small enough to be made in a test, and what they must say, worked out with NumPy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from recsys.classifier.log_mel import LogMel

FEATURES = LogMel(n_mels=12, window_s=0.5, sample_rate=16_000, max_windows=4)
LABELS = ("calm", "loud", "odd")
DIMENSION = 5
TAGS = ("mellow", "party")


def weights() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = ((FEATURES.n_mels, DIMENSION), (DIMENSION, len(LABELS)), (DIMENSION, len(TAGS)))
    return tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)


def expected(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, embedding and tag logits of windows, shape (n, mels, frames)."""
    first, genres, tags = weights()
    embedding = windows.mean(axis=2) @ first
    return embedding @ genres, embedding, embedding @ tags


def make_onnx(
    path: Path,
    *,
    layout: Sequence[str] = ("batch", "mels", "frames"),
    batch: int | str = "batch",
    mels: int = FEATURES.n_mels,
    kind: int = TensorProto.FLOAT,
    last: Sequence[tuple[str, str, str]] = (),
) -> Path:
    """Write the network; `last` appends operations (type, input, output), which are outputs too."""
    sizes = {"batch": batch, "mels": mels, "frames": FEATURES.frames, "channel": 1}
    first, genres, tags = weights()
    first = np.resize(first, (mels, DIMENSION))
    order = [layout.index(axis) for axis in ("batch", "mels", "frames")]
    order += [layout.index("channel")] if "channel" in layout else []
    nodes = [
        helper.make_node("Cast", ["windows"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["cast"], ["turned"], perm=order),
        helper.make_node(
            "ReduceMean", ["turned"], ["spectrum"], axes=list(range(2, len(layout))), keepdims=0
        ),
        helper.make_node("MatMul", ["spectrum", "first"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "genres"], ["logits"]),
        helper.make_node("MatMul", ["embedding", "tags"], ["tag_logits"]),
        *(helper.make_node(op, [given], [made]) for op, given, made in last),
    ]
    names = ["logits", "embedding", "tag_logits", *(made for _, _, made in last)]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("windows", kind, [sizes[axis] for axis in layout])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None]) for name in names],
        [
            numpy_helper.from_array(array, name)
            for array, name in ((first, "first"), (genres, "genres"), (tags, "tags"))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def description(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "labels": list(LABELS),
        "features": FEATURES.as_dict(),
        "outputs": {"logits": "logits", "embedding": "embedding"},
    }
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


def write_description(model: Path, **changes: Any) -> None:
    """Write the TOML of a model; a key set to None is left out."""
    model.with_suffix(".toml").write_text(as_toml(description(**changes)), encoding="utf-8")


def as_toml(table: Mapping[str, Any]) -> str:
    """Write a table whose values are plain, or tables of plain values."""
    plain = [f"{key} = {_value(value)}" for key, value in table.items() if not _is_table(value)]
    parts = [f"\n[{key}]\n{as_toml(value)}" for key, value in table.items() if _is_table(value)]
    return "\n".join([*plain, *parts]) + "\n"


def _value(value: object) -> str:
    # Where they differ: numbers that are none.
    return json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)
