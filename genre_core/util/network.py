"""Which machines a download may reach: public addresses alone, unless the user says otherwise.

An address from a list, a redirect or a playlist can lead to this machine or to the local network, where a router's page or a
database answers whoever asks. So every connection is looked at, at the moment when it is made and the name is resolved, and no program
is started that would connect unseen.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import sys
import threading
import urllib.request
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from genre_core.errors import GenreError


class PrivateAddressError(GenreError, OSError):
    """A connection to this machine or the local network that was not allowed."""


_RUNTIMES = {"deno", "node", "bun", "qjs"}  # with which yt-dlp computes, and asks nobody
_OLD = tuple(map(ipaddress.ip_network, ("fec0::/10", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")))  # local, or of another address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # an IPv4 address stands in its last 32 bits (RFC 6052)
_lock = threading.Lock()
_guards = 0
_proxies: frozenset[tuple[str, int]] = frozenset()
_connected: list[weakref.ref[socket.socket]] | None = None  # while a deadline runs
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
    global _guards, _proxies  # noqa: PLW0603
    if not on:
        yield
        return
    _install_hook()
    with _lock:
        if not _guards:
            _proxies = frozenset(_proxy_addresses())
        _guards += 1
    try:
        yield
    finally:
        with _lock:
            _guards -= 1


@contextlib.contextmanager
def hang_up_after(seconds: float) -> Iterator[None]:
    """Hang up every connection that is made here, when `seconds` are over: a server that drips keeps a reader for ever.

    Whoever reads then gets the end of the stream, or an error.
    """
    global _connected  # noqa: PLW0603
    _install_hook()
    _connected = []

    def hang_up() -> None:
        for reference in list(_connected or ()):
            if (connection := reference()) is not None:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        _connected = None


def _install_hook() -> None:
    global _hooked  # noqa: PLW0603
    with _lock:
        if not _hooked:  # an audit hook stays for ever: it is added once
            sys.addaudithook(_look)
            _hooked = True


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        if _guards:
            host, port = str(arguments[1][0]), arguments[1][1]
            if not is_public(host) and (host, port) not in _proxies:
                raise PrivateAddressError(f"{host} is an address of this machine or the local network, which is not allowed")
        if _connected is not None:
            _connected.append(weakref.ref(arguments[0]))
    if event == "subprocess.Popen" and _guards and Path(os.fsdecode(arguments[0] or "")).stem not in _RUNTIMES:
        raise PrivateAddressError(f"the program {arguments[0]!r} may not be started: whom it asks cannot be seen")


def is_public(address: str) -> bool:
    """Tell whether a numeric IPv4 or IPv6 address belongs to the public internet."""
    try:
        ip = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.teredo or any(ip in network for network in _OLD):
            return False
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return ip.is_global and not ip.is_multicast


def _proxy_addresses() -> Iterator[tuple[str, int]]:
    for scheme, proxy in urllib.request.getproxies().items():
        if scheme not in ("http", "https", "all"):  # "no" names whom to ask without one
            continue
        with contextlib.suppress(OSError, ValueError):
            parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
            port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 1080)
            for *_, address in socket.getaddrinfo(parts.hostname, port) if parts.hostname else ():
                yield str(address[0]), port
