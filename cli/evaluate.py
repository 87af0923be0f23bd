"""``recsys model evaluate``: measure a genre model on labelled tracks."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.options import (
    NamedPath,
    db_option,
    device_option,
    effort_option,
    json_option,
    model_option,
    workers_option,
)

if TYPE_CHECKING:
    from rich.console import Console

    from recsys.classifier.inference import Classifier
    from recsys.classifier.training.datasets import LabelledFile
    from recsys.classifier.training.evaluate import Evaluation, FolderEvaluation


@click.command(short_help="Measure a genre model on labelled tracks.")
@click.argument("directory", metavar="DIR", type=NamedPath())
@click.option(
    "--split",
    type=NamedPath(dir_okay=False),
    metavar="LIST",
    help="Use only these tracks: one GENRE/TRACK.ext per line, extension ignored.",
)
@click.option(
    "--held-out",
    is_flag=True,
    help="Exclude tracks that the model was trained on, by the keys in its card.",
)
@click.option(
    "--report",
    type=NamedPath(),
    metavar="OUT",
    help="Write a page with confusion matrix, curves, reliability and figures into this folder.",
)
@db_option
@model_option
@device_option
@workers_option
@effort_option("full")
@json_option("One JSON object.")
def command(
    directory: Path,
    split: Path | None,
    held_out: bool,
    report: Path | None,
    db: Path | None,
    model: Path | None,
    device: str,
    workers: int | None,
    effort: str | None,
    as_json: bool,
) -> None:
    """Measure a genre model on the tracks in DIR/GENRE/.

    Every track counts once and is given its most probable genre. Files that cannot be read and
    genres that the model does not know are left out and reported. --report needs
    the extra [papers]; OUT/index.html is the page, and holds its pictures itself.

    \b
    Examples:
      recsys model evaluate ~/Music/by-genre
      recsys model evaluate gtzan --split valid_filtered.txt --json
      recsys model evaluate gtzan --model mine.safetensors --held-out --report mine-on-gtzan
    """
    from rich.console import Console

    from recsys.api import Library

    console = Console(stderr=True)
    if report is not None:
        from recsys.reports.drawing import check_ready

        check_ready(report)
    files, missing = _choose(directory, split, console)
    classifier = Library(db, model=model, device=device, effort=effort or "full").classifier
    made_with = _made_with(classifier)
    if held_out:
        files = _held_out(files, made_with, classifier)
    known = _known_genres(files, classifier, console)
    learned = _warn_of_learned(known, made_with, classifier, console)
    result = _evaluate(classifier, known, workers or os.cpu_count() or 1, console)
    for path, reason in result.failed:
        _warn(console, f"failed {path}: {reason}")
    left_out = _LeftOut(missing, files, known)
    if report is not None:
        _write_report(report, result, classifier, directory, split, left_out)
    if as_json:
        _print_json(result, left_out, learned)
    else:
        _print_tables(result.evaluation, classifier.info.name)
    if result.failed:
        console.print(f"{len(result.failed)} files could not be read")
        click.get_current_context().exit(SOME_FILES_FAILED)


@dataclass(frozen=True, slots=True)
class _LeftOut:
    """Tracks of the list that are not there, the files found, and those that took part."""

    missing: int
    found: list[LabelledFile]
    used: list[LabelledFile]

    @property
    def unknown_genres(self) -> Counter[str]:
        """Genres that the model does not know, and their tracks."""
        known = {file.genre for file in self.used}
        return Counter(file.genre for file in self.found if file.genre not in known)


def _warn(console: Console, message: str) -> None:
    console.print(message, style="yellow", markup=False, highlight=False, soft_wrap=True)


def _choose(
    directory: Path, split: Path | None, console: Console
) -> tuple[list[LabelledFile], int]:
    """Return the files to use and how many tracks of the list are not there."""
    from recsys.classifier.training.datasets import find_tracks, read_split
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


def _made_with(classifier: Classifier) -> frozenset[str] | None:
    """Return the tracks that the model was trained or selected on, None if not listed."""
    keys = classifier.card.training.get("keys")
    if keys is None:
        return None
    return frozenset(keys["train"]) | frozenset(keys["valid"])


def _held_out(
    files: list[LabelledFile], made_with: frozenset[str] | None, classifier: Classifier
) -> list[LabelledFile]:
    """Leave out what the model was made with."""
    from recsys.errors import ModelError

    if made_with is None:
        raise ModelError(
            f"the card of {classifier.info.name} does not list its training tracks",
            "Name those to judge with --split, or train a recipe, whose card does.",
        )
    kept = [file for file in files if file.key not in made_with]
    if not kept:
        raise ModelError(
            f"{classifier.info.name} was made with all of the {len(files)} tracks",
            "Give tracks that it did not learn from.",
        )
    return kept


def _warn_of_learned(
    files: list[LabelledFile],
    made_with: frozenset[str] | None,
    classifier: Classifier,
    console: Console,
) -> int | None:
    """Report and return how many of the tracks the model was trained on."""
    if classifier.card.training.get("leaky"):
        _warn(
            console,
            "LEAKY: segments of one track were learned from and tested, so the figures in the "
            "model's card are too good",
        )
    if made_with is None:
        return None
    count = sum(file.key in made_with for file in files)
    if count:
        _warn(
            console,
            f"{count} of {len(files)} tracks were learned from, or the model was chosen by them: "
            "the figures are too good; --held-out judges it on the others",
        )
    return count


def _known_genres(
    files: list[LabelledFile], classifier: Classifier, console: Console
) -> list[LabelledFile]:
    """Leave out, and name, the genres that the model does not know."""
    from recsys.errors import ModelError

    labels = classifier.info.labels
    strange = Counter(file.genre for file in files if file.genre not in labels)
    for genre, count in sorted(strange.items()):
        _warn(console, f"the model does not know the genre {genre!r}: {count} tracks left out")
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

    from recsys.classifier.training.evaluate import evaluate_files

    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("Listening", total=len(files))
        return evaluate_files(
            classifier, files, workers=workers, on_file=lambda: progress.advance(bar)
        )


def _write_report(
    out: Path,
    result: FolderEvaluation,
    classifier: Classifier,
    directory: Path,
    split: Path | None,
    left_out: _LeftOut,
) -> None:
    from datetime import UTC, datetime

    from recsys.cli.output import note, shown
    from recsys.papers.explore import empty_genre_folders
    from recsys.reports.evaluation_page import EvaluationReport, write_report

    report = EvaluationReport(
        result=result,
        card=classifier.card,
        directory=directory,
        split=split,
        missing=left_out.missing,
        unknown_genres=left_out.unknown_genres,
        empty_genres=empty_genre_folders(directory, out) if split is None else (),
        created=datetime.now(UTC),
    )
    page, *_ = write_report(report, out)
    note(f"the report is {shown(page)}")


def _print_json(result: FolderEvaluation, left_out: _LeftOut, learned: int | None) -> None:
    from recsys.classifier.training.evaluate import as_dict

    extra = {
        "missing": left_out.missing,
        "failed": len(result.failed),
        "skipped": len(left_out.found) - len(left_out.used),
        "learned": learned,
    }
    click.echo(json.dumps(as_dict(result.evaluation) | extra))


def _print_tables(evaluation: Evaluation, name: str) -> None:
    from rich.table import Table

    from recsys.cli.output import console as wide_console

    low, high = evaluation.interval
    console = wide_console()
    table = Table("genre", "tracks", "precision", "recall", "F1", title=name)
    for column in table.columns[1:]:
        column.justify = "right"
    for genre, own in evaluation.per_genre.items():
        numbers = (f"{value:.3f}" for value in (own.precision, own.recall, own.f1))
        table.add_row(genre, str(own.n), *numbers)
    console.print(table)
    console.print(
        f"{evaluation.n} tracks: accuracy {evaluation.accuracy:.3f} (95% {low:.3f} to {high:.3f}),"
        f" macro F1 {evaluation.macro_f1:.3f}, weighted F1 {evaluation.weighted_f1:.3f},"
        f" calibration error {evaluation.ece:.3f}",
        highlight=False,
        soft_wrap=True,
    )
    predicted = list(next(iter(evaluation.confusion.values())))
    confusion = Table("true \\ given", *predicted, title="confusion")
    for genre, row in evaluation.confusion.items():
        confusion.add_row(genre, *(str(row[other] or "") for other in predicted))
    console.print(confusion)
