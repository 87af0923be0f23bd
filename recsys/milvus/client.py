"""The place of a shared library, and a connection with timeouts, one retry and plain errors."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from recsys.errors import SharedLibraryError, require, shell
from recsys.hosts import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from urllib.parse import SplitResult

# Place: a Milvus server, or a file of Milvus Lite


SCHEMES = {"milvus": "http", "milvus+tls": "https"}
"""Schemes of a place, and those of the client."""

DEFAULT_PORT = 19530
DEFAULT_COLLECTION = "recsys"
TOKEN_VARIABLE = "MILVUS_TOKEN"

TIMEOUT_S = 10.0
"""Timeout of a request to a server; it is then repeated once."""

FILE_TIMEOUT_S = 300.0
"""Timeout with Milvus Lite, which runs in this process: it is there, but it may be slow."""

CONNECT_TIMEOUT_S = 5.0

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_SQLITE = b"SQLite format 3\0"
_FORMS = (
    "Give milvus://HOST:19530, milvus://HOST:19530/DATABASE?collection=NAME, or a file of Milvus "
    "Lite whose name ends in .db."
)


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a shared library: a server, or a file of Milvus Lite."""

    uri: str  # of the client: an address with scheme, or the path of the file
    file: Path | None = None
    database: str = ""  # of the server; empty for its default one
    collection: str = DEFAULT_COLLECTION  # alias of the library, and prefix of its collections
    timeout_s: float = TIMEOUT_S  # of a request
    token: str = field(default="", repr=False)  # "user:password" or an API key; never shown

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine: a file, or a server at a loopback address."""
        host = urlsplit(self.uri).hostname or ""
        return self.file is not None or is_loopback(host)

    def __str__(self) -> str:
        """Return the place without user, password and token."""
        if self.file is not None:
            return str(self.file)
        scheme, _, address = self.uri.partition("://")
        shown = "milvus" if scheme == "http" else "milvus+tls"
        database = f"/{self.database}" if self.database else ""
        named = self.collection != DEFAULT_COLLECTION
        return f"{shown}://{address}{database}" + (f"?collection={self.collection}" * named)


def parse_place(text: str | os.PathLike[str]) -> Place:
    """Return the place of an address or path.

    ``milvus://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?collection=NAME&timeout=SECONDS]``, the same
    with ``milvus+tls://``, or the path of a Milvus Lite file, ending in ``.db``. Without user and
    password, the token is that of the environment variable ``MILVUS_TOKEN``.

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
    path = Path(os.path.abspath(Path(given).expanduser()))  # noqa: PTH100 (keeps links)
    if path.is_file():
        is_library = path.read_bytes()[:16] == _SQLITE
        what = "the database of a library" if is_library else "not made by this Milvus Lite"
        raise SharedLibraryError(
            f"{path} is {what}, not a shared library on Milvus",
            "Read a library with --db; copy it to Milvus with recsys milvus push."
            if is_library
            else "Choose another name: a Milvus Lite of version 3 or later makes a folder there.",
        )
    if not path.parent.is_dir():
        raise SharedLibraryError(f"no such folder: {path.parent}", "Make it first.")
    return Place(uri=str(path), file=path, timeout_s=FILE_TIMEOUT_S)


# Connection


KEEPALIVE_MS = 600_000
"""By default the client pings every 10 s, and servers close connections that ping more often than
every 5 minutes. Requests have a timeout of their own."""

EXTRA = "milvus"

_GONE = ("Fail connecting", "closed channel")
"""Parts of the client's messages about a connection that failed or has ended."""

_LOGIN = ("auth", "credential", "login", "permission", "privilege", "password", "token")
"""Words of Milvus' messages about a login that it refuses."""

MAX_ROWS = 16_384
"""Milvus' limit of rows per answer (``quotaAndLimits.limits.topK``)."""

LATEST = {"consistency_level": "Strong"}
"""Options of a request that must see the latest writes, its own and those of other clients."""

NOT_FOUND, NOT_LOADED = 100, 101
"""Milvus' error codes: there is no such collection or alias; it is not loaded."""

SLOW_METHODS = frozenset({"create_collection", "drop_collection", "flush", "load_collection"})
SLOW_TIMEOUT_S = 300.0
"""Requests that take long after many writes, and their timeout."""


_file_users: Counter[str] = Counter()
"""Connections of this process per Milvus Lite file; the last one to close frees the file."""

_files_lock = threading.Lock()


class CollectionGoneError(SharedLibraryError):
    """A collection is not there any more: another library took its place."""


def client_library() -> ModuleType:
    """Import Milvus' client with its logging off: errors are reported once, by exceptions."""
    # gRPC writes to the terminal past every logger, unless this is set before it loads.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    library = require("pymilvus", EXTRA)
    for name in ("pymilvus", "pymilvus.milvus_client", "milvus_lite", "grpc"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return library


class Connection:
    """A connection to the place of a shared library; `create` makes a missing Milvus Lite file.

    SharedLibraryError where nothing answers, or the server refuses the connection.
    """

    def __init__(self, place: Place, *, create: bool = False) -> None:
        self.place = place
        self._client: Any = None
        self._uri = ""
        self.library = client_library()
        self._uri = place.uri if place.file is None else _open_file(place, create=create)
        try:
            self._client = self._connect()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # With its last user: a thread that ended, or a query that outlived Library.close().
        if not sys.is_finalizing():
            self.close()

    def close(self) -> None:
        """Close the connection; the last one to a Milvus Lite file frees it for others."""
        self._drop_client()
        uri, self._uri = self._uri, ""
        if uri and self.place.file is not None:
            _close_file(self.place)

    @property
    def is_file(self) -> bool:
        """Whether this is a Milvus Lite file, and no server."""
        return self.place.file is not None

    def ask(self, method: str, *arguments: object, **options: object) -> Any:  # noqa: ANN401
        """Call an idempotent method of ``pymilvus.MilvusClient``; repeat it once after a timeout.

        CollectionGoneError where there is no such collection or alias, SharedLibraryError where the
        server does not answer, or refuses.
        """
        patience_s = max(self.place.timeout_s, SLOW_TIMEOUT_S if method in SLOW_METHODS else 0)

        def call() -> Any:  # noqa: ANN401
            return getattr(self._live_client(), method)(*arguments, timeout=patience_s, **options)

        return self._retried(call, collection=str(arguments[0]) if arguments else "")

    def _live_client(self) -> Any:  # noqa: ANN401
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _retried(self, call: Callable[[], Any], collection: str) -> Any:  # noqa: ANN401
        for attempt in (1, 2):
            try:
                return call()
            except self._client_errors() as error:
                if attempt == 1 and getattr(error, "code", None) == NOT_LOADED:
                    # The server restarted while this client was connected.
                    self.ask("load_collection", collection)
                    continue
                if not self._is_no_answer(error):
                    raise self._refusal(error) from error
                # The client does not reconnect to a server that restarted.
                self._drop_client()
                if attempt == 2:
                    raise self._no_answer() from error
            except SharedLibraryError as error:
                if attempt == 2:
                    raise self._no_answer() from error
                raise
        raise AssertionError("both attempts return or raise")

    def _drop_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(*self._client_errors()):
                client.close()

    def rows(self, collection: str, condition: str, fields: list[str]) -> list[dict[str, Any]]:
        """Return the rows that match a condition, in any order; usually one request."""
        found = self.ask(
            "query", collection, filter=condition, output_fields=fields, limit=MAX_ROWS
        )
        if len(found) < MAX_ROWS:
            return list(found)
        return [row for page in self.pages(collection, condition, fields, MAX_ROWS) for row in page]

    def pages(
        self, collection: str, condition: str, fields: list[str], size: int, **options: object
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows that match a condition by id, in lists of at most ``size``.

        Milvus Lite reads the whole collection for every list. The options are the client's.
        """
        last: int | None = None
        reader: tuple[Any, Any] = (None, None)  # a client, and its iterator

        def next_page() -> list[dict[str, Any]]:
            nonlocal reader
            client = self._live_client()
            if reader[0] is not client:
                # An iterator keeps the client that made it, which a reconnection has closed. The
                # rows come by id: the new one goes on after the last.
                after = [] if last is None else [f"id > {last}"]
                iterator = client.query_iterator(
                    collection,
                    filter=" and ".join([*after, *([f"({condition})"] if condition else [])]),
                    timeout=self.place.timeout_s,
                    batch_size=size,
                    output_fields=fields,
                    **options,
                )
                reader = client, iterator
            return list(reader[1].next())

        while page := self._retried(next_page, collection):
            last = page[-1]["id"]
            yield page

    def _connect(self) -> Any:  # noqa: ANN401
        place = self.place
        try:
            return self.library.MilvusClient(
                self._uri,
                token=place.token,
                db_name=place.database,
                timeout=CONNECT_TIMEOUT_S,
                # Not shared: a shared connection outlives its server, and has the settings of
                # its first user.
                dedicated=True,
                grpc_options={
                    "grpc.keepalive_time_ms": KEEPALIVE_MS,
                    # A proxy of http_proxy would look for a local server on its own machine.
                    **({"grpc.enable_http_proxy": 0} if place.is_here else {}),
                },
            )
        except self._client_errors() as error:
            if self._is_no_answer(error):
                raise SharedLibraryError(
                    f"nothing answers at {place}",
                    "Check that Milvus runs there, and the port; the default is 19530.",
                ) from error
            raise self._refusal(error) from error

    def _client_errors(self) -> tuple[type[Exception], ...]:
        grpc = require("grpc", EXTRA)
        # ValueError is what gRPC raises where a channel was closed under a call.
        return (self.library.MilvusException, grpc.RpcError, grpc.FutureTimeoutError, ValueError)

    def _is_no_answer(self, error: Exception) -> bool:
        grpc = require("grpc", EXTRA)
        quiet = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
        if isinstance(error, grpc.FutureTimeoutError):
            return True
        if isinstance(error, grpc.RpcError):
            return error.code() in quiet
        # After its own retries, the client wraps the last error and its code.
        message = str(getattr(error, "message", error))
        return getattr(error, "code", None) in quiet or any(part in message for part in _GONE)

    def _no_answer(self) -> SharedLibraryError:
        if self.is_file:
            return SharedLibraryError(
                f"Milvus Lite took longer than {FILE_TIMEOUT_S:g} s over {self.place}",
                "Use a Milvus server for so large a library: recsys milvus push "
                "milvus://HOST:19530.",
            )
        return SharedLibraryError(
            f"{self.place} does not answer: not within {self.place.timeout_s:g} s, nor after one"
            " retry",
            "Check the server and try again; ?timeout=60 in its address gives it more time.",
        )

    def _refusal(self, error: Exception) -> SharedLibraryError:
        if getattr(error, "code", None) == NOT_FOUND:
            return CollectionGoneError(
                f"{self.place} does not hold this library any more",
                "Another library, or all of this one, was pushed meanwhile: ask again.",
            )
        # gRPC's own errors have their message in details().
        details = getattr(error, "details", str)()
        message = str(getattr(error, "message", "") or details or error)
        first = message.strip().split("\n")[0][:300]
        token = self.place.token
        for secret in filter(None, (token, token.partition(":")[2])):
            first = first.replace(secret, "***")
        return SharedLibraryError(
            f"{self.place} refuses: {first}",
            "Give user and password in the address, or a token in the variable MILVUS_TOKEN."
            if any(word in first.casefold() for word in _LOGIN)
            else "This is Milvus' own message; its log may have more.",
        )


def _open_file(place: Place, *, create: bool) -> str:
    """Serve a Milvus Lite file to this process; return the address for the client."""
    path, file = str(place.file), place.file
    with _files_lock:
        if not _file_users[path] and not create and file is not None and not file.exists():
            raise nothing_there(place)
        uri = require("milvus_lite", EXTRA).server_manager_instance.start_and_get_uri(path)
        if uri is None:
            raise _not_opened(place)
        _file_users[path] += 1
        return str(uri)


def _not_opened(place: Place) -> SharedLibraryError:
    """Open a file without a server, which only logs its errors, to learn what is wrong."""
    lite = require("milvus_lite", EXTRA)
    try:
        lite.MilvusLite(str(place.file)).close()
    except lite.DataDirLockedError:
        return SharedLibraryError(
            f"{place} is in use by another process",
            "A Milvus Lite file serves one process at a time. Wait for the other one, or use a "
            "server.",
        )
    except OSError as error:
        return SharedLibraryError(
            f"{place}: {error.strerror or error}", "Choose a folder that can be written to."
        )
    except Exception as error:  # noqa: BLE001 (damaged files raise errors of any kind)
        return SharedLibraryError(
            f"Milvus Lite cannot open {place}: {error}",
            "It may be damaged: remove it, and push the library again.",
        )
    return SharedLibraryError(f"Milvus Lite cannot serve {place}", "Try again.")


def _close_file(place: Place) -> None:
    path = str(place.file)
    with _files_lock:
        _file_users[path] -= 1
        if not _file_users[path]:
            require("milvus_lite", EXTRA).server_manager_instance.release_server(path)


def nothing_there(place: Place) -> SharedLibraryError:
    """Return the error for a place that holds no library."""
    return SharedLibraryError(
        f"{place} holds no library yet",
        f"Push one first: {shell('recsys', 'milvus', 'push', place)}",
    )
