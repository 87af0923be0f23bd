"""``recsys evaluate``: measure a genre model on labelled tracks."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.options import (
    NamedPath,
    db_option,
    device_option,
    json_option,
    model_option,
    workers_option,
)

if TYPE_CHECKING:
    from rich.console import Console

    from recsys.classifier.datasets import LabelledFile
    from recsys.classifier.evaluate import Evaluation, FolderEvaluation
    from recsys.classifier.inference import Classifier


@click.command(short_help="Measure a genre model on labelled tracks.")
@click.argument("directory", metavar="DIR", type=NamedPath())
@click.option(
    "--split",
    type=NamedPath(dir_okay=False),
    metavar="LIST",
    help="Use only these tracks: one GENRE/TRACK.ext per line, extension ignored.",
)
@db_option
@model_option
@device_option
@workers_option
@json_option("One JSON object.")
def command(
    directory: Path,
    split: Path | None,
    db: Path | None,
    model: Path | None,
    device: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Measure a genre model on the tracks in DIR/GENRE/.

    Every track counts once and is given its most probable genre. Files that cannot be read and
    genres that the model does not know are left out and reported.

    \b
    Examples:
      recsys evaluate ~/Music/by-genre
      recsys evaluate gtzan --split valid_filtered.txt --json
      recsys evaluate gtzan --model mine.safetensors
    """
    from rich.console import Console

    from recsys.api import Library

    console = Console(stderr=True)
    files, missing = _choose(directory, split, console)
    classifier = Library(db, model=model, device=device).classifier
    known = _known_genres(files, classifier, console)
    result = _evaluate(classifier, known, workers or os.cpu_count() or 1, console)
    for path, reason in result.failed:
        console.print(
            f"failed {path}: {reason}",
            style="yellow",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if as_json:
        from recsys.classifier.evaluate import as_dict

        extra = {
            "missing": missing,
            "failed": len(result.failed),
            "skipped": len(files) - len(known),
        }
        click.echo(json.dumps(as_dict(result.evaluation) | extra))
    else:
        _print_tables(result.evaluation, classifier.info.name)
    if result.failed:
        console.print(f"{len(result.failed)} files could not be read")
        click.get_current_context().exit(SOME_FILES_FAILED)


def _choose(
    directory: Path, split: Path | None, console: Console
) -> tuple[list[LabelledFile], int]:
    """Return the files to use and how many tracks of the list are not there."""
    from recsys.classifier.datasets import find_tracks, read_split
    from recsys.errors import ModelError

    files = find_tracks(directory, allow_empty=True)
    if split is None:
        return files, 0
    wanted = read_split(split)
    chosen = [file for file in files if file.key in wanted]
    if not chosen:
        raise ModelError(
            f"none of the {len(wanted)} tracks in {split} are in {directory}",
            "Check that the list names GENRE/TRACK as the folder does.",
        )
    missing = len(wanted - {file.key for file in chosen})
    if missing:
        console.print(f"{missing} tracks of the list are not in the folder", style="yellow")
    return chosen, missing


def _known_genres(
    files: list[LabelledFile], classifier: Classifier, console: Console
) -> list[LabelledFile]:
    """Leave out, and name, the genres that the model does not know."""
    from recsys.errors import ModelError

    labels = classifier.info.labels
    strange = Counter(file.genre for file in files if file.genre not in labels)
    for genre, count in sorted(strange.items()):
        console.print(
            f"the model does not know the genre {genre!r}: {count} tracks left out",
            style="yellow",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    known = [file for file in files if file.genre in labels]
    if not known:
        raise ModelError(
            f"the model knows none of the genres {', '.join(sorted(strange))}",
            f"It knows {', '.join(labels)}.",
        )
    return known


def _evaluate(
    classifier: Classifier, files: list[LabelledFile], workers: int, console: Console
) -> FolderEvaluation:
    from rich.progress import Progress

    from recsys.classifier.evaluate import evaluate_files

    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("Listening", total=len(files))
        return evaluate_files(
            classifier, files, workers=workers, on_file=lambda: progress.advance(bar)
        )


def _print_tables(evaluation: Evaluation, name: str) -> None:
    from rich.console import Console
    from rich.table import Table

    low, high = evaluation.interval
    console = Console()
    table = Table("genre", "tracks", "precision", "recall", "F1", title=name)
    for column in table.columns[1:]:
        column.justify = "right"
    for genre, own in evaluation.per_genre.items():
        numbers = (f"{value:.3f}" for value in (own.precision, own.recall, own.f1))
        table.add_row(genre, str(own.n), *numbers)
    console.print(table)
    console.print(
        f"{evaluation.n} tracks: accuracy {evaluation.accuracy:.3f} (95% {low:.3f} to {high:.3f}),"
        f" macro F1 {evaluation.macro_f1:.3f}, calibration error {evaluation.ece:.3f}",
        highlight=False,
        soft_wrap=True,
    )
    predicted = list(next(iter(evaluation.confusion.values())))
    confusion = Table("true \\ given", *predicted, title="confusion")
    for genre, row in evaluation.confusion.items():
        confusion.add_row(genre, *(str(row[other] or "") for other in predicted))
    console.print(confusion)
