"""Announcing the server in the network, for those who ask for it: multicast DNS (RFC 6763)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version

from recsys.errors import RecsysError, require

SERVICE = "_http._tcp.local."


@contextmanager
def announced(addresses: Iterable[str], port: int, *, subsonic: bool) -> Iterator[None]:
    """Announce a server at these addresses while the block runs.

    Parameters
    ----------
    addresses : iterable of str
        Those at which it is reached from other machines; names are left out.
    port : int
    subsonic : bool
        Whether players are answered at ``/rest``.

    Raises
    ------
    RecsysError
        If zeroconf (the extra ``mdns``) is not installed, or the network cannot be used.
    """
    require("zeroconf", "mdns")
    from zeroconf import Error, ServiceInfo, Zeroconf

    host = socket.gethostname().partition(".")[0] or "recsys"
    packed = [each for each in map(_packed, addresses) if each is not None]
    about = {"path": "/", "version": version("recsys")} | ({"rest": "/rest"} if subsonic else {})
    info = ServiceInfo(
        SERVICE,
        f"recsys on {host}.{SERVICE}",
        addresses=packed,
        port=port,
        properties=about,
        server=f"{host}.local.",
    )
    try:
        zeroconf = Zeroconf()
        zeroconf.register_service(info, allow_name_change=True)
    except (OSError, Error) as error:
        raise RecsysError(
            f"the server cannot be announced: {error}", "Start it without --mdns."
        ) from error
    try:
        yield
    finally:
        with suppress(OSError, Error):
            zeroconf.unregister_all_services()
        zeroconf.close()


def _packed(address: str) -> bytes | None:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    return None if found.is_loopback or found.is_unspecified else found.packed
