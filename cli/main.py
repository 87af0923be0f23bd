"""The ``recsys`` command, and the one place where errors become text and exit codes."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import Any

import click

from recsys.cli.exit_codes import FAILED, INTERRUPTED, TERMINATED
from recsys.cli.lazy import LazyGroup
from recsys.errors import RecsysError

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
        "blends": "recsys.cli.blends",
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

GROUPS = ("feedback", "model", "papers", "cluster", "milvus")
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
                click.echo(f"  {match}", err=True)
        except KeyboardInterrupt:
            _report("stopped", "Finished work is stored; run the command again to go on.")
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader of our output has closed it, as `head` does. Python would complain again
            # when it flushes standard output at exit.
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        except (OSError, MemoryError) as error:
            _report(_describe(error), "")
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


def _describe(error: OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return "out of memory"
    name = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or error}{name}"


def _report(message: str, hint: str) -> None:
    from recsys.notebook import one_line

    shown = "\n".join(one_line(line, len(line)) for line in message.split("\n"))
    click.echo(f"Error: {shown}", err=True)
    if hint:
        click.echo(f"  {hint}", err=True)


EPILOG = """\b
Exit codes: 0 success, 1 the command failed, 2 wrong usage, 3 finished but some files failed,
130 stopped by Ctrl-C.

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
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # Service managers stop a program with SIGTERM: exit, so that everything is closed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    if "_RECSYS_COMPLETE" in os.environ:
        from recsys.cli.completing import register

        register()
    cli(prog_name="recsys")
