"""Writes docs/cli.md from the help texts: ``python -m tests.cli.reference``."""

from __future__ import annotations

from pathlib import Path

import click

from recsys.cli.main import cli

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"

INTRODUCTION = """\
# The command line

This page is generated from the help texts by `make docs`; a test keeps it true.

Every command takes `--help`. The library is one SQLite file, `library.db` in the user's data folder
unless `--db` or the environment variable `RECSYS_DB` names another. With `RECSYS_DEBUG=1` an
unexpected fault shows its traceback.

| exit code | meaning |
| --- | --- |
| 0 | success |
| 1 | the command failed; the message says why and what to do |
| 2 | wrong usage: an unknown option, a value out of range |
| 3 | finished, but some files failed or some folders were out of reach |
| 130 | stopped by Ctrl-C; finished work is stored |
"""


def render() -> str:
    """Return the page."""
    parts = [INTRODUCTION, *_sections(cli, "recsys", None)]
    return "\n".join(parts)


def _sections(command: click.Command, name: str, parent: click.Context | None) -> list[str]:
    """Return the section of a command, and those of its commands."""
    context = _context(command, name.rpartition(" ")[2], parent)
    sections = [_section(name, command.get_help(context))]
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            sections += _sections(found, f"{name} {inner}", context)
    return sections


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return command.make_context(
        name, [], parent, resilient_parsing=True, terminal_width=100, max_content_width=100
    )


def _section(title: str, text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"## {title}\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(render())
