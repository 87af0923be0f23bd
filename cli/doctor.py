"""``recsys doctor``: check and repair a library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.exit_codes import FAILED
from recsys.cli.options import NamedPath, db_option, json_option
from recsys.cli.output import LONGEST_LINE, print_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recsys.types import Problem


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
    from recsys.notebook import one_line

    with Library(db) as library:
        forgotten = [] if forget is None else [f"forgot {library.forget(forget)} files"]
        diagnosis = library.doctor(rebuild=rebuild, vacuum=vacuum)
    repairs = [*forgotten, *diagnosis.repairs]
    # What mends the database mends the index, its cache.
    hints = _hints(diagnosis.database_problems) or _hints(diagnosis.index_problems)
    if as_json:
        print_json(
            {
                "ok": not diagnosis.problems,
                "problems": [problem.text for problem in diagnosis.problems],
                "hints": hints,
                "repairs": repairs,
            }
        )
    else:
        for repair in repairs:
            click.echo(f"done: {repair}")
        for problem in diagnosis.problems:
            click.echo(f"problem: {one_line(problem.text, LONGEST_LINE)}")
        for hint in hints:
            click.echo(hint)
        if not diagnosis.problems:
            click.echo("No problems found.")
    if diagnosis.problems:
        ctx.exit(FAILED)


def _hints(problems: Iterable[Problem]) -> list[str]:
    """Return what helps; several problems may have one remedy."""
    return list(dict.fromkeys(problem.hint for problem in problems if problem.hint))
