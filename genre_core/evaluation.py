"""Scores that can be believed: of segments and tracks, with intervals and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def confusion(true: np.ndarray, predicted: np.ndarray, n_genres: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Count (or weigh) items by true (rows) and predicted (columns) genre, shape ``(n_genres, n_genres)``."""
    return np.bincount(true * n_genres + predicted, weights, minlength=n_genres**2).reshape(n_genres, n_genres)


def precision_recall_f1(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per genre, each of shape ``(n_genres,)``; 0 where a genre is never predicted or never there."""
    hits = np.diag(matrix).astype(float)
    predicted, true = matrix.sum(0), matrix.sum(1)
    precision = hits / np.maximum(predicted, 1e-12)
    recall = hits / np.maximum(true, 1e-12)
    return precision, recall, 2 * hits / np.maximum(predicted + true, 1e-12)


def macro_f1(true: np.ndarray, predicted: np.ndarray, n_genres: int) -> float:
    """Mean F1 over the genres that are there or were predicted, as scikit-learn's ``f1_score(average="macro")``."""
    matrix = confusion(true, predicted, n_genres)
    seen = matrix.sum(0) + matrix.sum(1) > 0
    return float(precision_recall_f1(matrix)[2][seen].mean())


def bootstrap(
    true: np.ndarray, predicted: np.ndarray, n_genres: int, *, groups: Sequence[str], samples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of accuracy and macro-F1, resampling whole groups (Efron and Tibshirani 1993).

    Tracks of one artist are alike, so artists are drawn where they are known: intervals over tracks would be too narrow.
    They are drawn from all genres together: within genres of one or two artists, a bootstrap shows half the variance or none.
    A genre that a sample happens to lack is left out of that sample's macro-F1, instead of counting as 0.

    Parameters
    ----------
    true, predicted : np.ndarray [shape=(n,), dtype=int]
    n_genres : int
    groups : sequence of str, length n
        Artist of each item, or the item's own name where unknown.
    samples : int
    seed : int

    Returns
    -------
    dict
        ``accuracy`` and ``macro_f1``: (low, high).
    """
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    there = np.bincount(true, minlength=n_genres) > 0
    rng = np.random.default_rng(seed)
    accuracy, f1 = np.empty(samples), np.empty(samples)
    for i in range(samples):
        weights = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))[group_of].astype(float)
        matrix = confusion(true, predicted, n_genres, weights)
        judged = np.where(there, matrix.sum(1) > 0, matrix.sum(0) > 0)
        f1[i] = precision_recall_f1(matrix)[2][judged].mean()
        accuracy[i] = np.average(true == predicted, weights=weights)
    return {name: (float(low), float(high)) for name, (low, high) in
            {"accuracy": np.percentile(accuracy, [2.5, 97.5]), "macro_f1": np.percentile(f1, [2.5, 97.5])}.items()}  # fmt: skip


def reliability(true: np.ndarray, probabilities: np.ndarray, bins: int) -> list[dict[str, float]]:
    """Accuracy against confidence (the highest probability), in equal bins of confidence; empty bins are left out.

    Returns
    -------
    list of dict
        ``confidence`` and ``accuracy`` (means), ``tracks`` (count), by bin.
    """
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == true
    number = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        {
            "confidence": float(confidence[number == b].mean()),
            "accuracy": float(right[number == b].mean()),
            "tracks": int((number == b).sum()),
        }
        for b in np.unique(number)
    ]


def calibration_error(true: np.ndarray, probabilities: np.ndarray, bins: int) -> float:
    """Expected calibration error: mean distance of accuracy from confidence over the bins, by tracks (Naeini et al. 2015)."""
    rows = reliability(true, probabilities, bins)
    return float(sum(r["tracks"] * abs(r["accuracy"] - r["confidence"]) for r in rows) / len(true))


def top_accuracy(true: np.ndarray, probabilities: np.ndarray, k: int) -> float:
    """Share of items whose genre is among the `k` most probable."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((order == true[:, None]).any(1).mean())


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


def proportion_difference(right_a: float, n_a: int, right_b: float, n_b: int) -> tuple[float, float]:
    """95 % interval of the difference of two proportions, a - b, of independent samples, small ones too.

    R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 1998, method 10.

    Parameters
    ----------
    right_a, right_b : float in [0, 1]
    n_a, n_b : int > 0
    """
    low_a, high_a = _wilson(right_a, n_a)
    low_b, high_b = _wilson(right_b, n_b)
    difference = right_a - right_b
    return (
        difference - float(np.hypot(right_a - low_a, high_b - right_b)),
        difference + float(np.hypot(high_a - right_a, right_b - low_b)),
    )


def _wilson(share: float, n: int) -> tuple[float, float]:
    z = 1.959964
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return middle - half, middle + half


def with_interval(scores: Mapping[str, Any], metric: str = "accuracy") -> str:
    """A score of `scores` as text, such as "0.800 [0.650, 0.950]"; "null" where there is none."""
    if scores[metric] is None:
        return "null"
    return interval(scores[metric], scores[f"{metric}_low"], scores[f"{metric}_high"])


def interval(value: float, low: float, high: float, *, sign: str = "") -> str:
    """A value and its interval as text; with the sign ``"+"`` a difference, such as "+0.050 [-0.010, +0.110]"."""
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
