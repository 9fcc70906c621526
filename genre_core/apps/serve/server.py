"""The server around the API: bounded connections, and an end within seconds."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from genre_core.apps.serve.guard import Guard
from genre_core.apps.serve.uploads import Limits

CONNECTIONS = 64
END_SECONDS = 2  # for requests under way, when the server is told to end


class _Protocol(H11Protocol):
    """uvicorn's, with an end for connections that send no whole request."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._waiting is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(Limits.stall_seconds, self._look, self.cycle)

    def _look(self, before: object) -> None:
        self._waiting = None
        if self.cycle is before and (self.cycle is None or self.cycle.response_complete):  # no request began since
            self.transport.abort()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; OSError where the port is taken or the host is not of this machine."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def server(application: Guard) -> uvicorn.Server:
    """A server that bounds connections, writes no log, and ends within seconds."""
    return uvicorn.Server(
        uvicorn.Config(
            application,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_level="critical",  # what clients do wrong is no news, and must not fill a log
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=END_SECONDS,
            server_header=False,
        )
    )


def serve(application: Guard, listener: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn ends at the signal, then raises it once more
    server(application).run([listener])
    if application.bench.working:  # type: ignore[attr-defined]
        os._exit(0)  # a thread that works on a file cannot be stopped
