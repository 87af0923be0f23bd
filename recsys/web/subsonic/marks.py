"""What the listener said of songs, albums and artists, as players show it: stars and plays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsys.discography import artist_id
from recsys.taste import EventKind, Subject

if TYPE_CHECKING:
    from datetime import datetime

    from recsys.api import Library

LOVED, UNLOVED = 5, 1
"""The ratings that a like and a dislike are shown as: the library keeps no others."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Likes and dislikes in force, and plays."""

    state: tuple[tuple[str, int, bytes], int]
    liked: Mapping[str, datetime]  # by the hash of the sound, the id of the album or artist
    disliked: frozenset[str]
    plays: Mapping[str, tuple[int, datetime]]  # number and last time, by hash

    @classmethod
    def of(cls, library: Library) -> Marks:
        """Return those of a library."""
        store, known = library.store, library.discography()
        state = store.state, store.last_event()
        liked: dict[str, datetime] = {}
        disliked: set[str] = set()
        events = store.opinions()
        albums = [event for event in events if event.subject == Subject.ALBUM]
        # An event that was imported may name an album, and none of its tracks.
        tracks = store.tracks_of_hashes({event.tracks[0] for event in albums if event.tracks})
        for event in events:
            key = event.key
            if event.subject == Subject.ARTIST:
                key = artist_id(event.name)
            elif event.subject == Subject.ALBUM:
                first = tracks.get(event.tracks[0]) if event.tracks else None
                key = "" if first is None else known.album_of.get(first.id, "")
            if event.kind == EventKind.LIKE:
                liked[key] = event.time
                disliked.discard(key)
            else:
                liked.pop(key, None)
                disliked.add(key)
        return cls(state, liked, frozenset(disliked), store.plays())

    def is_of(self, library: Library) -> bool:
        """Return whether nothing was said since."""
        store = library.store
        return self.state == (store.state, store.last_event())

    def rating(self, key: str) -> int | None:
        """Return what stars a player shows, None for none."""
        return LOVED if key in self.liked else UNLOVED if key in self.disliked else None
