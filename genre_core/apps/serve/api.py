"""Routes of the page and of the HTTP API."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from genre_core.apps.serve.answers import as_json, live_json, pictures
from genre_core.apps.serve.guard import LOOPBACK, Guard
from genre_core.apps.serve.nearest import NearestTracks
from genre_core.apps.serve.uploads import Limits, RefusedError, drain, judge, receive, temporary_file
from genre_core.apps.serve.work import RETRY_AFTER_SECONDS, Bench, BusyError
from genre_core.errors import GenreError
from genre_core.inference.predictor import Predictor
from genre_core.inference.streaming import Listener
from genre_core.terminal import say
from genre_core.util.memory import is_out_of_memory
from genre_core.util.threads import cores

LIVE_SECONDS = 10.0  # length of the audio behind a live answer
WAITING = 8  # most requests in the queue
# Files processed at once, on any number of cores: more would exceed the memory limit of the server.
MOST_AT_ONCE = 4
_STATIC = Path(__file__).with_name("static")
_PAGES = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js", "/samples.js": "samples.js"}


def application(
    predictor: Predictor,
    model_name: str,
    introduction: str,
    limits: Limits | None = None,
    hosts: Iterable[str] = LOOPBACK,
    library: NearestTracks | None = None,
) -> Guard:
    """Build the ASGI application of the page and the API.

    The page is at ``/``, the API at ``/api/about``, ``/api/predict`` and ``/api/live``.

    Parameters
    ----------
    predictor : Predictor
    model_name, introduction : str
        Name and one-line description of the model, for the page.
    limits : Limits, optional
        Limits of an upload; by default those of `Limits`.
    hosts : iterable of str
        Host names and addresses allowed in requests: see `Guard`.
    library : NearestTracks, optional
        Library in which tracks that sound like an upload are looked for.

    Returns
    -------
    Guard
        ASGI application.
    """
    limits = limits or Limits()
    bench = Bench(min(cores(), MOST_AT_ONCE), WAITING)

    def share_cores() -> None:
        """Limit torch in this thread to its share of the cores."""
        torch.set_num_threads(max(1, cores() // max(1, bench.working)))

    async def predict(request: Request) -> Response:
        name = request.query_params.get("name") or "upload"
        with_pictures = request.query_params.get("pictures") == "1"

        def work(file: IO[bytes]) -> dict[str, Any]:
            share_cores()
            prediction, audio = judge(predictor, file, name, limits)
            answer = as_json(prediction, name, model_name, predictor.model.genres)
            answer["nearest"] = library.of(audio, file, name, limits) if library else []
            return {**answer, "pictures": pictures(predictor, prediction, audio, name)} if with_pictures else answer

        with temporary_file() as file:
            await receive(request, file, name, limits.megabytes, limits)
            return JSONResponse(await _run_in_turn(bench, request, work, file))

    async def live(request: Request) -> Response:
        rate_text = request.query_params.get("rate", "")
        rate = int(rate_text) if re.fullmatch(r"[0-9]{4,6}", rate_text) else 0
        if not 8_000 <= rate <= 192_000:
            raise RefusedError(422, f"rate {rate_text[:20]!r} is not a sample rate from 8,000 to 192,000 Hz")

        def work(data: bytes) -> dict[str, Any]:
            share_cores()
            listener = Listener(predictor.model, rate, context_seconds=LIVE_SECONDS)
            listener.push(np.frombuffer(data, "<i2").astype(np.float32) / 32768)
            return live_json(listener.now(), listener.seconds)

        with io.BytesIO() as file:
            await receive(request, file, "live audio", LIVE_SECONDS * 192_000 * 2 / 1e6, limits)
            data = file.getvalue()
        return JSONResponse(await _run_in_turn(bench, request, work, data[: len(data) // 2 * 2]))

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

    def failed(request: Request, error: Exception) -> Response:
        say(f"error: {request.method} {request.url.path}: {type(error).__name__}: {error}", sys.stderr)
        return JSONResponse({"error": f"the server failed ({type(error).__name__}); its terminal shows the error"}, 500)

    def bounded(handler: Any) -> Any:
        async def answer(request: Request) -> Response:
            try:
                async with bench.place():
                    return await handler(request)
            except BusyError:
                # Clients lose an answer that is sent before their upload ends.
                await drain(request, limits)
                return JSONResponse(
                    {"error": f"{bench.places} files are waiting; try again in {RETRY_AFTER_SECONDS} s"},
                    503,
                    {"Retry-After": str(RETRY_AFTER_SECONDS)},
                )
            except RefusedError as error:
                return JSONResponse({"error": str(error)}, error.status)
            except GenreError as error:
                return JSONResponse({"error": str(error)}, 422)
            except ClientDisconnect:
                raise
            except Exception as error:
                if not is_out_of_memory(error):
                    return failed(request, error)
                return JSONResponse({"error": "not enough memory is free for this file; try a shorter file, or try again later"}, 507)

        return answer

    routes = [Route(path, page) for path in _PAGES]
    routes += [Route("/api/about", about), Route("/api/predict", bounded(predict), methods=["POST"])]
    routes += [Route("/api/live", bounded(live), methods=["POST"])]
    return Guard(Starlette(routes=routes), hosts)


async def _run_in_turn(bench: Bench, request: Request, work: Any, *arguments: Any) -> dict[str, Any]:
    """Run `work` in its turn; raise ClientDisconnect if the client has left."""

    async def wanted() -> bool:
        return not await request.is_disconnected()

    answer = await bench.run(work, *arguments, wanted=wanted)
    if answer is None:
        raise ClientDisconnect
    return answer
