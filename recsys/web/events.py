"""What happens, told to the pages that are open: server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, NamedTuple

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from recsys.errors import RecsysError
from recsys.web.answers import ApiProblem, dumped
from recsys.web.routing import contents, router

if TYPE_CHECKING:
    from recsys.api import Library
    from recsys.web.asking import Asking

MOST_LISTENERS = 64
MOST_UNREAD = 200
"""Events that wait for a slow page; it asks again for what it shows when it has missed some."""

HEARTBEAT_S = 15.0
LOOKED_EVERY_S = 1.0

routes = router("events")


class Events:
    """Tells events to all listeners, and looks every second whether the library has changed."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._listeners: set[asyncio.Queue[bytes | None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._known: LibraryState | None = None
        self._closed = False

    def tell(self, kind: str, value: object) -> None:
        """Tell an event to everyone who listens."""
        self._send(b"event: %b\ndata: %b\n\n" % (kind.encode(), dumped(value)))

    def _send(self, message: bytes | None) -> None:
        for queue in list(self._listeners):
            if queue.full():
                with contextlib.suppress(asyncio.QueueEmpty):
                    queue.get_nowait()
            queue.put_nowait(message)

    async def listen(self) -> AsyncIterator[bytes]:
        """Yield events until the listener goes; ApiProblem if there are too many."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_UNREAD)
        self._listeners.add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        try:
            yield b"retry: 2000\n\n"
            while not self._closed:
                try:
                    message = await asyncio.wait_for(queue.get(), HEARTBEAT_S)
                except TimeoutError:
                    message = b": here\n\n"
                if message is None:
                    return
                yield message
        finally:
            self._listeners.discard(queue)

    @property
    def is_full(self) -> bool:
        """Whether there are as many listeners as there may be."""
        return len(self._listeners) >= MOST_LISTENERS

    async def _look(self) -> None:
        """Tell changes of the library while someone listens."""
        while self._listeners and not self._closed:
            with contextlib.suppress(RecsysError):
                now = await self._asking(state_of)
                before, self._known = self._known, now
                if before is not None and before.library != now.library:
                    _, revision, _ = now.library
                    self.tell("library", {"revision": revision, "tracks": now.tracks})
                if before is not None and before.last_event != now.last_event:
                    self.tell("feedback", {"last": now.last_event})
            await asyncio.sleep(LOOKED_EVERY_S)

    def close(self) -> None:
        """End all streams: a server does not end before them."""
        self._closed = True
        self._send(None)
        if self._task is not None:
            self._task.cancel()


class LibraryState(NamedTuple):
    """What changes with a library."""

    library: tuple[str, int, bytes]  # Store.state
    tracks: int
    last_event: int


def state_of(library: Library) -> LibraryState:
    """Return the state of a library."""
    store = library.store
    return LibraryState(store.state, store.track_count(), store.last_event())


@routes.get("/events", **contents("text/event-stream"))
async def events(request: Request) -> Response:
    """Tell what happens, as it happens."""
    told: Events = request.app.state.events
    if told.is_full:
        raise ApiProblem(429, f"{MOST_LISTENERS} pages listen already", "Close one of them.")
    headers: dict[str, Any] = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(told.listen(), 200, headers, "text/event-stream")
