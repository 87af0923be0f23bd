"""Groups of commands: in the order of the help, and imported on demand so that it stays quick."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping


class HelpfulGroup(click.Group):
    """A group that names the commands like one that it does not have."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; click suggests none, or in new versions those that are imported."""
        name = args[0]
        known = self.get_command(ctx, name) is not None
        if known or ctx.resilient_parsing or name.startswith("-"):
            return super().resolve_command(ctx, args)
        from difflib import get_close_matches

        similar = get_close_matches(name.lower(), self.list_commands(ctx))
        question = f" Did you mean {' or '.join(similar)}?" if similar else ""
        raise click.UsageError(f"No such command {name!r}.{question}", ctx)


class OrderedGroup(HelpfulGroup):
    """A group whose help lists its commands in the order of their definition."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in their order; click would sort them."""
        return list(self.commands)


class LazyGroup(HelpfulGroup):
    """A group that imports the module of a command on demand.

    The command is its ``command``, or what follows a colon: ``recsys.cli.like:dislike``.

    ``modules`` has the order of the help; ``aliases``, former names, are not in the help.
    """

    def __init__(
        self,
        *,
        modules: Mapping[str, str] | None = None,
        aliases: Mapping[str, str] | None = None,
        **attrs: Any,  # noqa: ANN401 (as click has it)
    ) -> None:
        super().__init__(**attrs)
        self._modules = dict(modules or {})
        self._aliases = dict(aliases or {})

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in their order; click would sort them."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command."""
        module = self._modules.get(cmd_name) or self._aliases.get(cmd_name)
        if module is None:
            return None
        module, _, attribute = module.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute or "command")
        return command
