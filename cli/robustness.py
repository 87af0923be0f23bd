"""``recsys model robustness``: how stable a model's embedding is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.options import (
    FILE,
    NamedPath,
    db_option,
    device_option,
    json_option,
    seed_option,
    workers_option,
)
from recsys.cli.output import (
    console,
    end_with_failures,
    escape,
    failures_json,
    print_json,
    progress,
    table,
)

if TYPE_CHECKING:
    from recsys.robustness import Robustness, RobustnessRun, VariantFigures
    from recsys.types import DeviceName

AIM_MEDIAN, AIM_FOUND, AIM_COSINE = 0.5, 0.98, 0.97
"""Required of the shipped model; see docs/models.md."""


@click.command(name="robustness", short_help="Measure the robustness of a model's embedding.")
@click.argument("directory", metavar="DIR", type=NamedPath())
@click.option(
    "--model",
    "models",
    multiple=True,
    type=FILE,
    help="Model to measure (.safetensors or .onnx); repeat it to compare several on the same "
    "tracks.  [default: the library's model, or the shipped one]",
)
@click.option(
    "--limit",
    type=click.IntRange(min=2),
    metavar="N",
    help="Measure on N tracks, drawn by --seed.  [default: all]",
)
@seed_option("Random seed of the draw and of the interval.")
@workers_option
@device_option
@json_option("One JSON object.")
@db_option
def command(
    directory: Path,
    models: tuple[Path, ...],
    limit: int | None,
    seed: int,
    workers: int | None,
    device: DeviceName,
    as_json: bool,
    db: Path | None,
) -> None:
    """Measure how stable a model's embedding is, on the tracks in DIR/GENRE/.

    Every track is analysed in nine variants that a listener would call the same recording: encoded
    (MP3, Ogg, Opus), at half and double level, tilted by 2 dB, with a lead-in of 1.2 s, trimmed by
    a third, in mono. Each should find its original among all originals, and the first half of a
    track its second half among those of its genre. Variants are written to a temporary folder; your
    files are not changed.

    \b
    Examples:
      recsys model robustness ~/Music/by-genre --limit 100
      recsys model robustness gtzan --model mine.safetensors --model other.safetensors
      recsys model robustness gtzan --limit 200 --seed 1 --json
    """
    from recsys.api import Library
    from recsys.library import absolute
    from recsys.robustness import RobustnessOptions, measure_robustness

    # Full effort: the model is measured, not the library.
    classifiers = [
        Library(db, model=model, device=device, effort="full").classifier
        for model in models or (None,)
    ]
    with progress("tracks", "Analysing") as bar:
        run = measure_robustness(
            absolute(directory),
            classifiers,
            RobustnessOptions(limit, seed, workers),
            on_start=bar.start,
            on_track=bar.advance,
        )
    if as_json:
        print_json(
            {
                "tracks": run.tracks,
                "found": run.found,
                "seed": seed,
                "genres": run.genres,
                "models": [asdict(own) for own in run.models],
                "failed": failures_json(run.failed),
            }
        )
    else:
        _print(run)
    end_with_failures(run.failed)


def _print(run: RobustnessRun) -> None:
    names = _column_names(run)
    rows = table("", "Aim", *names, right=range(1, 2 + len(names)))
    medians = [f"{own.median_cosine:.3f}" for own in run.models]
    rows.add_row("median cosine of different tracks", f"{AIM_MEDIAN} or less", *medians)
    aim = f"{AIM_FOUND:.0%}, {AIM_COSINE}"
    rows.add_row("all variants", aim, *(_cell(own.all_variants) for own in run.models))
    for variant in run.models[0].variants:
        rows.add_row(f"  {variant}", "", *(_cell(own.variants[variant]) for own in run.models))
    rows.add_row("first halves find second halves", "", *(_halves(own) for own in run.models))
    console().print(rows)
    click.echo(
        f"{run.tracks} of {run.found} tracks in {len(run.genres)} folders. Variants: share that "
        "finds its original, median and 5th percentile of the cosine to it. Halves: mean "
        "reciprocal rank inside the genre (95% interval; by chance)."
    )


def _column_names(run: RobustnessRun) -> list[str]:
    """Return the names of the models, with fingerprints where two have the same."""
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
