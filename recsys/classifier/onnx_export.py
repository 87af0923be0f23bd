"""Export a model as an ONNX file with its TOML, for other programs and other machines."""

from __future__ import annotations

import io
import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recsys.atomic import check_replaceable
from recsys.classifier.onnx import OnnxSession, description_path
from recsys.classifier.training.architectures import load_model
from recsys.classifier.training.musicnn_torch import full_precision
from recsys.errors import ModelError, require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from recsys.classifier.card import ModelCard

TOLERANCE = 1e-3
"""How far the outputs of the file may be from those of the model, with unit deviations."""

_OPSET = 17
_TENSORS = ("logits", "embedding", "tag_logits")
_CANNOT = {
    "scikit-learn": "is a classical model, not a network",
    "onnx": "is an ONNX file already",
}
"""Architectures without an ONNX form, and why."""


def export_onnx(model_path: Path | None, out: Path, *, overwrite: bool = False) -> ModelCard:
    """Write a model as ``NAME.onnx`` and ``NAME.toml``, and check that the outputs agree.

    Parameters
    ----------
    model_path : Path or None
        The checkpoint; None for the shipped model.
    out : Path
        Ends in ``.onnx``.
    overwrite : bool
        Replace existing files.

    Raises
    ------
    ModelError
        If the model cannot be loaded or exported, or the files cannot be written or exist already.
    """
    if not overwrite:
        _refuse_to_replace(out)
    toml = description_path(out)
    check_replaceable(toml, "the description of a model", _is_description)
    check_replaceable(
        out,
        f"an ONNX model with its description {toml.name}",
        lambda head: (
            head[:1] == _IR_VERSION and toml.is_file() and _is_description(toml.read_bytes())
        ),
    )
    require("onnx", "onnx")  # PyTorch's exporter needs it
    model, card = load_model(model_path)
    why = _CANNOT.get(card.architecture)
    if "track_head" in card.config:
        why = "has a head over whole tracks, and an ONNX file runs on windows"
    if why is not None:
        raise ModelError(f"the model {card.name} {why}", "Export another one.")
    draft = out.with_name(f".{out.stem}.{os.getpid()}.onnx")
    try:
        draft.write_bytes(_traced(model, card))
        description_path(draft).write_text(_toml_of(card), encoding="utf-8")
        _compare(model, card, OnnxSession(draft))
        # In this order: an interruption never pairs a network with the description of another.
        description_path(out).unlink(missing_ok=True)
        draft.replace(out)
        description_path(draft).replace(description_path(out))
    except OSError as error:
        raise ModelError(
            f"{out} cannot be written: {error.strerror or error}",
            "Choose a folder that exists and that you may write to.",
        ) from error
    finally:
        draft.unlink(missing_ok=True)
        description_path(draft).unlink(missing_ok=True)
    return card


_IR_VERSION = b"\x08"
"""The first field of every ONNX file."""


def _is_description(head: bytes) -> bool:
    return all(b"\n%b" % line in head for line in (b"labels =", b"thresholds =", b"[features]"))


def _refuse_to_replace(out: Path) -> None:
    there = [str(path) for path in (out, description_path(out)) if path.exists()]
    if there:
        verb = "are" if len(there) > 1 else "is"
        raise ModelError(
            f"{' and '.join(there)} {verb} there already",
            "Choose another name, or replace with --force.",
        )


def _traced(model: nn.Module, card: ModelCard) -> bytes:
    """Return the network as ONNX, for any number of windows."""
    # One window: a network with an LSTM that was traced with more would insist on as many.
    window = torch.zeros(1, *card.features.shape)
    names = list(_TENSORS[: 3 if card.tags else 2])
    content = io.BytesIO()
    torch.onnx.register_custom_op_symbolic(  # type: ignore[attr-defined]
        "aten::logaddexp", _logaddexp, _OPSET
    )
    # A failing exporter prints the network, which must not end up among results on stdout.
    torch._C._jit_set_onnx_log_output_stream("stderr")
    try:
        with warnings.catch_warnings():
            # This exporter is deprecated, and the only one without further dependencies.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Outputs(model, len(names)).eval(),
                (window,),
                content,  # type: ignore[arg-type]
                input_names=["windows"],
                output_names=names,
                dynamic_axes={name: {0: "batch"} for name in ("windows", *names)},
                opset_version=_OPSET,
                dynamo=False,
            )
    except (RuntimeError, torch.onnx.OnnxExporterError) as error:
        raise ModelError(
            f"the architecture {card.architecture} cannot be written as ONNX: {error}",
            "Export a model of another architecture.",
        ) from error
    return content.getvalue()


def _logaddexp(graph: Any, first: Any, second: Any) -> Any:  # noqa: ANN401 (PyTorch's graphs)
    """Write an operation that the exporter does not know: max(a, b) + log(1 + exp(-abs(a - b)))."""
    gap = graph.op("Neg", graph.op("Abs", graph.op("Sub", first, second)))
    one = graph.op("Constant", value_t=torch.tensor(1.0))
    rest = graph.op("Log", graph.op("Add", one, graph.op("Exp", gap)))
    return graph.op("Add", graph.op("Max", first, second), rest)


class _Outputs(torch.nn.Module):
    """As many outputs of a model as its card names."""

    def __init__(self, model: nn.Module, count: int) -> None:
        super().__init__()
        self.model, self.count = model, count

    def forward(self, windows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Map (b, *shape) to the first outputs of the model."""
        return tuple(self.model(windows)[: self.count])


def _compare(model: nn.Module, card: ModelCard, session: OnnxSession) -> None:
    """Raise unless model and file agree on noise, in batches of several sizes."""
    rng = np.random.default_rng(0)
    for n in (1, 3):
        windows = rng.standard_normal((n, *card.features.shape)).astype(np.float32)
        with torch.inference_mode(), full_precision():
            ours = [rows.numpy() for rows in model(torch.from_numpy(windows))]
        for name, mine, theirs in zip(_TENSORS, ours, session.of_windows(windows), strict=False):
            gap = float(np.abs(mine - theirs).max()) / max(1.0, float(mine.std()))
            if not gap < TOLERANCE:
                raise ModelError(
                    f"written as ONNX, {card.name} gives another {name} (off by {gap:.2g})",
                    "This architecture cannot be exported with the installed PyTorch.",
                )


def _toml_of(card: ModelCard) -> str:
    outputs = {name: name for name in _TENSORS[: 3 if card.tags else 2]}
    tags = {"names": card.tags, "means": card.tag_means, "deviations": card.tag_deviations}
    top: dict[str, Any] = {
        "name": card.name,
        "licence": card.licence,
        "labels": card.labels,
        "temperature": card.temperature,
        "temperatures": card.temperatures or None,
        "thresholds": card.thresholds,
        "confusion": card.confusion,
    }
    tables = {"features": card.features.as_dict(), "input": {"name": "windows"}, "outputs": outputs}
    if card.tags:
        tables["tags"] = tags
    if keys := card.training.get("keys"):
        tables["training"] = {part: [*map(_storable, keys[part])] for part in ("train", "valid")}
    parts = [_lines(top), *(f"\n[{name}]\n{_lines(table)}" for name, table in tables.items())]
    return "".join(parts)


def _storable(key: str) -> str:
    """Return a key that UTF-8 can hold: bytes of a file name that it cannot become escapes."""
    return key.encode("utf-8", "backslashreplace").decode()


def _lines(table: Mapping[str, Any]) -> str:
    # Strings, numbers and lists of them are written alike in JSON and TOML; TOML has no null.
    given = {name: value for name, value in table.items() if value is not None}
    return "".join(
        f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in given.items()
    )
