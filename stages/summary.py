"""Summary of the last run, printed by ``make demo`` (not a stage)."""

import sys

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


if __name__ == "__main__":
    try:
        for line in main().split("\n"):
            say(line)
    except GenreError as error:
        sys.exit(f"error: {error}")
