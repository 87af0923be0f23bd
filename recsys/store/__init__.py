"""The library database: tracks, analyses, failures, and their model.

SQLite is the truth and everything else a cache. Every write is one transaction: a process killed at
any moment loses at most the batch in flight. Analyses are keyed by audio hash and model, so that
moved, renamed, retagged and copied files share them.

This package holds the only SQL of recsys: :mod:`recsys.store.schema` the tables and migrations,
:mod:`recsys.store.connection` opening, locking and errors, :mod:`recsys.store.rows` the codec,
:mod:`recsys.store.store` reading and writing, :mod:`recsys.store.completion` names for a shell.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys.store.connection import LibraryLock
    from recsys.store.rows import Changes, StoredFile, TrackRecord
    from recsys.store.store import Store

__all__ = ["Changes", "LibraryLock", "Store", "StoredFile", "TrackRecord"]

_HOMES = {
    "Changes": "recsys.store.rows",
    "LibraryLock": "recsys.store.connection",
    "Store": "recsys.store.store",
    "StoredFile": "recsys.store.rows",
    "TrackRecord": "recsys.store.rows",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (PEP 562)
    """Load the public names when they are asked for: completion needs none of them."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name what is loaded on demand too."""
    return sorted({*globals(), *__all__})
