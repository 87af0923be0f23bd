"""Addresses of machines."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from urllib.request import BaseHandler, OpenerDirector


def is_loopback(host: str) -> bool:
    """Return whether an address is of this machine alone; of names, only ``localhost`` is."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def opener_for(host: str, *handlers: type[BaseHandler]) -> OpenerDirector:
    """Return what opens the addresses of a host: what is on this machine is behind no proxy."""
    from urllib.request import ProxyHandler, build_opener

    direct = [ProxyHandler({})] if is_loopback(host) else []
    return build_opener(*handlers, *direct)
