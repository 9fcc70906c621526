"""External validation stage: score clips from outside the data set.

The packaged model is scored on the same clips for comparison.
"""

from __future__ import annotations

import shutil
from collections import Counter
from typing import Any

from genre_core import config
from genre_core.analysis.external import answer, compare_genres, round_score, score_clips
from genre_core.datasets import external
from genre_core.evaluation import intervals
from genre_core.inference.predictor import Prediction, Predictor
from genre_core.project import EXTERNAL, METRICS, MODEL
from genre_core.reports import figures_prediction
from genre_core.util.files import read_json, write_csv, write_json
from stages.run import DATA_SET_KEYS, run

OUT = METRICS / "external"
GENRE_COLUMNS = (
    *("genre", "test_tracks", "clips", "test_right", "clips_right", "drop", "drop_low", "drop_high"),
    *("shift_level_dbfs", "shift_bandwidth_hz"),  # median of the clips minus median of the test tracks
)


def main() -> str:
    params = config.load()
    predictor, packaged = Predictor(MODEL), Predictor("pretrained")
    genres = predictor.model.genres
    rows = []
    predictions: list[tuple[str, Prediction, Prediction]] = []
    shutil.rmtree(OUT / "timelines", ignore_errors=True)
    (OUT / "timelines").mkdir(parents=True)
    clips_listed = external.read_manifest(EXTERNAL)
    paths = [EXTERNAL / clip.path for clip in clips_listed if clip.status == "ok"]
    answers = answer(paths, (MODEL, "pretrained"), workers=params.parallel.chosen)
    for clip in clips_listed:
        row: dict[str, Any] = {
            "clip": clip.clip,
            "title": clip.title,
            "true": clip.genre,
            "status": clip.status,
            "reason": clip.reason,
            "predicted": "",
        }
        if clip.status == "ok":
            given = next(answers)
            if isinstance(given, str):
                row |= {"status": "failed", "reason": given}
            else:
                prediction, packaged_prediction = given.predictions
                row |= {"predicted": prediction.genre, "pretrained": packaged_prediction.genre, "pretrained_sure": packaged_prediction.sure}
                row |= {f"p_{genre}": f"{prediction.probabilities[genre]:.6f}" for genre in genres}
                title = f"{clip.title}: {clip.genre}, predicted as {prediction.genre}"
                picture = OUT / "timelines" / f"{clip.clip}.png"
                figures_prediction.timeline(
                    picture, prediction.starts_seconds, prediction.timeline, genres, segment_seconds=prediction.window_seconds, title=title
                )
                predictions.append((clip.genre, prediction, packaged_prediction))
                row |= {"level_dbfs": round(given.level_dbfs, 2), "bandwidth_hz": round(given.bandwidth_hz)}
                if clip.genre not in genres:
                    row["reason"] = "not scored: the model does not know this genre"
        rows.append(row)

    columns = ["clip", "title", "true", "status", "reason", "predicted", "pretrained", "pretrained_sure", "level_dbfs", "bandwidth_hz"]
    columns += [f"p_{g}" for g in genres]
    write_csv(OUT / "predictions.csv", columns, rows)
    test = read_json(METRICS / "test" / "metrics.json")
    status = Counter(row["status"] for row in rows)
    options = {"samples": params.evaluate.bootstrap_samples, "seed": params.seed}
    clips, scores = score_clips([(true, prediction) for true, prediction, _ in predictions], genres, options)
    drop: tuple[float, float, float] | None = None
    if clips:
        drop_interval = intervals.proportion_difference(test["track"]["accuracy"], test["artists"], scores["accuracy"], clips)
        drop = (test["track"]["accuracy"] - scores["accuracy"], *drop_interval)
    genre_rows = compare_genres([row for row in rows if row["predicted"] and row["true"] in genres])
    write_csv(OUT / "genres.csv", GENRE_COLUMNS, genre_rows)
    packaged_clips, packaged_scores = score_clips(
        [(true, packaged_prediction) for true, _, packaged_prediction in predictions], packaged.model.genres, options
    )
    write_json(
        OUT / "metrics.json",
        {
            "trained_on": {key: predictor.model.info[key] for key in DATA_SET_KEYS},
            "clips": clips,
            "clips_failed": status["failed"],
            "clips_skipped": status["skipped"],
            **scores,
            **{f"accuracy_drop_{key}": round_score(drop[i] if drop else None) for i, key in enumerate(("from_test", "low", "high"))},
            "pretrained": {"clips": packaged_clips, **packaged_scores},
        },
    )
    if drop is None:
        return (
            f"validate_external: no clip could be scored ({status['failed']} failed, {status['skipped']} skipped); scores are null in {OUT}"
        )
    return (
        f"validate_external: accuracy {intervals.format_score(scores)} of {clips} clips, "
        f"{intervals.interval(*drop, sign='+')} below the test's; pretrained {intervals.format_score(packaged_scores)}"
    )


if __name__ == "__main__":
    run(main)
