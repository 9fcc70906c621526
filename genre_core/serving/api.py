"""The HTTP API, and the server around it."""

from __future__ import annotations

import asyncio
import base64
import errno
import io
import os
import signal
import socket
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from genre_core import plots
from genre_core.audio import Audio
from genre_core.errors import GenreError, SilenceWarning
from genre_core.explanation import explain
from genre_core.inference import Prediction, Predictor
from genre_core.parallel import cores
from genre_core.serving.guard import LOOPBACK, Guard
from genre_core.serving.work import Bench, BusyError
from genre_core.streaming import Heard, Listener

LIVE_SECONDS = 10.0  # of which a live answer is
WAITING = 8  # requests in the queue
CONNECTIONS = 64
RETRY_AFTER_SECONDS = 5
END_SECONDS = 2  # for requests under way, when the server is told to end
_EXPLAINED_SECONDS = 60.0  # of a longer file, its middle: eight passes over an hour would take minutes
_STATIC = Path(__file__).with_name("static")
_PAGES = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js", "/samples.js": "samples.js"}


@dataclass(frozen=True)
class Limits:
    """Of one upload.

    Attributes
    ----------
    megabytes, seconds : float
        Size of the file, and length of its audio.
    decode_seconds : float
        What decoding may take.
    stall_seconds, upload_seconds : float
        Longest silence of the client, and what the whole upload may take.
    """

    megabytes: float = 60.0
    seconds: float = 15 * 60.0
    decode_seconds: float = 20.0
    stall_seconds: float = 10.0
    upload_seconds: float = 120.0


class RefusedError(Exception):
    """A request that cannot be served, with its status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def judge(predictor: Predictor, file: IO[bytes], name: str, limits: Limits) -> tuple[Prediction, Audio]:
    """Predict from an uploaded file, within the limits; an error names `name`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SilenceWarning)  # the answer says "not sure"
        return predictor.decode_and_predict(name, file=file, max_seconds=limits.seconds, deadline_s=limits.decode_seconds)


def application(
    predictor: Predictor, model_name: str, introduction: str, limits: Limits | None = None, hosts: Iterable[str] = LOOPBACK
) -> Guard:
    """Make the page at ``/`` and the API at ``/api/predict`` and ``/api/live``.

    Parameters
    ----------
    predictor : Predictor
    model_name, introduction : str
        Shown on the page.
    limits : Limits, optional
    hosts : iterable of str
        Host names that may be asked for: see `Guard`.

    Returns
    -------
    Guard
        An ASGI application.
    """
    limits = limits or Limits()
    bench = Bench(cores(), WAITING)

    def share_cores() -> None:
        """Compute with this thread's share of the cores."""
        torch.set_num_threads(max(1, cores() // max(1, bench.working)))

    async def predict(request: Request) -> Response:
        name = request.query_params.get("name") or "upload"
        pictures = request.query_params.get("pictures") == "1"

        def work(file: IO[bytes]) -> dict[str, Any]:
            share_cores()
            said, audio = judge(predictor, file, name, limits)
            answer = _as_json(said, name, model_name, predictor.model.genres)
            return {**answer, "pictures": _pictures(predictor, said, audio, name)} if pictures else answer

        with _temporary() as file:
            await _receive(request, file, name, limits.megabytes, limits)
            return JSONResponse(await _in_turn(bench, request, work, file))

    async def live(request: Request) -> Response:
        rate = request.query_params.get("rate", "")
        if not (rate.isascii() and rate.isdigit() and 8_000 <= int(rate[:7]) <= 192_000):
            raise RefusedError(422, f"rate {rate[:20]!r} is no sample rate from 8,000 to 192,000 Hz")

        def work(data: bytes) -> dict[str, Any]:
            share_cores()
            listener = Listener(predictor.model, int(rate), context_seconds=LIVE_SECONDS)
            listener.push(np.frombuffer(data, "<i2").astype(np.float32) / 32768)
            return _live(listener.now(), listener.seconds)

        with io.BytesIO() as file:
            await _receive(request, file, "live audio", LIVE_SECONDS * 192_000 * 2 / 1e6, limits)
            data = file.getvalue()
        return JSONResponse(await _in_turn(bench, request, work, data[: len(data) // 2 * 2]))

    async def about(request: Request) -> Response:
        return JSONResponse(
            {
                "model": model_name,
                "introduction": introduction,
                "genres": predictor.model.genres,
                "megabytes": limits.megabytes,
                "seconds": limits.seconds,
                "live_seconds": LIVE_SECONDS,
            }
        )

    async def page(request: Request) -> Response:
        return FileResponse(_STATIC / _PAGES[request.url.path])

    def bounded(handler: Any) -> Any:
        async def answer(request: Request) -> Response:
            try:
                async with bench.place():
                    return await handler(request)
            except BusyError:
                await _drain(request, limits)  # an answer before the end of an upload is lost on the way
                return JSONResponse(
                    {"error": f"{bench.places} files are waiting; try again in {RETRY_AFTER_SECONDS} s"},
                    503,
                    {"Retry-After": str(RETRY_AFTER_SECONDS)},
                )
            except RefusedError as error:
                return JSONResponse({"error": str(error)}, error.status)
            except GenreError as error:
                return JSONResponse({"error": str(error)}, 422)
            except MemoryError:
                return JSONResponse({"error": "this needs more memory than there is; try a shorter file"}, 507)

        return answer

    routes = [Route(path, page) for path in _PAGES]
    routes += [Route("/api/about", about), Route("/api/predict", bounded(predict), methods=["POST"])]
    routes += [Route("/api/live", bounded(live), methods=["POST"])]
    guard = Guard(Starlette(routes=routes), hosts)
    guard.bench = bench  # type: ignore[attr-defined]
    return guard


def _temporary() -> IO[bytes]:
    """A file without a name: nothing of it is left, however the server ends."""
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise RefusedError(507, _no_room(error)) from None


def _no_room(error: OSError) -> str:
    said = "is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"cannot be used ({error.strerror})"
    return f"the server's temporary folder {said}; make room there, or set TMPDIR to another"


async def _receive(request: Request, file: IO[bytes], name: str, megabytes: float, limits: Limits) -> None:
    """Write the body to `file`.

    Raises
    ------
    RefusedError
        It is too large, comes too slowly, or the disk is full.
    """
    size = 0
    blocks = request.stream()
    try:
        async with asyncio.timeout(limits.upload_seconds):
            while True:
                try:
                    block = await asyncio.wait_for(anext(blocks), limits.stall_seconds)
                except StopAsyncIteration:
                    break
                size += len(block)
                if size > megabytes * 1e6:
                    raise RefusedError(413, f"{name}: larger than {megabytes:g} MB; cut it")
                file.write(block)
        file.flush()
    except TimeoutError:
        raise RefusedError(408, f"{name}: the upload stalled, or took longer than {limits.upload_seconds:g} s; send it again") from None
    except OSError as error:
        raise RefusedError(507, _no_room(error)) from None
    file.seek(0)


async def _drain(request: Request, limits: Limits) -> None:
    """Read the rest of a body that is not used, for a short while."""
    left = limits.megabytes * 1e6
    try:
        async with asyncio.timeout(limits.stall_seconds):
            async for block in request.stream():
                left -= len(block)
                if left < 0:
                    return
    except (TimeoutError, ClientDisconnect):
        return


async def _in_turn(bench: Bench, request: Request, work: Any, *arguments: Any) -> dict[str, Any]:
    async def wanted() -> bool:
        return not await request.is_disconnected()

    answer = await bench.run(work, *arguments, wanted=wanted)
    if answer is None:
        raise ClientDisconnect
    return answer


def _as_json(said: Prediction, name: str, model_name: str, genres: list[str]) -> dict[str, Any]:
    return {
        "file": name,
        "genre": said.genre,
        "sure": said.sure,
        "probabilities": said.probabilities,
        "seconds": round(said.seconds, 3),
        "model": model_name,
        "timeline": {
            "starts_seconds": said.starts_seconds.tolist(),
            "window_seconds": said.window_seconds,
            "genres": genres,
            "probabilities": np.round(said.timeline, 4).tolist(),
        },
    }


def _live(heard: Heard | None, seconds: float) -> dict[str, Any]:
    if heard is None:
        return {"seconds": round(seconds, 3), "genre": None}
    return {
        "seconds": round(seconds, 3),
        "genre": next(iter(heard.probabilities)),
        "sure": heard.sure,
        "probabilities": heard.probabilities,
        "latency_ms": round(heard.latency_ms, 1),
    }


def _pictures(predictor: Predictor, said: Prediction, audio: Audio, name: str) -> dict[str, str]:
    """The timeline, and what carried the decision, as PNG in data URLs."""
    model = predictor.model.finer()
    whole = round(_EXPLAINED_SECONDS * audio.sample_rate)
    first = max(0, (len(audio.y) - whole) // 2)
    part = audio.y[first : first + whole]
    seconds = len(part) / audio.sample_rate
    starts = [float(s) for s in said.starts_seconds if s + said.window_seconds <= seconds + 1e-6] or [0.0]
    found = explain(model, part, audio.sample_rate, starts, said.genre)
    over_time, carried = io.BytesIO(), io.BytesIO()
    title = f"{name[:80]}: {said.genre}"
    plots.timeline(over_time, said.starts_seconds, said.timeline, model.genres, segment_seconds=said.window_seconds, title=title)
    title = f"P({said.genre}) without each band" + (f", middle {seconds:.0f} s" if first else "")
    plots.explanation(carried, found, segment_seconds=said.window_seconds, title=title)
    return {
        key: f"data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}"
        for key, picture in (("timeline", over_time), ("carried", carried))
    }


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
