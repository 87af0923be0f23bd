"""What a shell offers when the Tab key is pressed; imported then only.

Names of the library come from :mod:`recsys.store.completion`; nothing else of recsys is imported
here, because every press of the key starts a program.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    add_completion_class,
)

import recsys
from recsys.errors import RecsysError
from recsys.store import completion
from recsys.store.connection import default_database

if TYPE_CHECKING:
    import click

FILES = "file"
"""The kind for which a shell offers its files."""

NAME = "name"
"""The kind of a name that bash has to quote, as it quotes the names of files."""

VARIABLE = "_RECSYS_COMPLETE"
"""The environment variable with which a shell asks."""


def _names(ctx: click.Context, read: Callable[[Path], list[str]]) -> list[str]:
    """Return names of the library of a command; none where it cannot be read."""
    try:
        return read(ctx.params.get("db") or default_database())
    except (RecsysError, OSError, ValueError, LookupError):
        return []  # nobody reads an error in the middle of a command


def _beginning(names: list[str], incomplete: str) -> list[str]:
    wanted = incomplete.casefold()
    return [name for name in names if name.casefold().startswith(wanted)]


def genres(ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
    """Offer the genres of the library."""
    return [CompletionItem(n) for n in _beginning(_names(ctx, completion.genre_names), incomplete)]


def genre_list(ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
    """Offer genres for the last place of a list with commas."""
    before, comma, last = incomplete.rpartition(",")
    given = before.split(",") if comma else []
    known = _names(ctx, completion.genre_names)
    names = ["auto", *known] if not given else [name for name in known if name not in given]
    return [CompletionItem(before + comma + name) for name in _beginning(names, last)]


def tags(ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
    """Offer the tags of the model."""
    return [CompletionItem(n) for n in _beginning(_names(ctx, completion.tag_names), incomplete)]


def moods(ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
    """Offer the moods of the library's table."""
    return [CompletionItem(n) for n in _beginning(_names(ctx, completion.mood_names), incomplete)]


def tracks(ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
    """Offer files, and the artists of the library."""
    files: list[CompletionItem[Any]] = [CompletionItem(incomplete, type=FILES)]
    if incomplete.startswith(("/", "~", ".")):
        return files
    artists = _names(ctx, lambda path: completion.artist_names(path, incomplete))
    return [CompletionItem(name) for name in artists] + files


def artists(ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
    """Offer the artists of the library."""
    names = _names(ctx, lambda path: completion.artist_names(path, incomplete))
    return [CompletionItem(name) for name in names]


def recipes(_: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
    """Offer the recipes that come with recsys, and files."""
    folder = Path(recsys.__file__).parent / "papers" / "recipes"
    names = sorted(path.stem for path in folder.glob("*.toml"))
    files: list[CompletionItem[Any]] = [CompletionItem(incomplete, type=FILES)]
    return [CompletionItem(name) for name in _beginning(names, incomplete)] + files


def matching_files(incomplete: str) -> list[str]:
    """Return the files that begin so, as they would be typed."""
    start = incomplete.rpartition("/")[2]
    shown = incomplete[: len(incomplete) - len(start)]
    try:
        entries = sorted(os.listdir(os.path.expanduser(shown) or "."))  # noqa: PTH111, PTH208
    except OSError:
        return []
    hidden = start.startswith(".")
    return [shown + n for n in entries if n.startswith(start) and n.startswith(".") == hidden]


class Bash(BashComplete):
    """Completion for bash that offers files next to names, and quotes names with spaces."""

    source_template = """\
%(complete_func)s() {
    local response type value
    response=$(IFS=$'\\n'; env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
        %(complete_var)s=bash_complete "$1")
    COMPREPLY=()
    while IFS=',' read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            name) compopt -o filenames; COMPREPLY+=("$value") ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done <<< "$response"
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the incomplete one, and that one.

        For bash ``--genre=jazz`` is three words, the second of which is no argument.
        """
        args, incomplete = super().get_completion_args()
        pairs = pairwise(["", *args])
        kept = [word for before, word in pairs if not (word == "=" and before.startswith("--"))]
        return kept, "" if incomplete == "=" else incomplete

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """Return the completions; bash looks for files itself only where there are no names."""
        items = super().get_completions(args, incomplete)
        names = [str(item.value) for item in items if item.type == "plain"]
        if not names or all(item.type == "plain" for item in items):
            # A name with a space would be two words.
            return [
                CompletionItem(item.value, type=NAME) if " " in str(item.value) else item
                for item in items
            ]
        return [CompletionItem(value, type=NAME) for value in names + matching_files(incomplete)]


class Fish(FishComplete):
    """Completion for fish that keeps the comma in a name."""

    source_template = FishComplete.source_template.replace(
        'string split ","', 'string split -m 1 ","'
    )


def register() -> None:
    """Let click use what this module has."""
    add_completion_class(Bash)
    add_completion_class(Fish)
