"""What several commands share: exit codes, the chosen model, the files of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_core.errors import GenreError

if TYPE_CHECKING:
    from genre_core.inference.predictor import Predictor

TRAINED = Path("data/model/model.safetensors")
FOUND = 1
WRONG_INPUT = 2


def chosen_predictor(chosen: str | None) -> tuple[str, Predictor]:
    """Load the chosen model, else the one trained here on real music, else the packaged one."""
    from genre_core.inference.predictor import Predictor

    if chosen is None and TRAINED.exists():
        trained = Predictor(TRAINED)
        if not str(trained.model.info.get("data_set", "")).startswith("demo"):
            return str(TRAINED), trained
    name = chosen or "pretrained"
    return name, Predictor(name)


def introduction(name: str, predictor: Predictor) -> str:
    """Say in a line what a model was trained on, and how well it did."""
    from genre_core.evaluation.intervals import format_score

    model = predictor.model
    info = model.info
    protocol = f"protocol {info.get('protocol', '?')}{' (LEAKY)' if info.get('leaky') else ''}"
    data = f"{info.get('data_set', 'unknown data')!s}, {info.get('train_tracks', '?')} tracks"
    score = _score(name, info)
    said = f"accuracy {format_score(score)} on {score['on']}" if score else ""
    return f"model {name}: {model.type} trained on {data}, {protocol}; {said or 'no test score beside it'}"


def _score(name: str, info: dict[str, Any]) -> dict[str, Any] | None:
    """Find the model's test score: in its file, or in metrics/ if they are of this file."""
    from genre_core.util.files import digest, read_json

    keys = ("accuracy", "accuracy_low", "accuracy_high")

    def checked(values: Any, on: str) -> dict[str, Any] | None:
        if not isinstance(values, dict) or not all(isinstance(values.get(key), float) and 0 <= values[key] <= 1 for key in keys):
            return None
        return {"on": on, **{key: values[key] for key in keys}}

    score = info.get("score")
    if own := checked(score, str(score.get("on", "unknown tracks"))[:200] if isinstance(score, dict) else ""):
        return own
    try:
        found = read_json(Path(name).resolve().parents[2] / "metrics" / "test" / "metrics.json", max_bytes=1_000_000)
        return checked(found["track"], f"{int(found['tracks'])} test tracks") if found["model"]["sha256"] == digest(name) else None
    except (GenreError, OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def expand(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Expand folders to the audio files below them; return files and errors."""
    from genre_core.audio.io import AUDIO_SUFFIXES
    from genre_core.util.files import walk

    files, errors = [], []
    for name in names:
        path = Path(name)
        if path.is_dir():
            below = (folder / file for folder, _, files_there in walk(path) for file in files_there if not file.startswith("."))
            found = sorted(p for p in below if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file())
            if not found:
                errors.append(f"{name}: no audio file in this folder")
            files += [str(p) for p in found]
        else:
            files.append(name)
    return files, errors
