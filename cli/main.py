"""The ``recsys`` command: a group whose commands load when they are called.

This is the one place where errors become text and exit codes.
"""

from __future__ import annotations

import gc
import importlib
import keyword
import os
import signal
import sys
from typing import Any

import click

from recsys.cli.exit_codes import FAILED, INTERRUPTED, TERMINATED
from recsys.errors import RecsysError

COMMANDS = (
    "index",
    "import",
    "similar",
    "playlist",
    "classify",
    "status",
    "push",
    "audit",
    "doctor",
    "train",
    "export",
    "evaluate",
    "robustness",
    "quality",
    "explore",
    "features",
    "recipes",
    "reproduce",
    "benchmark",
)


SUBCOMMANDS = {
    "papers": {"train": "papers_train"},
    "model": {"own-genres": "own_genres"},
}
"""Commands of a group, each with its module."""

GARBAGE_THRESHOLDS = (50_000, 10, 10)
"""How many objects are made before some of them are looked through, see :mod:`gc`."""


class LazyGroup(click.Group):
    """A group that imports a command's module only when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands in the order in which a newcomer needs them."""
        return [*COMMANDS, *SUBCOMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command."""
        if cmd_name in SUBCOMMANDS:
            return Subgroup(cmd_name, help=f"See recsys {cmd_name} --help.")
        if cmd_name not in COMMANDS:
            return None
        # A command whose name is a word of Python lies in a module with an underscore behind it.
        module = importlib.import_module(
            f"recsys.cli.{cmd_name}{'_' if keyword.iskeyword(cmd_name) else ''}"
        )
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 (as click has it)
        """Run a command, and turn whatever goes wrong into a message and an exit code."""
        try:
            return super().invoke(ctx)
        except RecsysError as error:
            _say(error.message, error.hint)
            for match in getattr(error, "matches", ()):
                click.echo(f"  {match}", err=True)
        except KeyboardInterrupt:
            _say("stopped", "What was finished is stored; run the command again to go on.")
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader of our output has gone, as `head` does; there is nobody left to tell.
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        except (OSError, MemoryError) as error:
            _say(_describe(error), "")
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except Exception as error:
            if os.environ.get("RECSYS_DEBUG"):
                raise
            _say(
                f"unexpected {type(error).__name__}: {error}",
                "This is a fault in recsys; run with RECSYS_DEBUG=1 and report the traceback.",
            )
        return ctx.exit(FAILED)


class Subgroup(click.Group):
    """A group inside the command; its commands load when they are called, too."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands of the group."""
        return list(SUBCOMMANDS[str(self.name)])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command."""
        module = SUBCOMMANDS[str(self.name)].get(cmd_name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(f"recsys.cli.{module}").command
        return command


def _describe(error: OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return "out of memory"
    name = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or error}{name}"


def _say(message: str, hint: str) -> None:
    click.echo(f"Error: {message}", err=True)
    if hint:
        click.echo(f"  {hint}", err=True)


EPILOG = """\b
Exit codes: 0 all fine, 1 the command failed, 2 wrong usage, 3 finished but some files failed,
130 stopped by Ctrl-C.

\b
Start with:
  recsys index ~/Music
  recsys similar ~/Music/song.mp3 --k 20
  recsys playlist ~/Music/song.mp3 --length 50 -o evening.m3u8
"""


@click.command(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="recsys", prog_name="recsys")
def cli() -> None:
    """Listen to a music library and recommend from it.

    recsys hears the genre and the sound of every track in your folders, remembers them in one
    database, and answers from there: what is similar to a track, and what to play next.
    """


def main() -> None:
    """Run the command line; names that cannot be printed are shown with escapes."""
    # Starting makes many objects and hardly any garbage: looking for it took a tenth of the time
    # of a short command.
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # The service managers' way to stop a program: end as in an error, so that everything is closed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    cli(prog_name="recsys")
