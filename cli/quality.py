"""``recsys quality``: the quality of the recommendations from a library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from recsys.cli.options import FILE, db_option, json_option, seed_option, workers_option
from recsys.cli.output import console, escape, note, print_json, progress, shown, table
from recsys.errors import RecsysError

if TYPE_CHECKING:
    from recsys.quality import Quality, SystemQuality
    from recsys.quality.metrics import Figure

REDUCTIONS = ("embedding", "centred", "local_scaling", "mutual_proximity")
"""The rows of the second table."""


@click.command(name="quality", short_help="Measure the recommendations from the library.")
@click.option(
    "--labels",
    type=click.Choice(("auto", "tag", "folder", "model")),
    default="auto",
    show_default=True,
    help="Source of the genre labels: the genre tag, the folder (GENRE/track.ogg), or the model. "
    "auto takes the first that most tracks have.",
)
@click.option(
    "--k",
    "-k",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Number of recommendations per query.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=2),
    metavar="N",
    help="Use N tracks as queries, drawn by --seed.  [default: all up to 5000 tracks, else 2000]",
)
@seed_option("Random seed of the sample, the random rankings and the intervals.")
@click.option(
    "--hand-made",
    is_flag=True,
    help="Compare with 36 hand-made features too, for which the files are decoded once. Needs the "
    "extra [papers].",
)
@click.option(
    "--hubness",
    is_flag=True,
    help="Compare ways to reduce hubness too. Needs the extra [train].",
)
@click.option(
    "--report",
    type=FILE,
    metavar="FILE.html",
    help="Write a page with plots and explanations. Needs the extra [papers].",
)
@workers_option
@json_option("One JSON object.")
@db_option
def command(
    labels: Literal["auto", "tag", "folder", "model"],
    k: int,
    sample: int | None,
    seed: int,
    hand_made: bool,
    hubness: bool,
    report: Path | None,
    workers: int | None,
    as_json: bool,
    db: Path | None,
) -> None:
    """Measure the quality of the recommendations from the library.

    Every track is a query. Its recommendations are compared with the known genres, artists and
    albums: precision and mean average precision with and without tracks of the same artist,
    coverage and hubness. Baselines, down to a random order, are measured in the same way. Intervals
    are 95% bootstraps over artists. No file is changed.

    \b
    Examples:
      recsys quality
      recsys quality --labels folder --k 20
      recsys quality --sample 1000 --seed 7 --json
      recsys quality --hand-made --hubness --report quality.html
    """
    from recsys.api import Library
    from recsys.quality import QualityOptions

    options = QualityOptions(labels, k, sample, seed, hand_made, hubness)
    if report is not None:
        _check_report(report)
    with Library(db) as library, progress("tracks", "Reading") as bar:
        quality = library.quality(
            options,
            workers=workers,
            on_progress=lambda stage, done, total: bar.update(
                description=stage, completed=done, total=total
            ),
        )
    if report is not None:
        from recsys.reports.quality_page import write_quality_report

        write_quality_report(quality, report)
    if as_json:
        print_json(quality.as_dict() | ({} if report is None else {"report": str(report)}))
        return
    _print(quality)
    if report is not None:
        click.echo(f"Report: {shown(report)}")


def _check_report(report: Path) -> None:
    """Raise now, before all the work, if the report could not be written."""
    from recsys.atomic import begins_as, check_replaceable
    from recsys.reports.drawing import check_ready

    if report.suffix.lower() not in (".html", ".htm"):
        raise RecsysError(
            f"--report {report} must end in .html or .htm", f"Try {report.stem}.html."
        )
    check_ready(report.absolute().parent)
    check_replaceable(report, "a page of recsys", begins_as(b"<!doctype html"))


def _print(quality: Quality) -> None:
    screen = console()
    for text in quality.warnings:
        screen.print(f"[yellow]{escape(text)}[/yellow]")
    screen.print(escape(quality.meaning))
    screen.print(
        f"{quality.tracks} tracks by {quality.artists} artists, analysed with "
        f"{escape(quality.model)}; {quality.queries} of them query, lists of {quality.k}, "
        f"seed {quality.seed}"
    )
    if quality.label_source != "none":
        screen.print(
            f"Labels: {quality.label_source}, {len(quality.label_counts)} different "
            f"[dim]({escape(quality.label_reason)})[/dim]"
        )
    screen.print()
    main = [own for own in quality.systems if own.name not in REDUCTIONS[1:]]
    _print_table(quality, main, "Quality of the recommendations")
    reductions = [own for own in quality.systems if own.name in REDUCTIONS]
    if len(reductions) > 1:
        _print_table(quality, reductions, "Ways to reduce hubness")
    for fact in quality.facts:
        click.echo(fact)
    if quality.hubs:
        most = ", ".join(f"{shown(hub.name)} ({hub.lists})" for hub in quality.hubs[:3])
        click.echo(f"In most lists by embedding: {most}")
    for own in quality.systems:
        if own.note:
            note(f"{own.title}: {own.note}.")
    for text in quality.notes:
        note(text)


def _print_table(quality: Quality, systems: list[SystemQuality], title: str) -> None:
    """Print a row per figure and a column per system, its interval under every figure."""
    from recsys.quality import FIGURES

    columns = ["", *(own.heading(quality.tracks).replace(" (", "\n(") for own in systems)]
    output = table(*columns, right=range(1, len(columns)), title=title)
    for name in FIGURES:
        cells = [_cell(own.figures[name]) for own in systems]
        if any(cells):
            output.add_row(quality.title_of(name), *cells)
    console().print(output)


def _cell(figure: Figure) -> str:
    if figure.value is None:
        return ""
    interval = figure.interval_text(digits=2)
    return f"{figure.value:.3f}" + (f"\n[dim]{interval}[/dim]" if interval else "")
