"""Where MPD listens, as its clients are told: ``MPD_HOST`` and ``MPD_PORT``."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from recsys.errors import QueryError

PORT = 6600
"""The port of MPD."""

SYSTEM_SOCKET = "/run/mpd/socket"
"""Where MPD of the system has its socket, as its clients look for it."""


@dataclass(frozen=True, slots=True)
class MpdAddress:
    """A host and a port, or a socket: a path, or ``@name`` for an abstract one.

    Examples
    --------
    >>> address = MpdAddress.parse("secret@music.local", 6601)
    >>> str(address), address.password
    ('music.local:6601', 'secret')
    >>> str(MpdAddress.parse("secret@/run/mpd/socket"))
    '/run/mpd/socket'
    >>> MpdAddress.parse("@mpd").is_socket
    True
    """

    host: str
    port: int = PORT
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, host: str, port: int = PORT) -> Self:
        """Return the address of ``host`` or ``password@host``; QueryError for another text."""
        password, at, rest = host.partition("@")
        if not at or not password:  # "@name" is an abstract socket
            password, rest = "", host
        if not rest or "\n" in host or "\0" in host:
            told = f"password@{rest}" if password else host
            raise QueryError(
                f"{told!r} is no address of MPD",
                "Give a host, password@host, or the path of a socket.",
            )
        if not 0 < port < 2**16:
            raise QueryError(f"{port} is no port", f"The port of MPD is {PORT} by default.")
        return cls(rest, port, password or None)

    @classmethod
    def find(
        cls, host: str | None, port: int | None, environment: Mapping[str, str] = os.environ
    ) -> Self:
        """Return the address that is given, or that of the environment, or the usual one.

        QueryError if one of them is none.
        """
        host = host or environment.get("MPD_HOST") or None
        named = environment.get("MPD_PORT") or None
        if port is None and named is not None:
            if not named.isdecimal():
                raise QueryError(f"MPD_PORT is no port: {named!r}", f"For example {PORT}.")
            port = int(named)
        if host is None and port is None:
            host = _usual_socket(environment)
        return cls.parse(host or "localhost", port or PORT)

    @property
    def is_socket(self) -> bool:
        """Whether it is a socket of this machine, over which MPD tells its music directory."""
        return self.host.startswith(("/", "@"))

    @property
    def key(self) -> str:
        """The address in one form: all names of this machine are one."""
        if self.host.startswith("@"):
            return self.host
        if self.is_socket:
            return os.path.realpath(self.host)
        with suppress(OSError, UnicodeError):
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            addresses = sorted({str(each[4][0]) for each in found})
            if any(ip_address(each.partition("%")[0]).is_loopback for each in addresses):
                return f"localhost:{self.port}"
            return f"{addresses[0]}:{self.port}"
        return str(self)

    def __str__(self) -> str:
        if self.is_socket:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _usual_socket(environment: Mapping[str, str]) -> str | None:
    """Return the socket that clients of MPD try first, None where there is none."""
    runtime = environment.get("XDG_RUNTIME_DIR")
    own = [os.path.join(runtime, "mpd", "socket")] if runtime else []  # noqa: PTH118
    return next((each for each in (*own, SYSTEM_SOCKET) if Path(each).is_socket()), None)
