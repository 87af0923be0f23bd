"""Music recommendations from your own files.

>>> from recsys import Library
>>> Library.__name__
'Library'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys.api import Library
    from recsys.errors import RecsysError

__all__ = ["Library", "RecsysError"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (PEP 562)
    """Load the public names when they are asked for: ``recsys --help`` needs none of them."""
    if name == "Library":
        from recsys.api import Library

        return Library
    if name == "RecsysError":
        from recsys.errors import RecsysError

        return RecsysError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
