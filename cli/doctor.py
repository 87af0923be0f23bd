"""``recsys doctor``: check and repair a library."""

from __future__ import annotations

from pathlib import Path

import click

from recsys.cli.exit_codes import FAILED
from recsys.cli.options import NamedPath, db_option, json_option
from recsys.cli.output import print_json


@click.command(name="doctor")
@click.option(
    "--rebuild",
    is_flag=True,
    help="Delete damaged analyses, which recsys index makes again, and rebuild the index.",
)
@click.option("--vacuum", is_flag=True, help="Delete unused analyses and shrink the database.")
@click.option(
    "--forget",
    type=NamedPath(),
    help="Remove the tracks under this folder from the library. Files are not touched.",
)
@json_option("One JSON object: problems, repairs.")
@db_option
@click.pass_context
def command(
    ctx: click.Context,
    rebuild: bool,
    vacuum: bool,
    forget: Path | None,
    as_json: bool,
    db: Path | None,
) -> None:
    """Check and repair the database and the index of the library.

    The index is a cache of the database, so --rebuild is always safe: what it deletes is made
    again. The exit code is 1 when problems remain.

    \b
    Examples:
      recsys doctor
      recsys doctor --rebuild --vacuum
      recsys doctor --forget /media/old-disk
    """
    from recsys.api import Library

    with Library(db) as library:
        forgotten = [] if forget is None else [f"forgot {library.forget(forget)} files"]
        diagnosis = library.doctor(rebuild=rebuild, vacuum=vacuum)
    repairs = [*forgotten, *diagnosis.repairs]
    if as_json:
        print_json(
            {
                "ok": not diagnosis.problems,
                "problems": list(diagnosis.problems),
                "repairs": repairs,
            }
        )
    else:
        for repair in repairs:
            click.echo(f"done: {repair}")
        for problem in diagnosis.problems:
            click.echo(f"problem: {problem}")
        if any("recsys" not in problem for problem in diagnosis.database_problems):
            click.echo("Restore the database from a backup, or move it elsewhere and index again.")
        elif diagnosis.index_problems:
            click.echo("recsys doctor --rebuild repairs the index.")
        elif not diagnosis.problems:
            click.echo("No problems found.")
    if diagnosis.problems:
        ctx.exit(FAILED)
