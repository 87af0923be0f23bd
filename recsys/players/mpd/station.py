"""A radio in the queue of MPD: it keeps the queue fed until it is stopped."""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from typing import TYPE_CHECKING

from recsys.errors import QueryError, RecsysError
from recsys.players.mpd.connection import LostMpdError
from recsys.players.mpd.listening import Listening
from recsys.players.mpd.queue import prioritise, tried
from recsys.players.mpd.stickers import read_stickers
from recsys.playlists.radio import RadioOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recsys.api import Library, Seeds
    from recsys.players.mpd.address import MpdAddress
    from recsys.players.mpd.connection import MpdConnection, MpdStatus
    from recsys.players.mpd.listening import Left
    from recsys.players.mpd.queue import MusicFolders
    from recsys.types import Track

SOURCE = "mpd"
"""The source of plays and skips."""

WAKE_S = 60.0
"""Without an event for so long, the connection is tried: a network may be gone without a word."""

BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Waits between attempts to reach MPD again; the last one repeats."""

MOST_MISSING = 100
"""Tracks in a row that MPD cannot play, after which its folder must be another one."""


@dataclass(frozen=True, slots=True)
class StationOptions:
    """How the queue is kept.

    Attributes
    ----------
    ahead : int
        Tracks to keep after the current one.
    consume : bool
        Remove the tracks of the radio from the queue once they are over, whatever MPD does.
    play : bool
        Start MPD if it is stopped.
    feedback : bool
        Store plays, skips and stickers.
    radio : RadioOptions
        What to play; its length does not count.
    """

    ahead: int = 5
    consume: bool = False
    play: bool = False
    feedback: bool = True
    radio: RadioOptions = field(default_factory=RadioOptions)


class MpdStation:
    """Feeds the queue of one MPD with one radio session.

    Parameters
    ----------
    library : Library
    connection : MpdConnection
        Connected.
    folders : MusicFolders
    options : StationOptions
    say : callable
        Takes a line for the listener.
    """

    def __init__(
        self,
        library: Library,
        connection: MpdConnection,
        folders: MusicFolders,
        options: StationOptions,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._library = library
        self._connection = connection
        self._options = options
        self._tell_listener = say
        self._told: set[str] = set()
        self._folders = folders
        self._listening = Listening()
        self._waiting: deque[Track] = deque()  # given by the session, not in the queue yet
        self._given: set[str] = set()  # names of what was added
        self._unplayed: set[str] = set()  # those of them that were not current yet
        self._ran_out = False  # the queue did, and nothing has played since
        self._session = 0
        self._missing = 0  # tracks in a row that MPD does not have

    @property
    def session(self) -> int:
        """The radio session; 0 before :meth:`start`."""
        return self._session

    def start(
        self, seeds: Seeds = (), *, session: int | None = None, new: bool = False
    ) -> tuple[Track, ...]:
        """Choose the session, and feed the queue for the first time.

        Parameters
        ----------
        seeds : str, Path, int, Track or sequence of them
            What it starts from; by default the current song, or the latest session if none plays.
        session : int, optional
            The session to go on with.
        new : bool
            Start a session even if the seeds have one.

        Returns
        -------
        tuple of Track
            What the radio starts from.

        Raises
        ------
        RecsysError
            A seed is not in the library, MPD is gone, or it has none of the tracks.
        """
        status = self._connection.status()
        if self._options.feedback:
            number = read_stickers(self._library, self._connection, self._folders)
            if number:
                self._say(f"read from the stickers of MPD: {number} ratings and counts")
        if not seeds and session is None:
            seeds = self._folders.seeds(status)
        answer = self._library.radio(seeds, self._asked(), session=session, new=new)
        self._session = answer.session
        self._waiting.extend(answer.tracks)
        for text in answer.notes:
            self._say(text)
        self._step()
        self._play_if_wanted()
        return answer.seeds

    def run(self) -> None:
        """Keep the queue fed for ever; MPD may go away and come back meanwhile.

        Raises
        ------
        RecsysError
            MPD refuses the commands that are needed, or has none of the tracks.
        """
        while True:
            try:
                self._connection.wait(WAKE_S)
                self._step()
            except LostMpdError as lost:
                self._reach(lost)

    def _reach(self, lost: LostMpdError) -> None:
        """Connect again, however long it takes; feed the queue that is found then."""
        self._listening.forget()
        self._say(f"{lost.message}; trying again")
        for wait_s in chain(BACK_OFF_S, repeat(BACK_OFF_S[-1])):
            time.sleep(wait_s)
            with suppress(LostMpdError):
                self._connection.connect()
                self._step()
                self._play_if_wanted()
                break
        self._told.clear()
        self._say(f"MPD at {self._connection.address} is back")

    def _play_if_wanted(self) -> None:
        if self._options.play and self._connection.status().state == "stop":
            self._connection.ask("play")

    def _step(self) -> None:
        """Take what MPD does now: store what is over, then feed the queue."""
        status = self._connection.status()
        was_playing = self._listening.is_playing
        left = self._listening.follow(status, time.monotonic())
        if left is not None:
            self._tell(left)
        if status.single and status.state == "play":
            self._say("single mode is on: MPD stops after each track (mpc single off)")
        if status.position is not None:
            self._ran_out = False
        elif was_playing and (status.length or status.consume):  # one that is empty was cleared
            self._ran_out = True
        if status.uri is not None:
            self._unplayed.discard(status.uri)
        if self._options.consume and self._drop_played(status):
            status = self._connection.status()
        first = self._feed(status)
        if first is not None and self._ran_out:
            tried(self._connection, "playid", first)

    # Feedback

    def _tell(self, left: Left) -> None:
        """Store that a track was played or skipped; the session goes by it."""
        track = self._folders.track(left.uri) if self._options.feedback else None
        if track is None:
            return
        try:
            self._library.steer_radio(self._session, left.kind, track, source=SOURCE)
        except RecsysError as error:  # another process writes: the music goes on
            self._say(f"not stored: {left.kind} of {track.display_name}: {error.message}")

    # The queue

    def _feed(self, status: MpdStatus) -> int | None:
        """Add what is missing; return the id of the first entry that was added."""
        if not status.random and self._options.ahead <= self._following(status):
            return None
        # A track may come again once it is over; in random mode, that does not show.
        first = 0 if status.random else status.position or 0
        rest = [] if self._ran_out else self._connection.queue()[first:]
        ahead = [entry for entry in rest if entry.uri in self._unplayed]
        following = len(ahead) if status.random else self._following(status)
        there = {entry.uri for entry in rest}
        ids: list[int] = []
        session = self._session
        while following + len(ids) < self._options.ahead:
            now = following + len(ids)
            track = self._next(
                self._options.ahead - now, now, may_start_over=session == self._session
            )
            if track is None:
                break
            song_id = self._add(track, there)
            self._waiting.popleft()  # not before: MPD may go away while it adds
            if song_id is not None:
                ids.append(song_id)
        if status.random and ids:
            prioritise(self._connection, [*(each.song_id for each in ahead), *ids])
        return ids[0] if ids else None

    def _following(self, status: MpdStatus) -> int:
        return 0 if self._ran_out else status.following

    def _add(self, track: Track, there: set[str]) -> int | None:
        """Add a track at the end; None if it is in the queue, or MPD does not have it."""
        uri = self._folders.uri(track)
        if uri in there:
            return None
        song_id = None if uri is None else tried(self._connection, "addid", uri)
        if uri is None or song_id is None:
            self._missing += 1
            if self._missing == 1:
                self._say(f"left out, because MPD does not have it: {track.path} (mpc update)")
            if self._missing >= MOST_MISSING:
                raise self._folders.strange(track)
            return None
        self._missing = 0
        self._given.add(uri)
        self._unplayed.add(uri)
        there.add(uri)
        return song_id

    def _next(self, wanted: int, following: int, *, may_start_over: bool) -> Track | None:
        """Return the next track of the session; None where there is none now."""
        try:
            if not self._waiting:
                answer = self._library.radio((), self._asked(wanted), session=self._session)
                self._waiting.extend(answer.tracks)
            if not self._waiting and following == 0 and may_start_over:
                self._start_over()
        except RecsysError as error:  # another process writes, a seed is gone: the music goes on
            self._say(f"{error.message}. {error.hint}".rstrip())
        return self._waiting[0] if self._waiting else None

    def _start_over(self) -> None:
        """Begin a session of the same seeds: the last one gave all that it could."""
        details = self._library.radio_session(self._session)
        answer = self._library.radio(
            details.seeds,
            self._asked(),
            like=() if details.seeds else details.like,
            words=details.words,
            new=True,
        )
        self._session = answer.session
        self._waiting.extend(answer.tracks)
        self._say(f"all tracks were given: session {answer.session} begins")

    def _asked(self, length: int = 0) -> RadioOptions:
        return replace(self._options.radio, length=length or self._options.ahead)

    def _drop_played(self, status: MpdStatus) -> bool:
        """Remove the tracks of the radio that are over; return whether there was one."""
        if status.position is None or status.consume:
            return False
        queue = self._connection.queue()
        over = [
            entry
            for place, entry in enumerate(queue)
            if entry.uri in self._given - self._unplayed
            and (place != status.position if status.random else place < status.position)
        ]
        for entry in over:
            tried(self._connection, "deleteid", entry.song_id)
        return bool(over)

    def _say(self, text: str) -> None:
        """Tell a line to the listener, once."""
        if text not in self._told:
            self._told.add(text)
            self._tell_listener(text)


@contextmanager
def only_station(address: MpdAddress) -> Iterator[None]:
    """Hold the right to feed one MPD; QueryError if another process of this user does."""
    from filelock import FileLock, Timeout
    from platformdirs import user_cache_path

    folder = user_cache_path("recsys", appauthor=False, ensure_exists=True)
    name = hashlib.sha256(address.key.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    holder = folder / f"mpd-{name}.pid"
    lock = FileLock(folder / f"mpd-{name}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        number = holder.read_text(encoding="utf-8") if holder.is_file() else "unknown"
        raise QueryError(
            f"recsys mpd radio feeds MPD at {address} already: process {number}",
            "Stop it first: two radios would fill one queue.",
        ) from error
    with lock:
        holder.write_text(str(os.getpid()), encoding="utf-8")
        yield
