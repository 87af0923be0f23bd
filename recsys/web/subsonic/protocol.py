"""Answers of OpenSubsonic: one envelope, as XML, JSON or JSONP; errors by their codes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import IntEnum
from importlib.metadata import version
from typing import Any
from xml.sax.saxutils import escape

from starlette.responses import Response

from recsys.errors import AudioError, QueryError, RecsysError
from recsys.web.answers import ApiProblem

PROTOCOL = "1.16.1"
"""Version of the protocol; clients of later ones with the same first number are answered, too."""

NAMESPACE = "http://subsonic.org/restapi"

CORS = {
    # Secrets are in the request itself, never in cookies, so any page may ask that has one.
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Length, Content-Range, Retry-After",
    "Access-Control-Max-Age": "86400",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # addresses hold secrets
}

POLICY = "default-src 'none'; frame-ancestors 'none'"
"""Of answers in text, if one is opened as a page."""

_CALLBACK = re.compile(r"[A-Za-z_$][\w$]{0,63}(?:\.[A-Za-z_$][\w$]{0,63}){0,3}", re.ASCII)
_SPECIAL = re.compile('[&<>"]|[^ -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')
_QUOTED = {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATES = re.compile("[\ud800-\udfff]")


class Code(IntEnum):
    """Why a call failed."""

    OTHER = 0
    MISSING = 10
    OLD_CLIENT = 20
    OLD_SERVER = 30
    WRONG_LOGIN = 40
    NO_SUCH_LOGIN = 42
    TWO_LOGINS = 43
    WRONG_KEY = 44
    NOT_ALLOWED = 50
    NOT_FOUND = 70


class CallError(RecsysError):
    """A call that fails, with its code."""

    def __init__(self, code: Code, message: str, hint: str = "", status: int = 200) -> None:
        super().__init__(message, hint)
        self.code = code
        self.status = status


def failure_of(error: RecsysError) -> CallError:
    """Return the failure that an error of the library makes."""
    if isinstance(error, CallError):
        return error
    missing = isinstance(error, ApiProblem) and error.status in (404, 410, 422)
    missing = missing or isinstance(error, QueryError | AudioError)
    code = Code.NOT_FOUND if missing else Code.OTHER
    # What is said of a song that is gone is of no use to who listens.
    return CallError(code, error.message, "" if missing else error.hint)


def respond(content: Mapping[str, Any], form: Mapping[str, str]) -> Response:
    """Return what a call answers, in the form that its parameters ask for."""
    return _sent({"status": "ok", **_about(), **content}, form, 200)


def refuse(error: RecsysError, form: Mapping[str, str]) -> Response:
    """Return the failure of a call, with all that a client looks for in the first answer."""
    failure = failure_of(error)
    message = failure.message.removesuffix(".")
    told = f"{message}. {failure.hint}" if failure.hint else message
    about = {"error": {"code": int(failure.code), "message": told}}
    response = _sent({"status": "failed", **_about(), **about}, form, failure.status)
    if failure.status == 429:
        response.headers["Retry-After"] = "60"
    return response


def _about() -> dict[str, Any]:
    return {
        "version": PROTOCOL,
        "type": "recsys",
        "serverVersion": version("recsys"),
        "openSubsonic": True,
    }


def _sent(content: Mapping[str, Any], form: Mapping[str, str], status: int) -> Response:
    wanted, callback = form.get("f", "xml"), form.get("callback", "")
    if wanted in ("json", "jsonp"):
        text = json.dumps({"subsonic-response": content}, ensure_ascii=False, separators=(",", ":"))
        kind = "application/json"
        # Names of files that are not UTF-8: most parsers refuse a surrogate that stands alone.
        text = _SURROGATES.sub("\ufffd", text)
        if wanted == "jsonp" and _CALLBACK.fullmatch(callback):
            kind = "text/javascript; charset=utf-8"
            text = f"/**/{callback}({text});"
    else:
        kind = "text/xml; charset=utf-8"
        text = _document(content)
    headers = {**CORS, "Cache-Control": "no-store", "Content-Security-Policy": POLICY}
    return Response(text.encode(), status, headers, kind)


def _document(content: Mapping[str, Any]) -> str:
    parts = ['<?xml version="1.0" encoding="UTF-8"?>']
    _add_element(parts, "subsonic-response", {"xmlns": NAMESPACE, **content})
    return "".join(parts)


def _add_element(parts: list[str], name: str, value: object) -> None:
    """Add an element: plain values are attributes, lists are elements, `value` is its text."""
    if not isinstance(value, dict):
        parts.append(f"<{name}>{_escaped(value)}</{name}>")
        return
    inner: list[str] = []
    parts.append(f"<{name}")
    as_elements = _AS_ELEMENTS.get(name, ())
    for key, each in value.items():
        if isinstance(each, list):
            for item in each:
                _add_element(inner, key, item)
        elif isinstance(each, dict) or key in as_elements:
            _add_element(inner, key, each)
        elif key == "value":
            inner.append(_escaped(each))
        else:
            parts.append(f' {key}="{_escaped(each)}"')
    if inner:
        parts += (">", *inner, f"</{name}>")
    else:
        parts.append("/>")


_AS_ELEMENTS = {
    "sonicMatch": ("similarity",),  # as Navidrome answers, which was first
    "artistInfo": ("biography",),
    "artistInfo2": ("biography",),
    "albumInfo": ("notes",),
}
"""Plain values that are elements in XML."""


def _escaped(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if _SPECIAL.search(text) is None:  # nearly all, and a library has millions of them
        return text
    return escape(_NOT_XML.sub("\ufffd", text), _QUOTED)
