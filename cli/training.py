"""What all training commands share: the path of the model, and a line about an epoch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.classifier.training.loop import EpochResult


def model_path(out: Path) -> Path:
    """Return where a model goes, and raise before hours of work if it could not be written.

    Parameters
    ----------
    out : Path
        As the user gave it; ``.safetensors`` is added to a name without an ending.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        If the name ends otherwise, or the folder is not there or not writable.
    """
    from recsys.errors import ModelError

    if not out.suffix:
        out = out.with_name(f"{out.name}.safetensors")
    if out.suffix != ".safetensors":
        raise ModelError(f"--out {out} must end in .safetensors", f"Try {out.stem}.safetensors.")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        state = "is not writable" if out.parent.is_dir() else "does not exist"
        raise ModelError(f"the folder {out.parent} {state}", "Choose another place with --out.")
    return out


def describe_epoch(result: EpochResult) -> str:
    """Return one line about an epoch."""
    words = f"epoch {result.epoch:3d}/{result.epochs}  loss {result.loss:.3f}"
    if result.accuracy is not None:
        words += f", accuracy {result.accuracy:.3f}"
    if result.valid_loss is not None:
        words += f"  held out: loss {result.valid_loss:.3f}, accuracy {result.valid_accuracy:.3f}"
    return f"{words}  {result.seconds:.0f} s{'  best' if result.is_best else ''}"
