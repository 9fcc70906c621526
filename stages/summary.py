"""Summary of the last run, printed by ``make demo`` (not a stage)."""

import sys
from typing import Any

from genre_core.errors import GenreError
from genre_core.evaluation.intervals import format_score
from genre_core.project import METRICS, MODEL
from genre_core.terminal import say
from genre_core.util.files import read_json


def main() -> str:
    test = read_json(METRICS / "test" / "metrics.json")
    external = read_json(METRICS / "external" / "metrics.json")
    track, calibration = test["track"], test["calibration"]
    sets = test["prediction_sets"]
    covered = sets["reason"] or (
        f"coverage {format_score(sets, 'coverage')}, promised {sets['promised']:g}; {sets['mean_size']:.1f} genres in a set"
    )
    protocol_note = f"95 % interval, {test['tracks']} test tracks of {test['artists']} artists"
    if test["protocol"] == "all":
        return _of_own_music(test)
    return f"""
{test["model"]["type"]} on the {test["data_set"]} data set, protocol {test["protocol"]}{" (LEAKY)" if test["leaky"] else ""}
  accuracy  {format_score(track)}  {protocol_note}
  macro-F1  {format_score(track, "macro_f1")}
  top 2     {track["top2_accuracy"]:.3f}
  calibration error  {calibration["ece_uncalibrated"]:.3f} before, {calibration["ece"]:.3f} after temperature scaling
  prediction sets    {covered}
  external clips     {external["clips"]} scored, {external["clips_failed"]} failed, {external["clips_skipped"]} skipped

  pictures  metrics/test/report.png, metrics/explore/augmentation.png, or `dvc plots show` for a page
  model     {MODEL} ({test["model"]["parameters"]:,} parameters, {test["model"]["bytes"] / 1e6:.1f} MB)

Try next (after `source .venv/bin/activate`):
  genre predict data/raw/jazz                    # predict the genre of some files
  dvc exp run -S model.type=fnn                  # another network: runs training and the later stages only
  dvc exp show --drop '.*' --keep track           # compare the two runs"""


def _of_own_music(test: dict[str, Any]) -> str:
    """Return the summary of ``make mine``."""
    track, fitted = test["track"], test["fitted_on_all"]
    left_out = f"\n  not scored {', '.join(fitted['unscored_genres'])}: one artist only" if fitted["unscored_genres"] else ""
    return f"""
a head on musicnn's {fitted["embedding"]}, fitted on all {fitted["tracks"]} tracks of the {test["data_set"]} data set
  accuracy   {format_score(track)}  95 % interval; {test["tracks"]} tracks of {test["artists"]} artists, each by a head that has not
             heard its artist (nested cross-validation, {test["folds"]} folds)
  optimistic {fitted["plain_accuracy"]:.3f}  plain cross-validation of the chosen head: it was also used to choose
  macro-F1   {format_score(track, "macro_f1")}{left_out}

  pictures   metrics/test/report.png; the candidates: metrics/train/candidates.csv
  model      {MODEL} ({test["model"]["parameters"]:,} parameters, {test["model"]["bytes"] / 1e6:.1f} MB)

Try next (after `source .venv/bin/activate`):
  genre predict song.mp3                         # uses this model
  make card                                      # publish it with its facts"""


if __name__ == "__main__":
    try:
        for line in main().split("\n"):
            say(line)
    except GenreError as error:
        sys.exit(f"error: {error}")
