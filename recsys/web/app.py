"""The server as an ASGI application."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from platformdirs import user_cache_path, user_music_path
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response

from recsys.errors import RecsysError
from recsys.linking import Links
from recsys.web import (
    collection,
    events,
    feedback,
    maps,
    media,
    playlists,
    radio,
    retagging,
    runs,
    tracks,
)
from recsys.web.answers import PROBLEM, answer, if_changed, invalid, nothing, problem, problem_of
from recsys.web.asking import Asking
from recsys.web.audiomuse import Plugins
from recsys.web.covers import Covers
from recsys.web.events import Events
from recsys.web.rates import Rates, Slots, limited
from recsys.web.routing import router
from recsys.web.runs import Runs
from recsys.web.schemas import LoginBody, Nothing
from recsys.web.security import COOKIE, Guard, Rules, token_of
from recsys.web.shapes import ProblemDetails, ServerView
from recsys.web.subsonic.desk import Desk
from recsys.web.subsonic.server import PlayerServer
from recsys.web.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.api import Library

STATIC = Path(__file__).parent / "static"

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".ico": "image/vnd.microsoft.icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".txt": "text/plain; charset=utf-8",
}

_REFUSED = {"model": ProblemDetails, "description": "An error in words"}

_PARTS = (*(tracks, retagging, media, radio, playlists, feedback, collection, maps, runs, events),)

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


class _Described(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return the description of the API: errors are of a type of their own."""
        if self.openapi_schema is None:
            described = super().openapi()
            for operation in (o for each in described["paths"].values() for o in each.values()):
                for status in ("4XX", "5XX"):
                    about = operation["responses"][status]
                    about["content"] = {PROBLEM: next(iter(about["content"].values()))}
        return super().openapi()


def create_app(make: Callable[[], Library], database: Path, rules: Rules) -> FastAPI:
    """Return the server of a library.

    Parameters
    ----------
    make : callable
        Opens the library, with ``paths=False``; called again when its file was replaced.
    database : Path
        Its file.
    rules : Rules
        Whom it answers.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state = app.state
        state.asking = Asking(make)
        state.events = Events(state.asking)
        state.runs = Runs(database, state.events.tell)
        state.maps = maps.Maps(database, state.events.tell)
        state.uploads = Uploads()
        state.covers = Covers(user_cache_path("recsys", appauthor=False) / "covers")
        state.transcodes = Slots(media.MOST_TRANSCODES, "files are transcoded")
        state.decodings = Slots(media.MOST_DECODINGS, "files are decoded")
        state.rules, state.rates, state.figures = rules, Rates(), {}
        try:
            yield
        finally:
            state.events.close()
            await state.runs.close()
            await state.maps.stop()
            state.uploads.close()
            state.asking.close()

    app = _Described(
        title="recsys",
        version=version("recsys"),
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses={"4XX": _REFUSED, "5XX": _REFUSED},
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.add_middleware(Guard, rules=rules)
    for part in _PARTS:
        app.include_router(part.routes, prefix="/api/v1")
    app.include_router(_server, prefix="/api/v1")
    app.add_api_route("/", _page, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/docs", _docs, include_in_schema=False)
    app.add_api_route(
        "/static/{name:path}", _static, methods=["GET", "HEAD"], include_in_schema=False
    )
    if rules.players:
        desk = Desk(database)
        app.mount("/rest", PlayerServer(desk))
        for path, route in Plugins(desk.devices, Links(database)).routes().items():
            app.add_route(path, route)
    _add_handlers(app)
    return app


def _add_handlers(app: FastAPI) -> None:
    @app.exception_handler(RecsysError)
    async def of_library(_: Request, error: RecsysError) -> Response:
        return problem_of(error)

    @app.exception_handler(RequestValidationError)
    async def of_request(_: Request, error: RequestValidationError) -> Response:
        return invalid(error.errors())

    @app.exception_handler(ValidationError)
    async def of_stored(_: Request, error: ValidationError) -> Response:
        return problem(409, f"a saved recipe cannot be read: {error.error_count()} errors")

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> Response:
        found = "there is nothing at" if error.status_code == 404 else str(error.detail)
        return problem(error.status_code, f"{found} {request.url.path[:200]}")

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> Response:
        hint = "This is a bug in recsys; the server's output has the traceback."
        return problem(500, f"unexpected {type(error).__name__}", hint)


# The page


async def _static(request: Request, name: str) -> Response:
    """Return a file of the page: of names that can only be names."""
    parts = name.split("/")
    path = STATIC.joinpath(*parts)
    if not all(map(_NAME.fullmatch, parts)) or not path.is_file():
        return problem(404, f"there is nothing at {request.url.path[:200]}")
    kind = TYPES.get(path.suffix, "application/octet-stream")
    response = FileResponse(
        path, headers={"Cache-Control": "no-cache"}, media_type=kind, stat_result=path.stat()
    )
    return if_changed(request, response)


async def _page(request: Request) -> Response:
    """Return the page."""
    if not (STATIC / "index.html").is_file():
        return Response(
            "This copy of recsys has no page; /docs lists the API.\n", 404, {}, "text/plain"
        )
    return await _static(request, "index.html")


async def _docs(request: Request) -> Response:
    """List the routes; the whole description is the OpenAPI document."""
    rows = []
    for path, methods in request.app.openapi()["paths"].items():
        for method, about in methods.items():
            names = ", ".join(each["name"] for each in about.get("parameters", ()))
            cells = (method.upper(), path, names, about.get("description", ""))
            rows.append(f"<tr><td>{'<td>'.join(map(html.escape, cells))}")
    text = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>recsys: API</title>"
        "<h1>API of recsys</h1><p>The whole of it: <a href=/api/v1/openapi.json>OpenAPI</a>."
        f"<table><tr><th>Method<th>Path<th>Parameters<th>Does{''.join(rows)}</table>"
    )
    return Response(text, media_type="text/html; charset=utf-8")


# The server itself

_server = router("server")


@_server.get("/server", response_model=ServerView)
async def server(request: Request) -> Response:
    """Say what this is, and whether one has to log in."""
    rules: Rules = request.app.state.rules
    in_ = rules.tokens is None
    with suppress(RecsysError):  # of damaged tokens: nobody is logged in
        in_ = in_ or (rules.tokens is not None and rules.tokens.holds(token_of(request.headers)))
    about: dict[str, Any] = {
        "name": "recsys",
        "version": version("recsys"),
        "login": rules.tokens is not None,
        "logged_in": in_,
        "home": _music_folder() if in_ else None,
    }
    return answer(about)


def _music_folder() -> str | None:
    """Return the folder where the user is likely to have music."""
    with suppress(RuntimeError, OSError):
        folder = user_music_path()
        return str(folder) if folder.is_dir() else None
    return None


@_server.post("/login", status_code=204, dependencies=[limited("logins")])
async def login(request: Request, given: LoginBody) -> Response:
    """Log in with a token: it comes back as a cookie."""
    tokens = request.app.state.rules.tokens
    if tokens is None:  # nobody needs one
        return nothing()
    if not tokens.holds(given.token):
        return problem(401, "the token is not valid", "recsys serve --token makes one.")
    response = nothing()
    response.set_cookie(
        COOKIE,
        given.token,
        max_age=365 * 86_400,
        httponly=True,
        samesite="strict",
        secure=request.headers.get("origin", "").startswith("https:"),
    )
    return response


@_server.post("/logout", status_code=204)
async def logout(_: Nothing | None = None) -> Response:
    """Forget the token in this browser."""
    response = nothing()
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response
