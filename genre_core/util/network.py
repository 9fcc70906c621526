"""Restriction of downloads to public addresses, unless the user allows others.

An address from a list, a redirect or a playlist can lead to this machine or to the local network, in which a router or a database
may answer every client. So every connection is checked after the host name is resolved and before the socket connects. A program
is not started if it could connect without this check.
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


NOT_PUBLIC = "is an address of this machine or the local network, which is not allowed"
_JAVASCRIPT_RUNTIMES = {"deno", "node", "bun", "qjs"}  # yt-dlp starts these programs; they do not open connections
# Local networks, and networks whose addresses contain another address.
_REFUSED_NETWORKS = tuple(map(ipaddress.ip_network, ("fec0::/10", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # the last 32 bits are an IPv4 address (RFC 6052)
_lock = threading.Lock()
_active_guards = 0
_proxies: frozenset[tuple[str, int]] = frozenset()
_open_sockets: list[weakref.ref[socket.socket]] | None = None  # sockets connected inside `hang_up_after`; None outside it
_hook_installed = False


@contextlib.contextmanager
def public_addresses_only(on: bool = True) -> Iterator[None]:
    """Refuse connections to private addresses inside a ``with`` block.

    This applies to all threads of this process. Proxies in the environment variables, for example ``HTTPS_PROXY``, stay allowed.
    Programs other than yt-dlp's JavaScript runtimes cannot be started.

    Parameters
    ----------
    on : bool
        Whether the check is active; False allows all connections.

    Raises
    ------
    PrivateAddressError
        The code inside the block connects to a private address, or starts a program.
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
    """Close all connections of a ``with`` block after `seconds`.

    Without this limit, a server that sends a few bytes at a time can delay a reader forever. A reader of a closed connection gets
    the end of the stream or an error.

    Parameters
    ----------
    seconds : float > 0
        Time from the start of the block until the connections are closed, in seconds.
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
                raise PrivateAddressError(f"{host} {NOT_PUBLIC}")
        if _open_sockets is not None:
            _open_sockets.append(weakref.ref(arguments[0]))
    if event == "subprocess.Popen" and _active_guards and Path(os.fsdecode(arguments[0] or "")).stem not in _JAVASCRIPT_RUNTIMES:
        raise PrivateAddressError(f"the program {arguments[0]!r} must not be started, because its connections cannot be checked")


def is_public(address: str) -> bool:
    """Tell whether a numeric IPv4 or IPv6 address is public.

    An IPv6 address that contains an IPv4 address (mapped, 6to4, NAT64) is public if the IPv4 address is public. A text that is not
    a numeric address is not public.
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
    """Yield address and port of each proxy in the environment variables."""
    for scheme, proxy in urllib.request.getproxies().items():
        if scheme not in ("http", "https", "all"):  # "no" lists the hosts that are reached without a proxy
            continue
        with contextlib.suppress(OSError, ValueError):
            parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
            port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 1080)
            for *_, address in socket.getaddrinfo(parts.hostname, port) if parts.hostname else ():
                yield str(address[0]), port
