"""Scores that can be believed: of segments and tracks, with intervals and calibration."""

from __future__ import annotations

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
    """Return the mean F1 of genres present or predicted, as scikit-learn's ``f1_score(average="macro")``."""
    matrix = confusion(true, predicted, n_genres)
    seen = matrix.sum(0) + matrix.sum(1) > 0
    return float(precision_recall_f1(matrix)[2][seen].mean())


def top_accuracy(true: np.ndarray, probabilities: np.ndarray, k: int) -> float:
    """Return the share of items whose genre is among the `k` most probable."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((order == true[:, None]).any(1).mean())
