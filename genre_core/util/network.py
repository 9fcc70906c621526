"""Which machines a download may reach: public addresses alone, unless the user says otherwise.

An address from a list, a redirect or a playlist can lead to this machine or to the local network, where a router's page or a
database answers whoever asks. So every connection is looked at, at the moment when it is made and the name is resolved.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from genre_core.errors import GenreError


class PrivateAddressError(GenreError, OSError):
    """A connection to this machine or the local network that was not allowed."""


_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # an IPv4 address stands in its last 32 bits (RFC 6052)
_lock = threading.Lock()
_guards = 0
_proxies: frozenset[str] = frozenset()
_hooked = False


@contextlib.contextmanager
def public_addresses_only(on: bool = True) -> Iterator[None]:
    """Refuse connections of this process to private addresses; the proxies of the environment are left out.

    Parameters
    ----------
    on : bool
        False does nothing.

    Raises
    ------
    PrivateAddressError
        In whoever connects.
    """
    global _guards, _proxies, _hooked  # noqa: PLW0603 (an audit hook stays for ever: it is added once)
    if not on:
        yield
        return
    with _lock:
        if not _hooked:
            sys.addaudithook(_look)
            _hooked = True
        if not _guards:
            _proxies = frozenset(_proxy_addresses())
        _guards += 1
    try:
        yield
    finally:
        with _lock:
            _guards -= 1


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _guards and isinstance(arguments[1], tuple):
        host = str(arguments[1][0])
        if not is_public(host) and host not in _proxies:
            raise PrivateAddressError(f"{host} is an address of this machine or the local network, which is not allowed")


def is_public(address: str) -> bool:
    """Whether a numeric IPv4 or IPv6 address belongs to the public internet; a name does not."""
    try:
        ip = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.teredo:
            return False
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return ip.is_global and not ip.is_multicast


def _proxy_addresses() -> Iterator[str]:
    for proxy in urllib.request.getproxies().values():
        with contextlib.suppress(OSError, ValueError):
            host = urlsplit(proxy if "//" in proxy else f"//{proxy}").hostname
            for *_, address in socket.getaddrinfo(host, None) if host else ():
                yield str(address[0])
