"""Check an ONNX file against torch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from genre_core.audio.io import decode
from genre_core.corpus import index
from genre_core.corpus.index import window_starts
from genre_core.errors import GenreError
from genre_core.models import frontend
from genre_core.models.model import GenreModel


def session(path: str | Path, *, threads: int = 1) -> Any:
    """Open an onnxruntime session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def check(model: GenreModel, path: str | Path, project: Path, *, features: bool) -> dict[str, Any]:
    """Compare an exported file with torch on the test split of `project`, or on noise where there is none.

    Returns
    -------
    dict
        on, accuracy_torch and accuracy (None without a test split), tracks, largest_difference (of a probability), changed_answers,
        latency_ms (30 s of samples, or its windows, one thread).
    """
    ready = session(path)
    given, wanted = [], []
    tracks = _test_tracks(model, project)
    rate = frontend.heard_by(model).sample_rate
    count = len(tracks) or 4
    for number in tqdm(range(count), desc="check", unit="track", leave=False, disable=None):
        y = decode(tracks[number][0], sample_rate=rate).y if tracks else _noise(model, 30.0, number)
        feeds, expected = _case(model, y, features)
        given.append(ready.run(None, feeds)[0])
        wanted.append(expected)
    if not features:
        given, wanted = ([model.track_probabilities(torch.from_numpy(v)) for v in values] for values in (given, wanted))
    feeds = _case(model, _noise(model, 30.0, 0), features)[0]
    times = []
    for _ in range(5):
        began = time.perf_counter()
        ready.run(None, feeds)
        times.append(time.perf_counter() - began)
    truth = [genre for _, genre in tracks]
    accuracies = [
        float(np.mean([model.genres[p.argmax()] == genre for p, genre in zip(of, truth, strict=True)])) if truth else None
        for of in (wanted, given)
    ]
    return {
        "on": "the test split" if tracks else "noise (no test split of this model here)",
        "accuracy_torch": accuracies[0],
        "accuracy": accuracies[1],
        "tracks": len(given),
        "largest_difference": float(max(np.abs(a - b).max() for a, b in zip(given, wanted, strict=True))),
        "changed_answers": int(sum(a.argmax() != b.argmax() for a, b in zip(given, wanted, strict=True))),
        "latency_ms": 1000 * min(times),
    }


def _case(model: GenreModel, y: np.ndarray, features: bool) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the inputs of the ONNX file for samples, and torch's answer."""
    rate = frontend.heard_by(model).sample_rate
    starts = window_starts(len(y) / rate, model.segment_seconds, model.hop_seconds) or [0.0]
    rows = frontend.features(model, frontend.heard(model, y, rate))[model.kind]
    logits = model.logits(rows, starts)
    if features:
        return {"samples": y}, model.track_probabilities(logits)
    return {"windows": torch.cat(list(model.windows(rows, starts))).numpy()}, logits.numpy()


def _noise(model: GenreModel, seconds: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * frontend.heard_by(model).sample_rate)).astype(np.float32)


def _test_tracks(model: GenreModel, project: Path) -> list[tuple[Path, str]]:
    """Audio file and genre of each test track of a project; none where the model was trained on another split: it may know them."""
    try:
        made = index.read(project / "data" / "index")
    except GenreError:
        return []
    if model.info.get("split_digest") != made.split_digest:
        return []
    rows = [made.tracks[track] for track in made.starts("test")]
    paths = [(project / "data" / "raw" / row.path, row.genre) for row in rows]
    return [(path, genre) for path, genre in paths if path.exists() and path.suffix != ".npy"]
