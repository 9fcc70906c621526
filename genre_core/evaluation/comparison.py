"""Comparison of two models on the same tracks, with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genre_core.corpus.catalogue import artist_group
from genre_core.errors import GenreError
from genre_core.evaluation.intervals import artist_interval, mcnemar
from genre_core.util.files import read_csv


@dataclass(frozen=True)
class Comparison:
    """Comparison of model B with model A on their common tracks.

    Attributes
    ----------
    tracks, artists : int
        Number of common tracks and of their artists.
    accuracy_a, accuracy_b : float
        Accuracy of each model on the common tracks.
    difference, low, high : float
        Accuracy of B minus accuracy of A, and the 95 % interval of this difference: paired bootstrap over artists
        (B. Efron and R. Tibshirani, "An introduction to the bootstrap", 1993).
    only_a, only_b : int
        Number of tracks that only this model has right.
    p : float
        p-value of the exact McNemar test of `only_a` and `only_b` (Q. McNemar 1947). The test assumes independent tracks, but
        tracks of one artist are not independent.
    disagreements : list of dict
        Tracks with different predictions: ``track``, ``true`` (genre), ``a`` and ``b`` (predictions).
    """

    tracks: int
    artists: int
    accuracy_a: float
    accuracy_b: float
    difference: float
    low: float
    high: float
    only_a: int
    only_b: int
    p: float
    disagreements: list[dict[str, str]]

    @property
    def verdict(self) -> str:
        """Verdict on B: "better" or "worse" only if the interval excludes zero."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "no difference shown"


def compare(a: str | Path, b: str | Path, *, samples: int = 10_000, seed: int = 0) -> Comparison:
    """Compare two files of predictions.

    Parameters
    ----------
    a, b : str or Path
        CSV files with the columns track, true and predicted, and optionally artist, for example ``metrics/test/predictions.csv`` of
        two experiments.
    samples : int
        Number of samples of the bootstrap.
    seed : int
        Seed of the bootstrap.

    Raises
    ------
    GenreError
        A file cannot be read or names a track twice, the files have no track in common, or they disagree on the true genre of a
        track (they come from two data sets).
    """
    first, second = _read(a), _read(b)
    shared = [track for track in first if track in second]
    if not shared:
        raise GenreError(f"{a} and {b} have no track in common: they come from two splits and cannot be compared")
    for track in shared:
        if first[track]["true"] != second[track]["true"]:
            genres = f"{first[track]['true']!r} in {a} and {second[track]['true']!r} in {b}"
            raise GenreError(f"track {track!r} is {genres}: the files come from two data sets")
    right_a, right_b = (np.array([rows[t]["predicted"] == rows[t]["true"] for t in shared]) for rows in (first, second))
    artists, artist_of = np.unique([artist_group(first[t].get("artist", ""), t) for t in shared], return_inverse=True)
    low, high = artist_interval(right_b.astype(float) - right_a, artist_of, samples, seed)
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return Comparison(
        len(shared),
        len(artists),
        float(right_a.mean()),
        float(right_b.mean()),
        float(right_b.mean() - right_a.mean()),
        low,
        high,
        only_a,
        only_b,
        mcnemar(only_a, only_b),
        [
            {"track": t, "true": first[t]["true"], "a": first[t]["predicted"], "b": second[t]["predicted"]}
            for t in shared
            if first[t]["predicted"] != second[t]["predicted"]
        ],
    )


def _read(path: str | Path) -> dict[str, dict[str, str]]:
    rows = read_csv(path, ["track", "true", "predicted"], strip=False)
    by_track = {row["track"]: row for row in rows}
    if len(by_track) < len(rows):
        raise GenreError(f"{path}: a track is named twice; keep one row per track")
    return by_track
