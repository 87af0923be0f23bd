"""``recsys model export``: a model as an ONNX file."""

from __future__ import annotations

from pathlib import Path

import click

from recsys.cli.options import NamedPath, db_option, json_option
from recsys.cli.output import print_json

_FILE = NamedPath(dir_okay=False)


@click.command(short_help="Write a model as an ONNX file.")
@click.argument("model", required=False, metavar="[MODEL.safetensors]", type=_FILE)
@click.option("--onnx", "out", required=True, type=_FILE, metavar="OUT.onnx", help="Where it goes.")
@click.option("--force", is_flag=True, help="Replace OUT.onnx and OUT.toml if they are there.")
@json_option("One JSON object.")
@db_option
def command(
    model: Path | None,
    out: Path,
    force: bool,
    as_json: bool,
    db: Path | None,  # noqa: ARG001 (as on every command)
) -> None:
    """Export a model as an ONNX file with a TOML description.

    Without MODEL it is the one that comes with recsys. The pair is tried before it is kept: it
    must agree with the model. Other programs can run it, and so can every command that takes
    --model. Files that are there are not replaced without --force. No library is changed. Needs
    the extra [onnx].

    \b
    Examples:
      recsys model export --onnx genre.onnx
      recsys model export mine.safetensors --onnx mine.onnx
      recsys classify song.mp3 --model mine.onnx
    """
    from recsys.classifier.card import is_onnx
    from recsys.classifier.onnx import description_path
    from recsys.classifier.onnx_export import export_onnx
    from recsys.errors import ModelError

    if not is_onnx(out):
        raise ModelError(f"--onnx {out} must end in .onnx", f"Try {out.stem}.onnx.")
    card = export_onnx(model, out, overwrite=force)
    if as_json:
        described = {"description": str(description_path(out)), "labels": card.labels}
        print_json({"model": str(out), **described, "tags": card.tags})
        return
    click.echo(f"{out}, with {description_path(out)}: {card.name}, {len(card.labels)} genres")
