"""JSON answers of the server, with pictures."""

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

# A longer file is explained on its middle only: eight forward passes over an hour of audio would take minutes.
_EXPLAINED_SECONDS = 60.0


def as_json(said: Prediction, name: str, model_name: str, genres: list[str]) -> dict[str, Any]:
    """Build the JSON answer for a file.

    Parameters
    ----------
    said : Prediction
    name, model_name : str
        Name of the file and of the model, as shown to the client.
    genres : list of str
        Genres of the timeline's columns, in order.

    Returns
    -------
    dict
        Answer of ``/api/predict``; times are in seconds.
    """
    return {
        "file": name,
        "genre": said.genre,
        "sure": said.sure,
        "probabilities": said.probabilities,
        "prediction_set": said.prediction_set,
        "coverage": said.coverage,
        "seconds": round(said.seconds, 3),
        "damage": said.damage,
        "model": model_name,
        "timeline": {
            "starts_seconds": said.starts_seconds.tolist(),
            "window_seconds": said.window_seconds,
            "genres": genres,
            "probabilities": np.round(said.timeline, 4).tolist(),
        },
    }


def live_json(answer: LiveAnswer | None, seconds: float) -> dict[str, Any]:
    """Build the JSON answer for live audio.

    Parameters
    ----------
    answer : LiveAnswer or None
        Current prediction; None before the first whole window, which gives ``"genre": null``.
    seconds : float
        Length of the audio received, in seconds.
    """
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
    """Draw the timeline and the explanation as PNG data URLs.

    Returns
    -------
    dict of str
        URLs of the pictures ``timeline`` and ``carried`` (the explanation by occlusion).
    """
    model = predictor.model.timeline_model()
    max_samples = round(_EXPLAINED_SECONDS * audio.sample_rate)
    first_sample = max(0, (len(audio.y) - max_samples) // 2)
    excerpt = audio.y[first_sample : first_sample + max_samples]
    seconds = len(excerpt) / audio.sample_rate
    starts = [float(s) for s in said.starts_seconds if s + said.window_seconds <= seconds + 1e-6] or [0.0]
    occlusion = explain(model, excerpt, audio.sample_rate, starts, said.genre)
    timeline_png, explanation_png = io.BytesIO(), io.BytesIO()
    title = f"{name[:80]}: {said.genre}"
    figures_prediction.timeline(
        timeline_png, said.starts_seconds, said.timeline, model.genres, segment_seconds=said.window_seconds, title=title
    )
    title = f"P({said.genre}) without each band" + (f", middle {seconds:.0f} s" if first_sample else "")
    figures_prediction.explanation(explanation_png, occlusion, segment_seconds=said.window_seconds, title=title)
    return {
        key: f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
        for key, png in (("timeline", timeline_png), ("carried", explanation_png))
    }
