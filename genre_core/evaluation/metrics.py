"""Confusion matrix, precision, recall, F1 and top-k accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def confusion(true: np.ndarray, predicted: np.ndarray, n_genres: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Count items by true genre (rows) and predicted genre (columns).

    Parameters
    ----------
    true, predicted : np.ndarray [shape=(n,), dtype=int]
        Number of the true and of the predicted genre of each item.
    n_genres : int
    weights : np.ndarray [shape=(n,)], optional
        Weight of each item in the counts, instead of 1.

    Returns
    -------
    np.ndarray [shape=(n_genres, n_genres), dtype=int, or float with weights]
    """
    return np.bincount(true * n_genres + predicted, weights, minlength=n_genres**2).reshape(n_genres, n_genres)


def precision_recall_f1(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute precision, recall and F1 of each genre.

    Parameters
    ----------
    matrix : np.ndarray [shape=(n_genres, n_genres)]
        Result of `confusion`.

    Returns
    -------
    precision, recall, f1 : np.ndarray [shape=(n_genres,), dtype=float64]
        Precision is 0 if a genre is never predicted; recall is 0 if a genre has no items; F1 is 0 if a genre has no hits.
    """
    hits = np.diag(matrix).astype(float)
    predicted, true = matrix.sum(0), matrix.sum(1)
    precision = hits / np.maximum(predicted, 1e-12)
    recall = hits / np.maximum(true, 1e-12)
    return precision, recall, 2 * hits / np.maximum(predicted + true, 1e-12)


def macro_f1(true: np.ndarray, predicted: np.ndarray, n_genres: int, *, unscored: Sequence[int] = ()) -> float:
    """Compute the mean F1 of the genres present or predicted.

    It equals scikit-learn's ``f1_score(average="macro")``.

    Parameters
    ----------
    true, predicted, n_genres
        As for `confusion`.
    unscored : sequence of int
        Numbers of genres that have no item on purpose: their F1 of 0 is left out.
    """
    matrix = confusion(true, predicted, n_genres)
    seen = matrix.sum(0) + matrix.sum(1) > 0
    seen[list(unscored)] = False
    return float(precision_recall_f1(matrix)[2][seen].mean())


def top_accuracy(true: np.ndarray, probabilities: np.ndarray, k: int) -> float:
    """Compute the top-k accuracy.

    It is the share of items whose true genre is among the `k` most probable genres.

    Parameters
    ----------
    true : np.ndarray [shape=(n,), dtype=int]
    probabilities : np.ndarray [shape=(n, genres)]
    k : int > 0
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((order == true[:, None]).any(1).mean())
