"""Scores of tracks or segments, with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from genre_core.evaluation.intervals import bootstrap
from genre_core.evaluation.metrics import confusion, macro_f1, precision_recall_f1, top_accuracy


def scores(
    true: np.ndarray,
    probabilities: np.ndarray,
    genres: Sequence[str],
    *,
    groups: Sequence[str],
    samples: int,
    seed: int,
    unscored: Sequence[str] = (),
) -> dict[str, Any]:
    """Compute the scores of predictions, over all items and per genre.

    Parameters
    ----------
    true : np.ndarray [shape=(n,), dtype=int]
        Number of the true genre of each item.
    probabilities : np.ndarray [shape=(n, genres)]
    genres : sequence of str
        Names of the genres.
    groups : sequence of str, length n
        Artist of each item: see `bootstrap`.
    samples, seed : int
        Number of samples, and seed, of the bootstrap.
    unscored : sequence of str
        Genres that have no item on purpose: their F1 of 0 is left out of ``macro_f1``.

    Returns
    -------
    dict
        ``accuracy`` and ``macro_f1``, each with its 95 % interval (``_low``, ``_high``); ``top2_accuracy``; and ``genres``, which holds
        ``precision``, ``recall``, ``f1`` and ``tracks`` (number of items) of each genre. Scores are rounded to four decimals.
    """
    predicted = probabilities.argmax(1)
    left_out = [genres.index(genre) for genre in unscored]
    intervals = bootstrap(true, predicted, len(genres), groups=groups, samples=samples, seed=seed, unscored=left_out)
    matrix = confusion(true, predicted, len(genres))
    by_genre = zip(genres, *precision_recall_f1(matrix), matrix.sum(1), strict=True)
    return {
        "accuracy": round(float((predicted == true).mean()), 4),
        "accuracy_low": round(intervals["accuracy"][0], 4),
        "accuracy_high": round(intervals["accuracy"][1], 4),
        "macro_f1": round(macro_f1(true, predicted, len(genres), unscored=left_out), 4),
        "macro_f1_low": round(intervals["macro_f1"][0], 4),
        "macro_f1_high": round(intervals["macro_f1"][1], 4),
        "top2_accuracy": round(top_accuracy(true, probabilities, 2), 4),
        "genres": {
            genre: {"precision": round(float(p), 4), "recall": round(float(r), 4), "f1": round(float(f), 4), "tracks": int(n)}
            for genre, p, r, f, n in by_genre
        },
    }


def validation_scores(tracks: np.ndarray, genres: Sequence[int]) -> dict[str, float]:
    """Compute the loss, accuracy and macro-F1 of the validation tracks.

    Parameters
    ----------
    tracks : np.ndarray [shape=(tracks, genres)]
        Probabilities of each track.
    genres : sequence of int
        Number of the true genre of each track.

    Returns
    -------
    dict
        ``valid_loss`` (mean cross-entropy in nats), ``valid_accuracy`` and ``valid_macro_f1``.
    """
    true, predicted = np.array(genres), tracks.argmax(1)
    return {
        "valid_loss": float(-np.log(np.maximum(tracks[np.arange(len(true)), true], 1e-12)).mean()),
        "valid_accuracy": float((predicted == true).mean()),
        "valid_macro_f1": macro_f1(true, predicted, tracks.shape[1]),
    }
