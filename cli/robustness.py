"""``recsys model robustness``: how steady a model's embedding is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.options import NamedPath, db_option, device_option, json_option, workers_option

if TYPE_CHECKING:
    from recsys.robustness import Robustness, RobustnessOptions, RobustnessRun, VariantFigures

AIM_MEDIAN, AIM_FOUND, AIM_COSINE = 0.5, 0.98, 0.97
"""What the shipped model is held to; see docs/models.md."""


@click.command(name="robustness", short_help="Measure the robustness of a model's embedding.")
@click.argument("directory", metavar="DIR", type=NamedPath())
@click.option(
    "--model",
    "models",
    multiple=True,
    type=NamedPath(dir_okay=False),
    help="Model to measure, .safetensors or .onnx; several are compared on the same tracks.  "
    "[default: the library's own, or the shipped one]",
)
@click.option("--limit", type=click.IntRange(min=2), metavar="N", help="Draw N tracks by --seed.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="For the draw and for the interval.",
)
@workers_option
@device_option
@json_option("One JSON object.")
@db_option
@click.pass_context
def command(
    ctx: click.Context,
    directory: Path,
    models: tuple[Path, ...],
    limit: int | None,
    seed: int,
    workers: int | None,
    device: str,
    as_json: bool,
    db: Path | None,
) -> None:
    """Measure how steady a model's embedding is, on the tracks in DIR/GENRE/.

    Every track is made again in nine forms that a listener would call the same recording: encoded
    (MP3, Ogg, Opus), at half and double level, tilted by 2 dB, with a lead-in of 1.2 s, trimmed by
    a third, in mono. Each should find its original among all originals. And the first half of a
    track should find the second one among those of its genre. The forms are made in a temporary
    folder; no file of yours is changed.

    \b
    Examples:
      recsys model robustness ~/Music/by-genre --limit 100
      recsys model robustness gtzan --model mine.safetensors --model other.safetensors
      recsys model robustness gtzan --limit 200 --seed 1 --json
    """
    from recsys.cli.output import print_json, shown
    from recsys.robustness import RobustnessOptions

    run = _measure(
        directory, models or (None,), device, db, RobustnessOptions(limit, seed, workers)
    )
    if as_json:
        print_json(_as_json(run, seed))
    else:
        _print(run)
    for path, reason in run.failed.items():
        click.echo(f"failed: {shown(path)}: {reason}", err=True)
    if run.failed:
        ctx.exit(SOME_FILES_FAILED)


def _measure(
    directory: Path,
    models: tuple[Path | None, ...],
    device: str,
    db: Path | None,
    options: RobustnessOptions,
) -> RobustnessRun:
    from recsys.api import Library
    from recsys.cli.output import progress
    from recsys.library import absolute
    from recsys.robustness import measure_robustness

    classifiers = [
        Library(db, model=model, device=device, effort="full").classifier for model in models
    ]
    with progress("tracks") as bar:
        if bar is None:
            return measure_robustness(absolute(directory), classifiers, options)
        task = bar.add_task("Listening", total=None, failed=0)
        failed = 0

        def advance(is_failure: bool) -> None:
            nonlocal failed
            failed += is_failure
            bar.update(task, advance=1, failed=failed)

        return measure_robustness(
            absolute(directory),
            classifiers,
            options,
            on_start=lambda total: bar.update(task, total=total),
            on_track=advance,
        )


def _print(run: RobustnessRun) -> None:
    from recsys.cli.output import console, table

    names = _column_names(run)
    rows = table("", "Aim", *names, right=range(1, 2 + len(names)))
    medians = [f"{own.median_cosine:.3f}" for own in run.models]
    rows.add_row("median cosine of different tracks", f"{AIM_MEDIAN} or less", *medians)
    aim = f"{AIM_FOUND:.0%}, {AIM_COSINE}"
    rows.add_row("all forms", aim, *(_cell(own.all_variants) for own in run.models))
    for form in run.models[0].variants:
        rows.add_row(f"  {form}", "", *(_cell(own.variants[form]) for own in run.models))
    rows.add_row("first halves find second halves", "", *(_halves(own) for own in run.models))
    console().print(rows)
    click.echo(
        f"{run.tracks} of {run.found} tracks in {len(run.genres)} folders. Forms: share that "
        "finds its original, median and 5th percentile of the cosine to it. Halves: mean "
        "reciprocal rank inside the genre (95% interval; by chance)."
    )


def _column_names(run: RobustnessRun) -> list[str]:
    """Return the names of the models, with fingerprints where two have the same."""
    from recsys.cli.output import escape

    names = [own.model for own in run.models]
    return [
        escape(own.model if names.count(own.model) == 1 else f"{own.model}\n{own.fingerprint}")
        for own in run.models
    ]


def _cell(figures: VariantFigures) -> str:
    return f"{figures.found:.1%}, {figures.median:.3f}, {figures.low:.3f}"


def _halves(figures: Robustness) -> str:
    own = figures.halves
    if own is None:
        return "no two tracks of a genre"
    low, high = own.interval
    return f"{own.mean_reciprocal_rank:.3f} ({low:.3f} to {high:.3f}; {own.by_chance:.3f})"


def _as_json(run: RobustnessRun, seed: int) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "tracks": run.tracks,
        "found": run.found,
        "seed": seed,
        "genres": run.genres,
        "models": [asdict(own) for own in run.models],
        "failed": [{"path": os.fspath(path), "reason": why} for path, why in run.failed.items()],
    }
