"""Intervals of scores: bootstrap over artists, and proportions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from typing import Any

import numpy as np

from genre_core.evaluation.metrics import confusion, precision_recall_f1


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided exact McNemar test: how likely such an imbalance is where neither model is better."""
    n, k = only_a + only_b, min(only_a, only_b)
    return min(1.0, 2 * sum(comb(n, i) for i in range(k + 1)) / 2**n) if n else 1.0


def artist_interval(values: np.ndarray, artist_of: np.ndarray, samples: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean of `values` (tracks,), whole artists drawn; `artist_of` (tracks,) numbers them."""
    rng = np.random.default_rng(seed)
    artists = int(artist_of.max()) + 1
    total = np.bincount(artist_of, weights=values, minlength=artists)
    count = np.bincount(artist_of, minlength=artists)
    drawn = rng.integers(artists, size=(samples, artists))
    low, high = np.percentile(total[drawn].sum(1) / count[drawn].sum(1), [2.5, 97.5])
    return float(low), float(high)


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
    """Format a score with its interval, such as "0.800 [0.650, 0.950]"; "null" if absent."""
    if scores[metric] is None:
        return "null"
    return interval(scores[metric], scores[f"{metric}_low"], scores[f"{metric}_high"])


def interval(value: float, low: float, high: float, *, sign: str = "") -> str:
    """Format a value and its interval; with the sign ``"+"``, such as "+0.050 [-0.010, +0.110]"."""
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
