"""One push at a time per place.

Milvus has no locks. Who pushes leaves a note that says so, renews it while it goes on and takes it
away at the end; a note that nobody renews, because its writer was killed, does not count for long.
"""

from __future__ import annotations

import os
import platform
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from recsys.errors import SharedLibraryError

if TYPE_CHECKING:
    from recsys.milvus.layout import Notes
    from recsys.milvus.place import Place

LEASE_NOTE = "pushing"
"""Who pushes at this moment; null when nobody does."""

LEASE_S = 600.0
"""How long a note counts that is not renewed; twice what one question may take."""

RENEW_S = 30.0
"""How often it is renewed at most."""

_held_here: set[str] = set()
"""The keys of those that this process holds."""


class Lease:
    """Hold the right to push to a place: ``with Lease(notes, place) as lease: ...``.

    Of two who take it at the very same moment, both may believe to have it; the first one finds
    out when it renews it.

    Parameters
    ----------
    notes : Notes
        Of the place.
    place : Place

    Raises
    ------
    SharedLibraryError
        On entering: somebody else pushes. The message says who.
    """

    def __init__(self, notes: Notes, place: Place) -> None:
        self._notes, self._place = notes, place
        self._key = uuid.uuid4().hex
        self._renewed_s = 0.0

    def __enter__(self) -> Self:
        holder = self._holder()
        if holder is not None and not _has_ended(holder):
            raise self._busy(holder)
        _held_here.add(self._key)
        try:
            self._write()
            self.renew(now=True)
        except BaseException:
            _held_here.discard(self._key)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        _held_here.discard(self._key)
        # What ended the push says more than that the note could not be taken away.
        with suppress(SharedLibraryError):
            holder = self._holder()
            if holder is not None and holder["key"] == self._key:
                self._notes.write(LEASE_NOTE, None)

    def renew(self, *, now: bool = False) -> None:
        """Say that the push goes on; mostly it was said a short while ago, and nothing is done.

        Raises
        ------
        SharedLibraryError
            Somebody else has taken it meanwhile.
        """
        if not now and time.monotonic() - self._renewed_s < RENEW_S:
            return
        holder = self._holder()
        if holder is None or holder["key"] != self._key:
            raise self._busy(holder)
        self._write()

    def _holder(self) -> dict[str, Any] | None:
        holder: dict[str, Any] | None = self._notes.read(LEASE_NOTE).get(LEASE_NOTE)
        return holder

    def _write(self) -> None:
        who = {"host": platform.node(), "pid": os.getpid(), "key": self._key}
        self._notes.write(LEASE_NOTE, {**who, "until": time.time() + LEASE_S})
        self._renewed_s = time.monotonic()

    def _busy(self, holder: dict[str, Any] | None) -> SharedLibraryError:
        who = f"process {holder['pid']} on {holder['host']}" if holder else "another process"
        return SharedLibraryError(
            f"{who} is pushing to {self._place}",
            "Wait until it is done, and push again. If it was killed, it is forgotten after"
            f" {LEASE_S / 60:g} minutes.",
        )


def _has_ended(holder: dict[str, Any]) -> bool:
    """Return whether a push is over although its note is still there."""
    if holder["until"] < time.time():
        return True
    if holder["host"] != platform.node():
        return False
    if holder["pid"] == os.getpid():
        return holder["key"] not in _held_here
    return not _is_running(holder["pid"])


def _is_running(pid: int) -> bool:
    """Return whether a process of this machine runs, True where that cannot be told."""
    if os.name != "posix":  # elsewhere os.kill ends it, whatever the signal
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
