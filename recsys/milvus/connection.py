"""A connection to Milvus that waits no longer than it should, and says in words what is wrong."""

from __future__ import annotations

import logging
import os
import re
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from recsys.errors import SharedLibraryError, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from urllib.parse import SplitResult

# Where a shared library lies: on a Milvus server, or in a file of Milvus Lite.


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


# ----------------------------------------------------------------------


T = TypeVar("T")

KEEPALIVE_MS = 600_000
"""The client would ask every 10 s whether the server is alive, and servers hang up on those who
ask more often than every 5 minutes; questions have a timeout of their own."""

EXTRA = "milvus"

_GONE = ("Fail connecting", "closed channel")
"""In what the client says of a connection that could not be made, or that has ended."""

MOST_ROWS = 16_384
"""More rows Milvus returns for no question (``quotaAndLimits.limits.topK``)."""

LATEST = {"consistency_level": "Strong"}
"""For those who write: they must see what others, or they themselves before, have just written."""

NOT_FOUND, NOT_LOADED = 100, 101
"""What Milvus answers where a collection is not there, or has to be loaded before it is asked."""

PATIENT = frozenset({"create_collection", "drop_collection", "flush", "load_collection"})
PATIENCE_S = 300.0
"""What takes a server its time where much has been written, and how long it may take."""


@dataclass
class _OpenFile:
    """A Milvus Lite file that this process serves to itself."""

    server: Any
    database: Any
    port: int
    connections: int = 0


_open_files: dict[str, _OpenFile] = {}

_files_lock = threading.Lock()


def client_library() -> ModuleType:
    """Import the client of Milvus, and keep it quiet: what is wrong is said once, by an error.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    # gRPC writes to the terminal by itself, past every logger, unless it is told before it loads.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    library = require("pymilvus", EXTRA)
    for name in ("pymilvus", "pymilvus.milvus_client", "milvus_lite", "grpc"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return library


class _Reading:
    """The rows that fulfil a condition, read in pages; it goes on where another client left off."""

    def __init__(
        self,
        collection: str,
        condition: str,
        fields: list[str],
        size: int,
        options: dict[str, Any],
    ) -> None:
        self._collection, self._condition = collection, condition
        self._options = {"batch_size": size, "output_fields": fields, **options}
        self._last: int | None = None
        self._client: Any = None
        self._rows: Any = None

    def next_page(self, client: Any, timeout_s: float) -> list[dict[str, Any]]:  # noqa: ANN401
        """Return the next page, empty at the end; after an error the same one may be asked for."""
        if client is not self._client:
            # What reads the pages speaks through its own client for ever, and that one is closed.
            self._rows = client.query_iterator(
                self._collection, filter=self._rest(), timeout=timeout_s, **self._options
            )
            self._client = client
        page = list(self._rows.next())
        if page:
            self._last = page[-1]["id"]
        return page

    def _rest(self) -> str:
        """Return the condition for the rows that were not read yet; they come by their key."""
        if self._last is None:
            return self._condition
        after = f"id > {self._last}"
        return f"{after} and ({self._condition})" if self._condition else after


class Connection:
    """A connection to the place of a shared library.

    Parameters
    ----------
    place : Place
    create : bool
        Make a Milvus Lite file that is not there yet.

    Raises
    ------
    MissingExtraError
        The client is not installed.
    SharedLibraryError
        Nothing answers there, or it does not let us in.
    """

    def __init__(self, place: Place, *, create: bool = False) -> None:
        self.place = place
        self.library = client_library()
        self._client: Any = None
        self._uri = place.uri if place.file is None else _serve_file(place, create=create)
        try:
            self._client = self._connect()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the last one to a Milvus Lite file frees it for others."""
        self._drop_client()
        uri, self._uri = self._uri, ""
        if uri and self.place.file is not None:
            _release_file(self.place)

    @property
    def is_file(self) -> bool:
        """Whether this is a Milvus Lite file, and no server."""
        return self.place.file is not None

    def ask(self, method: str, *arguments: object, **options: object) -> Any:  # noqa: ANN401
        """Call a method of the client that may be called twice; after a timeout it is.

        Parameters
        ----------
        method : str
            Name of a method of ``pymilvus.MilvusClient``.
        *arguments, **options
            What it takes, besides the timeout.

        Raises
        ------
        SharedLibraryError
            The server does not answer, or refuses.
        """
        patience_s = max(self.place.timeout_s, PATIENCE_S if method in PATIENT else 0)

        def call() -> Any:  # noqa: ANN401
            return getattr(self._live_client(), method)(*arguments, timeout=patience_s, **options)

        return self._twice(call, collection=str(arguments[0]) if arguments else "")

    def _live_client(self) -> Any:  # noqa: ANN401
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _twice(self, call: Callable[[], T], collection: str) -> T:
        for attempt in (1, 2):
            try:
                return call()
            except self._client_errors() as error:
                if attempt == 1 and getattr(error, "code", None) == NOT_LOADED:
                    # A server that was started anew while we were connected.
                    self.ask("load_collection", collection)
                    continue
                if not self._has_gone_quiet(error):
                    raise self._refused(error) from error
                # The client does not find a server again that was started anew.
                self._drop_client()
                if attempt == 2:
                    raise self._quiet() from error
            except SharedLibraryError as error:
                if attempt == 2:
                    raise self._quiet() from error
                raise
        raise AssertionError("both attempts return or raise")

    def _drop_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(*self._client_errors()):
                client.close()

    def rows(self, collection: str, condition: str, fields: list[str]) -> list[dict[str, Any]]:
        """Return the rows that fulfil a condition, in any order; mostly few, in one question."""
        found = self.ask(
            "query", collection, filter=condition, output_fields=fields, limit=MOST_ROWS
        )
        if len(found) < MOST_ROWS:
            return list(found)
        return [
            row for page in self.pages(collection, condition, fields, MOST_ROWS) for row in page
        ]

    def pages(
        self, collection: str, condition: str, fields: list[str], size: int, **options: object
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows that fulfil a condition by their key, in lists of at most ``size``.

        For very many: Milvus Lite reads the whole collection for every list. The options are
        those of the client.
        """
        reading = _Reading(collection, condition, fields, size, options)

        def next_page() -> list[dict[str, Any]]:
            return reading.next_page(self._live_client(), self.place.timeout_s)

        while page := self._twice(next_page, collection):
            yield page

    def _connect(self) -> Any:  # noqa: ANN401
        place = self.place
        try:
            return self.library.MilvusClient(
                self._uri,
                token=place.token,
                db_name=place.database,
                timeout=CONNECT_TIMEOUT_S,
                # A connection of its own: a shared one outlives its server, and its settings
                # would be those of whoever came first.
                dedicated=True,
                grpc_options=_channel_options(place),
            )
        except self._client_errors() as error:
            if self._has_gone_quiet(error):
                raise SharedLibraryError(
                    f"nothing answers at {place}",
                    "See whether Milvus runs there and the port is right; 19530 is its usual one.",
                ) from error
            raise self._refused(error) from error

    def _client_errors(self) -> tuple[type[Exception], ...]:
        grpc = require("grpc", EXTRA)
        # ValueError is what gRPC raises where a channel was closed under a call.
        return (self.library.MilvusException, grpc.RpcError, grpc.FutureTimeoutError, ValueError)

    def _has_gone_quiet(self, error: Exception) -> bool:
        grpc = require("grpc", EXTRA)
        quiet = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
        if isinstance(error, grpc.FutureTimeoutError):
            return True
        if isinstance(error, grpc.RpcError):
            return error.code() in quiet
        # The client wraps what it has tried again in vain, with the code of the last attempt.
        told = str(getattr(error, "message", error))
        return getattr(error, "code", None) in quiet or any(words in told for words in _GONE)

    def _quiet(self) -> SharedLibraryError:
        if self.is_file:
            return SharedLibraryError(
                f"Milvus Lite took longer than {FILE_TIMEOUT_S:g} s over {self.place}",
                "So large a library wants a Milvus server: recsys push milvus://HOST:19530.",
            )
        return SharedLibraryError(
            f"{self.place} does not answer: not within {self.place.timeout_s:g} s, and not when it"
            " was asked once more",
            "See whether the server is well, and ask again; ?timeout=60 in its address gives it "
            "more time.",
        )

    def _refused(self, error: Exception) -> SharedLibraryError:
        if getattr(error, "code", None) == NOT_FOUND:
            return SharedLibraryError(
                f"{self.place} does not hold any more what it was asked for",
                "Another library, or all of this one, was pushed meanwhile: ask again.",
            )
        told = str(getattr(error, "message", "") or _details(error) or error)
        first = told.strip().split("\n")[0][:300]
        token = self.place.token
        for secret in filter(None, (token, token.partition(":")[2])):
            first = first.replace(secret, "***")
        return SharedLibraryError(
            f"{self.place} refuses: {first}",
            "User and password stand in the address, or in the variable MILVUS_TOKEN."
            if _is_login(first)
            else "These are the words of Milvus; its log may say more.",
        )


def _channel_options(place: Place) -> dict[str, int]:
    options = {"grpc.keepalive_time_ms": KEEPALIVE_MS}
    if place.is_here:
        # A proxy, which http_proxy may name, is for other machines; it would look on itself.
        options["grpc.enable_http_proxy"] = 0
    return options


def _details(error: Exception) -> str:
    details = getattr(error, "details", None)
    return str(details()) if callable(details) else ""


def _is_login(message: str) -> bool:
    words = ("auth", "credential", "login", "permission", "privilege", "password", "token")
    return any(word in message.casefold() for word in words)


def _serve_file(place: Place, *, create: bool) -> str:
    """Open a Milvus Lite file, and return where its client finds it.

    Raises
    ------
    SharedLibraryError
        Another process uses it, it is damaged, or it is not there and not to be made.
    """
    path = str(place.file)
    with _files_lock:
        if path not in _open_files:
            if place.file is not None and not place.file.exists() and not create:
                raise nothing_there(place)
            _open_files[path] = _start(place)
        _open_files[path].connections += 1
        return f"http://127.0.0.1:{_open_files[path].port}"


def _start(place: Place) -> _OpenFile:
    lite = require("milvus_lite.adapter.grpc.server", EXTRA)
    locked = require("milvus_lite.exceptions", EXTRA).DataDirLockedError
    try:
        return _OpenFile(*lite.start_server_in_thread(str(place.file)))
    except locked as error:
        raise SharedLibraryError(
            f"{place} is in use by another process",
            "A Milvus Lite file serves one process at a time. Wait for the other one, or share "
            "the library by a server.",
        ) from error
    except OSError as error:
        raise SharedLibraryError(
            f"{place}: {error.strerror or error}", "Choose a folder that can be written to."
        ) from error
    except Exception as error:  # whatever a damaged folder makes it raise
        raise SharedLibraryError(
            f"Milvus Lite cannot open {place}: {error}",
            "It may be damaged: remove it, and push the library once more.",
        ) from error


def _release_file(place: Place) -> None:
    path = str(place.file)
    with _files_lock:
        opened = _open_files[path]
        opened.connections -= 1
        if not opened.connections:
            del _open_files[path]
            opened.server.stop(grace=2).wait()
            opened.database.close()


def nothing_there(place: Place) -> SharedLibraryError:
    """Return the error for a place where no library was pushed to."""
    return SharedLibraryError(
        f"{place} holds no library yet",
        f"Put one there first: recsys push {place}",
    )
