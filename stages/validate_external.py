"""Score the model, and the packaged one beside it, on clips from outside the data set."""

import shutil
import warnings
from collections import Counter
from typing import Any

import numpy as np

from genre_core import audit, config, evaluation, external, index, plots
from genre_core.audio import decode
from genre_core.datasets import artist_group
from genre_core.errors import AudioError, SilenceWarning
from genre_core.files import read_csv, read_json, write_csv, write_json
from genre_core.inference import Prediction, Predictor
from stages import AUDIT, DATA_SET_KEYS, EXTERNAL, INDEX, METRICS, MODEL, run

OUT = METRICS / "external"
GENRE_COLUMNS = (
    *("genre", "test_tracks", "clips", "test_right", "clips_right", "drop", "drop_low", "drop_high"),
    *("shift_level_dbfs", "shift_bandwidth_hz"),  # median of the clips less that of the test tracks
)
NO_SCORES = dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high", "macro_f1", "macro_f1_low", "macro_f1_high", "top2_accuracy"))


def main() -> str:
    params = config.load()
    predictor, packaged = Predictor(MODEL), Predictor("pretrained")
    genres = predictor.model.genres
    rows = []
    heard: list[tuple[str, Prediction, Prediction]] = []
    shutil.rmtree(OUT / "timelines", ignore_errors=True)
    (OUT / "timelines").mkdir(parents=True)
    for clip in external.read_manifest(EXTERNAL):
        row: dict[str, Any] = {
            "clip": clip.clip,
            "title": clip.title,
            "true": clip.genre,
            "status": clip.status,
            "reason": clip.reason,
            "predicted": "",
        }
        if clip.status == "ok":
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", SilenceWarning)  # a silent clip is no evidence
                    said, other = (p.predict_file(EXTERNAL / clip.path) for p in (predictor, packaged))
            except (AudioError, SilenceWarning) as error:
                row |= {"status": "failed", "reason": str(error)}
            else:
                row |= {"predicted": said.genre, "pretrained": other.genre, "pretrained_sure": other.sure}
                row |= {f"p_{genre}": f"{said.probabilities[genre]:.6f}" for genre in genres}
                title = f"{clip.title}: {clip.genre}, heard as {said.genre}"
                picture = OUT / "timelines" / f"{clip.clip}.png"
                plots.timeline(picture, said.starts_seconds, said.timeline, genres, segment_seconds=said.window_seconds, title=title)
                heard.append((clip.genre, said, other))
                audio = decode(EXTERNAL / clip.path)
                level, bandwidth, _ = audit.level_and_bandwidth(audio.y, audio.source_sample_rate)
                row |= {"level_dbfs": round(level, 2), "bandwidth_hz": round(bandwidth)}
                if clip.genre not in genres:
                    row["reason"] = "not scored: the model knows no such genre"
        rows.append(row)

    columns = ["clip", "title", "true", "status", "reason", "predicted", "pretrained", "pretrained_sure", "level_dbfs", "bandwidth_hz"]
    columns += [f"p_{g}" for g in genres]
    write_csv(OUT / "predictions.csv", columns, rows)
    test = read_json(METRICS / "test" / "metrics.json")
    status = Counter(row["status"] for row in rows)
    options = {"samples": params.evaluate.bootstrap_samples, "seed": params.seed}
    clips, scores = _scores([(true, said) for true, said, _ in heard], genres, options)
    drop: tuple[float, float, float] | None = None
    if clips:
        between = evaluation.proportion_difference(test["track"]["accuracy"], test["artists"], scores["accuracy"], clips)
        drop = (test["track"]["accuracy"] - scores["accuracy"], *between)
    of_genres = _by_genre([row for row in rows if row["predicted"] and row["true"] in genres])
    write_csv(OUT / "genres.csv", GENRE_COLUMNS, of_genres)
    others, beside = _scores([(true, other) for true, _, other in heard], packaged.model.genres, options)
    write_json(
        OUT / "metrics.json",
        {
            "trained_on": {key: predictor.model.info[key] for key in DATA_SET_KEYS},
            "clips": clips,
            "clips_failed": status["failed"],
            "clips_skipped": status["skipped"],
            **scores,
            **{f"accuracy_drop_{key}": _rounded(drop[i] if drop else None) for i, key in enumerate(("from_test", "low", "high"))},
            "pretrained": {"clips": others, **beside},
        },
    )
    if drop is None:
        return (
            f"validate_external: no clip could be scored ({status['failed']} failed, {status['skipped']} skipped); scores are null in {OUT}"
        )
    return (
        f"validate_external: accuracy {evaluation.with_interval(scores)} of {clips} clips, "
        f"{evaluation.interval(*drop, sign='+')} below the test's; pretrained {evaluation.with_interval(beside)}"
    )


def _by_genre(clips: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each genre of the test or the clips: the share that is right in both, the drop, and how the audio differs (medians)."""
    judged = read_csv(METRICS / "test" / "predictions.csv", strip=False)
    files = {track.track: track.path for track in index.read(INDEX).tracks.values()}
    looked = {row["file"]: row for row in read_csv(AUDIT / "tracks.csv", strip=False)}
    found = []
    for genre in sorted({row["true"] for row in [*judged, *clips]}):
        inside, outside = [r for r in judged if r["true"] == genre], [r for r in clips if r["true"] == genre]
        row: dict[str, Any] = {"genre": genre, "test_tracks": len(inside), "clips": len(outside)}
        rights = [float(np.mean([r["predicted"] == genre for r in rows])) if rows else None for rows in (inside, outside)]
        row |= {"test_right": _rounded(rights[0]), "clips_right": _rounded(rights[1])}
        if rights[0] is not None and rights[1] is not None:
            artists = len({artist_group(r["artist"], r["track"]) for r in inside})  # one artist's tracks are alike: they count once
            low, high = evaluation.proportion_difference(rights[0], artists, rights[1], len(outside))
            row |= {"drop": _rounded(rights[0] - rights[1]), "drop_low": _rounded(low), "drop_high": _rounded(high)}
        for key in ("level_dbfs", "bandwidth_hz"):
            ours = [float(value) for r in inside if (value := looked[files[r["track"]]][key])]
            theirs = [float(r[key]) for r in outside]
            row[f"shift_{key}"] = round(float(np.median(theirs) - np.median(ours)), 2) if ours and theirs else ""
        found.append(row)
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _scores(heard: list[tuple[str, Prediction]], genres: list[str], options: dict[str, int]) -> tuple[int, dict[str, Any]]:
    """Number of clips of the model's genres, and their scores."""
    known = [(true, said) for true, said in heard if true in genres]
    if not known:
        return 0, NO_SCORES
    names = [str(i) for i in range(len(known))]
    true = np.array([genres.index(genre) for genre, _ in known])
    probabilities = np.array([[said.probabilities[genre] for genre in genres] for _, said in known])
    return len(known), evaluation.scores(true, probabilities, genres, groups=names, **options)


if __name__ == "__main__":
    run(main)
