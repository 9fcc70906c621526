"""Pool windows into track probabilities, and calibrate them by a temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch


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


def pooled(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Calibrated probabilities of a track, shape ``(genres,)``, float64, from its windows' `logits` [shape=(windows, genres)].

    The windows' probabilities are averaged before the temperature comes, which so never changes the answer (pool, then calibrate:
    R. Rahaman and A. Thiery, "Uncertainty quantification and deep ensembles", NeurIPS 2021).
    """
    return (logits.double().softmax(dim=1).mean(dim=0).clamp(min=1e-12).log() / temperature).softmax(dim=0)


_PRIOR_DEVIATION = 0.3  # from 0.55 to 1.8 within two of them


def fit_temperature(logits: Sequence[torch.Tensor], genres: Sequence[int], *, prior_deviation: float = _PRIOR_DEVIATION) -> float:
    """Fit the temperature that makes the tracks' `genres` most likely (Guo et al. 2017), between 0.1 and 10.

    Parameters
    ----------
    logits : sequence of torch.Tensor [shape=(windows, genres)]
        Of each validation track.
    genres : sequence of int
    prior_deviation : float
        Of the normal prior of its logarithm, around 0: a few tracks, all of them right, would take the least there is. It counts as
        much as a few tracks do, and next to nothing beside many.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        picked = [pooled(x, math.exp(log_temperature))[genre] for x, genre in zip(logits, genres, strict=True)]
        return float(-torch.stack(picked).clamp(min=1e-12).log().sum()) + (log_temperature / prior_deviation) ** 2 / 2

    return round(math.exp(minimize_scalar(loss, bounds=(math.log(0.1), math.log(10)), method="bounded").x), 4)
