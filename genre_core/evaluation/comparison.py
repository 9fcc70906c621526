"""Two models on the same tracks: which is better, and can that be said at all."""

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
    """The comparison of a second model with a first, on the tracks that both judged.

    Attributes
    ----------
    tracks, artists : int
    accuracy_a, accuracy_b : float
    difference, low, high : float
        Of B's accuracy and A's, with a 95 % interval: paired bootstrap over artists (Efron and Tibshirani 1993).
    only_a, only_b : int
        Tracks that one alone has right.
    p : float
        Exact McNemar test of these two numbers (McNemar 1947; tracks taken as independent, which one artist's are not).
    disagreements : list of dict
        track, true, a, b: where they differ.
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
        """Better or worse only where the interval excludes zero."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "no difference shown"


def compare(a: str | Path, b: str | Path, *, samples: int = 10_000, seed: int = 0) -> Comparison:
    """Compare two files of predictions, such as ``metrics/test/predictions.csv`` of two experiments.

    Parameters
    ----------
    a, b : str or Path
        CSV with the columns track, true and predicted, optionally artist.
    samples : int
        Draws of the bootstrap.
    seed : int

    Raises
    ------
    GenreError
        They have no track in common, name one twice, or disagree on what is true: they are of two data sets.
    """
    first, second = _read(a), _read(b)
    shared = [track for track in first if track in second]
    if not shared:
        raise GenreError(f"{a} and {b} have no track in common: they are of two splits, and cannot be compared")
    for track in shared:
        if first[track]["true"] != second[track]["true"]:
            raise GenreError(f"track {track!r} is {first[track]['true']!r} in {a} and {second[track]['true']!r} in {b}: two data sets")
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
    found = {row["track"]: row for row in rows}
    if len(found) < len(rows):
        raise GenreError(f"{path}: a track is named twice; it must hold one row a track")
    return found
