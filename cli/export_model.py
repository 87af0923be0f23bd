"""``recsys model export``: a model as an ONNX file."""

from __future__ import annotations

from pathlib import Path

import click

from recsys.cli.options import FILE, json_option, unused_db_option
from recsys.cli.output import print_json
from recsys.errors import ModelError


@click.command(short_help="Write a model as an ONNX file.")
@click.argument("model", required=False, metavar="[MODEL.safetensors]", type=FILE)
@click.option(
    "--onnx", "out", required=True, type=FILE, metavar="OUT.onnx", help="ONNX model to write."
)
@click.option("--force", is_flag=True, help="Replace OUT.onnx and OUT.toml if they exist.")
@json_option("One JSON object.")
@unused_db_option
def command(model: Path | None, out: Path, force: bool, as_json: bool) -> None:
    """Export a model as an ONNX file with a TOML description.

    Without MODEL, the shipped model is exported. The ONNX file is kept only if it agrees with the
    model. Other programs can run it, and so can every command that takes --model. It needs the
    extra [onnx].

    \b
    Examples:
      recsys model export --onnx genre.onnx
      recsys model export mine.safetensors --onnx mine.onnx
      recsys classify song.mp3 --model mine.onnx
    """
    from recsys.classifier.card import is_onnx
    from recsys.classifier.onnx import description_path
    from recsys.classifier.onnx_export import export_onnx

    if not is_onnx(out):  # --model recognises ONNX models by this ending
        raise ModelError(f"--onnx {out} must end in .onnx", f"Try {out.stem}.onnx.")
    card = export_onnx(model, out, overwrite=force)
    if as_json:
        described = {"description": str(description_path(out)), "labels": card.labels}
        print_json({"model": str(out), **described, "tags": card.tags})
        return
    click.echo(f"{out}, with {description_path(out)}: {card.name}, {len(card.labels)} genres")
