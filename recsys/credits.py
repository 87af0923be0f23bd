"""Artists and albums of tracks as keys, however they are spelt."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.types import Track

NOT_AN_ARTIST = frozenset({"various artists", "various", "unknown artist", "unknown", "<unknown>"})
"""Placeholders of taggers for an unknown artist, as :func:`name_key` returns them."""


@lru_cache(maxsize=4096)
def name_key(name: str | None) -> str | None:
    """Return a name without case, compatibility forms and surplus spaces, but with accents.

    None for an empty name.

    Examples
    --------
    >>> name_key("  BJÖRK   Guðmundsdóttir ")
    'björk guðmundsdóttir'
    """
    if name is None:
        return None
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split()) or None


def artist_key(track: Track) -> str | None:
    """Return the artist of a track as :func:`name_key`; None without one, or for a placeholder."""
    key = name_key(track.artist)
    return None if key in NOT_AN_ARTIST else key


def album_credits(track: Track) -> frozenset[str]:
    """Return the album artist and the artist of a track as :func:`name_key`."""
    names = (name_key(track.tags.album_artist), name_key(track.tags.artist))
    return frozenset(name for name in names if name is not None)


def album_keys(track: Track) -> tuple[str, ...]:
    """Return keys of which the tracks of one album share one; that of its album artist is first."""
    album = name_key(track.tags.album)
    if album is None:
        return ()
    names = (name_key(track.tags.album_artist), name_key(track.tags.artist))
    credited = [name for name in dict.fromkeys(names) if name is not None]
    return tuple(f"{name} - {album}" for name in credited) or (album,)
