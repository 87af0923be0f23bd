"""What is let through to the server: by Host, Origin, type, size and login.

A page on 127.0.0.1 is no safer than others: every site that is open in the same browser can send
requests to it. So a request must name a known host (no DNS rebinding), come from the page itself,
and a write must be of a type that no other site can send without asking first.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders

from recsys.errors import RecsysError
from recsys.web.answers import problem

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from recsys.web.tokens import Tokens

COOKIE = "recsys_token"

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
}

API = "/api/v1/"

PLAYERS = "/rest/"
"""Where players ask: each request carries a secret of its own, so that no host or site matters."""

PLUGINS = tuple(
    f"/api/{name}" for name in ("similar_tracks", "find_path", "similar_artists", "active_tasks")
)
"""Where plugins of other servers ask, in the same way."""

MOST_JSON = 2**20
"""Bytes of a request in JSON: a playlist of 100,000 ids."""

MOST_UPLOAD = 200 * 2**20
"""Bytes of a file that is sent: 20 minutes of WAV."""

MOST_QUERY = 8192
"""Bytes of what follows the question mark of an address."""

UPLOADS = (f"{API}classify",)

_READ = ("GET", "HEAD")
_WRITE = ("POST", "PUT", "DELETE")
_PAGES = ("/", "/docs")
_OPEN = (f"{API}server", f"{API}login")


@dataclass(frozen=True, slots=True)
class Rules:
    """Whom a server answers."""

    hosts: frozenset[str]  # of the header, lower case, with the port where it is not that of HTTP
    tokens: Tokens | None = None  # None where nobody needs to log in
    players: bool = False  # whether /rest answers

    @property
    def origins(self) -> frozenset[str]:
        """What the page itself names as its origin."""
        return frozenset(
            f"{scheme}://{host}" for host in self.hosts for scheme in ("http", "https")
        )


class Guard:
    """ASGI middleware that refuses what :class:`Rules` do not allow, and adds :data:`HEADERS`."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request that is allowed."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no websockets
            return
        own_door = scope["path"].startswith(PLAYERS) or scope["path"] in PLUGINS
        if self._rules.players and own_door:
            await self._app(scope, receive, send)  # which has its own log-in, and its own limits
            return
        safe = _with_headers(send)
        refused = self._refusal(scope, Headers(scope=scope))
        if refused is not None:
            await refused(scope, receive, safe)
            return
        await _Limited(self._app, _limit(scope))(scope, receive, safe)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the answer to a request that is not allowed."""
        checks: tuple[Callable[[Scope, Headers], Response | None], ...] = (
            self._host,
            self._site,
            _size,
            _type,
            self._login,
        )
        for check in checks:
            if (refused := check(scope, headers)) is not None:
                return refused
        return None

    def _host(self, _: Scope, headers: Headers) -> Response | None:
        given = headers.getlist("host")
        if len(given) == 1 and given[0].lower() in self._rules.hosts:
            return None
        return problem(
            421,
            f"this server does not answer for the host {', '.join(given)[:100]!r}",
            "Name it with recsys serve --name HOST, if you reach the server by it.",
        )

    def _site(self, scope: Scope, headers: Headers) -> Response | None:
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site", "same-origin")
        arrives = scope["path"] in _PAGES and headers.get("sec-fetch-mode") == "navigate"
        if (origin is None or origin.lower() in self._rules.origins) and (
            site in ("same-origin", "none") or (arrives and scope["method"] in _READ)
        ):
            return None
        return problem(403, "the request comes from another site", "Open the page of the server.")

    def _login(self, scope: Scope, headers: Headers) -> Response | None:
        path, tokens = scope["path"], self._rules.tokens
        if tokens is None or not path.startswith(API) or path in _OPEN:
            return None
        try:
            if tokens.holds(token_of(headers)):
                return None
        except RecsysError as error:
            return problem(503, error.message, error.hint)
        return problem(401, "log in first", "recsys serve --token makes a token.")


def token_of(headers: Headers) -> str:
    """Return the token of a request, empty without one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if cookie is None else cookie.value


def _size(scope: Scope, headers: Headers) -> Response | None:
    if len(scope["query_string"]) > MOST_QUERY:
        return problem(400, f"the address is longer than {MOST_QUERY} bytes", "Use POST.")
    length, limit = headers.get("content-length", ""), _limit(scope)
    return _too_large(limit) if length.isdecimal() and int(length[:20]) > limit else None


def _limit(scope: Scope) -> int:
    return MOST_UPLOAD if scope["path"] in UPLOADS else MOST_JSON


def _too_large(limit: int) -> Response:
    size = f"{limit / 2**20:.0f} MiB"
    return problem(413, f"more than {size} were sent", "Send less at once.")


def _type(scope: Scope, headers: Headers) -> Response | None:
    method = scope["method"]
    if method in _READ:
        return None
    if method not in _WRITE:
        return problem(405, f"there is no {method[:20]} here")
    wanted = "application/octet-stream" if scope["path"] in UPLOADS else "application/json"
    given = headers.get("content-type", "").partition(";")[0].strip().lower()
    if given == wanted:
        return None
    return problem(
        415, f"the type is {given[:60]!r}, not {wanted}", f"Send Content-Type: {wanted}."
    )


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sending


class _TooMuchError(Exception):
    """A body that goes on after its limit."""


class _Limited:
    """Ends a request whose body is larger than it said, or than is allowed."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left, started, refused = self._limit, False, False

        async def counted() -> MutableMapping[str, Any]:
            nonlocal left, refused
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                refused = True
                raise _TooMuchError
            return message

        async def noting(message: Message) -> None:
            nonlocal started
            if not refused or started:  # else what the application makes of it
                started = True
                await send(message)

        with suppress(_TooMuchError):
            await self._app(scope, counted, noting)
        if refused and not started:
            await _too_large(self._limit)(scope, receive, send)
