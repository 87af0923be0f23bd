"""``recsys mood``: moods, the table that they come from, and heads fitted to VibeNet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.options import FILE, db_option, json_option, seed_option
from recsys.cli.output import (
    console,
    end_with_failures,
    escape,
    failures_json,
    print_json,
    progress,
    shown,
    table,
    warn,
)

if TYPE_CHECKING:
    from recsys.mood.fit import MoodFit


@click.group(name="mood")
def command() -> None:
    """List moods, edit their table, fit energy and valence to your library."""


@command.command(name="list")
@json_option("One JSON object.")
@db_option
def list_command(as_json: bool, db: Path | None) -> None:
    """List the moods for --mood: the numbers that each allows, and how many tracks it has.

    \b
    Examples:
      recsys mood list
      recsys playlist --mood happy --length 20
    """
    from recsys.api import Library
    from recsys.library_status import mood_counts

    with Library(db) as library:
        moods, counts = library.moods(), mood_counts(library.store)
    if as_json:
        as_text = {name: {n: str(r) for n, r in own.items()} for name, own in moods.items()}
        print_json({n: {**own, "tracks": counts[n]} for n, own in as_text.items()})
        return
    rows = table("Mood", "Numbers", "Tracks", right=(2,))
    for name, own in moods.items():
        ranges = ", ".join(f"{number} {limits}" for number, limits in own.items())
        rows.add_row(escape(name), escape(ranges), str(counts[name]))
    console().print(rows)


@command.command(name="table")
@click.option("--shipped", is_flag=True, help="Print the table that comes with recsys.")
@db_option
def table_command(shipped: bool, db: Path | None) -> None:
    """Print the table that makes the numbers and the moods; edit it, then recsys mood use it.

    \b
    Examples:
      recsys mood table > moods.toml
    """
    from recsys.mood.table import shipped_text

    if not shipped:
        from recsys.api import Library

        with Library(db) as library:
            text = library.store.moods().text
    click.echo(shipped_text() if shipped or text is None else text, nl=False)


@command.command(name="use")
@click.argument("file", type=FILE, metavar="FILE")
@db_option
def use_command(file: Path, db: Path | None) -> None:
    """Give the library a table of its own, and compute the numbers of all tracks by it.

    Nothing is decoded. The library keeps a copy: give the command again after changes of FILE.

    \b
    Examples:
      recsys mood use moods.toml
    """
    from recsys.api import Library

    with Library(db) as library:
        count = library.use_moods(file)
        model, moods = library.store.model(), library.store.moods()
    fitted = moods.heads is not None
    if model is not None and not fitted:
        for name in moods.table.missing_numbers(model):
            warn(f"no track has {name} now: the model lacks too many of its tags")
        if missing := moods.table.missing_tags(model):
            warn(f"the model has no tag {', '.join(missing)}: recsys status --tags lists its tags")
    if fitted:
        click.echo(
            f"{shown(file)} names the moods now; the numbers stay fitted (recsys mood reset)"
        )
    else:
        click.echo(f"{shown(file)} makes the numbers now: {count} computed")


@command.command(name="fit")
@click.option(
    "--tracks",
    type=click.IntRange(min=50),
    default=300,
    show_default=True,
    help="Number of tracks that VibeNet judges, drawn at random.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Decoding processes.")
@seed_option("Random seed of the draw and the folds.")
@json_option("One JSON object.")
@db_option
def fit_command(
    tracks: int,
    workers: int | None,
    seed: int,
    as_json: bool,
    db: Path | None,
) -> None:
    """Fit the numbers to VibeNet's, on tracks of your own library.

    VibeNet (pip install vibenet, GPL-3) judges the middle 30 s of some tracks, about a second each.
    Linear heads over embedding and tags are fitted to its answers, and make the numbers of all
    tracks. They stay in this library. Ctrl-C leaves the numbers as they were; recsys mood reset
    undoes a fit.

    \b
    Examples:
      recsys mood fit
      recsys mood fit --tracks 1000 --seed 1
    """
    from recsys.api import Library
    from recsys.mood.fit import MoodFitOptions

    with Library(db) as library, progress("tracks", "Judging") as bar:
        found = library.fit_moods(
            MoodFitOptions(tracks, seed, workers), on_start=bar.start, on_track=bar.advance
        )
    if as_json:
        print_json(
            {
                "tracks": found.tracks,
                "artists": found.artists,
                "seed": seed,
                "rank_correlations": {n: r and round(r, 3) for n, r in found.correlations.items()},
                "of_table": {n: r and round(r, 3) for n, r in found.of_table.items()},
                "failed": failures_json(found.failed),
            }
        )
    else:
        _print_fit(found)
    end_with_failures(found.failed)


def _print_fit(found: MoodFit) -> None:
    rows = table("Number", "Fitted", "Table", right=(1, 2))
    for name, fitted in found.correlations.items():
        values = fitted, found.of_table[name]
        rows.add_row(name, *("" if value is None else f"{value:.2f}" for value in values))
    console().print(rows)
    click.echo(
        f"Rank correlation with VibeNet on {found.tracks} tracks of {found.artists} artists, fitted"
        " without the artist of the track. The library uses the fitted numbers now."
    )


@command.command(name="reset")
@db_option
def reset_command(db: Path | None) -> None:
    """Go back to the table that comes with recsys, without heads.

    \b
    Examples:
      recsys mood reset
    """
    from recsys.api import Library

    with Library(db) as library:
        count = library.use_moods()
    click.echo(f"The table that comes with recsys makes the numbers now: {count} computed")
