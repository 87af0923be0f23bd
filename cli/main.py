"""The ``recsys`` command, and the one place where errors become text and exit codes."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from recsys.cli.exit_codes import FAILED, INTERRUPTED, PIPE_CLOSED, SIGNALLED
from recsys.cli.lazy import LazyGroup
from recsys.errors import RecsysError

if TYPE_CHECKING:
    from types import FrameType

SECTIONS = {
    "The library": {
        "index": "recsys.cli.index",
        "status": "recsys.cli.status",
        "list": "recsys.cli.list",
        "show": "recsys.cli.show",
        "export": "recsys.cli.export",
        "doctor": "recsys.cli.doctor",
    },
    "Find music": {
        "similar": "recsys.cli.similar",
        "playlist": "recsys.cli.playlist",
        "radio": "recsys.cli.radio",
        "mood": "recsys.cli.mood",
        "blends": "recsys.cli.blends",
    },
    "In browsers and players": {
        "serve": "recsys.cli.serve",
        "link": "recsys.cli.link",
        "mpd": "recsys.cli.mpd",
    },
    "Say what you want to hear": {
        "like": "recsys.cli.like:like",
        "dislike": "recsys.cli.like:dislike",
        "ban": "recsys.cli.like:ban",
        "unban": "recsys.cli.like:unban",
        "prefer": "recsys.cli.prefer",
        "feedback": "recsys.cli.feedback",
    },
    "Genres, and how good they are": {
        "classify": "recsys.cli.classify",
        "audit": "recsys.cli.audit",
        "quality": "recsys.cli.quality",
        "train": "recsys.cli.train",
        "model": "recsys.cli.model",
    },
    "More": {
        "papers": "recsys.cli.papers",
        "cluster": "recsys.cli.cluster",
        "milvus": "recsys.cli.milvus",
        "completion": "recsys.cli.completion",
    },
}
"""The commands, and groups of commands, in the sections and in the order of the help."""

MODULES = {name: module for section in SECTIONS.values() for name, module in section.items()}

GROUPS = ("mood", "mpd", "feedback", "model", "papers", "cluster", "milvus")
"""Groups of commands, most of which need an extra."""

COMMANDS = tuple(name for name in MODULES if name not in GROUPS)
"""The commands for a music library."""

ALIASES = {"evaluate": "recsys.cli.evaluate"}
"""Former names, to be removed in 0.2."""

GARBAGE_THRESHOLDS = (50_000, 10, 10)
"""Allocations before a collection, see :func:`gc.set_threshold`."""


class Recsys(LazyGroup):
    """The command line: its help in sections, and the one place where errors become text."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in sections; all descriptions begin in one column."""
        width = max(map(len, MODULES))
        limit = formatter.width - 6 - width
        for title, names in SECTIONS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            rows = [
                (name.ljust(width), found.get_short_help_str(limit))
                for name, found in commands
                if found
            ]
            with formatter.section(title):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 (as click has it)
        """Run a command, and turn every exception into a message and an exit code."""
        try:
            return super().invoke(ctx)
        except RecsysError as error:
            _report(error.message, error.hint)
            for match in getattr(error, "matches", ()):
                click.echo(f"  {_printable(match)}", err=True)
        except KeyboardInterrupt as stop:
            code = stop.exit_code if isinstance(stop, Signalled) else INTERRUPTED
            # The terminal, and with it the place for messages, may be gone.
            with contextlib.suppress(OSError):
                _report("stopped", "Finished work is stored; run the command again to go on.")
            ctx.exit(code)
        except (OSError, MemoryError) as error:
            ctx.exit(_system_error(error))
        except ImportError as error:
            _report(
                f"a part of recsys could not be loaded: {error}",
                "Memory may be short (see ulimit -v); if it is not, install recsys again.",
            )
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except Exception as error:
            if os.environ.get("RECSYS_DEBUG"):
                raise
            _report(
                f"unexpected {type(error).__name__}: {error}",
                "This is a bug in recsys; run with RECSYS_DEBUG=1 and report the traceback.",
            )
        return ctx.exit(FAILED)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:  # noqa: ANN401
        """Read the arguments; --help, which this prints, may fail like any other output."""
        try:
            return super().make_context(*args, **kwargs)
        except OSError as error:
            sys.exit(_system_error(error))


class Signalled(KeyboardInterrupt):
    """A signal that ends the program; what Ctrl-C saves and stops is saved and stopped."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = SIGNALLED + number


def _system_error(error: OSError | MemoryError) -> int:
    """Report an error of the system, and return the exit code."""
    if isinstance(error, BrokenPipeError):
        # The reader of our output has closed it, as `head` does. Python would complain again when
        # it flushes standard output at exit.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return PIPE_CLOSED
    # Where nothing can be written, the exit code says it.
    with contextlib.suppress(OSError):
        _report(*_described(error))
    return FAILED


def _described(error: OSError | MemoryError) -> tuple[str, str]:
    if isinstance(error, MemoryError):
        return "out of memory", ""
    if error.errno == errno.ENOSPC and not error.filename:
        return "the output could not be written: the disk is full", "Free some space."
    name = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or error}{name}", ""


def _report(message: str, hint: str) -> None:
    click.echo(f"Error: {_printable(message)}", err=True)
    if hint:
        click.echo(f"  {_printable(hint)}", err=True)


def _printable(text: str) -> str:
    """Return a text whose lines change nothing but themselves where they are printed."""
    from recsys.notebook import one_line

    return "\n".join(one_line(line, len(line)) for line in text.split("\n"))


EPILOG = """\b
Exit codes: 0 success, 1 the command failed, 2 wrong usage, 3 finished but some files failed,
130 stopped by Ctrl-C, 141 the reader of the output closed it, 143 stopped by SIGTERM.

\b
Start with:
  recsys index ~/Music
  recsys similar ~/Music/song.mp3 --k 20
  recsys playlist ~/Music/song.mp3 --length 50 -o evening.m3u8
"""


@click.command(
    cls=Recsys,
    modules=MODULES,
    aliases=ALIASES,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="recsys", prog_name="recsys")
def cli() -> None:
    """Analyse a music library and recommend from it.

    recsys index stores genre probabilities and an embedding of every track in a database. The other
    commands read it: find similar tracks, make playlists, check genre tags.
    """


def main() -> None:
    """Run the command line; names that cannot be printed are shown with escapes."""
    # Imports make many objects and hardly any garbage: collecting took a tenth of a short command.
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # Service managers stop a program with SIGTERM; a terminal that is closed sends SIGHUP, which
    # nohup ignores.
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _stop)
    if "_RECSYS_COMPLETE" in os.environ:
        from recsys.cli.completing import register

        register()
    cli(prog_name="recsys")


def _stop(number: int, _: FrameType | None) -> NoReturn:
    raise Signalled(number)


def _open_closed_streams() -> None:
    """Put the null device where a standard stream is closed.

    Else the next file that is opened, the library perhaps, would get its number and be written to
    by whoever means the stream.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # an open file has the lowest free number
            stream = open(os.devnull, "w" if number else "r")  # noqa: SIM115
            setattr(sys, name, stream)
