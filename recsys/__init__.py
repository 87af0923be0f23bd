"""Music recommendations from your own files.

>>> from recsys import Library, PlaylistOptions, SimilarOptions
>>> print(SimilarOptions(k=5, max_per_artist=2).strategy)
tiers
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys.api import Library
    from recsys.errors import RecsysError
    from recsys.indexing import IndexOptions
    from recsys.listing import ListOptions
    from recsys.playlists import PlaylistOptions
    from recsys.playlists.radio import RadioOptions
    from recsys.recommender import Filters, SimilarOptions

__all__ = [
    "Filters",
    "IndexOptions",
    "Library",
    "ListOptions",
    "PlaylistOptions",
    "RadioOptions",
    "RecsysError",
    "SimilarOptions",
]

_HOMES = {
    "Filters": "recsys.recommender",
    "IndexOptions": "recsys.indexing",
    "Library": "recsys.api",
    "ListOptions": "recsys.listing",
    "PlaylistOptions": "recsys.playlists",
    "RadioOptions": "recsys.playlists.radio",
    "RecsysError": "recsys.errors",
    "SimilarOptions": "recsys.recommender",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (PEP 562)
    """Load the public names when they are asked for: ``recsys --help`` needs none of them."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name what is loaded on demand too, for completion in notebooks and shells."""
    return sorted({*globals(), *__all__})
