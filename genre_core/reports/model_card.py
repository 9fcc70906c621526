"""The model card: what a model is, what it was trained on, how good it is and where it fails, all from its metadata and metrics.

The headings are those of M. Mitchell et al., "Model cards for model reporting", FAT* 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genre_core.evaluation.intervals import format_score, interval
from genre_core.models.ensemble import Model

LICENCES = {
    "demo": "synthesised by this project (MIT); it holds no recording",
    "gtzan": "none: the recordings have no copyright clearance (Tzanetakis says so); research use, never redistribute the audio",
    "folder": "that of your own files; nothing here checks it",
    "features": "that of the recordings that the features were made of; nothing here checks it",
}
FEW_TRACKS = 100


def card(
    model: Model,
    test: Mapping[str, Any],
    interventions: Mapping[str, Any],
    external: Mapping[str, Any],
    genres: Sequence[Mapping[str, str]],
    predictions: Sequence[Mapping[str, str]],
) -> str:
    """Write the card as Markdown.

    Parameters
    ----------
    model : GenreModel or Ensemble
    test, interventions, external : mappings
        The metrics.json of these stages.
    genres : sequence of mappings
        Rows of metrics/external/genres.csv.
    predictions : sequence of mappings
        Rows of metrics/test/predictions.csv.
    """
    info = model.info
    data = str(info["data_set"])
    track, calibration = test["track"], test["calibration"]
    versions = ", ".join(f"{name} {version}" for name, version in info["versions"].items())
    lines = [
        f"# Model card: {model.type} for {len(model.genres)} genres",
        "",
        "Written by `make card` from the model's metadata and `metrics/`; nothing here is typed by hand.",
        "",
        "## The model",
        "",
        f"- {model.type}, {model.parameters:,} parameters, {test['model']['bytes'] / 1e6:.2f} MB, sha256 `{test['model']['sha256']}`",
        f"- reads {' and '.join(model.kinds)} in windows of {model.segment_seconds:g} s, every {model.hop_seconds:g} s",
        f"- genres: {', '.join(model.genres)}",
        f"- seed {info['seed']}; {versions}",
        "",
        "## Data",
        "",
        f"- {data}: {info['train_tracks']} tracks to train on, {info['valid_tracks']} to choose by, {test['tracks']} to judge",
        f"- licence of the data: {LICENCES[data.split(maxsplit=1)[0]]}",
        f"- split: protocol {test['protocol']}{'' if test['folds'] is None else ', fold {fold} of {folds}'.format(**test)}; "
        f"scored on the {test['scored_on']}",
        f"- on two sides: {test['crossing_tracks']} tracks, {test['crossing_artists']} known artists"
        + (" - **leaky: the scores flatter**" if test["leaky"] else ""),
        "",
        "## Scores",
        "",
        f"95 % intervals over {test['artists']} artists.",
        "",
        "| of tracks | |",
        "|---|---|",
        f"| accuracy | {format_score(track)} |",
        f"| macro-F1 | {format_score(track, 'macro_f1')} |",
        f"| among the first two | {track['top2_accuracy']:.3f} |",
        f"| expected calibration error | {calibration['ece']:.3f}, without temperature {calibration['ece_uncalibrated']:.3f} |",
        "",
        "| genre | precision | recall | F1 | tracks |",
        "|---|---|---|---|---|",
        *(f"| {g} | {s['precision']:.2f} | {s['recall']:.2f} | {s['f1']:.2f} | {s['tracks']} |" for g, s in test["genres"].items()),
        "",
        "## Changes that keep the genre",
        "",
    ]
    if interventions["interventions"]:
        lines += [f"{interventions['tracks']} test tracks.", "", "| change | accuracy | difference [95 %] |", "|---|---|---|"]
        for name, s in interventions["interventions"].items():
            change = interval(s["change"], s["change_low"], s["change_high"], sign="+")
            lines.append(f"| {name} | {s['accuracy']:.3f} | {change} |")
        fallen = ", ".join(interventions["falls"])
        lines += ["", f"It falls under: {fallen}." if fallen else "It falls under none of them: no interval lies below zero."]
    else:
        lines.append("Not measured: the data set holds no audio, or no test track is longer than a segment.")
    lines += ["", "## Audio from outside", ""]
    if external["clips"]:
        drop = interval(*(external[f"accuracy_drop_{key}"] for key in ("from_test", "low", "high")), sign="+")
        lines += [f"{external['clips']} clips: accuracy {format_score(external)}, {drop} below the test's.", ""]
        lines += ["| genre | clips | right | drop [95 %] | level, dB | bandwidth, Hz |", "|---|---|---|---|---|---|"]
        for row in genres:
            if row["clips_right"]:
                said = "{drop} [{drop_low}, {drop_high}]".format(**row) if row["drop"] else "-"
                shifts = f"{row['shift_level_dbfs'] or '-'} | {row['shift_bandwidth_hz'] or '-'}"
                lines.append(f"| {row['genre']} | {row['clips']} | {row['clips_right']} | {said} | {shifts} |")
    else:
        lines.append(f"Not measured: no clip could be scored ({external['clips_failed']} failed, {external['clips_skipped']} skipped).")
    return "\n".join([*lines, "", "## Limits", "", *_limits(model, test, external, predictions), ""])


def _limits(model: Model, test: Mapping[str, Any], external: Mapping[str, Any], predictions: Sequence[Mapping[str, str]]) -> list[str]:
    wrong: dict[tuple[str, str], int] = {}
    for row in predictions:
        if row["true"] != row["predicted"]:
            wrong[row["true"], row["predicted"]] = wrong.get((row["true"], row["predicted"]), 0) + 1
    worst = sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:3]
    low, high = test["track"]["accuracy_low"], test["track"]["accuracy_high"]
    limits = [
        f"- It knows {len(model.genres)} genres, and gives one of them to everything else, speech and noise included.",
        f"- The interval of its accuracy is {high - low:.2f} wide" + (": too few tracks." if test["tracks"] < FEW_TRACKS else "."),
    ]
    if worst:
        limits.append("- Commonest mistakes: " + ", ".join(f"{true} taken for {said} ({n})" for (true, said), n in worst) + ".")
    if str(model.info["data_set"]).startswith("demo"):
        limits.append("- It was trained on synthetic music: do not use it on recordings.")
    if test["leaky"]:
        limits.append("- Its split is leaky: expect less on artists that it has not heard.")
    if not external["clips"]:
        limits.append("- It was not tried on audio from elsewhere.")
    return limits
