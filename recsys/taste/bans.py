"""Bans: tracks that no answer may hold."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from recsys.credits import album_keys, credited_artists
from recsys.taste.events import Event, EventKind, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recsys.types import Track

_NEVER = -1


class Bans:
    """The bans in force, made of all bans and unbans in the order of their times.

    A track is banned while a ban on itself, its artist, its album or its folder is in force. An
    unban lifts the ban on what it names, no other; that of a track is also an exception from all
    bans before it.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        bans: dict[tuple[Subject, str], tuple[int, Event]] = {}
        self._lifted: dict[str, int] = {}  # by sound: the number of the last unban
        for number, event in enumerate(events):
            name = event.subject, event.key
            if event.kind == EventKind.BAN:
                # A track that was retagged since the first of two bans is still meant.
                before = bans[name][1].tracks if name in bans else ()
                tracks = tuple(dict.fromkeys([*before, *event.tracks]))
                bans[name] = number, replace(event, tracks=tracks)
            elif event.kind == EventKind.UNBAN:
                bans.pop(name, None)
                if event.subject == Subject.TRACK:
                    self._lifted.update((sound, number) for sound in event.tracks)
        self._bans = bans
        self._sounds: dict[str, tuple[int, Event]] = {}
        for ban in sorted(bans.values(), key=lambda numbered: numbered[0]):
            self._sounds.update((sound, ban) for sound in ban[1].tracks)
        self._subjects = {subject for subject, _ in bans}

    def __bool__(self) -> bool:
        return bool(self._bans)

    @property
    def in_force(self) -> tuple[Event, ...]:
        """The bans in force, the earliest first."""
        return tuple(event for _, event in sorted(self._bans.values(), key=lambda ban: ban[0]))

    def holds(self, track: Track) -> bool:
        """Return whether a track is banned."""
        return self.ban_of(track) is not None

    def ban_of(self, track: Track) -> Event | None:
        """Return the latest ban that a track is under, None if it is under none."""
        number, ban = max(self._on(track), key=lambda found: found[0], default=(_NEVER, None))
        return ban if number > self._lifted.get(track.audio_hash, _NEVER) else None

    def _on(self, track: Track) -> Iterator[tuple[int, Event]]:
        if track.audio_hash in self._sounds:
            yield self._sounds[track.audio_hash]
        for subject in self._subjects:
            for key in _keys(subject, track):
                if (subject, key) in self._bans:
                    yield self._bans[subject, key]


def _keys(subject: Subject, track: Track) -> Iterable[str]:
    """Return the keys under which a ban of this kind means a track."""
    if subject == Subject.TRACK:
        return (track.audio_hash,)
    if subject == Subject.ARTIST:
        return credited_artists(track)
    if subject == Subject.ALBUM:
        return album_keys(track)
    return map(os.fspath, track.path.parents)
