"""Routes of sound and pictures: only ids name files, and only files of the library are sent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Query, Request
from starlette.responses import FileResponse, Response, StreamingResponse

from recsys.web.answers import ApiProblem
from recsys.web.covers import Covers
from recsys.web.routing import MEDIA_TYPES, Ask, router
from recsys.web.schemas import Id
from recsys.web.transcode import BITS_PER_S

if TYPE_CHECKING:
    from recsys.api import Library

routes = router("media")

MOST_TRANSCODES = 8
"""Files that are transcoded at once."""

START_S = 20.0
"""Time in which the first sound must come."""

_CHUNK = 16_384

_OUTSIDE = "Only files in the folders of the library are sent; index the folder where it is."


def file_of(library: Library, track_id: int) -> Path:
    """Return the file of a track, links resolved.

    ApiProblem if it is not there, or does not lie in a folder of the library: a link may lead out.
    """
    track = library.track(track_id)
    path = Path(os.path.realpath(track.path))
    store = library.store
    inside = (Path(os.path.realpath(root)) for root in (*store.roots(), *store.volumes()))
    if not any(path == root or path.is_relative_to(root) for root in inside):
        raise ApiProblem(410, f"{track.path} leads out of the folders of the library", _OUTSIDE)
    if not path.is_file():
        raise ApiProblem(
            410,
            f"{track.path} is not there",
            "Mount its disk, or run recsys index if it was moved.",
        )
    return path


@routes.head("/media/{track_id}/audio", include_in_schema=False)
@routes.get("/media/{track_id}/audio")
async def audio(ask: Ask, track_id: Id) -> Response:
    """Return the file of a track as it is; ranges are answered."""
    path = await ask(lambda library: file_of(library, track_id))
    kind = MEDIA_TYPES.get(path.suffix.lower().lstrip("."), "application/octet-stream")
    headers = {"Cache-Control": "private, no-cache"}
    return FileResponse(path, headers=headers, media_type=kind)


@routes.get("/media/{track_id}/opus")
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
    return StreamingResponse(sound, 200, headers, "audio/ogg; codecs=opus")


async def transcoded(
    path: Path,
    start: float,
    slots: asyncio.Semaphore,
    form: str = "opus",
    bits_per_s: int = BITS_PER_S,
) -> AsyncIterator[bytes]:
    """Return the sound of a file while it is transcoded; ApiProblem where that cannot be."""
    if slots.locked():
        raise ApiProblem(
            429, f"{MOST_TRANSCODES} files are transcoded already", "Stop one of them."
        )
    sound = _from_process(path, f"{start:.3f}", slots, form, str(bits_per_s))
    # The first bytes show whether the file can be decoded at all.
    first = await anext(sound, None)
    if first is None:
        raise ApiProblem(422, f"{path} cannot be decoded from {start:g} s on", "It may be damaged.")

    async def whole() -> AsyncIterator[bytes]:
        async with contextlib.aclosing(sound):
            yield first
            async for chunk in sound:
                yield chunk

    return whole()


async def _from_process(
    path: Path, start: str, slots: asyncio.Semaphore, form: str, bits_per_s: str
) -> AsyncGenerator[bytes, None]:
    """Yield sound from a process of its own, which ends with its reader."""
    async with slots:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "recsys.web.transcode", start, form, bits_per_s, path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd="/",
            limit=_CHUNK,
        )
        assert process.stdout is not None
        try:
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
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())


@routes.get("/media/{track_id}/cover")
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


@routes.get("/media/{track_id}/waveform")
async def waveform(ask: Ask, track_id: Id) -> Response:
    """Return the waveform of a track: 800 peaks from 0 to 255, a byte each."""

    def find(library: Library) -> bytes:
        known = library.store.waveform(library.track(track_id).audio_hash)
        if known is None:
            file_of(library, track_id)
            known = library.waveform(track_id)
        return known

    return _kept(await ask.slow(find), "application/octet-stream")


def _kept(content: bytes, kind: str) -> Response:
    return Response(content, 200, {"Cache-Control": "private, max-age=3600"}, kind)
