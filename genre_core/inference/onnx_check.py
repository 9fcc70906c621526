"""Comparison of an ONNX file with torch."""

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
    """Open an onnxruntime session on the CPU.

    Parameters
    ----------
    path : str or Path
        The ONNX file.
    threads : int
        Number of threads within an operator.

    Returns
    -------
    onnxruntime.InferenceSession
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def check(model: GenreModel, path: str | Path, project: Path, *, features: bool) -> dict[str, Any]:
    """Compare an exported file with torch.

    The comparison uses the test split of a project, or noise if the project has no test split of this model.

    Parameters
    ----------
    model : GenreModel
        Model that was exported.
    path : str or Path
        The ONNX file.
    project : Path
        Root folder of the project.
    features : bool
        Value of the same parameter of `onnx.export`.

    Returns
    -------
    dict
        ``on`` (text), ``accuracy_torch`` and ``accuracy`` (None without a test split), ``tracks``, ``largest_difference`` (of a
        probability), ``changed_answers``, ``latency_ms`` (for 30 s of samples or their windows, with one thread).
    """
    onnx_session = session(path)
    onnx_outputs, torch_outputs = [], []
    tracks = _test_tracks(model, project)
    rate = frontend.first_spectrogram(model).sample_rate
    count = len(tracks) or 4
    for number in tqdm(range(count), desc="check", unit="track", leave=False, disable=None):
        y = decode(tracks[number][0], sample_rate=rate).y if tracks else _noise(model, 30.0, number)
        feeds, expected = _case(model, y, features)
        onnx_outputs.append(onnx_session.run(None, feeds)[0])
        torch_outputs.append(expected)
    if not features:
        onnx_outputs, torch_outputs = (
            [model.track_probabilities(torch.from_numpy(v)) for v in values] for values in (onnx_outputs, torch_outputs)
        )
    feeds = _case(model, _noise(model, 30.0, 0), features)[0]
    durations = []
    for _ in range(5):
        start = time.perf_counter()
        onnx_session.run(None, feeds)
        durations.append(time.perf_counter() - start)
    truth = [genre for _, genre in tracks]
    accuracies = [
        float(np.mean([model.genres[p.argmax()] == genre for p, genre in zip(outputs, truth, strict=True)])) if truth else None
        for outputs in (torch_outputs, onnx_outputs)
    ]
    return {
        "on": "the test split" if tracks else "noise (no test split of this model here)",
        "accuracy_torch": accuracies[0],
        "accuracy": accuracies[1],
        "tracks": len(onnx_outputs),
        "largest_difference": float(max(np.abs(a - b).max() for a, b in zip(onnx_outputs, torch_outputs, strict=True))),
        "changed_answers": int(sum(a.argmax() != b.argmax() for a, b in zip(onnx_outputs, torch_outputs, strict=True))),
        "latency_ms": 1000 * min(durations),
    }


def _case(model: GenreModel, y: np.ndarray, features: bool) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Compute the inputs of the ONNX file for samples, and torch's output."""
    rate = frontend.first_spectrogram(model).sample_rate
    starts = window_starts(len(y) / rate, model.segment_seconds, model.hop_seconds) or [0.0]
    rows = frontend.features(model, frontend.compute_spectrograms(model, y, rate))[model.kind]
    logits = model.logits(rows, starts)
    if features:
        return {"samples": y}, model.track_probabilities(logits)
    return {"windows": torch.cat(list(model.windows(rows, starts))).numpy()}, logits.numpy()


def _noise(model: GenreModel, seconds: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * frontend.first_spectrogram(model).sample_rate)).astype(np.float32)


def _test_tracks(model: GenreModel, project: Path) -> list[tuple[Path, str]]:
    """Return the audio file and genre of each test track of a project.

    The list is empty if the model was trained on another split, because its training tracks may be test tracks here.
    """
    try:
        project_index = index.read(project / "data" / "index")
    except GenreError:
        return []
    if model.info.get("split_digest") != project_index.split_digest:
        return []
    rows = [project_index.tracks[track] for track in project_index.starts("test")]
    paths = [(project / "data" / "raw" / row.path, row.genre) for row in rows]
    return [(path, genre) for path, genre in paths if path.exists() and path.suffix != ".npy"]
