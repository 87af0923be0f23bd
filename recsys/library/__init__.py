"""The files of a library: scan, tags, and identity, which survives a move.

Nothing is decoded here. mutagen reads tags; formats are told apart by their first bytes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from recsys.library.paths import AUDIO_SUFFIXES, absolute, outermost

if TYPE_CHECKING:
    from recsys.library.earlier import earlier_audio_hash
    from recsys.library.identity import audio_hash, is_earlier_identity
    from recsys.library.scanning import (
        ScanReport,
        ScanRules,
        is_passed_over,
        may_concern_scan,
        scan,
        track_file,
        track_file_or_reason,
    )
    from recsys.library.tags import read_tags

__all__ = [
    "AUDIO_SUFFIXES",
    "ScanReport",
    "ScanRules",
    "absolute",
    "audio_hash",
    "earlier_audio_hash",
    "is_earlier_identity",
    "is_passed_over",
    "may_concern_scan",
    "outermost",
    "read_tags",
    "scan",
    "track_file",
    "track_file_or_reason",
]

_HOMES = {
    "audio_hash": "identity",
    "earlier_audio_hash": "earlier",
    "is_earlier_identity": "identity",
    "read_tags": "tags",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (PEP 562)
    """Load what reads files when it is asked for: a query by a stored path needs none of it."""
    if name in __all__:
        return getattr(import_module(f"recsys.library.{_HOMES.get(name, 'scanning')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name what is loaded on demand too."""
    return sorted({*globals(), *__all__})
