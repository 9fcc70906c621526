"""Restriction of downloads to public addresses, unless the user allows others.

An address from a list, a redirect or a playlist can lead to this machine or to the local network, where a router's page or a
database answers every client. So every connection is checked when it is made, after the name is resolved. No program is started
that could connect without this check.
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
    """Error about a forbidden connection to this machine or the local network."""


_JAVASCRIPT_RUNTIMES = {"deno", "node", "bun", "qjs"}  # JavaScript runtimes of yt-dlp, which do not connect
# Local networks, and networks whose addresses stand for another address.
_REFUSED_NETWORKS = tuple(map(ipaddress.ip_network, ("fec0::/10", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # the last 32 bits are an IPv4 address (RFC 6052)
_lock = threading.Lock()
_active_guards = 0
_proxies: frozenset[tuple[str, int]] = frozenset()
_open_sockets: list[weakref.ref[socket.socket]] | None = None  # sockets that connected while a deadline runs, else None
_hook_installed = False


@contextlib.contextmanager
def public_addresses_only(on: bool = True) -> Iterator[None]:
    """Refuse connections of this process to private addresses.

    The proxies that the environment names stay allowed.

    Parameters
    ----------
    on : bool
        False has no effect.

    Raises
    ------
    PrivateAddressError
        A connection to a private address is attempted; raised in the code that connects.
    """
    global _active_guards, _proxies  # noqa: PLW0603
    if not on:
        yield
        return
    _install_hook()
    with _lock:
        if not _active_guards:
            _proxies = frozenset(_proxy_addresses())
        _active_guards += 1
    try:
        yield
    finally:
        with _lock:
            _active_guards -= 1


@contextlib.contextmanager
def hang_up_after(seconds: float) -> Iterator[None]:
    """Close every connection made inside the ``with`` block, after `seconds`.

    Without this, a server that sends a few bytes at a time keeps a reader forever. A reader of a closed connection gets the end
    of the stream or an error.
    """
    global _open_sockets  # noqa: PLW0603
    _install_hook()
    _open_sockets = []

    def hang_up() -> None:
        for reference in list(_open_sockets or ()):
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
        _open_sockets = None


def _install_hook() -> None:
    global _hook_installed  # noqa: PLW0603
    with _lock:
        if not _hook_installed:  # an audit hook cannot be removed
            sys.addaudithook(_check_event)
            _hook_installed = True


def _check_event(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        if _active_guards:
            host, port = str(arguments[1][0]), arguments[1][1]
            if not is_public(host) and (host, port) not in _proxies:
                raise PrivateAddressError(f"{host} is an address of this machine or the local network, which is not allowed")
        if _open_sockets is not None:
            _open_sockets.append(weakref.ref(arguments[0]))
    if event == "subprocess.Popen" and _active_guards and Path(os.fsdecode(arguments[0] or "")).stem not in _JAVASCRIPT_RUNTIMES:
        raise PrivateAddressError(f"the program {arguments[0]!r} may not be started: its connections cannot be checked")


def is_public(address: str) -> bool:
    """Tell whether a numeric IPv4 or IPv6 address belongs to the public internet.

    An IPv6 address that contains an IPv4 address (mapped, 6to4, NAT64) counts as that address. Any other text is not public.
    """
    try:
        ip = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.teredo or any(ip in network for network in _REFUSED_NETWORKS):
            return False
        ipv4 = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            ipv4 = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if ipv4 is not None:
            return ipv4.is_global and not ipv4.is_multicast
    return ip.is_global and not ip.is_multicast


def _proxy_addresses() -> Iterator[tuple[str, int]]:
    """Yield the address and the port of each proxy that the environment names."""
    for scheme, proxy in urllib.request.getproxies().items():
        if scheme not in ("http", "https", "all"):  # "no" lists the hosts that need no proxy
            continue
        with contextlib.suppress(OSError, ValueError):
            parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
            port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 1080)
            for *_, address in socket.getaddrinfo(parts.hostname, port) if parts.hostname else ():
                yield str(address[0]), port
