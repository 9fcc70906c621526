"""Scores of a model on external clips, compared with its test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from genre_core.audio import quality
from genre_core.audio.io import decode
from genre_core.audio.level import SILENCE_DBFS, is_silent
from genre_core.corpus import index
from genre_core.corpus.catalogue import artist_group
from genre_core.errors import AudioError
from genre_core.evaluation import intervals, scoring
from genre_core.inference.predictor import Prediction, predictor_once
from genre_core.project import AUDIT, INDEX, METRICS
from genre_core.util.files import digest, read_csv
from genre_core.util.parallel import Workers, map_tracks

NO_SCORES = dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high", "macro_f1", "macro_f1_low", "macro_f1_high", "top2_accuracy"))


@dataclass(frozen=True)
class Answer:
    """Answers about an external clip, and its quality.

    Attributes
    ----------
    predictions : tuple of Prediction
        One from each model.
    level_dbfs, bandwidth_hz : float
        See `quality.level_and_bandwidth`.
    """

    predictions: tuple[Prediction, ...]
    level_dbfs: float
    bandwidth_hz: float


def answer(files: Sequence[Path], models: Sequence[str | Path], *, workers: Workers = 0) -> Iterator[Answer | str]:
    """Yield the answers of models about audio files.

    Parameters
    ----------
    files : sequence of Path
    models : sequence of str or Path
        Model files, or "pretrained".
    workers : int >= 0 or str
        Number of processes, 0 for one per core; or the address of a Dask scheduler.

    Yields
    ------
    Answer or str
        For each file in order; a text says why it cannot be used.
    """
    known = tuple((model, "" if model == "pretrained" else digest(model)) for model in models)
    yield from map_tracks(partial(_answer, models=known), files, workers=workers, preload=(__name__,))


def _answer(file: Path, models: Sequence[tuple[str | Path, str]]) -> Answer | str:
    try:
        audio = decode(file)
        if is_silent(audio.y):  # it says nothing about the model
            return f"{file}: silent (peak below {SILENCE_DBFS:g} dBFS)"
        predictions = tuple(predictor_once(*model).predict_file(file) for model in models)
    except AudioError as error:
        return str(error)
    level, bandwidth, _ = quality.level_and_bandwidth(audio.y, audio.sample_rate)
    return Answer(predictions, level, bandwidth)


def compare_genres(clips: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compare the accuracy of each genre between test tracks and external clips.

    The intervals are 95 % intervals of a difference of two proportions. For the test, the number of artists is used, because the
    tracks of one artist are alike.

    Parameters
    ----------
    clips : list of dict
        Clips with the keys ``true``, ``predicted``, ``level_dbfs`` and ``bandwidth_hz``.

    Returns
    -------
    list of dict
        For each genre: ``genre``, counts (``test_tracks``, ``clips``), accuracies (``test_right``, ``clips_right``), their difference
        with its interval (``drop``, ``drop_low``, ``drop_high``, if the genre has both), and the median of the clips minus the median
        of the test tracks (``shift_level_dbfs``, ``shift_bandwidth_hz``).
    """
    test_predictions = read_csv(METRICS / "test" / "predictions.csv", strip=False)
    path_of_track = {track.track: track.path for track in index.read(INDEX).tracks.values()}
    audit_of_file = {row["file"]: row for row in read_csv(AUDIT / "tracks.csv", strip=False)}
    comparison = []
    for genre in sorted({row["true"] for row in [*test_predictions, *clips]}):
        genre_tests = [r for r in test_predictions if r["true"] == genre]
        genre_clips = [r for r in clips if r["true"] == genre]
        row: dict[str, Any] = {"genre": genre, "test_tracks": len(genre_tests), "clips": len(genre_clips)}
        accuracies = [float(np.mean([r["predicted"] == genre for r in rows])) if rows else None for rows in (genre_tests, genre_clips)]
        row |= {"test_right": round_score(accuracies[0]), "clips_right": round_score(accuracies[1])}
        if accuracies[0] is not None and accuracies[1] is not None:
            artists = len({artist_group(r["artist"], r["track"]) for r in genre_tests})
            low, high = intervals.proportion_difference(accuracies[0], artists, accuracies[1], len(genre_clips))
            row |= {"drop": round_score(accuracies[0] - accuracies[1]), "drop_low": round_score(low), "drop_high": round_score(high)}
        for key in ("level_dbfs", "bandwidth_hz"):
            test_values = [float(value) for r in genre_tests if (value := audit_of_file[path_of_track[r["track"]]][key])]
            clip_values = [float(r[key]) for r in genre_clips]
            row[f"shift_{key}"] = round(float(np.median(clip_values) - np.median(test_values)), 2) if test_values and clip_values else ""
        comparison.append(row)
    return comparison


def round_score(value: float | None) -> float | None:
    """Round a score to four decimals; None stays None."""
    return None if value is None else round(value, 4)


def score_clips(predictions: list[tuple[str, Prediction]], genres: list[str], options: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Score the predictions for the clips whose genre the model knows.

    Parameters
    ----------
    predictions : list of (str, Prediction)
        True genre and prediction of each clip.
    genres : list of str
        Genres in the model's order.
    options : dict
        Further arguments of `scoring.scores`.

    Returns
    -------
    count : int
        Number of scored clips.
    scores : dict
        Result of `scoring.scores`; `NO_SCORES` if no clip can be scored.
    """
    known = [(true, prediction) for true, prediction in predictions if true in genres]
    if not known:
        return 0, NO_SCORES
    names = [str(i) for i in range(len(known))]
    true = np.array([genres.index(genre) for genre, _ in known])
    probabilities = np.array([[prediction.probabilities[genre] for genre in genres] for _, prediction in known])
    return len(known), scoring.scores(true, probabilities, genres, groups=names, **options)
