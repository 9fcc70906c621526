"""A page and an HTTP API on this machine: drop a file or record, see genres, their timeline and what carried the decision.

Nothing leaves the machine: analytics are off, and a Content-Security-Policy keeps the browser from asking any other host.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TEMPORARY = tempfile.mkdtemp(prefix="genre-serve-")
atexit.register(shutil.rmtree, _TEMPORARY, ignore_errors=True)
os.environ.update({"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "GRADIO_TEMP_DIR": _TEMPORARY})  # before the import

import gradio as gr  # noqa: E402
import numpy as np  # noqa: E402
import uvicorn  # noqa: E402
from fastapi import FastAPI, Request, Response  # noqa: E402
from fastapi.concurrency import run_in_threadpool  # noqa: E402
from fastapi.responses import JSONResponse  # noqa: E402

from genre_core import plots  # noqa: E402
from genre_core.audio import Audio  # noqa: E402
from genre_core.errors import AudioError  # noqa: E402
from genre_core.explanation import explain  # noqa: E402
from genre_core.inference import Prediction, Predictor  # noqa: E402
from genre_core.streaming import Heard, Listener  # noqa: E402

MAX_MEGABYTES = 60
MAX_SECONDS = 15 * 60.0
DECODE_SECONDS = 20.0
LIVE_CONTEXT_SECONDS = 10.0
_EXPLAINED_SECONDS = 60.0  # of a longer file, its middle: eight passes over an hour would take minutes
_POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' ws: wss: data: blob:; frame-ancestors 'self'"


@dataclass(frozen=True)
class Limits:
    """Of one upload."""

    megabytes: float = MAX_MEGABYTES
    seconds: float = MAX_SECONDS
    decode_seconds: float = DECODE_SECONDS


def judge(predictor: Predictor, path: Path, name: str, limits: Limits) -> tuple[Prediction, Audio]:
    """What the model says of an uploaded file, within the limits; an error names `name`, not the temporary file."""
    return predictor.decode_and_predict(path, name=name, max_seconds=limits.seconds, deadline_s=limits.decode_seconds)


def application(predictor: Predictor, model_name: str, introduction: str, limits: Limits | None = None) -> FastAPI:
    """The page at ``/`` and the API at ``/api/predict``.

    Parameters
    ----------
    predictor : Predictor
    model_name, introduction : str
        Shown on the page.
    limits : Limits, optional
    """
    limits = limits or Limits()
    app = FastAPI(title="genre", docs_url=None, redoc_url=None)

    @app.middleware("http")
    async def stay_here(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @app.post("/api/predict")
    async def predict(request: Request, name: str = "upload") -> JSONResponse:
        ending = name.rpartition(".")[2][:8]
        suffix = f".{ending}" if ending.isascii() and ending.isalnum() else ""
        with tempfile.NamedTemporaryFile(dir=_TEMPORARY, suffix=suffix) as file:
            size = 0
            async for block in request.stream():
                size += len(block)
                if size > limits.megabytes * 1e6:
                    return JSONResponse({"error": f"{name}: larger than {limits.megabytes:g} MB; cut it"}, 413)
                file.write(block)
            file.flush()
            try:
                said, _ = await run_in_threadpool(judge, predictor, Path(file.name), name, limits)
            except AudioError as error:
                return JSONResponse({"error": str(error)}, 422)
        return JSONResponse(
            {
                "file": name,
                "genre": said.genre,
                "sure": said.sure,
                "probabilities": said.probabilities,
                "seconds": round(said.seconds, 3),
                "model": model_name,
                "timeline": {
                    "starts_seconds": said.starts_seconds.tolist(),
                    "window_seconds": said.window_seconds,
                    "genres": predictor.model.genres,
                    "probabilities": np.round(said.timeline, 4).tolist(),
                },
            }
        )

    page = _page(predictor, introduction, limits)
    return gr.mount_gradio_app(app, page, path="", max_file_size=f"{limits.megabytes:g}mb", show_error=True, footer_links=[])


def _page(predictor: Predictor, introduction: str, limits: Limits) -> gr.Blocks:
    def answer(path: str | None) -> tuple[dict[str, float] | None, str, Any, Any]:
        if not path:
            return None, "", None, None
        try:
            said, audio = judge(predictor, Path(path), Path(path).name, limits)
        except AudioError as error:
            return None, f"### Could not be used\n{error}", None, None
        note = f"### {said.genre}\n" if said.sure else f"### Not sure\nPerhaps {said.genre}, but more likely wrong than right.\n"
        note += f"{Path(path).name}, {said.seconds:.0f} s. {introduction}."
        return said.probabilities, note, *_pictures(predictor, said, audio, Path(path).name)

    def live(chunk: tuple[int, np.ndarray] | None, listener: Listener | None) -> tuple[dict[str, float] | None, str, Listener | None]:
        if chunk is None:
            return None, "", None
        rate, samples = chunk
        listener = listener or Listener(predictor.model, rate, context_seconds=LIVE_CONTEXT_SECONDS)
        listener.push(_mono(samples))
        heard = listener.now()
        if heard is None:
            return None, f"listening, {listener.seconds:.1f} s ...", listener
        return heard.probabilities, _live_note(heard), listener

    with gr.Blocks(title="genre", analytics_enabled=False, delete_cache=(300, 600)) as page:
        gr.Markdown(f"# What genre is it?\n{introduction}. Files stay on this machine.")
        with gr.Tab("File"):
            with gr.Row():
                with gr.Column(scale=1):
                    dropped = gr.File(label=f"Drop a file (up to {limits.megabytes:g} MB, {limits.seconds / 60:g} min)", elem_id="drop")
                    recorded = gr.Audio(sources=["microphone"], type="filepath", label="or record", elem_id="record")
                with gr.Column(scale=1):
                    note = gr.Markdown(elem_id="note")
                    genres = gr.Label(num_top_classes=5, label="calibrated probabilities", elem_id="genres")
            gr.Markdown("#### Genres over the track")
            timeline = gr.Image(show_label=False, elem_id="timeline", buttons=["download"])
            gr.Markdown("#### What carried the decision")
            carried = gr.Image(show_label=False, elem_id="carried", buttons=["download"])
            outputs = [genres, note, timeline, carried]
            dropped.change(answer, dropped, outputs, api_visibility="private", concurrency_limit=2)
            recorded.change(answer, recorded, outputs, api_visibility="private", concurrency_limit=2)
        with gr.Tab("Live"):
            microphone = gr.Audio(sources=["microphone"], streaming=True, type="numpy", label="microphone", elem_id="live")
            heard_note = gr.Markdown(elem_id="live-note")
            heard_genres = gr.Label(num_top_classes=3, label=f"the last {LIVE_CONTEXT_SECONDS:g} s", elem_id="live-genres")
            state = gr.State()
            microphone.stream(
                live,
                [microphone, state],
                [heard_genres, heard_note, state],
                stream_every=0.5,
                time_limit=600,
                concurrency_limit=4,
                show_progress="hidden",
                api_visibility="private",
            )
            microphone.start_recording(lambda: (None, "", None), None, [heard_genres, heard_note, state], api_visibility="private")
    return page


def _live_note(heard: Heard) -> str:
    said = next(iter(heard.probabilities)) if heard.sure else "not sure"
    return f"### {said}\n{heard.seconds:.1f} s heard, {heard.latency_ms:.0f} ms latency, real-time factor {heard.real_time_factor:.2f}"


def _mono(samples: np.ndarray) -> np.ndarray:
    y = samples.astype(np.float32) / (32768 if samples.dtype == np.int16 else 2**31 if samples.dtype == np.int32 else 1)
    return y.mean(axis=1) if y.ndim > 1 else y


def _pictures(predictor: Predictor, said: Prediction, audio: Audio, name: str) -> tuple[Any, Any]:
    """The timeline, and what carried the decision, as arrays of pixels."""
    from matplotlib import image

    model = predictor.model.finer()
    whole = round(_EXPLAINED_SECONDS * audio.sample_rate)
    first = max(0, (len(audio.y) - whole) // 2)
    part = audio.y[first : first + whole]
    seconds = len(part) / audio.sample_rate
    starts = [float(s) for s in said.starts_seconds if s + said.window_seconds <= seconds + 1e-6] or [0.0]
    found = explain(model, part, audio.sample_rate, starts, said.genre)
    with tempfile.TemporaryDirectory(dir=_TEMPORARY) as folder:
        over_time, carried = Path(folder) / "timeline.png", Path(folder) / "carried.png"
        plots.timeline(
            over_time, said.starts_seconds, said.timeline, model.genres, segment_seconds=said.window_seconds, title=f"{name}: {said.genre}"
        )
        title = f"P({said.genre}) without each band" + (f", middle {seconds:.0f} s" if first else "")
        plots.explanation(carried, found, segment_seconds=said.window_seconds, title=title)
        return tuple((image.imread(p)[..., :3] * 255).astype(np.uint8) for p in (over_time, carried))  # type: ignore[return-value]


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; OSError where the port is taken or the host is not of this machine."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def serve(application: FastAPI, listener: socket.socket) -> None:
    """Serve until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn.Config(application, log_level="warning")).run([listener])
