"""Calls for sound and covers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from recsys.errors import RecsysError
from recsys.web.media import SentFile, file_of, transcoded
from recsys.web.subsonic.browsing import album_of, artist_of, shelf_of
from recsys.web.subsonic.calls import Call, answers, track_id
from recsys.web.subsonic.protocol import CORS, CallError, Code
from recsys.web.subsonic.rows import content_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.api import Library
    from recsys.web.covers import Covers

COVER_SIZES = (64, 160, 320, 640, 1280)
"""Pixels of the longest edge; another size gets the next larger one."""

TRIED = 5
"""Songs of an album or artist whose covers are tried."""

KBITS = {"mp3": 192, "opus": 128}
"""Bits per second, in thousands, where none are asked for."""

LEAST_KBITS, MOST_KBITS = 32, 320

_TYPES = {"mp3": "audio/mpeg", "opus": "audio/ogg; codecs=opus"}
_FORMATS = {"mp3": "mp3", "opus": "opus", "ogg": "opus", "oga": "opus"}


@answers("download")
async def download(call: Call) -> Response:
    """Return the file of a song as it is."""
    path = await _file(call)
    name = quote(path.name.encode("utf-8", "replace"))
    return _whole(path, {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"})


@answers("stream")
async def stream(call: Call) -> Response:
    """Return the sound of a song: its file, with ranges, unless another form is asked for."""
    number = track_id(call.text("id"))
    track = await call.ask(lambda library: library.track(number))
    path = await _file(call)
    size = path.stat().st_size
    wanted = _wanted(call, path, size * 8 / 1000 / max(track.duration_s, 1.0))
    if wanted is None:
        return _whole(path, {})
    form, kbits = wanted
    start = min(call.number("timeOffset", 0), int(track.duration_s))
    headers = {**CORS, "Cache-Control": "no-store", "Accept-Ranges": "none"}
    length = None
    if call.flag("estimateContentLength", default=False):
        length = int((track.duration_s - start) * kbits * 125)
        headers["Content-Length"] = str(length)
    if call.request.method == "HEAD":
        return Response(b"", 200, headers, _TYPES[form])
    slots = call.request.app.state.transcodes
    sound = await transcoded(path, float(start), slots, form, kbits * 1000)
    if length is not None:
        sound = _of_length(sound, length)
    return StreamingResponse(sound, 200, headers, _TYPES[form])


def _wanted(call: Call, path: Path, kbits: float) -> tuple[str, int] | None:
    """Return the form and the rate into which a file is transcoded; None for the file as it is."""
    given, suffix = call.text("format", "").lower(), path.suffix.lower().lstrip(".")
    most, starts_later = call.number("maxBitRate", 0), call.number("timeOffset", 0) > 0
    is_too_large = 0 < most < kbits
    other = given in _FORMATS and _FORMATS[given] != _FORMATS.get(suffix, suffix)
    if given == "raw" or not (is_too_large or other or starts_later):
        return None
    form = _FORMATS.get(given) or _FORMATS.get(suffix, "mp3")
    return form, min(max(most or KBITS[form], LEAST_KBITS), MOST_KBITS)


async def _of_length(sound: AsyncIterator[bytes], length: int) -> AsyncIterator[bytes]:
    """Yield exactly the bytes that were promised: the rest is cut off, or filled up."""
    async with aclosing(sound) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            yield chunk[:length]
            length -= len(chunk)
            if length <= 0:
                return
    while length > 0:
        yield bytes(min(length, 16_384))
        length -= 16_384


async def _file(call: Call) -> Path:
    number = track_id(call.text("id"))
    return await call.ask(lambda library: file_of(library, number))


def _whole(path: Path, headers: dict[str, str]) -> Response:
    kind = content_type(path.suffix.lower().lstrip("."))
    headers = {**CORS, "Cache-Control": "private, no-cache", **headers}
    return SentFile(path, headers=headers, media_type=kind)


@answers("getCoverArt")
async def cover_art(call: Call) -> Response:
    """Return the cover of a song, an album, an artist or a playlist, in one of a few sizes."""
    size = call.number("size", COVER_SIZES[-1])
    edge = next((each for each in COVER_SIZES if each >= size), COVER_SIZES[-1])
    covers: Covers = call.request.app.state.covers

    def find(library: Library) -> bytes | None:
        for number in _pictured(call, library)[:TRIED]:
            with suppress(RecsysError):  # a file that is away: the next one may be there
                found = covers.of(file_of(library, number), edge, "JPEG")
                if found is not None:
                    return found
        return None

    async with call.desk.covers:
        found = await call.ask.slow(find)
    if found is None:
        raise CallError(Code.NOT_FOUND, "there is no cover")
    return Response(found, 200, {**CORS, "Cache-Control": "private, max-age=3600"}, "image/jpeg")


def _pictured(call: Call, library: Library) -> Sequence[int]:
    """Return the songs whose covers may be meant, the likeliest first."""
    given = call.text("id")
    if given.startswith("pl-"):
        number = track_id(given.removeprefix("pl-"))
        return [track.id for track in library.saved_playlist(number)[1]]
    if given.startswith("al-"):
        return album_of(shelf_of(call, library), given).tracks
    if given.startswith("ar-"):
        shelf = shelf_of(call, library)
        return shelf.known.album_tracks(artist_of(shelf, given))
    return [library.track(track_id(given)).id]
