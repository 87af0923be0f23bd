"""How fast recsys is on this machine: ``python -m tests.benchmarks``, or ``make bench``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.output import console, escape, print_json, shown, table
from recsys.errors import RecsysError
from recsys.library import absolute
from tests.benchmarks import analysis, rescan, search
from tests.benchmarks.report import as_json as in_json
from tests.benchmarks.report import rows_of, surroundings, write_report

if TYPE_CHECKING:
    from tests.benchmarks.measuring import Table
    from tests.benchmarks.report import Surroundings

QUICK_FILES, FULL_FILES = 20, 200
QUICK_SIZES = (1_000, 10_000)


@click.command()
@click.option("--quick", is_flag=True, help="Few songs and small libraries: minutes, not an hour.")
@click.option("--peers", is_flag=True, help="Measure other systems too, those that are installed.")
@click.option(
    "--only", type=click.Choice(("analysis", "rescan", "search")), help="Measure one of the three."
)
@click.option("--audio", type=click.Path(path_type=Path), help="Music; songs are made without it.")
@click.option("--files", type=click.IntRange(min=1), help="How many songs.")
@click.option(
    "--keep",
    "place",
    type=click.Path(path_type=Path),
    help="Keep songs and libraries here (up to 4 GB).",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write Markdown, CSV and plots: docs/results."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(
    quick: bool,
    peers: bool,
    only: str | None,
    audio: Path | None,
    files: int | None,
    place: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure how fast recsys analyses and answers on this machine.

    Analysis is the whole command "recsys index" on a new library, with every --effort; a rescan is
    its second run, over 100,000 files that have not changed. Search runs in planted libraries of
    1,000 to 1,000,000 tracks. It needs an hour and 4 GB of disk; leave the machine alone meanwhile.
    """
    found: dict[str, list[Table]] = {}
    with tempfile.TemporaryDirectory(prefix="recsys-benchmark-") as temporary:
        folder = place or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if only in (None, "analysis"):
            options = analysis.AnalysisOptions(
                None if audio is None else absolute(audio),
                files or (QUICK_FILES if quick else FULL_FILES),
                repeats=1 if quick else 3,
                peers=peers,
            )
            found["analysis"] = [analysis.measure_analysis(folder, options, _progress)]
        if only in (None, "rescan"):
            count = rescan.QUICK_FILES if quick else rescan.FILES
            found["rescan"] = [rescan.measure_rescan(folder, count, on_progress=_progress)]
        if only in (None, "search"):
            sizes = QUICK_SIZES if quick else search.SIZES
            asked = search.SearchOptions(sizes=sizes, peers=peers)
            found["search"] = search.measure_search(folder, asked, _progress)
    where = surroundings()
    if out is not None:
        flags = " --quick" * quick + " --peers" * peers
        for path in write_report(out, where, found, flags):
            _progress(f"written: {shown(path)}")
    tables = [own for kind in found.values() for own in kind]
    if as_json:
        print_json(in_json(where, tables))
    else:
        _print(where, tables)


def _progress(text: str) -> None:
    click.echo(text, err=True)


def _print(where: Surroundings, tables: list[Table]) -> None:
    for own in tables:
        rows = table(escape(own.title), "", "Range", "Target, or ratio", right=(1, 2, 3))
        for row in rows_of(own):
            rows.add_row(*map(escape, row))
        console().print(rows)
        for text in (*(f"skipped: {reason}" for reason in own.skipped), *own.notes):
            click.echo(text)
    click.echo(str(where))


if __name__ == "__main__":
    try:
        main()
    except RecsysError as error:
        click.echo(f"{error.message}\n{error.hint}", err=True)
        sys.exit(1)
