"""Not a stage: print what the last run left, for people (``make demo`` ends with it)."""

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
    judged = f"95 % interval, {test['tracks']} test tracks of {test['artists']} artists"
    return f"""
{test["model"]["type"]} on the {test["data_set"]} data set, protocol {test["protocol"]}{" (LEAKY)" if test["leaky"] else ""}
  accuracy  {format_score(track)}  {judged}
  macro-F1  {format_score(track, "macro_f1")}
  top 2     {track["top2_accuracy"]:.3f}
  calibration error  {calibration["ece_uncalibrated"]:.3f} before, {calibration["ece"]:.3f} after temperature scaling
  external clips     {external["clips"]} scored, {external["clips_failed"]} failed, {external["clips_skipped"]} skipped

  pictures  metrics/test/report.png, metrics/explore/augmentation.png, or `dvc plots show` for a page
  model     {MODEL} ({test["model"]["parameters"]:,} parameters, {test["model"]["bytes"] / 1e6:.1f} MB)

Try next (after `source .venv/bin/activate`):
  genre predict data/raw/jazz                    # what the model says of some files
  dvc exp run -S model.type=fnn                  # another network: only training and later run
  dvc exp show --drop '.*' --keep track           # compare the two"""


if __name__ == "__main__":
    try:
        for line in main().split("\n"):
            say(line)
    except GenreError as error:
        sys.exit(f"error: {error}")
