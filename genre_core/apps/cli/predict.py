"""``genre predict``: say the genre of audio files."""

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
    from concurrent.futures import ThreadPoolExecutor

    from tqdm import tqdm

    from genre_core.util.parallel import cores, one_thread

    files, errors = expand(chosen.files)
    if chosen.timeline and len(files) != 1:
        raise GenreError(f"--timeline {chosen.timeline}: draws one file, {len(files)} were given")
    if chosen.timeline and chosen.timeline.suffix.lower() != ".png":
        raise GenreError(f"--timeline {chosen.timeline}: write to a .png file")
    name, predictor = chosen_predictor(chosen.model)
    if not chosen.json and files:
        say(introduction(name, predictor))

    def one(file: str) -> Prediction | str:
        one_thread()
        try:
            return predictor.predict_file(file)
        except GenreError as error:
            return str(error)

    done = []
    warnings.simplefilter("always", SilenceWarning)
    # Threads, not processes: decoding, FFT and convolution release the interpreter's lock, and one model serves all.
    with ThreadPoolExecutor(cores()) as pool:
        results = zip(files, pool.map(one, files), strict=True)
        for file, result in tqdm(results, total=len(files), desc="predict", unit="file", disable=True if len(files) < 4 else None):
            if isinstance(result, str):
                errors.append(result)
                continue
            done.append((file, result))
            if not chosen.json:
                top = list(result.probabilities.items())[: chosen.top]
                answer = ", ".join(f"{genre} {p:.2f}" for genre, p in top)
                say(f"{file}: {answer if result.sure else f'not sure ({answer})'}")
    if chosen.json:
        say_json([_as_json(file, result, name) for file, result in done])
    if chosen.timeline and done:
        from genre_core.reports import figures_prediction

        file, result = done[0]
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


def _as_json(file: str, result: Prediction, model: str) -> dict[str, object]:
    return {
        "file": file,
        "genre": result.genre,
        "sure": result.sure,
        "probabilities": result.probabilities,
        "seconds": round(result.seconds, 3),
        "model": model,
    }
