"""What several commands share: exit codes, the chosen model, the files of a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genre_core.inference.predictor import Predictor

TRAINED = Path("data/model/model.safetensors")
FOUND = 1
WRONG_INPUT = 2


def chosen_predictor(chosen: str | None) -> tuple[str, Predictor]:
    """The model that was asked for; else the one trained here, if it knows real music; else the packaged one."""
    from genre_core.inference.predictor import Predictor

    if chosen is None and TRAINED.exists():
        trained = Predictor(TRAINED)
        if not str(trained.model.info.get("data_set", "")).startswith("demo"):
            return str(TRAINED), trained
    name = chosen or "pretrained"
    return name, Predictor(name)


def introduction(name: str, predictor: Predictor) -> str:
    from genre_core.evaluation.intervals import with_interval

    model = predictor.model
    info = model.info
    protocol = f"protocol {info.get('protocol', '?')}{' (LEAKY)' if info.get('leaky') else ''}"
    data = f"{info.get('data_set', 'unknown data')!s}, {info.get('train_tracks', '?')} tracks"
    score = _score(name, info)
    said = f"accuracy {with_interval(score)} on {score['on']}" if score else ""
    return f"model {name}: {model.type} trained on {data}, {protocol}; {said or 'no test score beside it'}"


def _score(name: str, info: dict[str, Any]) -> dict[str, Any] | None:
    """The model's test score: its own, or that of the pipeline's last evaluation if it was of this file."""
    from genre_core.util.files import digest

    score = info.get("score")
    if isinstance(score, dict) and all(isinstance(score.get(key), float) for key in ("accuracy", "accuracy_low", "accuracy_high")):
        return {"on": "unknown tracks", **score}
    try:
        metrics = Path(name).resolve().parents[2] / "metrics" / "test" / "metrics.json"
        found = json.loads(metrics.read_text(encoding="utf-8"))
        if found["model"]["sha256"] != digest(name):
            return None
        return {
            "on": f"{found['tracks']} test tracks",
            **{key: found["track"][key] for key in ("accuracy", "accuracy_low", "accuracy_high")},
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def expand(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Files as they are, folders as the audio files below them, sorted; and what is wrong with the rest."""
    from genre_core.audio.io import AUDIO_SUFFIXES

    files, errors = [], []
    for name in names:
        path = Path(name)
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file() and not p.name.startswith("."))
            if not found:
                errors.append(f"{name}: no audio file in this folder")
            files += [str(p) for p in found]
        else:
            files.append(name)
    return files, errors
