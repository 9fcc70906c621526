"""Prediction sets that hold the true genre with a promised probability.

The method is split-conformal prediction with the score of M. Sadinle, J. Lei and L. Wasserman ("Least ambiguous set-valued
classifiers with bounded error levels", JASA 2019): 1 minus the calibrated probability of the true genre. Tracks of one artist are
alike, so the artists, not the tracks, are the sample: each artist has the same weight, shared by its tracks (hierarchical conformal
prediction: Y. Lee, R. F. Barber and R. Willett, "Distribution-free inference with hierarchical data", 2023; R. Dunn, L. Wasserman and
A. Ramdas, "Distribution-free prediction sets for two-layer hierarchical models", JASA 2023).

The promise: for a track of a new artist, drawn like the artists of the calibration, the set holds the true genre with at least this
probability. It says nothing about music of another kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genre_core.evaluation.intervals import artist_interval

METHOD = "1 - probability of the true genre; every artist has the same weight"
_ROUNDING = 1e-9  # sums of weights such as 9 times 1/10 may be slightly below the coverage


def threshold(true: np.ndarray, probabilities: np.ndarray, groups: Sequence[str], coverage: float) -> float:
    """Compute the largest score at which a genre belongs to the set.

    It is the quantile `coverage` of the scores. Each artist has the weight 1, shared by its tracks; a new artist adds the weight 1
    at infinity.

    Parameters
    ----------
    true : np.ndarray [shape=(n,), dtype=int]
        Number of the true genre of each track.
    probabilities : np.ndarray [shape=(n, genres)]
        Calibrated probabilities by a model that was not trained on these artists.
    groups : sequence of str, length n
        Artist of each track, or the track's own name if the artist is unknown.
    coverage : float in (0, 1)

    Returns
    -------
    float
        Threshold in [0, 1]; infinity if there are too few artists for this coverage: see `least_artists`.
    """
    weights, artists = _weights(groups)
    score = 1 - probabilities[np.arange(len(true)), true]
    order = np.argsort(score, kind="stable")
    reached = np.cumsum(weights[order]) / (artists + 1) >= coverage - _ROUNDING
    return float(score[order][reached.argmax()]) if reached.any() else math.inf


def least_artists(coverage: float) -> int:
    """Compute the least number of artists that gives a finite threshold."""
    return math.ceil(coverage / (1 - coverage) - _ROUNDING)


def members(probabilities: np.ndarray, limit: float | np.ndarray) -> np.ndarray:
    """Find the genres in the prediction set of each track.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n, genres)]
        Calibrated probabilities.
    limit : float or np.ndarray [shape=(n, 1)]
        Result of `threshold`, for all tracks or for each.

    Returns
    -------
    np.ndarray [shape=(n, genres), dtype=bool]
        True for each genre of a set; the most probable genre is always in it.
    """
    inside = 1 - probabilities <= limit
    inside[np.arange(len(inside)), probabilities.argmax(1)] = True
    return inside


def prediction_set(probabilities: Mapping[str, float], limit: float) -> tuple[str, ...]:
    """Choose the genres of one track's prediction set.

    Parameters
    ----------
    probabilities : mapping of str to float
        Calibrated probability of each genre.
    limit : float
        Result of `threshold`.

    Returns
    -------
    tuple of str
        Genres, the most probable first; never empty.
    """
    genres = sorted(probabilities, key=lambda genre: -probabilities[genre])
    inside = members(np.array([[probabilities[genre] for genre in genres]]), limit)[0]
    return tuple(genre for genre, is_member in zip(genres, inside, strict=True) if is_member)


def promise(true: np.ndarray, probabilities: np.ndarray, groups: Sequence[str], coverage: float, *, leaky: bool = False) -> dict[str, Any]:
    """Calibrate prediction sets, for the model file.

    Parameters
    ----------
    true, probabilities, groups, coverage
        As for `threshold`.
    leaky : bool
        True if the model knows some of these tracks or artists: it then promises nothing, because the threshold would be too low.

    Returns
    -------
    dict
        ``coverage``, ``threshold`` (rounded up; None if nothing is promised, and ``reason`` says why), ``tracks``, ``artists``, ``method``.
    """
    artists = len(set(groups))
    limit = threshold(true, probabilities, groups, coverage)
    reason = ""
    if leaky:
        reason = "the split is leaky: tracks or artists of the calibration are not new to the model"
    elif math.isinf(limit):
        reason = f"{artists} artists are too few: a coverage of {coverage:g} needs {least_artists(coverage)}"
    return {
        "coverage": coverage,
        "threshold": None if reason else min(1.0, math.ceil(limit * 1e6) / 1e6),
        "tracks": len(true),
        "artists": artists,
        "method": METHOD,
        **({"reason": reason} if reason else {}),
    }


def set_scores(
    promised: Mapping[str, Any],
    true: np.ndarray,
    probabilities: np.ndarray,
    groups: Sequence[str],
    *,
    samples: int,
    seed: int,
    calibrated_on_these: bool = False,
) -> dict[str, Any]:
    """Compare what a model promises with what its prediction sets hold on test tracks.

    Parameters
    ----------
    promised : mapping
        Result of `promise`.
    true, probabilities, groups
        As for `threshold`.
    samples, seed : int
        Number of samples, and seed, of the bootstrap over artists.
    calibrated_on_these : bool
        True if these are the tracks that the promise was calibrated on: for each artist, the threshold of the other artists is used.

    Returns
    -------
    dict
        ``promised`` (coverage), ``threshold``, ``calibrated_on_artists`` and ``reason``; ``coverage`` with its 95 % interval (``_low``,
        ``_high``) and ``mean_size`` (genres in a set), each None if nothing is promised. Every artist has the same weight.
    """
    row = {"promised": promised["coverage"], "threshold": promised["threshold"], "calibrated_on_artists": promised["artists"]}
    row["reason"] = promised.get("reason")
    if promised["threshold"] is None:
        return {**row, **dict.fromkeys(("coverage", "coverage_low", "coverage_high", "mean_size"))}
    _, artist_of = np.unique(np.asarray(groups), return_inverse=True)
    limit: float | np.ndarray = promised["threshold"]
    if calibrated_on_these:
        of_artist = [
            threshold(true[others], probabilities[others], artist_of[others].tolist(), promised["coverage"])
            for others in (artist_of != artist for artist in range(artist_of.max() + 1))
        ]
        limit = np.array(of_artist)[artist_of, None]  # (n, 1)
    inside = members(probabilities, limit)
    covered = _artist_means(inside[np.arange(len(true)), true], artist_of)
    low, high = artist_interval(covered, np.arange(len(covered)), samples, seed)
    size = _artist_means(inside.sum(1), artist_of).mean()
    values = {"coverage": covered.mean(), "coverage_low": low, "coverage_high": high, "mean_size": size}
    return {**row, **{name: round(float(value), 4) for name, value in values.items()}}


def held_out_scores(
    true: np.ndarray, probabilities: np.ndarray, groups: Sequence[str], genres: Sequence[str], coverage: float, *, halves: int, seed: int
) -> dict[str, Any]:
    """Measure the coverage on artists that were not used to calibrate.

    Many times, a random half of the artists calibrates, and the other half is covered.

    Parameters
    ----------
    true, probabilities, groups, coverage
        As for `threshold`.
    genres : sequence of str
        Names of the genres.
    halves : int > 0
        Number of random halves.
    seed : int

    Returns
    -------
    dict
        ``coverage`` and ``mean_size``, which are means over the halves, and ``coverage_low`` and ``coverage_high``: 95 % of the halves
        lie between them. ``coverage_of_several`` is the coverage of the sets with more genres than one, ``genres`` that of each genre.
        Every artist has the same weight.
    """
    _, artist_of = np.unique(np.asarray(groups), return_inverse=True)
    weights, artists = _weights(groups)
    rng = np.random.default_rng(seed)
    coverages, sizes = [], []
    by_genre = np.zeros((2, probabilities.shape[1]))  # weight of covered tracks, weight of all
    several = np.zeros(2)  # the same for sets with more genres than one
    for _ in range(halves):
        calibrates = (rng.permutation(artists) < artists // 2)[artist_of]
        limit = threshold(true[calibrates], probabilities[calibrates], artist_of[calibrates].tolist(), coverage)
        inside, truth, weight = members(probabilities[~calibrates], limit), true[~calibrates], weights[~calibrates]
        covered = inside[np.arange(len(truth)), truth]
        coverages.append(np.average(covered, weights=weight))
        sizes.append(np.average(inside.sum(1), weights=weight))
        several += [(weight * covered)[inside.sum(1) > 1].sum(), weight[inside.sum(1) > 1].sum()]
        by_genre += [np.bincount(truth, w, by_genre.shape[1]) for w in (covered * weight, weight)]
    low, high = np.percentile(coverages, [2.5, 97.5])
    values = {"coverage": np.mean(coverages), "coverage_low": low, "coverage_high": high, "mean_size": np.mean(sizes)}
    values["coverage_of_several"] = several[0] / max(several[1], 1e-12)
    shares = zip(genres, by_genre[0] / np.maximum(by_genre[1], 1e-12), strict=True)
    return {**{name: round(float(v), 4) for name, v in values.items()}, "genres": {genre: round(float(v), 4) for genre, v in shares}}


def _weights(groups: Sequence[Any]) -> tuple[np.ndarray, int]:
    """Return each track's share of its artist's weight 1, and the number of artists."""
    _, artist_of, tracks = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return 1 / tracks[artist_of], len(tracks)


def _artist_means(values: np.ndarray, artist_of: np.ndarray) -> np.ndarray:
    """Return the mean of each artist's tracks."""
    return np.bincount(artist_of, values.astype(float)) / np.bincount(artist_of)
