"""What a server keeps for its players: what they play now, their queue, and failed log-ins."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from recsys import atomic
from recsys.taste import EventKind
from recsys.taste.events import PLAYED_FROM
from recsys.web.devices import Devices
from recsys.web.subsonic.marks import Marks

if TYPE_CHECKING:
    from recsys.api import Library

MOST_FAILED = 120
"""Failed log-ins from one address in a minute; more are refused. Those that succeed never are."""

MOST_ADDRESSES = 1000

MOST_COVERS = 2
"""Covers that are made at once, of however many are asked for; the rest waits."""

SKIP_AFTER_S = 1.0
"""A track that was there for less was passed over on the way to another."""

FORGOTTEN_AFTER_S = 1800.0
"""After the end of a track, a player that says nothing plays nothing."""

STOPPED_S = 10.0
"""A player that stopped, and goes on with another track later than this, has not skipped."""


@dataclass(frozen=True, slots=True)
class PlayQueueState:
    """The queue that players share, so that one goes on where another stopped."""

    ids: tuple[str, ...]
    current: str | None
    position_ms: int
    changed: str
    changed_by: str


@dataclass(frozen=True, slots=True)
class NowPlaying:
    """What a device plays, as it said last."""

    track: int
    duration_s: float
    started: float  # of the monotonic clock
    seen: float
    position_s: float  # when it was seen
    rate: float  # 0 while it is paused or stopped
    state: str
    is_judged: bool = False  # whether a play or a skip of it is stored

    def position(self, now: float) -> float:
        """Return how far it is now, seconds."""
        return self.position_s + (now - self.seen) * self.rate

    def minutes_ago(self) -> int:
        """Return when the device spoke last."""
        return int((time.monotonic() - self.seen) / 60)


class Desk:
    """What a server keeps for its players."""

    def __init__(self, database: Path) -> None:
        self.devices = Devices(database)
        self._queue = database.with_name(f"{database.stem}.queue.json")
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._playing: dict[str, NowPlaying] = {}
        self._marks: Marks | None = None
        self._lock = threading.Lock()
        self.covers = asyncio.Semaphore(MOST_COVERS)

    def marks(self, library: Library) -> Marks:
        """Return what the listener said, as it is now."""
        with self._lock:
            if self._marks is None or not self._marks.is_of(library):
                self._marks = Marks.of(library)
            return self._marks

    # Log-ins

    def failed_too_often(self, address: str) -> bool:
        """Note a failed log-in; return whether there were too many from this address."""
        now = time.monotonic()
        times = self._failed.setdefault(address, deque(maxlen=MOST_FAILED))
        self._failed.move_to_end(address)
        if len(self._failed) > MOST_ADDRESSES:
            self._failed.popitem(last=False)
        too_many = len(times) == MOST_FAILED and times[0] > now - 60
        times.append(now)
        return too_many

    # What is played: skips show in what a player says of the next track

    def playing(self) -> dict[str, NowPlaying]:
        """Return what plays now, by device."""
        now = time.monotonic()
        with self._lock:
            return {name: each for name, each in self._playing.items() if _is_on(each, now)}

    def report(
        self,
        device: str,
        track: int,
        duration_s: float,
        state: str = "playing",
        position_s: float | None = None,
        rate: float = 1.0,
    ) -> list[tuple[EventKind, int]]:
        """Note what a device says of a track; return what that means: plays and skips.

        Without a position it is where it must be by now.
        """
        now = time.monotonic()
        with self._lock:
            before, meant = self._playing.get(device), []
            restarted = state == "starting" and before is not None and before.track == track
            if before is None or before.track != track or restarted:
                if before is not None and not restarted and _is_skip(before, now):
                    meant.append((EventKind.SKIP, before.track))
                before = NowPlaying(track, duration_s, now, now, 0.0, 0.0, state)
            position_s = before.position(now) if position_s is None else position_s
            moved = replace(
                before,
                seen=now,
                position_s=position_s,
                rate=rate if state == "playing" else 0.0,
                state=state,
            )
            reached = max(before.position(now) if state == "stopped" else 0.0, position_s)
            if not moved.is_judged and reached >= PLAYED_FROM * duration_s > 0:
                meant.append((EventKind.PLAY, track))
                moved = replace(moved, is_judged=True)
            self._playing[device] = moved
            return meant

    def scrobbled(self, device: str, track: int) -> bool:
        """Note that a device counts a play; return False if that was counted already."""
        with self._lock:
            now = self._playing.get(device)
            if now is None or now.track != track:
                return True
            self._playing[device] = replace(now, is_judged=True)
            return not now.is_judged

    # The queue

    def queue(self) -> PlayQueueState | None:
        """Return the queue that was saved last."""
        with suppress(OSError, ValueError, TypeError):
            kept = json.loads(self._queue.read_text(encoding="utf-8"))
            return PlayQueueState(**{**kept, "ids": tuple(kept["ids"])})
        return None

    def save_queue(self, queue: PlayQueueState) -> None:
        """Keep a queue; RecsysError where it cannot be written."""
        with atomic.kept_with_library(self._queue):
            atomic.write_text(self._queue, json.dumps(asdict(queue)))


def _is_on(playing: NowPlaying, now: float) -> bool:
    if playing.state == "paused":
        return now - playing.seen < FORGOTTEN_AFTER_S
    return playing.state != "stopped" and playing.position(now) < playing.duration_s


def _is_skip(before: NowPlaying, now: float) -> bool:
    if before.is_judged or now - before.started < SKIP_AFTER_S:
        return False
    if before.state == "stopped" and now - before.seen > STOPPED_S:
        return False
    return before.position(now) < PLAYED_FROM * before.duration_s
