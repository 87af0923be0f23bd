"""Words that could mean several things: a numbered choice on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import chain, islice
from typing import TypeVar

import click

from recsys.errors import AmbiguousQueryError

Answer = TypeVar("Answer")


def ask_until_clear(
    seeds: Sequence[str], answer: Callable[[list[str]], Answer], *, may_ask: bool = True
) -> Answer:
    """Return an answer to seeds; let the user choose what ambiguous ones mean.

    Where nobody can choose, or `may_ask` is false, the AmbiguousQueryError is raised. Questions go
    to standard error, because standard output may be a pipe.
    """
    given = list(seeds)
    while True:
        try:
            return answer(given)
        except AmbiguousQueryError as error:
            if not (may_ask and error.words in given and _is_terminal()):
                raise
            chosen = _choose(error)
            given = [chosen if seed == error.words else seed for seed in given]


def ask_about_groups(
    groups: Sequence[Sequence[str]],
    answer: Callable[[list[list[str]]], Answer],
    *,
    may_ask: bool = True,
) -> Answer:
    """Return an answer to several groups of seeds, as :func:`ask_until_clear` does for one."""

    def regrouped(given: list[str]) -> Answer:
        rest = iter(given)
        return answer([list(islice(rest, len(group))) for group in groups])

    return ask_until_clear([*chain(*groups)], regrouped, may_ask=may_ask)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _choose(error: AmbiguousQueryError) -> str:
    click.echo(f"{error.message}:", err=True)
    width = len(str(len(error.matches)))
    for number, line in enumerate(error.matches, start=1):
        click.echo(f"{number:>{width}}) {line}", err=True)
    kind = click.IntRange(1, len(error.matches))
    return error.seeds[click.prompt("Number", type=kind, err=True) - 1]
