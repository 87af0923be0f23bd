"""``recsys import``: what a cluster heard, into a library."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.options import NamedPath, db_option, json_option


class MusicFolder(click.ParamType):
    """``PREFIX=FOLDER``: the beginning of a path or URL, and where that lies here."""

    name = "PREFIX=FOLDER"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        """Return the two; the last ``=`` parts them, because keys in buckets may hold one."""
        prefix, sign, folder = str(value).rpartition("=")
        if not sign or not prefix or not folder:
            self.fail(f"{value!r} is not PREFIX=FOLDER", param, ctx)
        return prefix, Path(folder)


@click.command(name="import")
@click.argument("parquet", nargs=-1, required=True)
@db_option
@json_option("One line of JSON per file as it is stored, then a summary.")
@click.option(
    "--model",
    type=NamedPath(dir_okay=False),
    help="Checkpoint that heard the shards, for a new library.  [default: the shipped one]",
)
@click.option(
    "--music",
    multiple=True,
    type=MusicFolder(),
    help="Where the files of a URL, or of another machine's folder, lie here; may be repeated.",
)
@click.option("--wait", is_flag=True, help="If another run holds the library, wait for it.")
@click.pass_context
def command(
    ctx: click.Context,
    parquet: tuple[str, ...],
    db: Path | None,
    as_json: bool,
    model: Path | None,
    music: tuple[tuple[str, Path], ...],
    wait: bool,
) -> None:
    """Bring what a cluster heard into a library.

    PARQUET are shards, folders of them, or patterns, here or at a URL: what `recsys index
    --engine ray` wrote. All are looked through before anything is changed. Importing twice
    changes nothing; where several shards hold a file, its newest state counts.

    \b
    Examples:
      recsys import ~/heard
      recsys import s3://bucket/heard --music s3://bucket/music=/mnt/music
      recsys import 'heard/shard-2026*.parquet' --db other.db
    """
    from recsys.api import default_database
    from recsys.cli.index_report import Report, follow
    from recsys.cli.output import progress
    from recsys.cluster.importing import ImportSession
    from recsys.cluster.sources import normal_place
    from recsys.library import absolute

    session = ImportSession(
        database=default_database() if db is None else absolute(db),
        model=None if model is None else absolute(model),
        music=tuple((normal_place(prefix), absolute(folder)) for prefix, folder in music),
    )
    run = session.run(parquet, wait_s=None if wait else 0.0)
    with progress("tracks") as bar, contextlib.closing(run) as events:
        summary = follow(events, Report(bar, as_json=as_json, verb="Importing"))
    if summary.failed or summary.notes:
        ctx.exit(SOME_FILES_FAILED)
