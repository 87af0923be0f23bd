"""What the wings add to the core: feature kinds, architectures and runtimes, by name.

The core imports no wing. A wing, or any installed package, declares what it adds as entry points
in its pyproject.toml, and the core loads one when a model card, a recipe or a file asks for it.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Registry(StrEnum):
    """A group of entry points."""

    FEATURE_KINDS = "recsys.feature_kinds"
    ARCHITECTURES = "recsys.architectures"
    RUNTIMES = "recsys.runtimes"


@cache
def _declared(registry: Registry) -> dict[str, EntryPoint]:
    # Both the import and reading the metadata of every installed package take some 30 ms, which
    # a run with the shipped model never needs: only on demand, and once.
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=registry)}


def registered(registry: Registry) -> tuple[str, ...]:
    """Return the registered names, sorted."""
    return tuple(sorted(_declared(registry)))


def find(registry: Registry, name: str) -> Any:  # noqa: ANN401 (each group has its own type)
    """Return what is registered under a name.

    Raises
    ------
    KeyError
        Nothing is.
    ModuleNotFoundError
        A library that it needs is not installed.
    """
    return _declared(registry)[name].load()
