"""``recsys papers reproduce``: reproduce the published figures, and measure without leaks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.options import (
    FILE,
    NamedPath,
    artists_option,
    completed_by,
    device_option,
    json_option,
    recipe_options,
    seed_option,
    unused_db_option,
    workers_option,
)
from recsys.cli.output import ProgressBar, console, note, print_json, progress, table
from recsys.errors import ModelError

if TYPE_CHECKING:
    import pandas as pd

    from recsys.papers.data import RecipeData
    from recsys.papers.recipe import Recipe
    from recsys.papers.reproduce import (
        FailedMeasurement,
        ReproduceOptions,
        ReproduceProgress,
        Reproduction,
        Task,
    )


@click.command(short_help="Reproduce the published figures, and measure without leaks.")
@click.option(
    "--data",
    multiple=True,
    type=NamedPath(),
    metavar="DIR",
    help="Folder of music, DIR/GENRE/track; repeat it for several.",
)
@click.option(
    "--tables", type=FILE, metavar="CSV", help="Public feature table, for recipes over its columns."
)
@click.option(
    "--out", required=True, type=NamedPath(), metavar="DIR", help="Folder to write the results to."
)
@click.option(
    "--recipe",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=completed_by("recipes"),
    help="Measure this recipe only; repeat it for several.  [default: all]",
)
@artists_option
@click.option(
    "--folds",
    type=click.IntRange(min=1),
    help="Folds of the artist-grouped protocol.  [default: 5 where a track is one vector, else 1]",
)
@recipe_options
@click.option(
    "--quick", is_flag=True, help="Use a few tracks and epochs only, to check that all of it runs."
)
@seed_option("Random seed of the splits and the training.")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Train networks with N seeds, from --seed on: the table has the median and the range.",
)
@device_option
@workers_option
@json_option("One line of JSON per row of the table.")
@unused_db_option
def command(
    data: tuple[Path, ...],
    tables: Path | None,
    out: Path,
    names: tuple[str, ...],
    artists: Path | None,
    folds: int | None,
    weights: str,
    epochs: int | None,
    quick: bool,
    seed: int,
    seeds: int,
    device: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Train each recipe by its paper protocol and by an artist-grouped one, and write one table.

    The artist-grouped protocol keeps tracks and artists on one side and selects models on
    validation tracks. Every finished measurement is kept in OUT/results: stop the command at any
    time, and run it again to resume. The table is OUT/table.md, .csv and index.html.

    \b
    Examples:
      recsys papers reproduce --data gtzan --out papers
      recsys papers reproduce --recipe svm-36 --recipe mlp --data gtzan --out papers
      recsys papers reproduce --recipe table-1 --tables features_30_sec.csv --out papers
      recsys papers reproduce --recipe cnn-mel-35 --seeds 3 --data gtzan --out papers
      recsys papers reproduce --quick --data gtzan --weights random --out try
    """
    from recsys.classifier.training.architectures import resolve_device
    from recsys.papers.fit import FitOptions
    from recsys.papers.recipe import RECIPE_NAMES
    from recsys.papers.reproduce import ReproduceOptions, Reproduction, all_recipes
    from recsys.reports.drawing import check_ready
    from recsys.workers import default_workers

    if not data and tables is None:
        raise click.UsageError("No music: give --data DIR, --tables CSV or both.")
    recipes = all_recipes(names or RECIPE_NAMES)
    _check_input(recipes, data, tables, weights)
    check_ready(out, ("matplotlib.figure", "jinja2", "pandas"))
    options = ReproduceOptions(
        out=out,
        directories=data,
        table=tables,
        artists=artists,
        fit=FitOptions(seed=seed, device=resolve_device(device), weights=weights, epochs=epochs),
        folds=folds,
        seeds=seeds,
        workers=workers or default_workers(),
        quick=quick,
    )
    run = Reproduction(recipes, options)
    failures = _run(run, as_json)
    rows = _write(run, recipes, failures, options)
    _report(rows, out, as_json)
    if failures:
        count = f"{len(failures)} of {len(run.tasks)} measurements"
        click.echo(f"{count} could not be made; the same command tries them again", err=True)
        click.get_current_context().exit(SOME_FILES_FAILED)


def _check_input(
    recipes: list[Recipe], data: tuple[Path, ...], tables: Path | None, weights: str
) -> None:
    """Raise now for an input with which every measurement would fail, one after the other."""
    from recsys.classifier.training.datasets import check_genres
    from recsys.papers.data import find_music, genres_of, read_public_table
    from recsys.papers.features import COLUMNS, PublicTable

    if weights not in ("published", "random") and not Path(weights).exists():
        raise ModelError(
            f"the weights {weights} do not exist",
            "Give a file, a folder of them, 'published' or 'random'.",
        )
    if tables is not None:
        read_public_table(tables, COLUMNS)
        if not any(isinstance(recipe.features, PublicTable) for recipe in recipes):
            if not data:
                raise ModelError(
                    "none of these recipes is over the columns of the public table",
                    "Give audio with --data, or add --recipe table-1.",
                )
            note("--tables has no effect: none of these recipes is over its columns")
    # One set of genres that can be divided is enough; the measurements of the others fail alone.
    files = find_music(data)
    refused = []
    for genres in dict.fromkeys(genres_of(recipe, files) for recipe in recipes):
        try:
            check_genres({file.key: file.genre for file in files if file.genre in genres})
        except ModelError as error:
            refused.append(error)
        else:
            return
    if data:
        raise refused[0]


def _run(run: Reproduction, as_json: bool) -> list[FailedMeasurement]:
    """Make the missing measurements, and report each."""
    from recsys.papers.reproduce import FailedMeasurement

    done = len(run.done())
    if done:
        click.echo(f"{done} of {len(run.tasks)} measurements exist already", err=True)
    failures = []
    with progress("steps") as bar:
        for task, outcome in run.run(_watcher(bar)):
            if isinstance(outcome, FailedMeasurement):
                failures.append(outcome)
                click.echo(f"not run: {_title(task)}: {outcome.reason}", err=True)
                if outcome.hint:
                    click.echo(f"  {outcome.hint}", err=True)
            elif not as_json:
                click.echo(
                    f"{_title(task)}: {outcome.test['accuracy']:.3f}"
                    f" of {outcome.test['n']} {outcome.unit}s, {outcome.minutes:.1f} min",
                    err=True,
                )
    return failures


def _title(task: Task) -> str:
    from recsys.papers.reproduce import WAYS

    seed = f", seed {task.seed}" if task.seed else ""
    return f"{task.recipe.name}, {WAYS[task.way]}{seed}"


def _watcher(bar: ProgressBar) -> ReproduceProgress:
    """Return the callbacks that advance the bar, or print lines where there is none."""
    from recsys.papers.comparison import describe_skipped
    from recsys.papers.reproduce import ReproduceProgress

    reported: set[str] = set()

    def on_data(task: Task, data: RecipeData) -> None:
        """Report the notes of each source once."""
        files = [(f"{path.parent.name}/{path.name}", reason) for path, reason in data.skipped]
        for line in (*data.notes, describe_skipped(files)):
            text = f"{task.source}: {line}"
            if line and text not in reported:
                reported.add(text)
                click.echo(text, err=True)

    def on_task(task: Task, number: int, total: int) -> None:
        description = f"[{number}/{total}] {_title(task)}"
        if bar.visible:
            bar.restart(description)
        else:
            click.echo(description, err=True)

    return ReproduceProgress(
        on_task,
        lambda total: bar.update(total=total, advance=1),
        lambda result: bar.update(total=result.epochs, completed=result.epoch),
        on_data,
    )


def _write(
    run: Reproduction,
    recipes: list[Recipe],
    failures: list[FailedMeasurement],
    options: ReproduceOptions,
) -> pd.DataFrame:
    from recsys.papers.comparison import as_markdown, compare, write_page
    from recsys.reports.drawing import write_file

    weights, quick, out = options.fit.weights, options.quick, options.out
    done = run.done()
    rows = compare(done, failures, weights=weights, quick=quick, epochs=options.fit.epochs)
    write_file(out / "table.csv", rows.to_csv(index=False))
    write_file(out / "table.md", as_markdown(rows, recipes, done))
    write_page(out, rows, recipes, done, weights=weights, quick=quick)
    return rows


def _report(rows: pd.DataFrame, out: Path, as_json: bool) -> None:
    from recsys.papers.comparison import mostly_unknown

    if as_json:
        for row in rows.to_dict("records"):
            print_json(row)
        return
    columns = ("Recipe", "Data", "Published", "Paper protocol", "Artist-grouped", "n")
    title = "Accuracy, each column of other test tracks; n counts the artist-grouped ones"
    shown = table(*columns, right=[2, 3, 4, 5], title=title)
    for row in rows.itertuples(index=False):
        published = "" if row.published is None else f"{row.published:.3f}"
        report, grouped = (
            "not measured" if v is None else f"{v:.3f}" for v in (row.report, row.honest)
        )
        mark = " leaky" if row.report is not None and row.leaky else ""
        unknown = mostly_unknown(row.unknown_artists, row.tracks)
        by_track = " by track" if row.honest is not None and unknown else ""
        # The table is short; the files have everything, with counts, intervals and notes.
        kind = row.data.partition(",")[0]
        shown.add_row(
            row.recipe, kind, published, report + mark, grouped + by_track, str(row.honest_n or "")
        )
    console().print(shown)
    click.echo(f"{out / 'table.md'}, {out / 'table.csv'}, {out / 'index.html'}")
