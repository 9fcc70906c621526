"""``genre predict``: predict the genre of audio files."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from genre_core.apps.cli.common import WRONG_INPUT, chosen_predictor, expand, introduction
from genre_core.errors import GenreError, SilenceWarning
from genre_core.terminal import say, say_json

if TYPE_CHECKING:
    from genre_core.inference.predictor import Prediction


def predict(chosen: argparse.Namespace) -> int:
    """Predict the genre of audio files; return exit code 2 after an error."""
    from concurrent.futures import ThreadPoolExecutor

    from tqdm import tqdm

    from genre_core.util.parallel import cores, one_thread

    files, errors = expand(chosen.files)
    if chosen.timeline and len(files) != 1:
        raise GenreError(f"--timeline {chosen.timeline}: can draw only one file, but {len(files)} were given")
    if chosen.timeline and chosen.timeline.suffix.lower() != ".png":
        raise GenreError(f"--timeline {chosen.timeline}: write to a .png file")
    if chosen.timeline:
        import matplotlib as _  # noqa: F401 (said to be missing before the prediction, not after it)
    name, predictor = chosen_predictor(chosen.model)
    if not chosen.json and files:
        say(introduction(name, predictor))

    def predict_one(file: str) -> Prediction | str:
        one_thread()
        try:
            return predictor.predict_file(file)
        except GenreError as error:
            return str(error)

    predictions = []
    warnings.simplefilter("always", SilenceWarning)
    # Threads, not processes: decoding, FFT and convolution release the GIL, and all threads share one model.
    with ThreadPoolExecutor(cores()) as pool:
        results = zip(files, pool.map(predict_one, files), strict=True)
        for file, result in tqdm(results, total=len(files), desc="predict", unit="file", disable=True if len(files) < 4 else None):
            if isinstance(result, str):
                errors.append(result)
                continue
            predictions.append((file, result))
            if not chosen.json:
                top = list(result.probabilities.items())[: chosen.top]
                answer = ", ".join(f"{genre} {p:.2f}" for genre, p in top)
                damage = f" [{result.damage}]" if result.damage else ""
                say(f"{file}: {answer if result.sure else f'not sure ({answer})'}{_promise(result)}{damage}")
    if chosen.json:
        say_json([_as_json(file, result, name) for file, result in predictions])
    if chosen.timeline and predictions:
        from genre_core.reports import figures_prediction

        file, result = predictions[0]
        figures_prediction.timeline(
            chosen.timeline,
            result.starts_seconds,
            result.timeline,
            predictor.model.genres,
            segment_seconds=result.window_seconds,
            title=Path(file).name,
        )
    for error in errors:
        say(f"error: {error}", sys.stderr)
    return WRONG_INPUT if errors else 0


def _promise(result: Prediction) -> str:
    """Say which genres the prediction set holds; empty if this adds nothing to the answer."""
    genres = result.prediction_set
    if not 1 < len(genres) < len(result.probabilities):
        return ""
    return f"; {', '.join(genres[:-1])} or {genres[-1]}, {100 * result.coverage:.3g} % sure that one of them is right"


def _as_json(file: str, result: Prediction, model: str) -> dict[str, object]:
    return {
        "file": file,
        "genre": result.genre,
        "sure": result.sure,
        "probabilities": result.probabilities,
        "prediction_set": result.prediction_set,
        "coverage": result.coverage,
        "seconds": round(result.seconds, 3),
        "damage": result.damage,
        "model": model,
    }
