"""Artists and albums of tracks as keys, however they are spelt."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.types import Track

NOT_AN_ARTIST = frozenset({"various artists", "various", "unknown artist", "unknown", "<unknown>"})
"""Placeholders of taggers for an unknown artist, as :func:`name_key` returns them."""

CREDITS = re.compile(
    r"\s*;\s*|\s+[/&]\s+|\s+(?:and|with|vs)\b\.?\s+|\s*[(\[]?\b(?:feat|ft|featuring)\b\.?\s+"
    r"|,\s+(?!(?:the|jr|sr|ii|iii)\b)",
    re.IGNORECASE,
)
"""What divides the artists in one tag: "Bob Marley & The Wailers" are Bob Marley, too.

"Tyler, The Creator" and "Harry Connick, Jr." are one each.
"""


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


def credited_artists(track: Track) -> frozenset[str]:
    """Return every artist of a track as :func:`name_key`: each of several in one tag, and all.

    Examples
    --------
    >>> from pathlib import Path
    >>> from recsys.types import Tags, Track
    >>> track = Track(1, Path("a.mp3"), Tags(artist="Nas feat. Lauryn Hill"), 60.0, "", "hiphop")
    >>> sorted(credited_artists(track))
    ['lauryn hill', 'nas', 'nas feat. lauryn hill']
    """
    tags = filter(None, (track.tags.album_artist, track.tags.artist))
    parts = ((tag, *(part.strip(" ()[]") for part in CREDITS.split(tag))) for tag in tags)
    names = map(name_key, chain.from_iterable(parts))
    return frozenset(name for name in names if name is not None)


def album_keys(track: Track) -> tuple[str, ...]:
    """Return keys of which the tracks of one album share one; that of its album artist is first."""
    album = name_key(track.tags.album)
    if album is None:
        return ()
    names = (name_key(track.tags.album_artist), name_key(track.tags.artist))
    credited = [name for name in dict.fromkeys(names) if name is not None]
    return tuple(f"{name} - {album}" for name in credited) or (album,)
