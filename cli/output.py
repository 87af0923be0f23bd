"""Output for terminals and scripts: tables, JSON lines, paths, progress."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from recsys.cli.exit_codes import SOME_FILES_FAILED

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from recsys.types import Track

Command = TypeVar("Command", bound=Callable[..., Any])

LONGEST_LINE = 4096
"""Characters of a line for display: paths are shown whole."""

PIPED_WIDTH = 200
"""Columns when output is not a terminal, so that a table in a file is not cut to 80."""


def print_json(value: Any) -> None:  # noqa: ANN401 (any JSON value)
    """Print one value as one line of JSON, at once.

    ASCII only: names that are not UTF-8 keep their bytes as surrogate escapes.
    """
    click.echo(json.dumps(value))
    sys.stdout.flush()


def print_known(**fields: Any) -> None:  # noqa: ANN401 (any JSON values)
    """Print fields as one line of JSON, without those that are None."""
    print_json({name: value for name, value in fields.items() if value is not None})


class PathOutput(StrEnum):
    """How bare paths are printed, with exactly the bytes that they have on disk."""

    LINES = "paths"
    NULLS = "print0"


def path_options(command: Command) -> Command:
    """``--paths`` and ``--print0``: bare paths, as the parameter `paths`, else None."""
    for name, value, text in (
        ("--print0", PathOutput.NULLS, "As --paths, each ended by a NUL, for xargs -0."),
        ("--paths", PathOutput.LINES, "Print paths only, one per line."),
    ):
        flags = (name, "-0") if value is PathOutput.NULLS else (name,)
        command = click.option(*flags, "paths", flag_value=str(value), help=text)(command)
    return command


def print_paths(paths: Iterable[Path], output: str = PathOutput.LINES) -> None:
    """Print paths, each with its end; a line cannot hold a name with a line break."""
    broken: list[Path] = []
    for path in paths:
        name = os.fsencode(path)
        if output == PathOutput.NULLS:
            click.echo(name + b"\0", nl=False)
        elif b"\n" in name or b"\r" in name:
            broken.append(path)
        else:
            click.echo(name)
    if broken:
        count = "1 path with a line break is" if len(broken) == 1 else f"{len(broken)} paths are"
        why = "" if len(broken) == 1 else ", because they have line breaks"
        note(f"{count} left out{why}, {shown(broken[0])} for one: --print0 prints all")


def shown(path: Path | str) -> str:
    """Return a path for display, with escapes for what cannot be printed.

    Examples
    --------
    >>> shown("a\\nb")
    'a\\\\nb'
    """
    text = os.fspath(path)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def shortened(path: str, width: int) -> str:
    """Return a path of at most `width` characters: what is left out is in its middle.

    The name of the file, at the end, keeps two thirds of the room.

    Examples
    --------
    >>> shortened("/home/me/Music/Nina Simone/Pastel Blues/Sinnerman.mp3", 30)
    '/home/me/M…Blues/Sinnerman.mp3'
    """
    if len(path) <= width:
        return path
    end = max(1, (width - 1) * 2 // 3)
    return f"{path[: max(0, width - 1 - end)]}…{path[-end:]}"


def path_cell(path: Path | str, screen: Console) -> str:
    """Return a path for a cell of a table: shortened on a terminal, whole in a file or pipe."""
    text = shown(path)
    return escape(shortened(text, max(24, screen.width // 3)) if screen.is_terminal else text)


def note(message: str) -> None:
    """Print a note to standard error, on one line."""
    from recsys.notebook import one_line

    click.echo(f"Note: {one_line(message, LONGEST_LINE)}", err=True)


def warn(message: str) -> None:
    """Print a line to standard error, in yellow on a terminal."""
    from recsys.notebook import one_line

    click.secho(one_line(message, LONGEST_LINE), fg="yellow", err=True)


def print_failure(path: Path | str, reason: str | None, hint: str = "") -> None:
    """Print to standard error which file failed, and why."""
    from recsys.notebook import one_line

    click.echo(f"failed: {shown(path)}: {one_line(str(reason), LONGEST_LINE)}", err=True)
    if hint:
        click.echo(f"  {one_line(hint, LONGEST_LINE)}", err=True)


def end_with_failures(failed: Mapping[Path, str]) -> None:
    """Print which files failed, and why; end with the exit status for that if there are any."""
    for path, reason in failed.items():
        print_failure(path, reason)
    if failed:
        click.get_current_context().exit(SOME_FILES_FAILED)


def failures_json(failed: Mapping[Path, str]) -> list[dict[str, str]]:
    """Return the files that failed, and why, for JSON."""
    return [{"path": os.fspath(path), "reason": reason} for path, reason in failed.items()]


def accuracy_text(accuracy: float, interval: Iterable[float], macro_f1: float) -> str:
    """Return the figures of a genre model.

    Examples
    --------
    >>> accuracy_text(0.8, (0.71, 0.87), 0.775)
    'accuracy 0.800 (95% 0.710 to 0.870), macro F1 0.775'
    """
    low, high = interval
    return f"accuracy {accuracy:.3f} (95% {low:.3f} to {high:.3f}), macro F1 {macro_f1:.3f}"


def console() -> Console:
    """Return a console on standard output that does not truncate when piped."""
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self) -> None:  # Rich would end the program
            raise BrokenPipeError

    # Rich assumes 80 columns in a pipe; COLUMNS overrides both.
    wide = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    # Names may hold ":heart:", which is no emoji.
    return Screen(highlight=False, emoji=False, width=PIPED_WIDTH if wide else None)


def table(*columns: str, right: Iterable[int] = (), title: str | None = None) -> Table:
    """Return an empty table; `right` numbers the right-aligned columns from 0."""
    from rich import box
    from rich.table import Table

    result = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    aligned = set(right)
    for number, column in enumerate(columns):
        result.add_column(column, justify="right" if number in aligned else "left")
    return result


def track_table(*more: str) -> Table:
    """Return an empty table of tracks, with `more` columns of numbers behind the usual ones."""
    from recsys.types import TRACK_COLUMNS

    columns = len(TRACK_COLUMNS)
    return table(*TRACK_COLUMNS, *more, right=(0, 3, *range(columns, columns + len(more))))


def add_track(output: Table, number: int, track: Track, *more: str) -> None:
    """Add a track to a table of tracks."""
    output.add_row(*map(escape, track.cells(number)), *more)


def escape(text: str) -> str:
    """Escape text that could contain markup, or control characters: see `one_line`."""
    from rich.markup import escape as escape_markup

    from recsys.notebook import one_line

    return escape_markup(one_line(text, LONGEST_LINE))


class ProgressBar:
    """One bar on standard error; it does nothing where that is no terminal."""

    def __init__(self, bar: Progress | None, description: str = "") -> None:
        self._bar = bar
        self._failed = 0
        if bar is not None:
            self._task = bar.add_task(description, total=None, failed=0)

    @property
    def visible(self) -> bool:
        """Whether there is a terminal."""
        return self._bar is not None

    def update(self, *, failed: int = 0, **values: Any) -> None:  # noqa: ANN401 (rich has them)
        """Count failures, and set ``total``, ``completed``, ``advance`` or ``description``."""
        self._failed += failed
        if self._bar is not None:
            self._bar.update(self._task, failed=self._failed, **values)

    def start(self, total: int) -> None:
        """Set the number of items."""
        self.update(total=total)

    def advance(self, is_failure: bool = False) -> None:
        """Count one item."""
        self.update(advance=1, failed=is_failure)

    def restart(self, description: str | None = None, *, total: int | None = None) -> None:
        """Begin again at 0, also after :meth:`stop`."""
        self._failed = 0
        if self._bar is not None:
            self._bar.reset(self._task, total=total, description=description, failed=0)
            self._bar.start()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Remove the bar while something is printed, if it is shown."""
        shown_before = self._bar is not None and self._bar.live.is_started
        self.stop()
        yield
        if self._bar is not None and shown_before:
            self._bar.start()

    def stop(self) -> None:
        """Remove the bar: what is printed next must not be written into it."""
        if self._bar is not None:
            self._bar.stop()


@contextlib.contextmanager
def progress(unit: str, description: str = "") -> Iterator[ProgressBar]:
    """Show a progress bar with rate, ETA and failures."""
    if not sys.stderr.isatty():
        yield ProgressBar(None)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.1f} {unit}/s")

    class FailuresColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            failed = task.fields["failed"]
            return Text(f"{failed} failed" if failed else "")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        FailuresColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield ProgressBar(bar, description)


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
