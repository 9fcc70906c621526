"""How a model does on clips from outside: scores, and the drop from the test genre by genre."""

from __future__ import annotations

from typing import Any

import numpy as np

from genre_core.corpus import index
from genre_core.corpus.catalogue import artist_group
from genre_core.evaluation import intervals, scoring
from genre_core.inference.predictor import Prediction
from genre_core.project import AUDIT, INDEX, METRICS
from genre_core.util.files import read_csv

NO_SCORES = dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high", "macro_f1", "macro_f1_low", "macro_f1_high", "top2_accuracy"))


def compare_genres(clips: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each genre of the test or the clips: the share that is right in both, the drop, and how the audio differs (medians)."""
    judged = read_csv(METRICS / "test" / "predictions.csv", strip=False)
    files = {track.track: track.path for track in index.read(INDEX).tracks.values()}
    looked = {row["file"]: row for row in read_csv(AUDIT / "tracks.csv", strip=False)}
    found = []
    for genre in sorted({row["true"] for row in [*judged, *clips]}):
        inside, outside = [r for r in judged if r["true"] == genre], [r for r in clips if r["true"] == genre]
        row: dict[str, Any] = {"genre": genre, "test_tracks": len(inside), "clips": len(outside)}
        rights = [float(np.mean([r["predicted"] == genre for r in rows])) if rows else None for rows in (inside, outside)]
        row |= {"test_right": rounded(rights[0]), "clips_right": rounded(rights[1])}
        if rights[0] is not None and rights[1] is not None:
            artists = len({artist_group(r["artist"], r["track"]) for r in inside})  # one artist's tracks are alike: they count once
            low, high = intervals.proportion_difference(rights[0], artists, rights[1], len(outside))
            row |= {"drop": rounded(rights[0] - rights[1]), "drop_low": rounded(low), "drop_high": rounded(high)}
        for key in ("level_dbfs", "bandwidth_hz"):
            ours = [float(value) for r in inside if (value := looked[files[r["track"]]][key])]
            theirs = [float(r[key]) for r in outside]
            row[f"shift_{key}"] = round(float(np.median(theirs) - np.median(ours)), 2) if ours and theirs else ""
        found.append(row)
    return found


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def score_clips(heard: list[tuple[str, Prediction]], genres: list[str], options: dict[str, int]) -> tuple[int, dict[str, Any]]:
    """Score the clips of the model's genres; return their number and the scores."""
    known = [(true, said) for true, said in heard if true in genres]
    if not known:
        return 0, NO_SCORES
    names = [str(i) for i in range(len(known))]
    true = np.array([genres.index(genre) for genre, _ in known])
    probabilities = np.array([[said.probabilities[genre] for genre in genres] for _, said in known])
    return len(known), scoring.scores(true, probabilities, genres, groups=names, **options)
