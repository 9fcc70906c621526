"""Predictions of a cross-validation: each track by a model that has not heard its artist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from genre_core.errors import GenreError
from genre_core.util.files import read_csv, write_csv

_LEAST_PROBABILITY = 1e-9
_COLUMNS = ("track", "fold", "temperature", "start_seconds")


@dataclass
class OutOfFold:
    """Predictions of the held-out tracks.

    Attributes
    ----------
    genres : list of str
        Genres in the order of the logits.
    logits : dict of str to torch.Tensor [shape=(windows, genres), dtype=float64]
        Logarithms of the uncalibrated probabilities of each window, by track.
    temperatures : dict of str to float
        Temperature of the model that predicted the track.
    folds : dict of str to int
        Fold of the track.
    """

    genres: list[str]
    logits: dict[str, torch.Tensor] = field(default_factory=dict)
    temperatures: dict[str, float] = field(default_factory=dict)
    folds: dict[str, int] = field(default_factory=dict)


def write(path: str | Path, predictions: OutOfFold, starts_of: dict[str, list[float]]) -> None:
    """Write predictions as a CSV file, one row per window.

    Parameters
    ----------
    path : str or Path
    predictions : OutOfFold
    starts_of : dict of str to list of float
        Start of each window of each track, in seconds.
    """
    columns = _probability_columns(predictions.genres)
    write_csv(
        path,
        [*_COLUMNS, *columns],
        (
            {"track": track, "fold": predictions.folds[track], "temperature": predictions.temperatures[track], "start_seconds": start}
            | {column: f"{p:.6g}" for column, p in zip(columns, window.softmax(0).tolist(), strict=True)}
            for track, windows in predictions.logits.items()
            for start, window in zip(starts_of[track], windows, strict=True)
        ),
    )


def read(path: str | Path, genres: Sequence[str]) -> OutOfFold:
    """Read predictions that `write` wrote.

    Raises
    ------
    GenreError
        The file is missing, or holds other genres or values that are not numbers.
    """
    columns = _probability_columns(genres)
    probabilities: dict[str, list[list[float]]] = {}
    predictions = OutOfFold(list(genres))
    for row in read_csv(path, [*_COLUMNS, *columns], strip=False):
        try:
            probabilities.setdefault(row["track"], []).append([float(row[column]) for column in columns])
            predictions.temperatures[row["track"]] = float(row["temperature"])
            predictions.folds[row["track"]] = int(row["fold"])
        except ValueError as error:
            raise GenreError(f"{path}: track {row['track']!r}: {error}; run `dvc repro -f train`") from None
    for track, rows in probabilities.items():
        predictions.logits[track] = torch.tensor(rows, dtype=torch.float64).clamp(min=_LEAST_PROBABILITY).log()
    return predictions


def _probability_columns(genres: Sequence[str]) -> list[str]:
    return [f"p_{genre}" for genre in genres]
