"""``genre predict``: predict the genre of audio files."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genre_core.apps.cli.common import WRONG_INPUT, chosen_predictor, expand, introduction
from genre_core.errors import GenreError, SilenceWarning
from genre_core.terminal import say, say_json

if TYPE_CHECKING:
    from genre_core.inference.predictor import Prediction, Predictor


def predict(chosen: argparse.Namespace) -> int:
    """Predict the genre of audio files; return exit code 2 after an error."""
    from tqdm import tqdm

    from genre_core.inference.record import as_record
    from genre_core.util.parallel import in_threads

    if chosen.jsonl and (chosen.json or chosen.timeline):
        raise GenreError(f"--jsonl {chosen.jsonl}: cannot be combined with --json and --timeline; the lines hold what --json prints")
    files, errors = expand(chosen.files)
    if chosen.timeline and len(files) != 1:
        raise GenreError(f"--timeline {chosen.timeline}: can draw only one file, but {len(files)} were given")
    if chosen.timeline and chosen.timeline.suffix.lower() != ".png":
        raise GenreError(f"--timeline {chosen.timeline}: write to a .png file")
    if chosen.timeline:
        import matplotlib as _  # noqa: F401 (said to be missing before the prediction, not after it)
    name, predictor = chosen_predictor(chosen.model, fast=chosen.fast, part_seconds=chosen.part)
    if chosen.tags and not predictor.has_tags:
        raise GenreError(f"--tags: {name} ({predictor.model.type}) computes no tags; use --model pretrained, or a model of type musicnn")
    warnings.simplefilter("always", SilenceWarning)
    if chosen.jsonl and files:
        return _predict_library(chosen.jsonl, files, errors, name, predictor)
    if not chosen.json and files:
        say(introduction(name, predictor))

    def predict_one(file: str) -> Prediction | str:
        try:
            return predictor.predict_file(file)
        except GenreError as error:
            return str(error)

    predictions = []
    results = in_threads(predict_one, files, ordered=True)
    for file, result in tqdm(results, total=len(files), desc="predict", unit="file", disable=True if len(files) < 4 else None):
        if isinstance(result, str):
            errors.append(result)
            continue
        if chosen.json or chosen.timeline:
            predictions.append((file, result))
        if not chosen.json:
            say(_as_text(file, result, chosen.top))
            if chosen.tags:
                shown = ", ".join(f"{tag} {value:.2f}" for tag, value in list(result.tags.items())[: chosen.tags])
                say(f"  tags (uncalibrated): {shown}")
    if chosen.json:
        say_json([as_record(file, result, name) for file, result in predictions])
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


def _predict_library(out: Path, files: Sequence[str], errors: Sequence[str], name: str, predictor: Predictor) -> int:
    """Write a line for each file to `out`, and say in the end what was done; return the exit code."""
    from tqdm import tqdm

    from genre_core.library.predictions import Library

    with Library(out, predictor, name) as library:
        with contextlib.suppress(BrokenPipeError):  # the lines are written although nobody reads the summary
            say(introduction(name, predictor))
        began = time.monotonic()
        counts: Counter[str] = Counter()
        # The bar counts only files that are computed, so that their mean rate tells the time left.
        with tqdm(total=len(files), desc="predict", unit="file", smoothing=0, disable=None) as bar:
            for outcome in library.predict_files(files):
                counts["failed" if outcome.error else outcome.work] += 1
                counts["new"] += outcome.work == "computed"
                if outcome.error and outcome.work != "known":
                    say(f"error: {outcome.file}: {outcome.error}", sys.stderr)
                if outcome.work == "computed":
                    bar.update()
                else:
                    bar.total = (bar.total or 0) - 1
        hours = (time.monotonic() - began) / 3600
    for error in errors:
        say(f"error: {error}", sys.stderr)
    summary = [f"{counts['computed']} done"]
    summary += [f"{counts['copied']} copied from files with the same content"] if counts["copied"] else []
    summary += [f"{counts['known']} done before, {counts['failed']} failed"]
    rate = f"; {counts['new'] / hours:,.0f} files an hour" if counts["new"] else ""
    say(f"{out}: {len(files)} {'file' if len(files) == 1 else 'files'}: {', '.join(summary)}{rate}")
    return WRONG_INPUT if errors or counts["failed"] else 0


def _as_text(file: str, result: Prediction, top: int) -> str:
    """Return the answer for a file in one line."""
    answer = ", ".join(f"{genre} {p:.2f}" for genre, p in list(result.probabilities.items())[:top])
    damage = f" [{result.damage}]" if result.damage else ""
    return f"{file}: {answer if result.sure else f'not sure ({answer})'}{_promise(result)}{damage}"


def _promise(result: Prediction) -> str:
    """Say which genres the prediction set holds; empty if this adds nothing to the answer."""
    genres = result.prediction_set
    if not 1 < len(genres) < len(result.probabilities):
        return ""
    return f"; {', '.join(genres[:-1])} or {genres[-1]}, {100 * result.coverage:.3g} % sure that one of them is right"
