"""Starting the server: its address, whom it answers, and who has the port already."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvicorn

from recsys.api import Library
from recsys.errors import QueryError, RecsysError
from recsys.hosts import is_loopback
from recsys.store import connection
from recsys.store.connection import default_database
from recsys.web import PORT
from recsys.web.announcing import announced
from recsys.web.app import create_app
from recsys.web.devices import Devices
from recsys.web.security import Rules
from recsys.web.tokens import Tokens

BUSY_S = 3.0
"""How long a write waits for that of another process; a batch of an index run takes 0.1 s."""

_PROC = Path("/proc")

_NAME = re.compile(r"[\w.-]+(?::\d+)?|\[[0-9a-fA-F:.]+\](?::\d+)?")
"""What the header Host may hold."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where a server listens.

    Attributes
    ----------
    host : str
        Address; another than one of this machine alone demands a token.
    port : int
        0 takes a free one.
    names : tuple of str
        Further host names by which it is reached, as that of a proxy. They demand a token, too.
    subsonic : bool
        Answer players at ``/rest``, each with the secret of its device.
    mdns : bool
        Announce the server in the network.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    names: tuple[str, ...] = ()
    subsonic: bool = False
    mdns: bool = False

    @property
    def is_local(self) -> bool:
        """Whether nothing but this machine reaches it."""
        return not self.names and is_loopback(self.host)


def serve(
    database: str | Path | None,
    options: ServeOptions,
    on_start: Callable[[str], object] = lambda _: None,
) -> None:
    """Serve a library till the process is stopped.

    Parameters
    ----------
    database : str or Path, optional
        The library, which need not exist yet; by default that of the user.
    options : ServeOptions
        Where.
    on_start : callable
        Called with the address of the page as soon as it answers.

    Raises
    ------
    RecsysError
        If the port is taken, or a token or a device is needed and there is none.
    """
    with Library(database) as library:
        path = library.database if database is not None else default_database()
    for name in options.names:
        if not _NAME.fullmatch(name):
            raise QueryError(
                f"{name!r} is no name of a host", "Give it without http:// : music.example.org"
            )
    tokens = None if options.is_local else Tokens(path)
    if tokens is not None and not tokens.all():
        raise QueryError(
            f"{options.host} is reached from elsewhere, so a token is needed, and there is none",
            "Make one: recsys serve --token",
        )
    if options.subsonic and not Devices(path).all():
        raise QueryError(
            "players log in with the secret of a device, and there is none",
            "Make one: recsys serve --device phone",
        )
    if options.mdns and is_loopback(options.host):
        raise QueryError(
            f"nobody else reaches {options.host}, so there is nothing to announce",
            "Give the address of this machine in the network: --host 192.168.1.5",
        )
    # Of this process, whose writes are short: who waits at a page would rather be told.
    connection.BUSY_TIMEOUT_S = BUSY_S
    with ExitStack() as stack:
        listener = stack.enter_context(bound_socket(options))
        port = listener.getsockname()[1]
        rules = Rules(frozenset(_hosts(options, port)), tokens, options.subsonic)
        make = partial(Library, path, paths=False)
        config = uvicorn.Config(
            create_app(make, path, rules),
            log_level="warning",
            access_log=False,  # addresses hold what one searches for
            server_header=False,
            proxy_headers=False,
            limit_concurrency=1000,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=3,
        )
        shown = "127.0.0.1" if options.host in ("0.0.0.0", "localhost") else options.host
        address = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"
        if options.mdns:
            reached = {options.host, *_own_addresses()}
            stack.enter_context(announced(reached, port, subsonic=options.subsonic))
        _Server(config, partial(on_start, address)).run([listener])


class _Server(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()


def _hosts(options: ServeOptions, port: int) -> Iterator[str]:
    """Yield what the header Host may hold."""
    names = (
        {options.host, "localhost", "127.0.0.1"} if is_loopback(options.host) else {options.host}
    )
    if options.host in ("0.0.0.0", "::"):
        name = socket.gethostname()
        names |= {"localhost", "127.0.0.1", name, f"{name}.local", *_own_addresses()}
    for name in sorted(names):
        shown = f"[{name}]" if ":" in name else name
        yield f"{shown}:{port}".lower()
        if port == 80:
            yield shown.lower()
    # A proxy passes on the name with or without its own port.
    yield from (name.lower() for name in options.names)


def _own_addresses() -> Iterator[str]:
    """Yield the addresses from which this machine would send; nothing is sent."""
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))
            yield probe.getsockname()[0]


def bound_socket(options: ServeOptions) -> socket.socket:
    """Return a socket that listens; RecsysError if that cannot be."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    # Named, as asyncio sends small answers at once (TCP_NODELAY) on sockets of no other protocol.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((options.host, options.port))
        listener.listen(256)
        listener.set_inheritable(True)
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            holder = _holder(options.port)
            by = f" by {holder}" if holder else ""
            raise RecsysError(
                f"port {options.port} of {options.host} is taken{by}",
                "Stop that, or choose another: --port 0 takes a free one.",
            ) from error
        reason = getattr(error, "strerror", None) or error
        raise RecsysError(
            f"cannot listen on {options.host} port {options.port}: {reason}",
            "Give an address of this machine with --host, and a port above 1023 with --port.",
        ) from error
    return listener


def _holder(port: int) -> str | None:
    """Return the process that listens on a port, where the system tells: Linux, of one's own."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError, ValueError, IndexError):
            for line in (_PROC / "net" / table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    for process in _PROC.glob("[0-9]*") if inodes else ():
        with suppress(OSError):
            if any(os.readlink(each) in inodes for each in (process / "fd").iterdir()):  # noqa: PTH115
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ")
                name = words.decode("utf-8", "replace").strip()[:80]
                return f"process {process.name} ({name})"
    return None
