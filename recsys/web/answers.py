"""Answers of the server: JSON of any file name, entity tags, and errors in words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from recsys.errors import (
    AmbiguousQueryError,
    AudioError,
    EmptyLibraryError,
    LibraryBusyError,
    MissingExtraError,
    ModelError,
    NoLibraryError,
    NotFoundError,
    QueryError,
    RecsysError,
    StoreError,
    TagError,
)

PROBLEM = "application/problem+json"

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "not_allowed",
    409: "busy",
    410: "gone",
    413: "too_large",
    415: "unsupported",
    421: "forbidden",
    422: "unplayable",
    429: "too_many",
    500: "error",
    501: "unavailable",
    503: "unavailable",
}
"""Names of the kinds of problem, by status."""


RETRY_S = 5
"""After which one may ask again, where nothing better is known."""


class ApiProblem(RecsysError):  # noqa: N818 (what RFC 9457 calls it)
    """An error with a status of HTTP."""

    def __init__(
        self,
        status: int,
        message: str,
        hint: str = "",
        *,
        retry_after_s: int | None = None,
        **more: object,
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.retry_after_s = retry_after_s
        self.more = more


def dumped(value: object) -> bytes:
    """Return JSON in ASCII: names that are not UTF-8 keep their bytes as surrogate escapes."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def answer(value: object, status: int = 200) -> Response:
    """Return values for JSON as a response, with an entity tag."""
    content = dumped(value)
    tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    return Response(content, status, headers, "application/json")


def nothing() -> Response:
    """Return the answer of a write that has nothing to tell."""
    return Response(status_code=204)


def if_changed(request: Request, response: Response) -> Response:
    """Return a response, or that it is what the client has already."""
    tag = response.headers.get("ETag")
    known = {
        each.strip().removeprefix("W/")
        for each in request.headers.get("If-None-Match", "").split(",")
    }
    if request.method not in ("GET", "HEAD") or response.status_code != 200 or tag not in known:
        return response
    return Response(status_code=304, headers={"ETag": tag, "Cache-Control": "no-cache"})


def problem(
    status: int,
    message: str,
    hint: str = "",
    more: Mapping[str, object] | None = None,
    retry_after_s: int | None = None,
) -> Response:
    """Return an error as RFC 9457 has it."""
    if retry_after_s is None and status in (429, 503):
        retry_after_s = RETRY_S
    fields = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": CODES.get(status, "error"),
        "detail": message,
        "hint": hint,
        **(more or {}),
    }
    headers = {"Cache-Control": "no-store"}
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    return Response(dumped(fields), status, headers, PROBLEM)


_STATUS: tuple[tuple[type[RecsysError], int], ...] = (
    (LibraryBusyError, 409),
    (AudioError, 422),
    (TagError, 422),
    (NotFoundError, 404),
    (EmptyLibraryError, 503),
    (MissingExtraError, 501),
    (ModelError, 409),
    (StoreError, 503),
    (QueryError, 400),
    (RecsysError, 400),
)

_MORE: tuple[tuple[type[RecsysError], dict[str, object]], ...] = (
    (TagError, {"code": "unwritable"}),
    (EmptyLibraryError, {"reason": "empty"}),
    (NoLibraryError, {"reason": "no_library"}),
    (LibraryBusyError, {}),
    (StoreError, {"reason": "library"}),
)


def problem_of(error: RecsysError) -> Response:
    """Return the response for an error of the library."""
    if isinstance(error, ApiProblem):
        return problem(error.status, error.message, error.hint, error.more, error.retry_after_s)
    if isinstance(error, AmbiguousQueryError):
        pairs = zip(error.matches, error.seeds, strict=False)
        matches = [{"text": text, "seed": seed} for text, seed in pairs]
        ambiguous = {"code": "ambiguous", "matches": matches}
        return problem(422, error.message, error.hint, ambiguous)
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    more = next((more for kind, more in _MORE if isinstance(error, kind)), {})
    retry = RETRY_S if isinstance(error, LibraryBusyError) else None
    return problem(status, error.message, error.hint, more, retry)


def invalid(errors: Sequence[Any]) -> Response:
    """Return the response for values that are not of the form asked for."""
    fields = [
        {
            "field": ".".join(str(part) for part in each["loc"][1:]) or str(each["loc"][0]),
            "detail": str(each["msg"]),
        }
        for each in errors[:20]
    ]
    named = "; ".join(f"{each['field']}: {each['detail']}" for each in fields)
    return problem(400, named or "the request cannot be read", "", {"fields": fields})
