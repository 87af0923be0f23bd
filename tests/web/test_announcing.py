"""The server announces itself in the network, if it is asked to, and says when it ends."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from zeroconf import ServiceInfo, Zeroconf

from recsys.errors import QueryError
from recsys.web.announcing import SERVICE, announced
from recsys.web.server import ServeOptions, _own_addresses, serve

pytestmark = pytest.mark.slow

WAIT_S = 20


def found(name: str) -> ServiceInfo | None:
    looking = Zeroconf()
    try:
        return looking.get_service_info(SERVICE, name, timeout=3000)
    finally:
        looking.close()


def is_multicast_possible() -> bool:
    """Whether one finds here what another announces, without recsys."""
    name = f"probe of recsys.{SERVICE}"
    probe = ServiceInfo(SERVICE, name, port=9, addresses=[socket.inet_aton("127.0.0.1")])
    announcing = Zeroconf()
    try:
        announcing.register_service(probe)
        return found(name) is not None
    except OSError:
        return False
    finally:
        announcing.close()


def test_a_server_that_is_announced_is_found() -> None:
    # In a thread of its own: a browser of other tests leaves an event loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(announce_and_find).result()


def announce_and_find() -> None:
    host = socket.gethostname().partition(".")[0]
    name = f"recsys on {host}.{SERVICE}"
    addresses = list(_own_addresses())
    if not addresses:
        pytest.skip("this machine is in no network")
    if not is_multicast_possible():
        pytest.skip("multicast is not possible here")
    with announced([*addresses, "127.0.0.1", "music.example.org"], 8337, subsonic=True):
        info, end = None, time.monotonic() + WAIT_S
        while info is None and time.monotonic() < end:
            info = found(name)
        assert info is not None
        assert info.port == 8337
        assert info.parsed_addresses() == addresses
        assert info.properties[b"rest"] == b"/rest"


def test_on_this_machine_alone_there_is_nothing_to_announce() -> None:
    with pytest.raises(QueryError, match="nothing to announce"):
        serve(None, ServeOptions(port=0, mdns=True))
