"""Stage `evaluate`: score the head; write the packaged model, card and metrics."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from genre_core import __version__, config, networks
from genre_core.evaluation import calibration, conformal, scoring
from genre_core.evaluation.intervals import format_score
from genre_core.features.musicnn import WIDTH
from genre_core.features.spectrogram import FeatureSpec
from genre_core.models.file import PRETRAINED, save
from genre_core.models.model import NOT_SURE_BELOW, GenreModel, OutOfDistribution
from genre_core.models.normalisation import Normalisation
from genre_core.util.files import atomic, digest, read_csv, read_json, write_json
from pretrained.taggram import DATA, FOLDER, Params, Taggram, params, probabilities, read
from stages.run import run

HYPERPARAMETERS = {"embedding": "tags", "dropout": 0.0}
COVERAGE = 0.9  # promised by the prediction sets
HALVES = 1000  # random halves of the artists: one calibrates the prediction sets, the other is covered
LEVEL_DBFS = -15.0  # of four levels, the best on real recordings: see CONTRIBUTING.md


def main() -> str:
    chosen = params()
    rows = read_csv(FOLDER / "cross_validation.csv", strip=False)
    genres = [column[2:] for column in rows[0] if column.startswith("p_")]
    row_probabilities = np.array([[float(row[f"p_{g}"]) for g in genres] for row in rows])
    cross_validated = _scores([row["true"] for row in rows], row_probabilities, [row["artist"] for row in rows], genres, chosen)
    # A row is a track in one repeat of the cross-validation.
    cross_validated["tracks"] = len({row["track"] for row in rows})
    conformity = (np.array([genres.index(row["true"]) for row in rows]), row_probabilities, [row["artist"] for row in rows])
    promise = {**conformal.promise(*conformity, COVERAGE), "tracks": cross_validated["tracks"]}
    held_out = conformal.held_out_scores(*conformity, genres, COVERAGE, halves=HALVES, seed=chosen.seed)
    head = load_file(FOLDER / "head.safetensors")
    network = networks.build("musicnn", HYPERPARAMETERS, n_bins=WIDTH, n_genres=len(genres))
    network.load_state_dict({name: head[name] for name in ("head.1.weight", "head.1.bias")})
    model = GenreModel(
        "musicnn",
        HYPERPARAMETERS,
        network,
        genres,
        replace(FeatureSpec.of(config.load().features), level_dbfs=LEVEL_DBFS),  # of the rest, nothing is used: the input is tags
        30.0,
        15.0,
        Normalisation("dataset", torch.zeros(WIDTH), torch.ones(WIDTH)),  # identity: the head's weights contain the scaling
        float(head["temperature"]),
        {
            "data_set": "gtzan (443 of 1000 tracks)",
            "protocol": "official",
            "leaky": False,
            "train_tracks": 443,
            "not_sure_below": NOT_SURE_BELOW,
            "conformal": promise,
            "versions": {"genre_core": __version__},
        },
        OutOfDistribution(head["familiar.mean"], head["familiar.precision"], float(head["familiar.limit"])),
    )
    test = read("evaluation")
    test_scores = _test(model, test, chosen) if test else None
    reason = None if test else _reason()
    best_known = test_scores or cross_validated
    model.info["score"] = {
        "on": "290 test tracks of the fault-filtered split" if test_scores else "443 tracks in artist-grouped cross-validation",
        **{key: best_known[key] for key in ("accuracy", "accuracy_low", "accuracy_high")},
    }
    save(model, PRETRAINED)
    metrics: dict[str, Any] = {
        "model": {
            "bytes": PRETRAINED.stat().st_size,
            "parameters": model.parameters,
            "temperature": model.temperature,
            "sha256": digest(PRETRAINED),
        },
        "cross_validation": cross_validated,
        "prediction_sets": {"promised": COVERAGE, "threshold": promise["threshold"], "halves": HALVES, **held_out},
        "test": test_scores,
        "test_reason": reason,
    }
    mistakes = Counter(
        (row["true"], genres[guess]) for row, guess in zip(rows, row_probabilities.argmax(1), strict=True) if row["true"] != genres[guess]
    )
    with atomic(PRETRAINED.with_name("CARD.md")) as part:
        part.write_text(_card(model, metrics, mistakes, chosen), encoding="utf-8")
    metrics["card_sha256"] = digest(PRETRAINED.with_name("CARD.md"))
    write_json(FOLDER / "metrics.json", metrics)
    test_text = format_score(test_scores) if test_scores else reason
    return f"evaluate: cross-validation {format_score(cross_validated)}, test {test_text}; in {PRETRAINED}"


def _scores(true: list[str], probabilities: np.ndarray, artists: list[str], genres: list[str], chosen: Params) -> dict[str, Any]:
    """Compute the accuracy, the calibration error and the share of sure predictions."""
    true_classes = np.array([genres.index(g) for g in true])
    options: dict[str, Any] = {"samples": chosen.bootstrap_samples, "seed": chosen.seed}
    scores = scoring.scores(true_classes, probabilities, genres, groups=artists, **options)
    sure = probabilities.max(1) >= NOT_SURE_BELOW
    return {
        **scores,
        "tracks": len(true),
        "artists": len(set(artists)),
        "ece": round(calibration.calibration_error(true_classes, probabilities, 10), 4),
        "sure": round(float(sure.mean()), 4),
        "accuracy_where_sure": round(float((probabilities.argmax(1) == true_classes)[sure].mean()), 4),
    }


def _reason() -> str:
    """Say why there is no test part."""
    status = DATA / "status.json"
    return str(read_json(status)["evaluation"]) if status.exists() else "not fetched: pretrained/data is missing"


def _test(model: GenreModel, test: Taggram, chosen: Params) -> dict[str, Any]:
    test_probabilities = np.array([probabilities(model, patches) for patches in test.patches])
    true = np.array([model.genres.index(genre) for genre in test.genres])
    options = {"samples": chosen.bootstrap_samples, "seed": chosen.seed}
    return {
        **_scores(test.genres, test_probabilities, test.artists, model.genres, chosen),
        "prediction_sets": conformal.set_scores(model.info["conformal"], true, test_probabilities, test.artists, **options),
    }


def _card(model: GenreModel, metrics: dict[str, Any], mistakes: Counter[tuple[str, str]], chosen: Params) -> str:
    """Return the model card as Markdown."""
    crossed, tested = metrics["cross_validation"], metrics["test"]
    sets = metrics["prediction_sets"]
    least, held = 1 - sets["threshold"], f"{sets['coverage']:.1%} of cases"
    spread = f"{sets['coverage_low']:.1%} to {sets['coverage_high']:.1%}"
    below = ", ".join(f"{genre} ({share:.0%})" for genre, share in sets["genres"].items() if share < sets["promised"])
    recall = "\n".join(f"| {g} | {v['precision']:.2f} | {v['recall']:.2f} |" for g, v in crossed["genres"].items())
    fails = ", ".join(
        f"{true} taken for {predicted} ({count / chosen.repeats / 443:.1%} of all tracks)"
        for (true, predicted), count in mistakes.most_common(6)
    )
    test = f"{format_score(tested)}, 290 tracks" if tested else f"null: {metrics['test_reason']}"
    sure = f"{crossed['sure']:.0%} of the tracks, and right on {crossed['accuracy_where_sure']:.0%} of those"
    return f"""# The packaged model: ten genres of GTZAN

Written by `pretrained/evaluate.py`; nothing here is typed by hand.

- **What it is**: the frozen tagger MSD_musicnn (787,159 parameters; Pons and Serra 2019; ISC, see NOTICE) and a linear head of
  {model.parameters:,} parameters on the mean over time of its 50 tags; {metrics["model"]["bytes"]:,} bytes beside the tagger's file.
- **For**: a first guess at the genre of Western popular and classical music, offline, in under a second.
- **Not for**: other music, other genres, decisions about people or their work. Genre is a convention; these ten are of the year 2000.
- **Data of the head**: published tag activations of the 443 fault-filtered training tracks of GTZAN, 30 s each (research data without
  cleared rights; only activations were used, no audio is here). Data of the tagger: the Million Song Dataset with last.fm tags.
- **Choice**: features and head by artist-grouped cross-validation ({chosen.folds} folds, {chosen.repeats} times) on those tracks alone.

| scored on | accuracy [95 %, drawn over artists] |
|---|---|
| cross-validation, 443 tracks of {crossed["artists"]} artists | {format_score(crossed)} |
| fault-filtered test part | {test} |

Calibration (temperature {model.temperature:g}, fitted on the same cross-validation): expected error {crossed["ece"]:.3f}.
Below a probability of {NOT_SURE_BELOW:g} it says "not sure": in cross-validation it is sure of {sure}.
It also says so of silence, and where the tags are unlike those of 99 % of its training tracks.

## Prediction sets

- **The promise**: for a whole track of a new artist who makes music like these {crossed["artists"]} artists, one of the genres in its
  set is right with a probability of {sets["promised"]:.0%}. A set holds each genre with a probability of at least {least:.3f},
  and always the most probable one.
- **Measured**: {sets["halves"]} times, a random half of the artists calibrated the sets of the other half. The sets held the true
  genre in {held} (95 % of the halves: {spread}), with {sets["mean_size"]:.2f} genres on average. Sets of more than one
  genre held it in {sets["coverage_of_several"]:.1%} of cases. Each artist has the same weight.
- **What it is not**: it is an average over genres, and lower for {below}.
  It does not hold for other collections, other decades or other styles: the newer country music of GTZAN's validation
  part, for example, is mostly not covered (`python -m pretrained.check_audio FOLDER`).
  There is no promise for less than 15 s of audio, for silence, and for out-of-distribution sound.
- The sets are calibrated on the tracks that also chose the head and its temperature.

## Mistakes

How it fails, in cross-validation: {fails}.

| genre | precision | recall |
|---|---|---|
{recall}
"""


if __name__ == "__main__":
    run(main)
