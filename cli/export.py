"""``recsys export``: tracks with their embeddings as a table for other programs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.list import list_options
from recsys.cli.options import FILE, db_option, json_option
from recsys.cli.output import print_json, shown

if TYPE_CHECKING:
    from recsys.types import KindName, Range


@click.command(name="export", short_help="Write tracks with embeddings as CSV, NumPy or Parquet.")
@click.argument("out", metavar="OUT", type=FILE)
@list_options
@click.option("--force", is_flag=True, help="Replace OUT if it is an export.")
@json_option("One JSON object.")
@db_option
def command(
    out: Path,
    genre: str | None,
    tags: tuple[str, ...],
    artist: str | None,
    album: str | None,
    added: datetime | None,
    banned: bool,
    ranges: dict[str, Range],
    moods: tuple[str, ...],
    kind: KindName | None,
    force: bool,
    as_json: bool,
    db: Path | None,
) -> None:
    """Export the tracks of the library to OUT, with embeddings, genre probabilities and tag scores.

    The extension of OUT chooses the format: .csv, .npz (NumPy arrays), or .parquet, which needs
    pyarrow (in the extra [ray]). recsys model export writes the model itself.

    \b
    Examples:
      recsys export library.parquet
      recsys export jazz.csv --genre jazz
      recsys export new.npz --added 30d
    """
    from recsys.api import Library
    from recsys.listing import ListOptions

    options = ListOptions(genre, tags, artist, album, added, banned, ranges, moods, kind)
    with Library(db) as library:
        count = library.export(out, options, overwrite=force)
    if as_json:
        print_json({"file": str(out), "tracks": count})
    else:
        click.echo(f"{shown(out)}: {count} track{'s' * (count != 1)}")
