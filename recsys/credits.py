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


GUESTS = re.compile(
    r"[(\[]\s*(?:feat|ft|featuring|with)\b\.?\s+([^()\[\]]+)[)\]]"
    r"|\s(?:feat|ft|featuring)\b\.?\s+([^()\[\]]+)",
    re.IGNORECASE,
)
"""What names further artists in a title: "Song (feat. B)", "Song ft. B", "Song (with B)"."""

_LEAD_ENDS = re.compile(r"\s*;\s*|\s*[(\[]?\b(?:feat|ft|featuring)\b\.?\s+", re.IGNORECASE)

DISC = re.compile(
    r"\s*(?:[(\[]|[-\u2010-\u2014,:]\s*|\s)"
    r"(?:dis[ck]|cd|disque)\s*[-#:.]?\s*"
    r"(?:[0-9]{1,2}|[ivx]{1,4}|one|two|three|four|five|[a-d])(?:\s*(?:of|/)\s*[0-9]{1,2})?"
    r"(?:\s*[-:,][^()\[\]]*)?[)\]]?\s*$",
    re.IGNORECASE,
)
"""The end of the name of an album that tells the discs of a set apart: "(Disc 2)", "[CD1]"."""


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


@lru_cache(maxsize=8192)
def artists_of(tag: str | None) -> tuple[str, ...]:
    """Return each artist that one tag names, the first one first, as :func:`name_key`.

    Placeholders are none.

    Examples
    --------
    >>> artists_of("Nas feat. Lauryn Hill"), artists_of("Simon & Garfunkel"), artists_of("Unknown")
    (('nas', 'lauryn hill'), ('simon', 'garfunkel'), ())
    """
    if tag is None:
        return ()
    names = (name_key(part.strip(" ()[]")) for part in CREDITS.split(tag))
    return tuple(
        dict.fromkeys(name for name in names if name is not None and name not in NOT_AN_ARTIST)
    )


def lead_artist(tag: str | None) -> str | None:
    """Return the artist whom a tag names first, without guests, as it is spelt.

    Others that share a name, as with "&", stay: they are one act.

    Examples
    --------
    >>> lead_artist("Nas feat. Lauryn Hill"), lead_artist("Simon & Garfunkel"), lead_artist("A; B")
    ('Nas', 'Simon & Garfunkel', 'A')
    """
    lead = "" if tag is None else _LEAD_ENDS.split(tag, maxsplit=1)[0].strip()
    return lead or tag


@lru_cache(maxsize=8192)
def guests_of(title: str | None) -> tuple[str, ...]:
    """Return the artists that a title names, as :func:`name_key`.

    Examples
    --------
    >>> guests_of("Exhale (feat. Nas & Lauryn Hill) [Live]"), guests_of("(With) Or Without You")
    (('nas', 'lauryn hill'), ())
    """
    found = () if title is None else GUESTS.finditer(title)
    return tuple(dict.fromkeys(name for each in found for name in artists_of(each[1] or each[2])))


def known_artists(track: Track) -> frozenset[str]:
    """Return every artist of a track, guests included, as :func:`name_key`; no placeholders."""
    tags = track.tags
    return _known(tags.artist, tags.album_artist, tags.title)


@lru_cache(maxsize=8192)
def _known(*tags: str | None) -> frozenset[str]:
    artist, album_artist, title = tags
    return frozenset((*artists_of(artist), *artists_of(album_artist), *guests_of(title)))


def spaced_artists(track: Track) -> tuple[str, ...]:
    """Return the artists between whose tracks lists keep a distance, the main one first.

    They are those of the artist tag and the guests of the title; that of an album stands in for a
    missing artist.
    """
    tags = track.tags
    return _spaced(tags.artist or tags.album_artist, tags.title)


@lru_cache(maxsize=8192)
def _spaced(artist: str | None, title: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*artists_of(artist), *guests_of(title))))


@lru_cache(maxsize=8192)
def _whole_set(album: str | None) -> str | None:
    """Return the name of the set that a disc belongs to, as :func:`name_key`."""
    if album is None:
        return None
    return name_key(DISC.sub("", album)) or name_key(album)


def album_title(track: Track) -> str | None:
    """Return the album of a track as :func:`name_key`; that of its set for one of several discs.

    Examples
    --------
    >>> from pathlib import Path
    >>> from recsys.types import Tags, Track
    >>> track = Track(1, Path("a.mp3"), Tags(album="The Wall [CD 2]"), 60.0, "", "rock")
    >>> album_title(track)
    'the wall'
    """
    return _whole_set(track.tags.album)


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
    """Return keys of which the tracks of one album share one; that of its album artist is first.

    A disc of a set has the keys of the set, and those of its own name.
    """
    names = (name_key(track.tags.album_artist), name_key(track.tags.artist))
    credited = [name for name in dict.fromkeys(names) if name is not None]
    albums = dict.fromkeys((album_title(track), name_key(track.tags.album)))
    return tuple(
        key
        for album in albums
        if album is not None
        for key in ([f"{name} - {album}" for name in credited] or [album])
    )
