"""``recsys model evaluate``: measure a genre model on labelled tracks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.exit_codes import SOME_FILES_FAILED
from recsys.cli.options import (
    FILE,
    NamedPath,
    db_option,
    device_option,
    effort_option,
    json_option,
    model_option,
    workers_option,
)
from recsys.cli.output import (
    accuracy_text,
    console,
    escape,
    note,
    print_failure,
    print_json,
    progress,
    shown,
    table,
    warn,
)
from recsys.errors import ModelError

if TYPE_CHECKING:
    from recsys.classifier.inference import Classifier
    from recsys.classifier.training.datasets import LabelledFile
    from recsys.classifier.training.evaluate import Evaluation
    from recsys.types import DeviceName, EffortName


@click.command(short_help="Measure a genre model on labelled tracks.")
@click.argument("directory", metavar="DIR", type=NamedPath())
@click.option(
    "--split",
    type=FILE,
    metavar="LIST",
    help="Use only these tracks: one GENRE/TRACK.ext per line, extension ignored.",
)
@click.option(
    "--held-out",
    is_flag=True,
    help="Exclude tracks that the model was trained on, by the keys in its card.",
)
@click.option(
    "--by-window",
    is_flag=True,
    help="Judge every window of a track on its own, as reports that test clips of songs do.",
)
@click.option(
    "--report",
    type=NamedPath(),
    metavar="OUT",
    help="Write a page with confusion matrix, curves, reliability and figures into this folder. "
    "Needs the extra [papers].",
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
    by_window: bool,
    report: Path | None,
    db: Path | None,
    model: Path | None,
    device: DeviceName,
    workers: int | None,
    effort: EffortName | None,
    as_json: bool,
) -> None:
    """Measure a genre model on the tracks in DIR/GENRE/.

    Every track counts once, with its most probable genre; with --by-window every window of it.
    Files that cannot be decoded and genres that the model does not know are left out and reported.
    With --report, OUT/index.html is the page; it needs no other file.

    \b
    Examples:
      recsys model evaluate ~/Music/by-genre
      recsys model evaluate gtzan --split valid_filtered.txt --json
      recsys model evaluate new-songs --model cnn-simple.safetensors --by-window
      recsys model evaluate gtzan --model mine.safetensors --held-out --report mine-on-gtzan
    """
    from recsys.api import Library
    from recsys.classifier.training.evaluate import as_dict, evaluate_files
    from recsys.learned import count_learned, training_keys
    from recsys.workers import default_workers

    if report is not None:
        # Before hours of work: the folder and the libraries of the report.
        from recsys.reports.drawing import check_ready

        check_ready(report)
    files, missing = _choose(directory, split)
    # Full effort by default: the model is measured, not the library.
    classifier = Library(db, model=model, device=device, effort=effort or "full").classifier
    if held_out:
        files = _held_out(files, classifier)
    # After --held-out: genres are reported only for tracks that would have been evaluated.
    files, unknown_genres = _known_genres(files, classifier)
    learned = count_learned(training_keys(classifier.card.training), (f.key for f in files))
    warnings = _warnings(learned, len(files), classifier)
    if by_window:
        length = classifier.features.window_s
        warnings += (f"Every window of {length:g} s is judged on its own and counts as a track.",)
    for text in warnings:
        warn(text)
    with progress("tracks", "Analysing") as bar:
        bar.start(len(files))
        result = evaluate_files(
            classifier,
            files,
            workers=workers or default_workers(),
            by_window=by_window,
            on_file=bar.advance,
        )
    for path, reason in result.failed:
        print_failure(path, reason)
    if report is not None:
        from recsys.papers.explore import empty_genre_folders
        from recsys.reports.evaluation_page import EvaluationReport, write_report

        made = EvaluationReport(
            result=result,
            card=classifier.card,
            directory=directory,
            split=split,
            missing=missing,
            unknown_genres=unknown_genres,
            empty_genres=empty_genre_folders(directory, report) if split is None else (),
            created=datetime.now(UTC),
            learned=learned,
            warnings=warnings,
        )
        note(f"the report is {shown(write_report(made, report)[0])}")
    if as_json:
        counts = {
            "missing": missing,
            "failed": len(result.failed),
            "skipped": sum(unknown_genres.values()),
            "learned": learned,
            "warnings": list(warnings),
        }
        print_json(as_dict(result.evaluation) | counts)
    else:
        _print_tables(result.evaluation, classifier.info.name, learned)
    if result.failed:
        click.echo(f"{len(result.failed)} files could not be decoded", err=True)
        click.get_current_context().exit(SOME_FILES_FAILED)


def _choose(directory: Path, split: Path | None) -> tuple[list[LabelledFile], int]:
    """Return the files to use, and how many tracks of the list have none."""
    from recsys.classifier.training.datasets import find_tracks, read_split

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
        warn(f"{missing} tracks of the list are not in the folder")
    return chosen, missing


def _held_out(files: list[LabelledFile], classifier: Classifier) -> list[LabelledFile]:
    """Leave out the tracks that the model was trained or selected on."""
    from recsys.learned import training_keys

    keys, name = training_keys(classifier.card.training), classifier.info.name
    if keys is None:
        raise ModelError(
            f"the card of {name} does not list its training tracks",
            "Name the tracks to evaluate with --split, or train a recipe: its card lists them.",
        )
    kept = [file for file in files if file.key not in keys]
    if not kept:
        raise ModelError(
            f"{name} was trained or selected on all of the {len(files)} tracks",
            "Give tracks that it was not trained on.",
        )
    return kept


def _known_genres(
    files: list[LabelledFile], classifier: Classifier
) -> tuple[list[LabelledFile], Mapping[str, int]]:
    """Return the tracks whose genre the model knows, and how many each other genre has."""
    labels = classifier.info.labels
    unknown = Counter(file.genre for file in files if file.genre not in labels)
    for genre, count in sorted(unknown.items()):
        warn(f"the model does not know the genre {genre!r}: {count} tracks left out")
    known = [file for file in files if file.genre in labels]
    if not known:
        raise ModelError(
            f"the model knows none of the genres {', '.join(sorted(unknown))}",
            f"It knows {', '.join(labels)}.",
        )
    return known, unknown


def _warnings(learned: int | None, tracks: int, classifier: Classifier) -> tuple[str, ...]:
    """Return why the figures are too good, if they are."""
    from recsys.learned import warning_of

    found = []
    if classifier.card.training.get("leaky"):
        found.append(
            "LEAKY: the model was trained and tested on segments of the same tracks, so the "
            "figures in its card are too good."
        )
    if text := warning_of(learned, tracks):
        found.append(f"{text} --held-out excludes these tracks." if learned else text)
    return tuple(found)


def _print_tables(evaluation: Evaluation, name: str, learned: int | None) -> None:
    screen = console()
    if learned != 0:  # where the output goes to a file, the warning does not
        name = f"{name}, trained on {'unknown' if learned is None else learned} of these tracks"
    genres = table("genre", "tracks", "precision", "recall", "F1", right=range(1, 5), title=name)
    for genre, own in evaluation.per_genre.items():
        figures = (f"{value:.3f}" for value in (own.precision, own.recall, own.f1))
        genres.add_row(escape(genre), str(own.n), *figures)
    screen.print(genres)
    figures_text = accuracy_text(evaluation.accuracy, evaluation.interval, evaluation.macro_f1)
    click.echo(
        f"{evaluation.n} tracks: {figures_text}, weighted F1 {evaluation.weighted_f1:.3f},"
        f" calibration error {evaluation.ece:.3f}"
    )
    predicted = list(next(iter(evaluation.confusion.values())))
    columns = ("true \\ predicted", *map(escape, predicted))
    confusion = table(*columns, right=range(1, len(columns)), title="confusion")
    for genre, row in evaluation.confusion.items():
        confusion.add_row(escape(genre), *(str(row[other] or "") for other in predicted))
    screen.print(confusion)
