"""Score the model on clips from outside the data set, beside its test score."""

import shutil
import warnings
from collections import Counter

import numpy as np

from genre_core import config, evaluation, external, plots
from genre_core.errors import AudioError, SilenceWarning
from genre_core.files import read_json, write_csv, write_json
from genre_core.inference import Predictor
from stages import DATA_SET_KEYS, EXTERNAL, METRICS, MODEL, run

OUT = METRICS / "external"


def main() -> str:
    params = config.load()
    predictor = Predictor(MODEL)
    genres = predictor.model.genres
    clips = external.read_manifest(EXTERNAL)
    rows, of_clips, true = [], [], []
    shutil.rmtree(OUT / "timelines", ignore_errors=True)
    (OUT / "timelines").mkdir(parents=True)
    for clip in clips:
        row = {"clip": clip.clip, "title": clip.title, "true": clip.genre, "status": clip.status, "reason": clip.reason, "predicted": ""}
        if clip.status == "ok":
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", SilenceWarning)  # a silent clip is no evidence
                    said = predictor.predict_file(EXTERNAL / clip.path)
            except (AudioError, SilenceWarning) as error:
                row |= {"status": "failed", "reason": str(error)}
            else:
                row |= {"predicted": said.genre, **{f"p_{genre}": f"{said.probabilities[genre]:.6f}" for genre in genres}}
                title = f"{clip.title}: {clip.genre}, heard as {said.genre}"
                picture = OUT / "timelines" / f"{clip.clip}.png"
                seconds = predictor.model.segment_seconds
                plots.timeline(picture, said.starts_seconds, said.timeline, genres, segment_seconds=seconds, title=title)
                if clip.genre in genres:
                    of_clips.append([said.probabilities[genre] for genre in genres])
                    true.append(genres.index(clip.genre))
                else:
                    row["reason"] = "not scored: the model knows no such genre"
        rows.append(row)

    columns = ["clip", "title", "true", "status", "reason", "predicted", *(f"p_{genre}" for genre in genres)]
    write_csv(OUT / "predictions.csv", columns, rows)
    test = read_json(METRICS / "test" / "metrics.json")
    status = Counter(row["status"] for row in rows)
    scores = dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high", "macro_f1", "macro_f1_low", "macro_f1_high", "top2_accuracy"))
    drop = None
    if true:
        names = [str(i) for i in range(len(true))]
        samples = params.evaluate.bootstrap_samples
        scores = evaluation.scores(np.array(true), np.array(of_clips), genres, groups=names, samples=samples, seed=params.seed)
        drop = round(test["track"]["accuracy"] - scores["accuracy"], 4)
    write_json(
        OUT / "metrics.json",
        {
            "trained_on": {key: predictor.model.info[key] for key in DATA_SET_KEYS},
            "clips": len(true),
            "clips_failed": status["failed"],
            "clips_skipped": status["skipped"],
            **scores,
            "accuracy_drop_from_test": drop,
        },
    )
    if not true:
        return (
            f"validate_external: no clip could be scored ({status['failed']} failed, {status['skipped']} skipped); scores are null in {OUT}"
        )
    interval = f"{scores['accuracy']:.3f} [{scores['accuracy_low']:.3f}, {scores['accuracy_high']:.3f}]"
    return f"validate_external: accuracy {interval} of {len(true)} clips, {drop:+.3f} below the test's; in {OUT}"


if __name__ == "__main__":
    run(main)
