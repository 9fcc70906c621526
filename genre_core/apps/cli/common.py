"""Helpers shared by commands: exit codes, model choice, audio files of folders."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_core.errors import GenreError
from genre_core.project import MODEL
from genre_core.terminal import say

if TYPE_CHECKING:
    from genre_core.inference.predictor import Predictor

FOUND = 1
WRONG_INPUT = 2
_EXTRA_MODULES = {
    "pipeline": (
        "dvc",
        "filelock",
        "fsspec",
        "h5py",
        "librosa",
        "matplotlib",
        "networkx",
        "requests",
        "scipy",
        "shtab",
        "sklearn",
        "threadpoolctl",
        "yt_dlp",
    ),
    "cluster": ("dask", "distributed"),
    "app": ("starlette", "uvicorn"),
    "export": ("onnx", "onnxruntime"),
    "listen": ("sounddevice",),
    "parquet": ("pyarrow",),
    "tags": ("mutagen",),
}
_DISTRIBUTIONS = {"sklearn": "scikit-learn", "yt_dlp": "yt-dlp"}  # where the name is another than that of the module


def missing_extra(module: str | None) -> str | None:
    """Say which package is missing and how to install it.

    Parameters
    ----------
    module : str or None
        Name of a module that could not be imported.

    Returns
    -------
    str or None
        Package and remedy, for example ``librosa; pip install '.[pipeline]'``; None if the module belongs to no extra.
    """
    top = (module or "").split(".")[0]
    for extra, modules in _EXTRA_MODULES.items():
        if top in modules:
            return f"{_DISTRIBUTIONS.get(top, top)}; pip install '.[{extra}]'"
    return None


def chosen_predictor(chosen: str | None, *, fast: bool = False, part_seconds: float | None = None) -> tuple[str, Predictor]:
    """Load the chosen model, else the default one.

    The default is the model of the last run (`project.MODEL`) if it was trained on real music, else the packaged one.

    Parameters
    ----------
    chosen : str or None
        Path of a model file, or ``pretrained`` for the packaged model; None for the default.
    fast, part_seconds
        As for `Predictor`.

    Returns
    -------
    name : str
        Path of the model, or ``pretrained``.
    predictor : Predictor

    Raises
    ------
    GenreError
        The file is missing or is not a model.
    """
    from genre_core.inference.predictor import Predictor

    if chosen is None and MODEL.exists():
        trained = Predictor(MODEL, fast=fast, part_seconds=part_seconds)
        if not str(trained.model.info.get("data_set", "")).startswith("demo"):
            return str(MODEL), trained
    name = chosen or "pretrained"
    return name, Predictor(name, fast=fast, part_seconds=part_seconds)


def introduction(name: str, predictor: Predictor) -> str:
    """Describe a model in one line: training data, protocol and test accuracy."""
    from genre_core.evaluation.intervals import format_score

    model = predictor.model
    info = model.info
    protocol = f"protocol {info.get('protocol', '?')}{' (LEAKY)' if info.get('leaky') else ''}"
    data = f"{info.get('data_set', 'unknown data')!s}, {info.get('train_tracks', '?')} tracks"
    score = _score(name, info)
    accuracy = f"accuracy {format_score(score)} on {score['on']}" if score else ""
    return f"model {name}: {model.type} trained on {data}, {protocol}; {accuracy or 'test score unknown'}"


def _score(name: str, info: dict[str, Any]) -> dict[str, Any] | None:
    """Find the model's test score in its file, else in metrics/ if their digest matches."""
    from genre_core.util.files import digest, read_json

    keys = ("accuracy", "accuracy_low", "accuracy_high")

    def checked(values: Any, on: str) -> dict[str, Any] | None:
        if not isinstance(values, dict) or not all(isinstance(values.get(key), float) and 0 <= values[key] <= 1 for key in keys):
            return None
        return {"on": on, **{key: values[key] for key in keys}}

    score = info.get("score")
    if stored := checked(score, str(score.get("on", "unknown tracks"))[:200] if isinstance(score, dict) else ""):
        return stored
    try:
        metrics = read_json(Path(name).resolve().parents[2] / "metrics" / "test" / "metrics.json", max_bytes=1_000_000)
        return checked(metrics["track"], f"{int(metrics['tracks'])} test tracks") if metrics["model"]["sha256"] == digest(name) else None
    except (GenreError, OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def expand(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Expand folders to the audio files below them.

    What is skipped in a folder is counted on standard error.

    Parameters
    ----------
    names : sequence of str
        Paths of files and folders.

    Returns
    -------
    files : list of str
        The given files and the audio files of the folders. A given file is not checked.
    errors : list of str
        One message for each folder without audio files.
    """
    from genre_core.datasets.listing import audio_files, summary

    files, errors = [], []
    for name in names:
        path = Path(name)
        if not path.is_dir():
            files.append(name)
            continue
        found = audio_files(path)
        if found.skipped:
            say(f"{name}: {summary(found.skipped)}", sys.stderr)
        if not found.audio:
            errors.append(f"{name}: no audio file in this folder")
        files += [str(path / file) for file in found.audio]
    return files, errors
