"""``recsys classify``: genres and tags of files."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
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
    time_limit_option,
    workers_option,
)
from recsys.cli.output import console, note, path_cell, print_failure, print_json, shown, table
from recsys.fields import classification_fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.classify import Classification
    from recsys.types import DeviceName

SHOWN = 4
"""Genres, and tags, per file in the table."""

STANDARD_INPUT = Path("-")


@click.command(name="classify")
@click.argument("files", nargs=-1, required=True, type=NamedPath())
@json_option("One line of JSON per file, with the probabilities of all genres and all tags.")
@device_option
@model_option
@workers_option
@time_limit_option
@db_option
@click.pass_context
def command(
    ctx: click.Context,
    files: tuple[Path, ...],
    as_json: bool,
    device: DeviceName,
    model: Path | None,
    workers: int | None,
    time_limit: float,
    db: Path | None,
) -> None:
    """Classify audio files: genre probabilities and tags.

    A folder stands for the audio files under it, "-" for a file that is read from standard input.

    A genre holds when its probability reaches the model's threshold; several can hold. The genre is
    "unknown" when the most probable one does not hold. Without a library, the shipped model is used
    with full effort; with one, its model and effort. The library is not changed.

    Tags (styles, moods, eras, voices) are listed from a strength of 1, the strongest first. The
    strength is the z-score of the tag's logit over a reference collection. --json gives every tag
    with score and strength, and the kind of the file: music, speech or other. The genre of what is
    no music is its kind in the table.

    \b
    Examples:
      recsys classify song.mp3
      recsys classify ~/Music/new --json
      curl --silent https://example.org/song.mp3 | recsys classify -
    """
    from recsys.api import Library

    failed = 0
    rows: list[Classification] = []
    library = Library(db, model=model, device=device)
    with _regular(files) as (given, spooled):
        # JSON is printed as results come; the width of a table's columns needs all of them.
        for result in library.classify(given, workers=workers, time_limit_s=time_limit):
            failed += result.error is not None
            named = replace(result, path=STANDARD_INPUT) if result.path == spooled else result
            if as_json:
                print_json(classification_fields(named))
            else:
                rows.append(named)
    if not as_json:
        _print_table(rows)
    if failed:
        ctx.exit(SOME_FILES_FAILED)


@contextmanager
def _regular(files: tuple[Path, ...]) -> Iterator[tuple[list[Path], Path | None]]:
    """Yield the files, with a copy of standard input in the place of "-", and that copy.

    Decoders seek, which a pipe cannot.
    """
    if STANDARD_INPUT not in files:
        yield list(files), None
        return
    if sys.stdin.isatty():
        raise click.UsageError("- reads a file from standard input, which is a terminal here")
    with tempfile.NamedTemporaryFile(prefix="recsys-") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        spooled = Path(copy.name)
        given = dict.fromkeys(spooled if file == STANDARD_INPUT else file for file in files)
        yield list(given), spooled


def _print_table(rows: list[Classification]) -> None:
    from recsys.genres import HOLDS_FROM
    from recsys.recommender.explanations import percent

    tagged = any(row.tags for row in rows)
    screen = console()
    output = table("File", "Genre", "Most probable", *(["Tags"] if tagged else []))
    output.columns[0].no_wrap = screen.is_terminal
    for row in rows:
        if row.error is not None:
            print_failure(row.path, row.error, row.hint)
            continue
        ranked = sorted(row.probabilities.items(), key=lambda item: -item[1])[:SHOWN]
        shares = ", ".join(f"{genre} {percent(p)}" for genre, p in ranked)
        # Several genres of the head reach their thresholds; a style or a kind stands alone.
        genre = " + ".join(row.genres) if row.label in row.genres else row.label
        cells = [path_cell(row.path, screen), genre, shares]
        if tagged:
            carried = [tag for tag, own in row.tags.items() if own.strength >= HOLDS_FROM]
            cells.append(", ".join(carried[:SHOWN]))
        output.add_row(*cells)
        if row.warning:
            note(f"{shown(row.path)}: {row.warning}")
    if output.row_count:
        screen.print(output)
