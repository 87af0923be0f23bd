"""Groups whose commands are imported when they are called: ``recsys --help`` stays quick."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping


class LazyGroup(click.Group):
    """A group that imports the module of a command on demand.

    Parameters
    ----------
    modules : mapping of str to str
        Module of each command, in the order of the help; it holds the command as ``command``.
    aliases : mapping of str to str
        The same for former names, which the help does not list.
    **attrs
        As for :class:`click.Group`.
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
        """Return the commands in the order in which a newcomer needs them."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command."""
        module = self._modules.get(cmd_name) or self._aliases.get(cmd_name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(module).command
        return command
