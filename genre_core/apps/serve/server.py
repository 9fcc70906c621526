"""The server around the API: bounded connections, and an end within seconds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from typing import Any, NoReturn

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from genre_core.apps.serve.guard import Guard
from genre_core.apps.serve.uploads import Limits
from genre_core.apps.serve.work import RETRY_AFTER_SECONDS
from genre_core.terminal import say
from genre_core.util.memory import limit_memory

CONNECTIONS = 64
END_SECONDS = 2  # for requests under way, when the server is told to end
MEMORY_BYTES = 1_100_000_000  # beside what the server has when it starts
_FULL = f"HTTP/1.1 503 Service Unavailable\r\nRetry-After: {RETRY_AFTER_SECONDS}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()


class _Protocol(H11Protocol):
    """uvicorn's, with an end for connections that are too many, send no whole request, or read no answer."""

    _timer: asyncio.TimerHandle | None = None
    _before: tuple[object, bool] = (None, False)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.write(_FULL)
            transport.close()
            return
        self._timer = self.loop.call_later(Limits.stall_seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """End the connection if it waits for a request, or for its client to read, as long as since the last look."""
        idle = self.cycle is None or self.cycle.response_complete
        now = (self.cycle, idle or self.flow.write_paused)
        if now[1] and (now == self._before or self.cycle is None):
            self.transport.abort()
            return
        self._before = now
        self._timer = self.loop.call_later(Limits.stall_seconds, self._look)


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket; OSError if the port is taken or the host is foreign."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def server(application: Guard) -> uvicorn.Server:
    """Make a server that bounds connections, writes no log, and ends within seconds."""
    return uvicorn.Server(
        uvicorn.Config(
            application,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_level="critical",  # what clients do wrong is no news, and must not fill a log
            backlog=CONNECTIONS,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=END_SECONDS,
            server_header=False,
        )
    )


def serve(application: Guard, listener: socket.socket) -> NoReturn:
    """Serve until Ctrl-C or SIGTERM, which end the process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn ends at the signal, then raises it once more
    running = server(application)
    limit_memory(MEMORY_BYTES)
    _own_stderr()
    _raise_open_files()
    said: set[str] = set()

    def failed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if (message := str(context.get("message"))) not in said:  # once: thousands of connections can fail alike
            said.add(message)
            say(f"error: {message}", sys.stderr)

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(failed)
        await running.serve([listener])

    def end_for_certain() -> None:
        while not running.should_exit:
            time.sleep(0.2)
        time.sleep(END_SECONDS + 1.5)
        os._exit(0)  # an answer that its client does not read keeps its task, and the loop, for ever

    threading.Thread(target=end_for_certain, daemon=True).start()
    asyncio.run(main())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a thread that works on a file cannot be stopped


def _own_stderr() -> None:
    """Keep standard error for our own lines: decoders write a note for each damaged frame to it."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
        sys.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)


def _raise_open_files() -> None:
    """Allow as many open files as the system does: each connection is one."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
