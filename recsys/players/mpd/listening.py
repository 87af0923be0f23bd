"""What was played and what was skipped, from what MPD does at each of its events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsys.taste import EventKind
from recsys.taste.events import PLAYED_FROM

if TYPE_CHECKING:
    from recsys.players.mpd.connection import MpdStatus


@dataclass(frozen=True, slots=True)
class Left:
    """A song that is over: it was played or skipped."""

    uri: str
    kind: EventKind


class Listening:
    """Follows MPD from song to song.

    Examples
    --------
    >>> from recsys.players.mpd.connection import MpdStatus
    >>> def status(song_id, uri):
    ...     return MpdStatus("play", 9, song_id, song_id, uri, 0.0, 200.0, False, False, False)
    >>> listening = Listening()
    >>> listening.follow(status(1, "a.mp3"), now_s=0.0)
    >>> listening.follow(status(2, "b.mp3"), now_s=3.0)
    Left(uri='a.mp3', kind=<EventKind.SKIP: 'skip'>)
    """

    def __init__(self) -> None:
        self._last: MpdStatus | None = None
        self._at_s = 0.0

    @property
    def is_playing(self) -> bool:
        """Whether MPD played when it was looked at last."""
        return self._last is not None and self._last.state == "play"

    def follow(self, status: MpdStatus, now_s: float) -> Left | None:
        """Take what MPD does now, and return the song that is over, if one is.

        One that ended early counts as skipped only if another one follows: to stop, or to clear
        the queue, says nothing of a song.
        """
        last, at_s = self._last, self._at_s
        self._last, self._at_s = status, now_s
        if last is None or last.uri is None or last.state == "stop" or last.duration_s <= 0:
            return None
        is_on = status.state != "stop" and status.position is not None
        if is_on and status.song_id == last.song_id:
            return None
        played_s = last.elapsed_s + (now_s - at_s if last.state == "play" else 0.0)
        if played_s / last.duration_s >= PLAYED_FROM:
            return Left(last.uri, EventKind.PLAY)
        return Left(last.uri, EventKind.SKIP) if is_on else None

    def forget(self) -> None:
        """Forget the song: what happened to it is not known."""
        self._last = None
