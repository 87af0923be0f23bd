"""``recsys status``: tracks, genres, failures, model and index of a library."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.options import db_option, index_option, json_option, library_place
from recsys.cli.output import console, escape, human_size, print_json, shown, table
from recsys.cli.prefer import option_lines
from recsys.fields import EXAMPLES, failure_group_fields, status_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recsys.library_status import FailureGroup, LibraryStatus
    from recsys.milvus.catalogue import SharedStatus

BARS = " ▁▂▃▄▅▆▇█"
"""Letters of a distribution, from nothing to the most."""

SOURCES = {
    "all": "all that the model knows (recsys index --genres all)",
    "model": "those of the model's classifier head (recsys index --genres model)",
    "own": "those that the files name (recsys index --genres own)",
}
"""Genre groups, which form the tiers of a library, by their source."""

NUMBERS_FROM = {
    "table": "by a table of the library's own (recsys mood table)",
    "heads": "by heads fitted to VibeNet (recsys mood fit)",
}
"""What makes energy, valence and so on, where that is not the table that comes with recsys."""


@click.command(
    name="status", short_help="Show the library: tracks, genres, failures, model, index."
)
@click.option(
    "--failures",
    is_flag=True,
    help="Count the files that could not be analysed by reason, with examples and what helps.",
)
@click.option(
    "--tags", is_flag=True, help="List the model's tags with the number of tracks of each."
)
@json_option("One JSON object.")
@db_option
@index_option
def command(failures: bool, tags: bool, as_json: bool, db: Path | None, index: str | None) -> None:
    """Show the state of the library: tracks, genres, failures, model, sizes, index.

    \b
    Examples:
      recsys status
      recsys status --failures
      recsys status --tags
      recsys status --index milvus://music.example:19530
    """
    if failures and tags:
        raise click.UsageError("--failures and --tags exclude each other.")
    from recsys.api import Library

    database, place = library_place(db, index)
    if place is not None and (failures or tags):
        raise click.UsageError("--failures and --tags require --db.")
    with Library(database, index=place) as library:
        if place is not None:
            _print_shared(library.shared_status(), as_json=as_json)
            return
        if tags:
            counts = library.tag_counts()
            if as_json:
                print_json({"tags": counts})
            else:
                _print_counts("Tag", counts)
            return
        status = library.status()
        groups = library.failure_groups() if failures or as_json else []  # can be many
    if as_json:
        print_json(status_fields(status) | _failures_as_json(groups))
    elif failures:
        _print_failures(groups)
    else:
        _print(status)


def _print_shared(status: SharedStatus, *, as_json: bool) -> None:
    if as_json:
        fields = {
            "place": status.place,
            "model": {"name": status.model, "fingerprint": status.fingerprint},
            "effort": status.effort,
            "tracks": status.tracks,
            "genres_from": status.genre_source,
            "genres": status.genres,
            "tags": list(status.tags),
            "roots": [os.fspath(root) for root in status.roots],
        }
        print_json(fields)
        return
    rows = [
        ("Place", status.place),
        ("Model", f"{status.model} ({status.fingerprint})"),
        ("Effort", status.effort),
        ("Genres", SOURCES[status.genre_source]),
        ("Tracks", status.tracks),
        *(("Folder", root) for root in status.roots),
    ]
    _print_rows(rows)
    _print_counts("Genre", status.genres)


def _print_failures(groups: Sequence[FailureGroup]) -> None:
    """Print each kind of failure with its number, the first files, and what helps."""
    for group in groups:
        count = len(group.files)
        click.echo(f"{count} {'file' if count == 1 else 'files'}: {group.reason}")
        for failure in group.files[:EXAMPLES]:
            detail = failure.reason.partition(":")[2].strip()
            click.echo(f"  {shown(failure.file.path)}{f' ({detail})' if detail else ''}")
        if group.hint:
            click.echo(f"  {group.hint}")
    total = sum(len(group.files) for group in groups)
    retried = sum(group.retried for group in groups)
    click.echo(f"{total} files could not be analysed", err=True)
    if total:
        click.echo(
            f"Every run tries {retried} of them again; recsys index --retry-failed tries all, and "
            "recsys status --json lists them.",
            err=True,
        )


def _failures_as_json(groups: Sequence[FailureGroup]) -> dict[str, object]:
    failed = {file.file.path: file for group in groups for file in group.files}
    return {
        "failures_by_reason": failure_group_fields(groups),
        "failures_list": [
            {"path": os.fspath(path), "reason": failure.reason, "made_by": failure.made_by}
            for path, failure in sorted(failed.items())
        ],
    }


def _print_rows(rows: Iterable[tuple[str, object]]) -> None:
    for name, value in rows:
        click.echo(f"{name + ':':<10} {value}")


def _print_counts(title: str, counts: Mapping[str, int]) -> None:
    output = table(title, "Tracks", right=(1,))
    for name, count in counts.items():
        output.add_row(escape(name), str(count))
    console().print(output)


def _print_genres(status: LibraryStatus) -> None:
    """Print the map of the library: its genres with their share and the nearest others."""
    output = table("Genre", "Tracks", "Share", "Nearest", right=(1, 2))
    total = sum(status.genres.values())
    for name, count in status.genres.items():
        near = ", ".join(status.nearest_genres.get(name, ()))
        output.add_row(escape(name), str(count), f"{count / total:.0%}", escape(near))
    console().print(output)


def _print_numbers(numbers: Mapping[str, Sequence[int]]) -> None:
    """Print the distribution of each number from 0 to 1, a letter for each step."""
    output = table("Number", "0 to 1", "Below 0.5", right=(2,))
    for name, counts in numbers.items():
        if most := max(counts):
            bars = "".join(BARS[-(-count * (len(BARS) - 1) // most)] for count in counts)
            low = sum(counts[: len(counts) // 2]) / sum(counts)
            output.add_row(name, escape(bars), f"{low:.0%}")
    if output.row_count:
        console().print(output)


def _rows_of_place(status: LibraryStatus) -> list[tuple[str, object]]:
    """Return what is odd about the place of the library, and what of its folders is not in it."""
    rows: list[tuple[str, object]] = []
    if status.journal_problem is not None:
        rows.append(("Warning", status.journal_problem))
    if status.exclude:
        rows.append(("Excluded", shown(" ".join(map(shlex.quote, status.exclude)))))
    if status.video:
        rows.append(("Videos", "their sound is indexed (--no-video ends that)"))
    passed = status.passed_over
    rows.extend(("Skipped", shown(text)) for text in (passed.files, passed.kinds) if text)
    rows.extend(("Note", shown(text)) for text in passed.hints)
    return rows


def _print(status: LibraryStatus) -> None:
    from recsys.types import NOT_MUSIC

    index = "; ".join(status.index_problems) or "current"
    tags = f"{len(status.tags)} (recsys status --tags lists them)"
    failed = " (recsys status --failures says why)" if status.failures else ""
    rows: list[tuple[str, object]] = [
        ("Library", f"{status.database} ({human_size(status.database_bytes)})"),
        ("Index", f"{human_size(status.index_bytes)}, {index}"),
        ("Model", f"{status.model} ({status.fingerprint})" if status.model else "none yet"),
        ("Effort", status.effort or "none yet"),
        ("Genres", SOURCES[status.genre_source]),
        ("Tags", tags if status.tags else "none in this model"),
        ("Tracks", status.tracks),
        ("Failures", f"{status.failures}{failed}"),
    ]
    if status.numbers_from in NUMBERS_FROM:
        rows.append(("Moods", NUMBERS_FROM[status.numbers_from]))
    if no_music := {kind: n for kind, n in status.kinds.items() if kind in NOT_MUSIC}:
        counts = ", ".join(f"{count} {kind}" for kind, count in no_music.items())
        rows.append(("No music", f"{counts} (in no list without --include)"))
    if status.missing:
        rows.append(("Missing", f"{status.missing} tracks without a file (--keep-missing)"))
    if status.unanalysed:
        rows.append(("To do", f"{status.unanalysed} tracks not yet analysed by the current model"))
    if status.feedback:
        said = ", ".join(
            f"{number} {kind}{'' if number == 1 else 's'}"
            for kind, number in status.feedback.items()
        )
        rows.append(("Feedback", f"{said} (recsys feedback list)"))
    for genre, recall in status.recall_at_20.items():
        rows.append((genre, f"approximate search, measured recall@20 {recall:.3f}"))
    if options := option_lines(status.preferences):
        rows.append(("Defaults", f"{' '.join(options)} (recsys prefer)"))
    rows.extend(_rows_of_place(status))
    for root, there in status.roots.items():
        gone = "" if there else " (not available; its tracks are kept)"
        rows.append(("Folder", f"{root}{gone}"))
    _print_rows(rows)
    if status.genres:
        _print_genres(status)
    _print_numbers(status.numbers)
