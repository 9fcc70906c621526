"""Who may ask: a list of host names, and no page of another site.

A page that a browser shows can send requests to this machine. Its name is in ``Origin``; where it made its own name point to this
machine (DNS rebinding), that name is in ``Host``. Both are compared with the hosts that were allowed.
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
    """ASGI middleware: refuse foreign hosts and origins, and add security headers.

    Parameters
    ----------
    app : ASGI application
    hosts : iterable of str
        Names and addresses under which the server may be asked, without ports.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self.app = app
        self.hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page opens no WebSocket
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
        """Why a request is refused; None where it is not."""
        found = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        host = found[0] if len(found) == 1 else ""
        if _name(host) not in self.hosts:
            return f"host {host[:200]!r} is not allowed; `genre serve --allow-host NAME` allows one"
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        if any(_netloc(origin) != host.lower() for origin in origins):
            return f"a page of {origins[0][:200]!r} may not use this server"
        return None


def _netloc(origin: str) -> str:
    """``host:port`` of an Origin header; empty where it has none, as ``null``."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    return parts.netloc.lower() if parts.scheme in ("http", "https") else ""


def _name(host: str) -> str:
    """Return the name in a Host header, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "") if host and "/" not in host and "@" not in host else ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a server on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
