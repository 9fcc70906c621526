"""What makes a network generalise, measured at GTZAN's real size: `docs/experiments.md`, one command a row.

    python -m benchmarks.experiments /path/to/logmel_train_valid.npz              # every row that features are enough for
    python -m benchmarks.experiments /path/to/logmel_train_valid.npz masks-none   # some rows
    python -m benchmarks.experiments /path/to/recordings                          # the rows that need audio: <genre>/<file>
    python -m benchmarks.experiments --page                                       # write the page from what is there

Each row is run with three seeds as `dvc exp` experiments, named <row>-<seed>, and kept in docs/experiments.json, from which
the page is written. Run it in a clone: it changes params.yaml.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import command, judged
from genre_core.evaluation import interval
from genre_core.files import atomic, read_json, write_json

SEEDS = (1, 2, 3)
RESULTS = Path("docs/experiments.json")
# Few tracks to draw learning curves and fit the temperature on: with train.keep=last they choose nothing.
BASE = ("dataset.name=features", "segment.protocol=official", "segment.folds=20", "train.threads=1")
# Ten genres with too few artists for other protocols: artists cross, and each seed deals the tracks anew.
AUDIO_BASE = ("dataset.name=folder", "segment.protocol=track", "train.threads=1")
RECIPE: dict[str, tuple[str, ...]] = {
    "default": (),
    "range-none": ("features.range_db=0.0",),
    "range-50": ("features.range_db=50.0",),
    "range-70": ("features.range_db=70.0",),
    "mean-of-data-set": ("features.normalise=dataset",),
    "mean-of-data-set-range-none": ("features.normalise=dataset", "features.range_db=0.0"),
    "per-window": ("features.normalise=window",),
    "crops-none": ("augment.batches.crops=false",),
    "mixup-none": ("augment.batches.mixup_alpha=0.0",),
    "mixup-1": ("augment.batches.mixup_alpha=1.0",),
    "masks-none": ("augment.batches.frequency_masks=0", "augment.batches.time_masks=0"),
    "smoothing-none": ("train.label_smoothing=0.0",),
    "averaging-none": ("train.weight_averaging=0.0",),
    "decay-0.3": ("train.weight_decay=0.3",),
    "lr-0.001": ("train.lr=0.001",),
    "lr-0.004": ("train.lr=0.004",),
    "best-epoch": ("train.keep=best",),
    "width-8": ("model.cnn.width=8",),
    "width-32": ("model.cnn.width=32",),
    "epochs-60-width-24": ("train.epochs=60", "model.cnn.width=24"),
    "window-3": ("segment.seconds=3.0", "segment.hop_seconds=1.5"),
    "window-10": ("segment.seconds=10.0", "segment.hop_seconds=5.0"),
    "one-window-a-track": ("segment.hop_seconds=28.0",),
    "windows-every-second": ("segment.hop_seconds=1.0",),
    "fnn": ("model.type=fnn", "features.normalise=dataset"),
    "svm": ("model.type=svm", "features.normalise=dataset"),
    "logistic": ("model.type=logistic", "features.normalise=dataset"),
    "crnn": ("model.type=crnn",),
    "attention": ("model.type=attention",),
    "resnet": ("model.type=resnet",),
}


COPIES: dict[str, tuple[str, ...]] = {
    "audio-default": (),
    "audio-copies-none": ("augment.copies.pitch=0", "augment.copies.tempo=0"),
    "audio-copies-3-each": ("augment.copies.pitch=3", "augment.copies.tempo=3"),
    "audio-range-none": ("features.range_db=0.0",),
}


def run(row: str, source: str) -> dict[str, Any]:
    """Three seeds of a row: the accuracy of each, and the mean with an interval drawn over artists."""
    settings = RECIPE.get(row, COPIES.get(row, ()))
    base = [*BASE, f"dataset.features.path={source}"] if row in RECIPE else [*AUDIO_BASE, f"dataset.folder.path={source}"]
    runs = []
    for seed in SEEDS:
        own = [f"seed={seed}"] if row in RECIPE else [f"seed={seed}", f"segment.seed={seed}"]
        runs.append((f"{row}-{seed}", [*base, *settings, *own]))
    return {**judged(runs), "settings": list(settings)}


def page(results: dict[str, dict[str, Any]]) -> str:
    """docs/experiments.md."""

    def table(rows: Iterable[str]) -> list[str]:
        lines = ["| row | settings | parameters | mean of three seeds [95 %] | each seed |", "|---|---|---|---|---|"]
        for row in sorted((row for row in rows if row in results), key=lambda row: -results[row]["mean"]):
            r = results[row]
            settings = ", ".join(f"`{s}`" for s in r["settings"]) or "those of params.yaml"
            each = ", ".join(f"{a:.3f}" for a in r["accuracies"])
            lines.append(f"| `{row}` | {settings} | {r['parameters']:,} | {interval(r['mean'], r['low'], r['high'])} | {each} |")
        return lines

    return "\n".join(
        [
            "# Experiments at GTZAN's real size",
            "",
            "Written by `python -m benchmarks.experiments FILE.npz|FOLDER [ROW ...]` from `docs/experiments.json`.",
            "A row is made again by its name.",
            "",
            "Data: log-mel of the 639 fault-filtered train and valid tracks (12.9 columns a second), `dataset.name=features`.",
            "Protocol `official` has no test part there: its 197 valid tracks judge. A twentieth of its train part, by artist, is kept for",
            "learning curves and the temperature, and chooses nothing (`train.keep: last`), so about 421 tracks are learned from.",
            "The rows were compared on those 197 tracks: **valid chose among them**, and the best of many rows is flattered by that.",
            "Intervals: 2,000 draws of whole artists, of the mean over seeds. What the mean spectrum gives away: [leak.md](leak.md).",
            "",
            "## Recipe",
            "",
            *table(RECIPE),
            "",
            "## Copies of another pitch or tempo, which need audio",
            "",
            "116 recordings of GTZAN, protocol `track` (**leaky**: artists cross, four genres have too few), each seed another dealing of",
            "the folds, 23 or 24 test tracks a seed.",
            "",
            *table(COPIES),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", nargs="?", type=lambda text: Path(text).resolve(), metavar="FILE.npz|FOLDER")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"with features: {', '.join(RECIPE)}; with audio: {', '.join(COPIES)}")
    parser.add_argument("--page", action="store_true", help="run nothing")
    chosen = parser.parse_args()
    if not (chosen.source or chosen.page):
        parser.error("name an .npz of features, or a folder of audio")
    possible = {} if chosen.page else COPIES if chosen.source.is_dir() else RECIPE
    if unknown := set(chosen.rows) - possible.keys():
        parser.error(f"no such row of this data: {', '.join(sorted(unknown))}")
    results = read_json(RESULTS) if RESULTS.exists() else {}
    for row in (bar := tqdm(chosen.rows or possible, unit="row", disable=None)):
        bar.set_postfix_str(row)
        results[row] = run(row, str(chosen.source))
        write_json(RESULTS, results)
        tqdm.write(f"{row}: {results[row]['mean']:.3f} {results[row]['accuracies']}")
    with atomic(RESULTS.with_suffix(".md")) as part:
        part.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    command(main)
