"""HTTP server of the API, with bounded connections and a fast shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import Any, NoReturn

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from genre_core.apps.serve.guard import Guard
from genre_core.apps.serve.uploads import Limits
from genre_core.apps.serve.work import RETRY_AFTER_SECONDS
from genre_core.terminal import say
from genre_core.util.memory import limit_memory

CONNECTIONS = 64
END_SECONDS = 1  # time that open requests have left when the server stops
MEMORY_BYTES = 1_100_000_000  # in addition to the memory in use at the start
_FULL = f"HTTP/1.1 503 Service Unavailable\r\nRetry-After: {RETRY_AFTER_SECONDS}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()


class _Protocol(H11Protocol):
    """uvicorn's HTTP protocol with limits on connections.

    It closes connections beyond `CONNECTIONS`, and connections whose client does not send a whole request or does not read the answer.
    """

    _timer: asyncio.TimerHandle | None = None
    _last_state: tuple[object, bool] = (None, False)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.write(_FULL)
            transport.close()
            return
        self._timer = self.loop.call_later(Limits.stall_seconds, self._close_if_stalled)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _close_if_stalled(self) -> None:
        """Close the connection if it has waited for its client since the last check."""
        idle = self.cycle is None or self.cycle.response_complete
        state = (self.cycle, idle or self.flow.write_paused)
        if state[1] and (state == self._last_state or self.cycle is None):
            self.transport.abort()
            return
        self._last_state = state
        self._timer = self.loop.call_later(Limits.stall_seconds, self._close_if_stalled)


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    Raises
    ------
    OSError
        The port is in use, or `host` is not an address of this machine.
    """
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


class _Server(uvicorn.Server):
    """uvicorn's server; it remembers whether Ctrl-C stopped it."""

    interrupted = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.interrupted |= sig == signal.SIGINT
        super().handle_exit(sig, frame)


def server(application: Guard) -> _Server:
    """Build a server with bounded connections, no log and a fast shutdown."""
    return _Server(
        uvicorn.Config(
            application,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_level="critical",  # errors of clients must not fill a log
            backlog=CONNECTIONS,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=END_SECONDS,
            server_header=False,
        )
    )


def serve(application: Guard, listener: socket.socket) -> NoReturn:
    """Serve until Ctrl-C (exit code 130) or SIGTERM (exit code 0), then end the process."""
    running = server(application)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, running.handle_exit)  # before uvicorn hears signals, and when it raises them again at its end
    limit_memory(MEMORY_BYTES)
    _silence_decoders()
    _raise_open_files()
    reported: set[str] = set()

    def failed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if (message := str(context.get("message"))) not in reported:  # once: thousands of connections can fail in the same way
            reported.add(message)
            say(f"error: {message}", sys.stderr)

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(failed)
        await running.serve([listener])

    def exit_after_shutdown() -> None:
        while not running.should_exit:
            time.sleep(0.2)
        time.sleep(END_SECONDS + 0.5)
        _exit(running)  # a client that does not read its answer keeps the event loop alive forever

    threading.Thread(target=exit_after_shutdown, daemon=True).start()
    asyncio.run(main())
    _exit(running)  # a thread that processes a file cannot be stopped


def _exit(stopped: _Server) -> NoReturn:
    if stopped.interrupted:
        with contextlib.suppress(OSError):  # the terminal may be closed
            say("interrupted", sys.stderr)
    os._exit(128 + signal.SIGINT if stopped.interrupted else 0)


def _silence_decoders() -> None:
    """Keep standard error for the server's own lines.

    Decoders write a message for each damaged frame to file descriptor 2.
    """
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
        sys.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")
        null_file = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null_file, 2)
        os.close(null_file)


def _raise_open_files() -> None:
    """Raise the limit of open files: each connection needs one."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
