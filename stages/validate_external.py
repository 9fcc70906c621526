"""Score the model, and the packaged one beside it, on clips from outside the data set."""

import shutil
import warnings
from collections import Counter
from typing import Any

import numpy as np

from genre_core import config, evaluation, external, plots
from genre_core.errors import AudioError, SilenceWarning
from genre_core.files import read_json, write_csv, write_json
from genre_core.inference import Prediction, Predictor
from stages import DATA_SET_KEYS, EXTERNAL, METRICS, MODEL, run

OUT = METRICS / "external"
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
                seconds = predictor.model.segment_seconds
                plots.timeline(picture, said.starts_seconds, said.timeline, genres, segment_seconds=seconds, title=title)
                heard.append((clip.genre, said, other))
                if clip.genre not in genres:
                    row["reason"] = "not scored: the model knows no such genre"
        rows.append(row)

    columns = ["clip", "title", "true", "status", "reason", "predicted", "pretrained", "pretrained_sure", *(f"p_{g}" for g in genres)]
    write_csv(OUT / "predictions.csv", columns, rows)
    test = read_json(METRICS / "test" / "metrics.json")
    status = Counter(row["status"] for row in rows)
    options = {"samples": params.evaluate.bootstrap_samples, "seed": params.seed}
    clips, scores = _scores([(true, said) for true, said, _ in heard], genres, options)
    drop = round(test["track"]["accuracy"] - scores["accuracy"], 4) if clips else None
    others, beside = _scores([(true, other) for true, _, other in heard], packaged.model.genres, options)
    write_json(
        OUT / "metrics.json",
        {
            "trained_on": {key: predictor.model.info[key] for key in DATA_SET_KEYS},
            "clips": clips,
            "clips_failed": status["failed"],
            "clips_skipped": status["skipped"],
            **scores,
            "accuracy_drop_from_test": drop,
            "pretrained": {"clips": others, **beside},
        },
    )
    if not clips:
        return (
            f"validate_external: no clip could be scored ({status['failed']} failed, {status['skipped']} skipped); scores are null in {OUT}"
        )
    packaged_score = evaluation.with_interval(beside)
    return (
        f"validate_external: accuracy {evaluation.with_interval(scores)} of {clips} clips, {drop:+.3f} below the test's; "
        f"pretrained {packaged_score}"
    )


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
