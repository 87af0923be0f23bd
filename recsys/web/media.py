"""Routes of sound and pictures: only ids name files, and only files of the library are sent."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Query, Request
from starlette.datastructures import MutableHeaders
from starlette.responses import FileResponse, Response, StreamingResponse

from recsys.web.answers import ApiProblem, problem_of
from recsys.web.children import child
from recsys.web.covers import Covers
from recsys.web.rates import Slots, limited
from recsys.web.routing import BYTES, MEDIA_TYPES, Ask, contents, router
from recsys.web.schemas import Id
from recsys.web.transcode import BITS_PER_S

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from starlette.types import Message, Receive, Scope, Send

    from recsys.api import Library

routes = router("media")

MOST_TRANSCODES = 8
"""Files that are transcoded at once."""

MOST_DECODINGS = 8
"""Waveforms and spectrograms that are made at once, or wait for it."""

START_S = 20.0
"""Time in which the first sound must come."""

UNREAD_S = 60.0
"""Time after which sound that nobody reads is ended, if all slots are taken."""

_DRAWN = "waveforms and spectrograms"
_AUDIO = (*sorted({kind.partition(";")[0] for kind in MEDIA_TYPES.values()}), BYTES)
_CHUNK = 16_384

_OUTSIDE = "Only files in the folders of the library are sent; index the folder where it is."


def file_of(library: Library, track_id: int) -> Path:
    """Return the file of a track, links resolved.

    ApiProblem if it is not there, or does not lie in a folder of the library: a link may lead out.
    """
    track = library.track(track_id)
    path = resolved(library, track.path)
    if not path.is_file():
        raise ApiProblem(
            410,
            f"{track.path} is not there",
            "Mount its disk, or run recsys index if it was moved.",
        )
    return path


def resolved(library: Library, path: Path) -> Path:
    """Return a path, links resolved; ApiProblem if it lies in no folder of the library."""
    target = Path(os.path.realpath(path))
    store = library.store
    inside = (Path(os.path.realpath(root)) for root in (*store.roots(), *store.volumes()))
    if not any(target == root or target.is_relative_to(root) for root in inside):
        raise ApiProblem(410, f"{path} leads out of the folders of the library", _OUTSIDE)
    return target


@routes.head("/media/{track_id}/audio", include_in_schema=False)
@routes.get("/media/{track_id}/audio", **contents(*_AUDIO, part=True))
async def audio(ask: Ask, track_id: Id) -> Response:
    """Return the file of a track as it is; ranges are answered."""
    path = await ask(lambda library: file_of(library, track_id))
    kind = MEDIA_TYPES.get(path.suffix.lower().lstrip("."), BYTES)
    headers = {"Cache-Control": "private, no-cache"}
    return SentFile(path, headers, kind)


class _CutOffError(Exception):
    """A file that has become shorter while it was sent."""


class SentFile(FileResponse):
    """A file that may change or go away while it is sent; what cannot be sent is told in words."""

    def __init__(
        self,
        path: Path,
        headers: dict[str, str],
        media_type: str,
        told: Callable[[ApiProblem], Response] = problem_of,
    ) -> None:
        super().__init__(path, headers=headers, media_type=media_type)
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the part that is asked for."""
        exact = _Exact(send, is_head=scope["method"] == "HEAD")
        try:
            await super().__call__(scope, receive, exact)
        except (OSError, RuntimeError, _CutOffError) as error:
            if not exact.is_started:  # else the connection ends: there is no other way to tell
                gone = ApiProblem(410, f"{self.path} cannot be read: {error}", "Check its disk.")
                await self._told(gone)(scope, receive, send)
        if exact.refused is not None:
            status = exact.refused["status"]
            response = self._told(ApiProblem(status, "there is no such part", "Ask for bytes=0-"))
            extent = MutableHeaders(scope=exact.refused).get("Content-Range")
            if extent is not None:
                response.headers["Content-Range"] = extent
            await response(scope, receive, send)


class _Exact:
    """Passes on an answer of as many bytes as it promises, and holds back a refusal."""

    def __init__(self, send: Send, *, is_head: bool) -> None:
        self._send = send
        self._is_head = is_head
        self._left = 0
        self.is_started = False
        self.refused: Message | None = None

    async def __call__(self, message: Message) -> None:
        """Pass on a message; _CutOffError if it is the last and bytes are missing."""
        if message["type"] == "http.response.start":
            if message["status"] >= 400:
                self.refused = message
            else:
                self._left = int(MutableHeaders(scope=message)["Content-Length"])
        elif not self._is_head and self.refused is None:
            message["body"] = message["body"][: self._left]
            self._left -= len(message["body"])
            if self._left and not message.get("more_body"):
                raise _CutOffError
        if self.refused is None:
            self.is_started = True
            await self._send(message)


@routes.get("/media/{track_id}/opus", dependencies=[limited("transcodes")], **contents("audio/ogg"))
async def opus(
    ask: Ask,
    request: Request,
    track_id: Id,
    start: Annotated[float, Query(ge=0, lt=1e6, allow_inf_nan=False)] = 0.0,
) -> Response:
    """Return the sound of a track as Opus, from a second on, while it is transcoded."""
    path = await ask(lambda library: file_of(library, track_id))
    sound = await transcoded(path, start, request.app.state.transcodes)
    headers = {"Cache-Control": "no-store", "Accept-Ranges": "none"}
    return SentSound(sound, request.app.state.transcodes, headers, "audio/ogg; codecs=opus")


class SentSound(StreamingResponse):
    """Sound that is transcoded while it is sent, and ends early for who holds up others."""

    def __init__(
        self, sound: AsyncGenerator[bytes, None], slots: Slots, headers: dict[str, str], kind: str
    ) -> None:
        super().__init__(sound, 200, headers, kind)
        self._sound = sound
        self._slots = slots

    async def stream_response(self, send: Send) -> None:
        """Send the sound."""

        async def timed(message: Message) -> None:
            sending = asyncio.ensure_future(send(message))
            try:
                while not (await asyncio.wait({sending}, timeout=UNREAD_S))[0]:
                    # A player that is paused may keep what nobody else wants.
                    if not self._slots.free:
                        raise TimeoutError
                await sending
            finally:
                sending.cancel()

        try:
            await super().stream_response(timed)
        except TimeoutError:  # the connection ends: there is no other way to tell
            return
        finally:  # at once, however it ends: the process must not outlast the server
            await asyncio.shield(self._sound.aclose())


async def transcoded(
    path: Path, start: float, slots: Slots, form: str = "opus", bits_per_s: int = BITS_PER_S
) -> AsyncGenerator[bytes, None]:
    """Return the sound of a file while it is transcoded; ApiProblem where that cannot be."""
    sound = _from_process(path, f"{start:.3f}", slots, form, str(bits_per_s))
    # The first bytes show whether the file can be decoded at all.
    first = await anext(sound, None)
    if first is None:
        raise ApiProblem(422, f"{path} cannot be decoded from {start:g} s on", "It may be damaged.")

    async def whole() -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(sound):
            yield first
            async for chunk in sound:
                yield chunk

    return whole()


async def _from_process(
    path: Path, start: str, slots: Slots, form: str, bits_per_s: str
) -> AsyncGenerator[bytes, None]:
    """Yield sound from a process of its own, which ends with its reader."""
    with slots.taken():
        given = start, form, bits_per_s, path
        async with child("recsys.web.transcode", *given, cwd="/", limit=_CHUNK) as process:
            assert process.stdout is not None
            limit: float | None = START_S
            while True:
                try:
                    chunk = await asyncio.wait_for(process.stdout.read(_CHUNK), limit)
                except TimeoutError:
                    return
                if not chunk:
                    return
                limit = None
                yield chunk


@routes.get("/media/{track_id}/cover", dependencies=[limited("covers")], **contents("image/webp"))
async def cover(
    ask: Ask, request: Request, track_id: Id, size: Literal["64", "160", "320", "640"] = "160"
) -> Response:
    """Return the cover of a track: from its tags, or its folder."""
    covers: Covers = request.app.state.covers

    def find(library: Library) -> bytes | None:
        return covers.of(file_of(library, track_id), int(size))

    found = await ask.slow(find)
    if found is None:
        raise ApiProblem(404, "the track has no cover", "")
    return _kept(found, "image/webp")


@routes.get("/media/{track_id}/waveform", dependencies=[limited(_DRAWN)], **contents(BYTES))
async def waveform(ask: Ask, request: Request, track_id: Id) -> Response:
    """Return the waveform of a track: 800 peaks from 0 to 255, a byte each."""

    def known(library: Library) -> bytes | None:
        return library.store.waveform(library.track(track_id).audio_hash)

    def make(library: Library) -> bytes:
        file_of(library, track_id)
        return library.waveform(track_id)

    peaks = await ask(known)
    if peaks is None:
        with request.app.state.decodings.taken():
            peaks = await ask.slow(make)
    return _kept(peaks, BYTES)


@routes.get(
    "/media/{track_id}/spectrogram",
    dependencies=[limited(_DRAWN)],
    **contents(BYTES, X_Shape="Bands and frames: 96,600"),
)
async def spectrogram(ask: Ask, request: Request, track_id: Id) -> Response:
    """Return the mel spectrogram of a track: grey levels, a byte each, bands low to high."""

    def make(library: Library) -> NDArray[np.uint8]:
        file_of(library, track_id)
        return library.spectrogram(track_id)

    with request.app.state.decodings.taken():
        levels = await ask.slow(make)
    response = _kept(levels.tobytes(), BYTES)
    response.headers["X-Shape"] = ",".join(map(str, levels.shape))
    return response


def _kept(content: bytes, kind: str) -> Response:
    return Response(content, 200, {"Cache-Control": "private, max-age=3600"}, kind)
