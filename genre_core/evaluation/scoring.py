"""Scores of a set of tracks or segments, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from genre_core.evaluation.intervals import bootstrap
from genre_core.evaluation.metrics import confusion, macro_f1, precision_recall_f1, top_accuracy


def scores(
    true: np.ndarray, probabilities: np.ndarray, genres: Sequence[str], *, groups: Sequence[str], samples: int, seed: int
) -> dict[str, Any]:
    """Accuracy, macro-F1 (both with 95 % interval), top-2 accuracy, and precision, recall and F1 of each genre.

    Parameters
    ----------
    true : np.ndarray [shape=(n,), dtype=int]
    probabilities : np.ndarray [shape=(n, genres)]
    genres : sequence of str
    groups : sequence of str, length n
        See `bootstrap`.
    samples, seed : int
    """
    predicted = probabilities.argmax(1)
    drawn = bootstrap(true, predicted, len(genres), groups=groups, samples=samples, seed=seed)
    matrix = confusion(true, predicted, len(genres))
    by_genre = zip(genres, *precision_recall_f1(matrix), matrix.sum(1), strict=True)
    return {
        "accuracy": round(float((predicted == true).mean()), 4),
        "accuracy_low": round(drawn["accuracy"][0], 4),
        "accuracy_high": round(drawn["accuracy"][1], 4),
        "macro_f1": round(macro_f1(true, predicted, len(genres)), 4),
        "macro_f1_low": round(drawn["macro_f1"][0], 4),
        "macro_f1_high": round(drawn["macro_f1"][1], 4),
        "top2_accuracy": round(top_accuracy(true, probabilities, 2), 4),
        "genres": {
            genre: {"precision": round(float(p), 4), "recall": round(float(r), 4), "f1": round(float(f), 4), "tracks": int(n)}
            for genre, p, r, f, n in by_genre
        },
    }


def scores_of(tracks: np.ndarray, genres: Sequence[int]) -> dict[str, float]:
    """valid_loss, valid_accuracy and valid_macro_f1 of probabilities [shape=(tracks, genres)]."""
    true, predicted = np.array(genres), tracks.argmax(1)
    return {
        "valid_loss": float(-np.log(np.maximum(tracks[np.arange(len(true)), true], 1e-12)).mean()),
        "valid_accuracy": float((predicted == true).mean()),
        "valid_macro_f1": macro_f1(true, predicted, tracks.shape[1]),
    }
