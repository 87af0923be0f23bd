"""Output for terminals and scripts: tables, JSON lines, paths, progress."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

PIPED_WIDTH = 200
"""Columns when output is not a terminal, so that a table in a file is not cut to 80."""


def print_json(value: Any) -> None:  # noqa: ANN401 (any JSON value)
    """Print one value as one line of JSON, at once.

    ASCII only: names that are not UTF-8 keep their bytes as surrogate escapes.
    """
    click.echo(json.dumps(value))
    sys.stdout.flush()


def print_paths(paths: Iterable[Path]) -> None:
    """Print one path per line, with exactly the bytes that it has on disk."""
    for path in paths:
        click.echo(os.fsencode(path))


def shown(path: Path | str) -> str:
    """Return a path for display, with escapes for what cannot be printed.

    Examples
    --------
    >>> shown("a\\nb")
    'a\\\\nb'
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in os.fspath(path)
    )


def note(message: str) -> None:
    """Print a note to standard error."""
    click.echo(f"Note: {message}", err=True)


def console() -> Console:
    """Return a console on standard output that does not truncate when piped."""
    from rich.console import Console

    wide = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, width=PIPED_WIDTH if wide else None)


def table(*columns: str, right: Iterable[int] = (), title: str | None = None) -> Table:
    """Return an empty table; `right` numbers the right-aligned columns from 0."""
    from rich import box
    from rich.table import Table

    result = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    aligned = set(right)
    for number, column in enumerate(columns):
        result.add_column(column, justify="right" if number in aligned else "left")
    return result


def escape(text: str) -> str:
    """Escape text that could contain markup."""
    from rich.markup import escape as escape_markup

    return escape_markup(text)


@contextlib.contextmanager
def progress(unit: str) -> Iterator[Progress | None]:
    """Show a progress bar with rate, ETA and failures; None when standard error is no terminal.

    Tasks carry a field ``failed``.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _rate_column(unit),
        TimeRemainingColumn(),
        _failures_column(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield bar


def _failures_column() -> Any:  # noqa: ANN401 (a class made where rich is loaded)
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class FailuresColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            failed = task.fields["failed"]
            return Text(f"{failed} failed" if failed else "")

    return FailuresColumn()


def _rate_column(unit: str) -> Any:  # noqa: ANN401 (a class made where rich is loaded)
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.1f} {unit}/s")

    return RateColumn()


def human_size(size: float) -> str:
    """Format a number of bytes.

    Examples
    --------
    >>> human_size(1536)
    '1.5 KiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def human_duration(duration_s: float) -> str:
    """Format a duration as players do.

    Examples
    --------
    >>> human_duration(3671)
    '1:01:11'
    >>> human_duration(65.4)
    '1:05'
    """
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
