"""The server of players: reads a request, lets it in, and answers it, errors included.

Its requests carry their secrets themselves, and nothing else counts: no cookie, no origin, no token
of the page. So any host name and any site may ask; without a secret there is no answer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from recsys.errors import RecsysError
from recsys.web.devices import PlayerDevice
from recsys.web.security import PLAYERS
from recsys.web.subsonic import (  # noqa: F401 (they register what answers)
    annotation,
    browsing,
    lists,
    media,
    playlists,
    sonic,
    system,
)
from recsys.web.subsonic.calls import HANDLERS, Call
from recsys.web.subsonic.protocol import CORS, CallError, Code, refuse, respond

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from recsys.web.subsonic.desk import Desk

MOST_BODY = 2**20
"""Bytes of a form."""

MOST_PARAMETERS = 40_000

FORM = "application/x-www-form-urlencoded"

_OPEN = "getopensubsonicextensions"
_NO_LOGIN = "Make a secret for the device: recsys serve --device NAME"

logger = logging.getLogger("uvicorn.error")

Params = dict[str, list[str]]


class PlayerServer:
    """An ASGI application that answers players."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope, receive)
        if request.method == "OPTIONS":
            await Response(status_code=204, headers=CORS)(scope, receive, send)
            return
        form: dict[str, str] = {}
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            form = _form_of(_pairs(request.url.query))
            params = await _params(request)
            form = _form_of(params)
            response = await self._answer(request, params, form)
            await response(scope, receive, noting)
        except RecsysError as error:
            await refuse(error, form)(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 (a bug must not answer in another form)
            # Without the query, which holds secrets. A file may have gone since it was looked at.
            logger.error("%s: unexpected %s: %s", request.url.path, type(error).__name__, error)
            if started:
                return  # the connection ends before the length that was promised
            unexpected = f"unexpected {type(error).__name__}: this is a bug in recsys"
            failure = CallError(Code.OTHER, unexpected, status=500)
            await refuse(failure, form)(scope, receive, send)

    async def _answer(self, request: Request, params: Params, form: Mapping[str, str]) -> Response:
        if request.method not in ("GET", "POST", "HEAD"):
            raise CallError(Code.OTHER, f"there is no {request.method[:20]} here", status=405)
        name = request.url.path.removeprefix(PLAYERS).removesuffix(".view")
        if name.lower() == _OPEN:
            return respond(system.extensions(), form)
        handler = HANDLERS.get(name.lower())
        device = self._logged_in(request, params)
        _check_version(params)
        if handler is None:
            raise CallError(Code.NOT_FOUND, f"there is no call {name[:60]!r}", status=404)
        made = await handler(Call(name, params, request, device, self._desk))
        return made if isinstance(made, Response) else respond(made, form)

    def _logged_in(self, request: Request, params: Params) -> PlayerDevice:
        """Return who asks; CallError for nobody that is known, and only for them a limit."""
        try:
            return _device(self._desk, params)
        except CallError as error:
            if error.code == Code.MISSING:
                raise
            address = "" if request.client is None else request.client.host
            if self._desk.failed_too_often(address):
                told = "too many failed log-ins"
                raise CallError(error.code, told, "Wait for a minute.", status=429) from None
            raise


def _device(desk: Desk, params: Params) -> PlayerDevice:
    """Return the device that logs in, by one of the ways of the protocol."""
    user, password = _first(params, "u"), _first(params, "p")
    token, salt, key = _first(params, "t"), _first(params, "s"), _first(params, "apiKey")
    if key:
        if user or password or token:
            raise CallError(Code.TWO_LOGINS, "an API key comes alone, without a user name")
        device = desk.devices.of_key(key)
        if device is None:
            raise CallError(Code.WRONG_KEY, "the API key is not valid", _NO_LOGIN)
        return device
    if not user or not (password or (token and salt)):
        raise CallError(Code.MISSING, "log in with u, t and s, with u and p, or with apiKey")
    if password and token:
        raise CallError(Code.TWO_LOGINS, "a password and a token are one too many")
    device = desk.devices.named(user)
    if device is not None and (
        device.knows(_plain(password)) if password else device.signed(token, salt)
    ):
        return device
    raise CallError(Code.WRONG_LOGIN, "wrong user name or password", _NO_LOGIN)


def _first(params: Params, name: str) -> str:
    values = params.get(name)
    return values[0] if values else ""


def _plain(password: str) -> str:
    """Return a password, which may be given in hexadecimal."""
    if not password.startswith("enc:"):
        return password
    try:
        return bytes.fromhex(password.removeprefix("enc:")).decode()
    except ValueError:
        return ""


def _check_version(params: Params) -> None:
    major = _first(params, "v").partition(".")[0]
    if major.isascii() and major.isdecimal() and major != "1":
        later = len(major) > 1 or major > "1"
        code = Code.OLD_SERVER if later else Code.OLD_CLIENT
        raise CallError(code, f"version {major[:9]} of the protocol is not known here, but 1")


async def _params(request: Request) -> Params:
    """Return the parameters of the address and of a form."""
    pairs = _pairs(request.url.query)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "POST":
        body = await _body(request)
        if body and kind != FORM:
            raise CallError(Code.OTHER, f"the type is {kind[:60]!r}, not {FORM}", status=415)
        for name, values in _pairs(body.decode("utf-8", "replace")).items():
            pairs.setdefault(name, []).extend(values)
    return pairs


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY:
            raise CallError(Code.OTHER, f"more than {MOST_BODY} bytes were sent", status=413)
    return bytes(body)


def _pairs(text: str) -> Params:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise CallError(Code.OTHER, f"more than {MOST_PARAMETERS} parameters") from None
    found: Params = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _form_of(params: Params) -> dict[str, str]:
    """Return in which form to answer."""
    return {name: _first(params, name) for name in ("f", "callback") if params.get(name)}
