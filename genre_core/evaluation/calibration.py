"""Pooling of windows into track probabilities, and calibration by a temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch


def reliability(true: np.ndarray, probabilities: np.ndarray, bins: int) -> list[dict[str, float]]:
    """Compute the accuracy in bins of confidence, for a reliability diagram.

    Confidence is the highest probability of a track. The bins are equally wide; empty bins are left out.

    Parameters
    ----------
    true : np.ndarray [shape=(n,), dtype=int]
        Number of the true genre of each track.
    probabilities : np.ndarray [shape=(n, genres), dtype=float]
    bins : int > 0

    Returns
    -------
    list of dict
        For each bin, ``confidence`` and ``accuracy`` (means), and ``tracks`` (count).
    """
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == true
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        {
            "confidence": float(confidence[bin_of == b].mean()),
            "accuracy": float(right[bin_of == b].mean()),
            "tracks": int((bin_of == b).sum()),
        }
        for b in np.unique(bin_of)
    ]


def calibration_error(true: np.ndarray, probabilities: np.ndarray, bins: int) -> float:
    """Compute the expected calibration error.

    It is the mean distance between accuracy and confidence over the bins of `reliability`, weighted by the number of tracks
    (M. P. Naeini, G. Cooper and M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015).
    The parameters are as for `reliability`.
    """
    rows = reliability(true, probabilities, bins)
    return float(sum(r["tracks"] * abs(r["accuracy"] - r["confidence"]) for r in rows) / len(true))


def pooled(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Pool the windows of a track into its calibrated probabilities.

    The temperature is applied after the windows' probabilities are averaged, so it never changes the predicted genre (pool, then
    calibrate: R. Rahaman and A. Thiery, "Uncertainty quantification and deep ensembles", NeurIPS 2021).

    Parameters
    ----------
    logits : torch.Tensor [shape=(windows, genres)]
    temperature : float > 0

    Returns
    -------
    torch.Tensor [shape=(genres,), dtype=float64]
        Probabilities of the track.
    """
    return (logits.double().softmax(dim=1).mean(dim=0).clamp(min=1e-12).log() / temperature).softmax(dim=0)


_PRIOR_DEVIATION = 0.3  # two deviations: temperatures from 0.55 to 1.8


def fit_temperature(logits: Sequence[torch.Tensor], genres: Sequence[int], *, prior_deviation: float = _PRIOR_DEVIATION) -> float:
    """Fit the temperature that makes the true genres most likely.

    The method is temperature scaling (C. Guo et al., "On calibration of modern neural networks", ICML 2017), with a prior.

    Parameters
    ----------
    logits : sequence of torch.Tensor [shape=(windows, genres)]
        Logits of each validation track.
    genres : sequence of int
        Number of the true genre of each validation track.
    prior_deviation : float
        Standard deviation of the normal prior on the logarithm of the temperature; its mean is 0. Without the prior, a few tracks
        that are all right would give the lowest temperature. The prior has the weight of a few tracks, so many tracks outweigh it.

    Returns
    -------
    float
        Temperature between 0.1 and 10, rounded to four decimals.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        of_true_genre = [pooled(x, math.exp(log_temperature))[genre] for x, genre in zip(logits, genres, strict=True)]
        return float(-torch.stack(of_true_genre).clamp(min=1e-12).log().sum()) + (log_temperature / prior_deviation) ** 2 / 2

    return round(math.exp(minimize_scalar(loss, bounds=(math.log(0.1), math.log(10)), method="bounded").x), 4)
