"""Where a shared library lies: on a Milvus server, or in a file of Milvus Lite."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from recsys.errors import SharedLibraryError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

SCHEMES = {"milvus": "http", "milvus+tls": "https"}
"""What a place begins with, and what the client calls it."""

DEFAULT_PORT = 19530
DEFAULT_COLLECTION = "recsys"
TOKEN_VARIABLE = "MILVUS_TOKEN"

TIMEOUT_S = 10.0
"""How long a server may take for one question. It is then asked once more."""

FILE_TIMEOUT_S = 300.0
"""Milvus Lite runs in this process: it cannot go away, but it can be slow."""

CONNECT_TIMEOUT_S = 5.0

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_SQLITE = b"SQLite format 3\0"
_FORMS = (
    "Give milvus://HOST:19530, milvus://HOST:19530/DATABASE?collection=NAME, or a file of Milvus "
    "Lite whose name ends in .db."
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a shared library lies.

    Attributes
    ----------
    uri : str
        As the client takes it: an address with scheme, or the path of a Milvus Lite file.
    file : Path or None
        The Milvus Lite file; None for a server.
    database : str
        Of the server; empty for its default one.
    collection : str
        What the names of all collections of this library begin with.
    timeout_s : float
        How long one question may take, seconds.
    token : str
        ``user:password`` or an API key; empty where none is needed. Never shown.
    """

    uri: str
    file: Path | None = None
    database: str = ""
    collection: str = DEFAULT_COLLECTION
    timeout_s: float = TIMEOUT_S
    token: str = field(default="", repr=False)

    @property
    def is_here(self) -> bool:
        """Whether it lies on this machine: a file, or a server at a loopback address."""
        host = urlsplit(self.uri).hostname or ""
        if self.file is not None or host == "localhost":
            return True
        try:
            return ip_address(host).is_loopback
        except ValueError:  # a name
            return False

    def __str__(self) -> str:
        """Return the place as a user may see it: without user, password and token."""
        if self.file is not None:
            return str(self.file)
        scheme, _, address = self.uri.partition("://")
        shown = "milvus" if scheme == "http" else "milvus+tls"
        database = f"/{self.database}" if self.database else ""
        named = self.collection != DEFAULT_COLLECTION
        return f"{shown}://{address}{database}" + (f"?collection={self.collection}" * named)


def parse_place(text: str | os.PathLike[str]) -> Place:
    """Return the place that a user means.

    Parameters
    ----------
    text : str or path
        ``milvus://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?collection=NAME&timeout=SECONDS]``, the
        same with ``milvus+tls://``, or the path of a Milvus Lite file, ending in ``.db``. Without
        user and password, the token is that of the environment variable ``MILVUS_TOKEN``.

    Returns
    -------
    Place

    Raises
    ------
    SharedLibraryError
        It is none of these, or the file is the database of a library.

    Examples
    --------
    >>> place = parse_place("milvus://ann:secret@music.example/home")
    >>> place.uri, place.database, place.token
    ('http://music.example:19530', 'home', 'ann:secret')
    >>> str(place)
    'milvus://music.example:19530/home'
    """
    given = os.fspath(text)
    scheme, separator, _ = given.partition("://")
    if not separator:
        return _file_place(given)
    if scheme.lower() not in SCHEMES:
        raise SharedLibraryError(f"{scheme}:// is not a place for a shared library", _FORMS)
    return _server_place(given, SCHEMES[scheme.lower()])


def _server_place(given: str, scheme: str) -> Place:
    try:
        parts = urlsplit(given)
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError as error:
        # Not the text itself, which may hold a password.
        raise SharedLibraryError(f"not an address of a Milvus server: {error}", _FORMS) from error
    if not host:
        raise SharedLibraryError("the address of the Milvus server names no host", _FORMS)
    if ":" in host:  # IPv6
        host = f"[{host}]"
    options = _options(parts)
    return Place(
        uri=f"{scheme}://{host}:{port}",
        database=_named(unquote(parts.path.strip("/")), "database", optional=True),
        collection=_named(options.get("collection", DEFAULT_COLLECTION), "collection"),
        timeout_s=_seconds(options.get("timeout", str(TIMEOUT_S))),
        token=_token(parts),
    )


def _options(parts: SplitResult) -> dict[str, str]:
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = sorted(options.keys() - {"collection", "timeout"})
    if unknown or parts.fragment:
        odd = unknown[0] if unknown else f"#{parts.fragment}"
        raise SharedLibraryError(f"the address of a Milvus server has no option {odd!r}", _FORMS)
    return options


def _named(name: str, what: str, *, optional: bool = False) -> str:
    if _NAME.fullmatch(name) or (optional and not name):
        return name
    raise SharedLibraryError(
        f"{name!r} cannot be the name of a {what}",
        "Milvus takes letters, digits and _, and no digit at the beginning.",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise SharedLibraryError(f"{text!r} is no timeout", "Give seconds, ?timeout=30 say.")
    return seconds


def _token(parts: SplitResult) -> str:
    if parts.username:
        user, password = unquote(parts.username), unquote(parts.password or "")
        return f"{user}:{password}" if password else user
    return os.environ.get(TOKEN_VARIABLE, "")


def _file_place(given: str) -> Place:
    if not given.endswith(".db"):
        raise SharedLibraryError(f"not a place for a shared library: {given!r}", _FORMS)
    path = Path(os.path.abspath(given))  # noqa: PTH100 (keeps links)
    if path.is_file():
        is_library = path.read_bytes()[:16] == _SQLITE
        what = "the database of a library" if is_library else "not made by this Milvus Lite"
        raise SharedLibraryError(
            f"{path} is {what}, not a shared library on Milvus",
            "A library is read with --db, and copied to Milvus with recsys push."
            if is_library
            else "Choose another name: a Milvus Lite of version 3 or later makes a folder there.",
        )
    if not path.parent.is_dir():
        raise SharedLibraryError(f"no such folder: {path.parent}", "Make it first.")
    return Place(uri=str(path), file=path, timeout_s=FILE_TIMEOUT_S)
