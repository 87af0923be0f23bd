"""What the routes share: how they ask the library, and rows of tracks."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from recsys.listing import track_dict
from recsys.web.answers import if_changed
from recsys.web.asking import Asking

if TYPE_CHECKING:
    from recsys.types import Track


class CachedRoute(APIRoute):
    """A route whose answer is left out where the client has it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return if_changed(request, await handler(request))

        return handle


def router(tag: str) -> APIRouter:
    """Return an empty set of routes."""
    return APIRouter(route_class=CachedRoute, tags=[tag])


_BINARY = {"type": "string", "format": "binary"}
_FORMS = {"application/json": {"type": "object"}}


def contents(*kinds: str, part: bool = False, **headers: str) -> dict[str, Any]:
    """Return what the description of a route has to say where its answer is no JSON.

    Its types, whether a part of it may be asked for, and headers by their names with their values.
    """
    told: dict[str, Any] = {
        "description": "The contents",
        "content": {kind: {"schema": _FORMS.get(kind, _BINARY)} for kind in kinds},
        "headers": {
            name.replace("_", "-"): {"schema": {"type": "string"}, "description": about}
            for name, about in headers.items()
        },
    }
    return {
        "response_class": Response,
        "responses": {200: told, 206: told} if part else {200: told},
    }


async def _asking(request: Request) -> Asking:  # sync, it would be called in one more thread
    asking: Asking = request.app.state.asking
    return asking


Ask = Annotated[Asking, Depends(_asking)]

BYTES = "application/octet-stream"

MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "opus": "audio/ogg; codecs=opus",
    "m4a": "audio/mp4",
    "m4b": "audio/mp4",
    "mp4": "audio/mp4",
    "aac": "audio/aac",
    "wav": "audio/wav",
    "wave": "audio/wav",
    "weba": "audio/webm",
    "webm": "audio/webm",
}
"""Types of the files that most browsers play, by extension."""


def media_type(track: Track) -> str | None:
    """Return the type of the file of a track, None for one that browsers do not play."""
    return MEDIA_TYPES.get(track.path.suffix.lower().lstrip("."))


def row(track: Track) -> dict[str, Any]:
    """Return a track as every list has it."""
    kind = media_type(track)
    known = {"media_type": kind or BYTES, "direct": kind is not None}
    return {**track_dict(track), **known}
