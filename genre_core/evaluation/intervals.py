"""Confidence intervals of scores, and the McNemar test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from typing import Any

import numpy as np

from genre_core.evaluation.metrics import confusion, precision_recall_f1


def mcnemar(only_a: int, only_b: int) -> float:
    """Compute the p-value of the two-sided exact McNemar test.

    It is the probability of such an imbalance, or a greater one, if neither model is better (Q. McNemar, "Note on the sampling
    error of the difference between correlated proportions or percentages", Psychometrika 1947).

    Parameters
    ----------
    only_a, only_b : int >= 0
        Number of tracks that only this model has right.
    """
    n, k = only_a + only_b, min(only_a, only_b)
    return min(1.0, 2 * sum(comb(n, i) for i in range(k + 1)) / 2**n) if n else 1.0


def artist_interval(values: np.ndarray, artist_of: np.ndarray, samples: int, seed: int) -> tuple[float, float]:
    """Compute the 95 % interval of a mean over tracks.

    It is a bootstrap percentile interval that resamples whole artists (B. Efron and R. Tibshirani, "An introduction to the
    bootstrap", 1993).

    Parameters
    ----------
    values : np.ndarray [shape=(tracks,), dtype=float]
    artist_of : np.ndarray [shape=(tracks,), dtype=int]
        Number of the artist of each track, from 0.
    samples, seed : int
        Number of samples, and seed, of the bootstrap.

    Returns
    -------
    low, high : float
    """
    rng = np.random.default_rng(seed)
    artists = int(artist_of.max()) + 1
    total = np.bincount(artist_of, weights=values, minlength=artists)
    count = np.bincount(artist_of, minlength=artists)
    drawn = rng.integers(artists, size=(samples, artists))
    low, high = np.percentile(total[drawn].sum(1) / count[drawn].sum(1), [2.5, 97.5])
    return float(low), float(high)


def bootstrap(
    true: np.ndarray, predicted: np.ndarray, n_genres: int, *, groups: Sequence[str], samples: int, seed: int, unscored: Sequence[int] = ()
) -> dict[str, tuple[float, float]]:
    """Compute 95 % intervals of accuracy and macro-F1 over artists.

    They are bootstrap percentile intervals that resample whole groups (B. Efron and R. Tibshirani, "An introduction to the
    bootstrap", 1993). Tracks of one artist are alike, so a group is an artist if the artist is known: intervals over tracks would
    be too narrow. Artists are drawn from all genres together because a bootstrap within a genre of one artist would show none of
    the variance, and within a genre of two artists half of it. A sample may contain no item of a genre; this genre is then left
    out of the macro-F1 of this sample and does not count as 0.

    Parameters
    ----------
    true, predicted : np.ndarray [shape=(n,), dtype=int]
        Number of the true and of the predicted genre of each item.
    n_genres : int
    groups : sequence of str, length n
        Artist of each item, or the item's own name if the artist is unknown.
    samples, seed : int
        Number of samples, and seed, of the bootstrap.
    unscored : sequence of int
        As for `macro_f1`.

    Returns
    -------
    dict
        Interval (low, high) of ``accuracy`` and of ``macro_f1``.
    """
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    has_items = np.bincount(true, minlength=n_genres) > 0
    rng = np.random.default_rng(seed)
    accuracy, f1 = np.empty(samples), np.empty(samples)
    for i in range(samples):
        weights = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))[group_of].astype(float)
        matrix = confusion(true, predicted, n_genres, weights)
        counted = np.where(has_items, matrix.sum(1) > 0, matrix.sum(0) > 0)
        counted[list(unscored)] = False
        f1[i] = precision_recall_f1(matrix)[2][counted].mean()
        accuracy[i] = np.average(true == predicted, weights=weights)
    return {name: (float(low), float(high)) for name, (low, high) in
            {"accuracy": np.percentile(accuracy, [2.5, 97.5]), "macro_f1": np.percentile(f1, [2.5, 97.5])}.items()}  # fmt: skip


def proportion_difference(right_a: float, n_a: int, right_b: float, n_b: int) -> tuple[float, float]:
    """Compute the 95 % interval of a difference of two proportions.

    The difference is a - b. The samples are independent and may be small (R. G. Newcombe, "Interval estimation for the
    difference between independent proportions", Statistics in Medicine 1998, method 10).

    Parameters
    ----------
    right_a, right_b : float in [0, 1]
        Proportion of each sample.
    n_a, n_b : int > 0
        Size of each sample.

    Returns
    -------
    low, high : float
    """
    low_a, high_a = _wilson(right_a, n_a)
    low_b, high_b = _wilson(right_b, n_b)
    difference = right_a - right_b
    return (
        difference - float(np.hypot(right_a - low_a, high_b - right_b)),
        difference + float(np.hypot(high_a - right_a, right_b - low_b)),
    )


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Compute the 95 % score interval of a proportion (Wilson 1927)."""
    z = 1.959964
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return middle - half, middle + half


def format_score(scores: Mapping[str, Any], metric: str = "accuracy") -> str:
    """Format a score with its interval, for example "0.800 [0.650, 0.950]".

    Parameters
    ----------
    scores : mapping
        Scores with the keys `metric`, ``<metric>_low`` and ``<metric>_high``.
    metric : str

    Returns
    -------
    str
        Score and interval; "null" if the score is None.
    """
    if scores[metric] is None:
        return "null"
    return interval(scores[metric], scores[f"{metric}_low"], scores[f"{metric}_high"])


def interval(value: float, low: float, high: float, *, sign: str = "") -> str:
    """Format a value and its interval.

    With the sign ``"+"``, positive numbers have a plus sign, for example "+0.050 [-0.010, +0.110]".
    """
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
