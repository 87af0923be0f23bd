"""``recsys benchmark``: how fast recsys is on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.options import NamedPath, json_option

if TYPE_CHECKING:
    from recsys.benchmark.report import Surroundings
    from recsys.benchmark.results import Table

QUICK_FILES, QUICK_SIZES = 20, (1_000, 10_000)
FULL_FILES = 200


@click.command(name="benchmark", short_help="Measure how fast recsys is on this machine.")
@click.option("--quick", is_flag=True, help="Few songs and small libraries: minutes, not an hour.")
@click.option("--peers", is_flag=True, help="Measure others beside it, those that are installed.")
@click.option(
    "--only",
    type=click.Choice(("listening", "rescan", "search")),
    help="Measure one of the three.  [default: all]",
)
@click.option(
    "--audio",
    type=NamedPath(),
    metavar="DIR",
    help="Music to listen to.  [default: songs of 4 minutes that it makes itself]",
)
@click.option(
    "--files",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"How many songs.  [default: {FULL_FILES}; with --quick {QUICK_FILES}]",
)
@click.option(
    "--place",
    type=NamedPath(),
    metavar="DIR",
    help="Keep songs and libraries here for the next time (up to 4 GB).  [default: a temporary "
    "folder]",
)
@click.option(
    "--out", type=NamedPath(), metavar="DIR", help="Write benchmark.json and pictures here."
)
@json_option("One JSON object.")
def command(
    quick: bool,
    peers: bool,
    only: str | None,
    audio: Path | None,
    files: int | None,
    place: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure how fast recsys listens and answers on this machine.

    Listening is the whole command "recsys index" on a new library, with every --effort; a rescan is
    its second run, over 100,000 files that have not changed. Searching is done in planted libraries
    of 1,000 to 1,000,000 tracks: warm answers, the commands, memory, and how many of the right
    tracks are found. Nothing of yours is changed. It needs pip install 'recsys[benchmark]', an hour
    and 4 GB of disk; leave the machine alone meanwhile.

    \b
    Examples:
      recsys benchmark --quick
      recsys benchmark --peers --out results
      recsys benchmark --only listening --audio ~/Music --files 500
    """
    from recsys.benchmark.report import as_json as in_json
    from recsys.benchmark.report import surroundings, write_report
    from recsys.cli.output import print_json, shown
    from recsys.errors import require

    for module in ("psutil", "matplotlib.figure"):
        require(module, "benchmark")  # before an hour is spent
    tables: list[Table] = []
    with tempfile.TemporaryDirectory(prefix="recsys-benchmark-") as temporary:
        folder = place or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if only in (None, "listening"):
            tables.append(_listening(folder, audio, files, quick=quick, peers=peers))
        if only in (None, "rescan"):
            tables.append(_rescan(folder, quick=quick))
        if only in (None, "search"):
            tables += _search(folder, quick=quick, peers=peers)
    where = surroundings()
    if out is not None:
        for path in write_report(out, where, tables):
            click.echo(f"written: {shown(path)}", err=True)
    if as_json:
        print_json(in_json(where, tables))
    else:
        _print(where, tables)


def _say(what: str) -> None:
    click.echo(what, err=True)


def _listening(
    place: Path, audio: Path | None, files: int | None, *, quick: bool, peers: bool
) -> Table:
    from recsys.benchmark.analysis import AnalysisOptions, measure_analysis
    from recsys.library import absolute

    count = files or (QUICK_FILES if quick else FULL_FILES)
    music = None if audio is None else absolute(audio)
    options = AnalysisOptions(music, count, repeats=1 if quick else 3, peers=peers)
    return measure_analysis(place, options, _say)


def _rescan(place: Path, *, quick: bool) -> Table:
    from recsys.benchmark.rescan import FILES, QUICK_FILES, measure_rescan

    return measure_rescan(place, QUICK_FILES if quick else FILES, on_progress=_say)


def _search(place: Path, *, quick: bool, peers: bool) -> list[Table]:
    from recsys.benchmark.search import SIZES, SearchOptions, measure_search

    options = SearchOptions(sizes=QUICK_SIZES if quick else SIZES, peers=peers)
    return measure_search(place, options, _say)


def _print(where: Surroundings, tables: list[Table]) -> None:
    from recsys.cli.output import console, escape, table

    for own in tables:
        rows = table(escape(own.title), "", "Least to greatest", "Promised", right=(1, 2, 3))
        for figure in own.figures:
            spread = "" if figure.low is None else f"{figure.low:.4g} to {figure.high:.4g}"
            promised = "" if figure.target is None else f"{figure.target:.4g}, {_kept(figure.met)}"
            rows.add_row(escape(figure.name), f"{figure.value:.4g} {figure.unit}", spread, promised)
        for peer in own.peers:
            value = f"{peer.figure.value:.4g} {peer.figure.unit}"
            rows.add_row(escape(peer.name), value, "", f"recsys: {peer.ratio:.3g} times as good")
        console().print(rows)
        for text in (*(f"skipped: {reason}" for reason in own.skipped), *own.notes):
            click.echo(text)
    versions = ", ".join(f"{name} {number}" for name, number in where.versions.items())
    click.echo(
        f"{where.date}: {where.processor}, {where.processors} processors, {where.system}, "
        f"Python {where.python}, {versions}"
    )


def _kept(met: bool | None) -> str:
    return "kept" if met else "missed"
