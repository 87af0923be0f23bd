"""``recsys milvus``: a copy of the library on Milvus, for many readers."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click

from recsys.cli.options import db_option, json_option
from recsys.cli.output import note, print_json, progress


@click.group(name="milvus")
def command() -> None:
    """Share a library with many readers through a Milvus server.

    It needs the extra [milvus]; see docs/scale.md.
    """


@command.command(name="push")
@click.argument("place", metavar="PLACE")
@click.option(
    "--replace",
    is_flag=True,
    help="Replace a library at PLACE that is another one, or was analysed by another model.",
)
@json_option("One JSON object: counts of tracks, and seconds.")
@db_option
def push_command(place: str, replace: bool, as_json: bool, db: Path | None) -> None:
    """Copy the library to Milvus, where many can read it.

    PLACE is milvus://HOST:19530, with /DATABASE and ?collection=NAME where needed, or a file of
    Milvus Lite, with a name that ends in .db. Give user and password in the address
    (milvus://USER:PASSWORD@HOST), or a token in the variable MILVUS_TOKEN.

    Run it again whenever the library has changed: only differences are written. Stopping it loses
    nothing. Readers need no database: recsys similar and recsys playlist take --index PLACE.

    \b
    Examples:
      recsys milvus push milvus://music.example:19530
      recsys milvus push milvus://music.example:19530/home?collection=jazz --json
      recsys milvus push shared.db
      recsys similar "miles davis so what" --index milvus://music.example:19530
    """
    from recsys.api import Library

    began = time.monotonic()
    with Library(db) as library, progress("tracks", "Pushing") as bar:
        summary = library.push(
            place,
            replace=replace,
            on_progress=lambda done, total: bar.update(completed=done, total=total),
        )
    seconds = time.monotonic() - began
    if as_json:
        print_json(asdict(summary) | {"seconds": round(seconds, 3)})
    else:
        click.echo(
            f"{summary.place}: {summary.tracks} tracks; {summary.written} written,"
            f" {summary.unchanged} unchanged, {summary.removed} removed, in {seconds:.1f} s",
            err=True,
        )
    if summary.shortened:
        note(f"{summary.shortened} tracks have a tag that is too long for Milvus; it was cut")
