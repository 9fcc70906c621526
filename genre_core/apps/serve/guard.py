"""Protection against foreign host names and pages of other sites.

A page of another site, opened in a browser on this machine, can send requests to this server. The browser puts the site's name into the
``Origin`` header. If the site's own name resolves to this machine (DNS rebinding), the name is in the ``Host`` header. `Guard` compares
``Host`` with the allowed host names, and ``Origin`` with ``Host``.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Guard:
    """ASGI middleware that refuses foreign hosts and adds security headers.

    A refused HTTP request gets status 403; a WebSocket is closed.

    Parameters
    ----------
    app : ASGI application
    hosts : iterable of str
        Host names and addresses allowed in the ``Host`` header, without ports.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self.app = app
        self.hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page does not use WebSockets
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in _HEADERS.items())]
            await send(message)

        if refusal := self._refusal(scope):
            await JSONResponse({"error": refusal}, 403)(scope, receive, send_guarded)
            return
        with contextlib.suppress(ClientDisconnect):
            await self.app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> str | None:
        """Return the reason to refuse a request; None if it is allowed."""
        host_values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        host = host_values[0] if len(host_values) == 1 else ""
        if _name(host) not in self.hosts:
            return f"host {host[:200]!r} is not allowed; `genre serve --allow-host NAME` allows one"
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        if any(_netloc(origin) != host.lower() for origin in origins):
            return f"a page of {origins[0][:200]!r} may not use this server"
        return None


def _netloc(origin: str) -> str:
    """Return ``host:port`` of an Origin header; empty for ``null`` and other schemes."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    return parts.netloc.lower() if parts.scheme in ("http", "https") else ""


def _name(host: str) -> str:
    """Return the host name of a Host header, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "") if host and "/" not in host and "@" not in host else ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Tell whether `host` is a loopback name or address.

    Only this machine can reach a server on a loopback address.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
