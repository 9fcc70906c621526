"""Answers of the server as JSON, with pictures."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from genre_core.analysis.occlusion import explain
from genre_core.audio.io import Audio
from genre_core.inference.predictor import Prediction, Predictor
from genre_core.inference.streaming import LiveAnswer
from genre_core.reports import figures_prediction

_EXPLAINED_SECONDS = 60.0  # of a longer file, its middle: eight passes over an hour would take minutes


def as_json(said: Prediction, name: str, model_name: str, genres: list[str]) -> dict[str, Any]:
    """The answer on a file; `genres` are the columns of the timeline."""
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


def live_json(answer: LiveAnswer | None, seconds: float) -> dict[str, Any]:
    """The answer on live audio: no genre before the first whole window."""
    if answer is None:
        return {"seconds": round(seconds, 3), "genre": None}
    return {
        "seconds": round(seconds, 3),
        "genre": next(iter(answer.probabilities)),
        "sure": answer.sure,
        "probabilities": answer.probabilities,
        "latency_ms": round(answer.latency_ms, 1),
    }


def pictures(predictor: Predictor, said: Prediction, audio: Audio, name: str) -> dict[str, str]:
    """Draw the timeline and the explanation as PNG in data URLs."""
    model = predictor.model.timeline_model()
    whole = round(_EXPLAINED_SECONDS * audio.sample_rate)
    first = max(0, (len(audio.y) - whole) // 2)
    part = audio.y[first : first + whole]
    seconds = len(part) / audio.sample_rate
    starts = [float(s) for s in said.starts_seconds if s + said.window_seconds <= seconds + 1e-6] or [0.0]
    found = explain(model, part, audio.sample_rate, starts, said.genre)
    over_time, carried = io.BytesIO(), io.BytesIO()
    title = f"{name[:80]}: {said.genre}"
    figures_prediction.timeline(
        over_time, said.starts_seconds, said.timeline, model.genres, segment_seconds=said.window_seconds, title=title
    )
    title = f"P({said.genre}) without each band" + (f", middle {seconds:.0f} s" if first else "")
    figures_prediction.explanation(carried, found, segment_seconds=said.window_seconds, title=title)
    return {
        key: f"data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}"
        for key, picture in (("timeline", over_time), ("carried", carried))
    }
