"""Ratings and counts that clients of MPD keep in its sticker database, as feedback.

``rating`` (0 to 10), ``like`` (0 to 2), ``play_count`` or ``playCount`` and ``skip_count`` or
``skipCount`` are the names that they use. Each track gives one event at most: what somebody said of
it counts before what was counted.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

from recsys.players.mpd.connection import MpdRefusedError
from recsys.taste import EventKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.api import Library
    from recsys.players.mpd.connection import MpdConnection
    from recsys.players.mpd.queue import MusicFolders

SOURCE = "mpd stickers"
"""The source of these events."""

LIKED_FROM, DISLIKED_TO = 7.0, 3.0
"""Ratings, of 10, that are a like and a dislike."""

NAMES = {
    "rating": "rating",
    "like": "like",
    "play_count": "plays",
    "playCount": "plays",
    "skip_count": "skips",
    "skipCount": "skips",
}
"""Stickers that are read, and what they mean."""


def read_stickers(library: Library, connection: MpdConnection, folders: MusicFolders) -> int:
    """Store what stickers say of the tracks of a library; return the number of new events.

    Nothing is stored twice: an opinion that the library has from the stickers already is passed
    over, and another one takes its place.

    Parameters
    ----------
    library : Library
    connection : MpdConnection
    folders : MusicFolders

    Raises
    ------
    RecsysError
        MPD is gone, or the library cannot be written.
    """
    found: dict[EventKind, list[str]] = defaultdict(list)
    known = {event.key: event.kind for event in library.feedback() if event.source == SOURCE}
    for uri, stickers in _stickers(connection).items():
        kind = opinion(stickers)
        track = folders.track(uri) if kind is not None else None
        if kind is None or track is None or known.get(track.audio_hash) == kind:
            continue
        found[kind].append(f"id:{track.id}")
    for kind, seeds in found.items():
        library.record(kind, seeds, source=SOURCE)
    return sum(map(len, found.values()))


def opinion(stickers: Mapping[str, float]) -> EventKind | None:
    """Return what the stickers of a track say, None where that is nothing.

    Examples
    --------
    >>> opinion({"rating": 9, "skips": 3}), opinion({"plays": 1, "skips": 4}), opinion({"like": 1})
    (<EventKind.LIKE: 'like'>, <EventKind.SKIP: 'skip'>, None)
    """
    rating = stickers.get("rating", 0.0)  # 0 is none
    if stickers.get("like") == 2 or rating >= LIKED_FROM:
        return EventKind.LIKE
    if stickers.get("like") == 0 or 0 < rating <= DISLIKED_TO:
        return EventKind.DISLIKE
    plays, skips = stickers.get("plays", 0.0), stickers.get("skips", 0.0)
    if plays == skips:
        return None
    return EventKind.PLAY if plays > skips else EventKind.SKIP


def _stickers(connection: MpdConnection) -> dict[str, dict[str, float]]:
    """Return the stickers of all songs by their names; empty where MPD keeps none."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for name, meaning in NAMES.items():
        try:
            answer = connection.ask("sticker_find", "song", "", name)
        except MpdRefusedError:  # without a sticker_file in its configuration
            return {}
        for row in answer:
            value = _number(str(row.get("sticker")).partition("=")[2])
            if value is not None and "file" in row:
                found[row["file"]][meaning] = value
    return found


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
