"""Evaluate stage: scores of the model on the test split.

Scores are computed for segments and for tracks, with intervals and calibration. With the protocol ``all``, there is no test split:
the predictions of the nested cross-validation, which `train` wrote, are scored.
"""

from typing import Any

import numpy as np

from genre_core import config
from genre_core.corpus import index
from genre_core.corpus.catalogue import artist_group
from genre_core.evaluation import calibration, conformal, intervals, out_of_fold, scoring
from genre_core.evaluation.metrics import confusion
from genre_core.features.store import reader
from genre_core.models import file as model_file
from genre_core.project import INDEX, METRICS, MODEL, STORES
from genre_core.reports import figures_scores
from genre_core.util.files import digest, read_csv, write_csv, write_json
from stages.run import DATA_SET_KEYS, described, run

OUT = METRICS / "test"


def main() -> str:
    params = config.load()
    split = index.read(INDEX)
    model = model_file.load(MODEL)
    cross_validated = split.split["protocol"] == "all"
    if cross_validated:
        held_out = out_of_fold.read(METRICS / "train" / "out_of_fold.csv", model.genres)
        logits, temperatures = held_out.logits, held_out.temperatures
    else:
        test = split.starts("test")
        with reader(STORES, model.kinds) as read:
            logits = {track: model.score(read(track), starts) for track, starts in test.items()}
        temperatures = dict.fromkeys(test, model.temperature)
    scored_tracks = "tracks in nested cross-validation" if cross_validated else "test tracks"
    windows = {track: (value.double() / temperatures[track]).softmax(1).numpy() for track, value in logits.items()}
    track_probabilities = np.array([calibration.pooled(value, temperatures[track]).numpy() for track, value in logits.items()])
    uncalibrated = np.array([calibration.pooled(value, 1.0).numpy() for value in logits.values()])
    segment_probabilities = np.concatenate(list(windows.values()))
    rows = [split.tracks[track] for track in logits]
    true = np.array([model.genres.index(row.genre) for row in rows])
    held_out_artists = {track: row.group for track, row in index.read_folds(INDEX).items()} if cross_validated else {}
    artists = [held_out_artists.get(row.track) or artist_group(row.artist, row.track) for row in rows]
    counts = [len(w) for w in windows.values()]

    bootstrap: dict[str, Any] = {"samples": params.evaluate.bootstrap_samples, "seed": params.seed}
    options = bootstrap | ({"unscored": split.split["unscored_genres"]} if cross_validated else {})
    bins = params.evaluate.calibration_bins
    tracks = scoring.scores(true, track_probabilities, model.genres, groups=artists, **options)
    segments = scoring.scores(
        np.repeat(true, counts), segment_probabilities, model.genres, groups=np.repeat(artists, counts).tolist(), **options
    )
    by_genre = tracks.pop("genres")
    segments.pop("genres")
    calibrated = calibration.reliability(true, track_probabilities, bins)
    raw = calibration.reliability(true, uncalibrated, bins)
    data_set = {key: model.info[key] for key in DATA_SET_KEYS}
    metrics = {
        **data_set,
        "tracks": len(true),
        "segments": int(sum(counts)),
        "artists": len(set(artists)),
        "track": tracks,
        "segment": segments,
        "calibration": {
            "ece": round(calibration.calibration_error(true, track_probabilities, bins), 4),
            "ece_uncalibrated": round(calibration.calibration_error(true, uncalibrated, bins), 4),
            "temperature": model.temperature,
        },
        "prediction_sets": conformal.set_scores(
            model.info["conformal"], true, track_probabilities, artists, **bootstrap, calibrated_on_these=cross_validated
        ),
        "genres": by_genre,
        "model": {"type": model.type, "parameters": model.parameters, "bytes": MODEL.stat().st_size, "sha256": digest(MODEL)},
    }
    if cross_validated:  # the model that is fitted on all tracks; its plain score is optimistic, because it also chose the head
        metrics["fitted_on_all"] = {
            "tracks": len(split.tracks),
            "plain_accuracy": model.info["score"]["plain_accuracy"],
            **model.info["choice"],
            "unscored_genres": model.info["unscored_genres"],
        }
    write_json(OUT / "metrics.json", metrics)

    predicted = track_probabilities.argmax(axis=1)
    write_csv(
        OUT / "predictions.csv",
        ["track", "artist", "segments", "true", "predicted", *(f"p_{genre}" for genre in model.genres)],
        (
            {"track": row.track, "artist": row.artist, "segments": n, "true": row.genre, "predicted": model.genres[genre_index]}
            | {f"p_{genre}": f"{p:.6f}" for genre, p in zip(model.genres, probabilities, strict=True)}
            for row, n, genre_index, probabilities in zip(rows, counts, predicted, track_probabilities, strict=True)
        ),
    )
    write_csv(OUT / "genres.csv", ["genre", "precision", "recall", "f1", "tracks"], ({"genre": g, **v} for g, v in by_genre.items()))
    curves = {"uncalibrated": raw, "calibrated": calibrated}
    for name, curve in curves.items():
        curve_rows = ({k: round(v, 4) for k, v in row.items()} for row in curve)
        write_csv(OUT / f"reliability_{name}.csv", ["confidence", "accuracy", "tracks"], curve_rows)
    interval = intervals.format_score(tracks)
    protocol = described(data_set)
    figures_scores.report(
        OUT / "report.png",
        title=f"{model.type} on {protocol}: accuracy {interval} of {len(true)} {scored_tracks} of {len(set(artists))} artists",
        matrix=confusion(true, predicted, len(model.genres)),
        genres=model.genres,
        f1={genre: value["f1"] for genre, value in by_genre.items() if genre not in options.get("unscored", ())},
        reliability=curves,
        history=read_csv(METRICS / "train" / "history.csv"),
    )
    return f"evaluate: {protocol}: accuracy {interval}, macro-F1 {tracks['macro_f1']:.3f} of {len(true)} {scored_tracks}; in {OUT}"


if __name__ == "__main__":
    run(main)
