"""Groups of commands: in the order of the help, and imported on demand so that it stays quick."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping


class OrderedGroup(click.Group):
    """A group whose help lists its commands in the order of their definition."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in their order; click would sort them."""
        return list(self.commands)


class LazyGroup(click.Group):
    """A group that imports the module of a command, which holds it as ``command``, on demand.

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
        command: click.Command = importlib.import_module(module).command
        return command
