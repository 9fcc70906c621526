"""What makes a network generalise, measured at GTZAN's real size: `docs/experiments.md`, one command a row.

    python -m benchmarks.experiments /path/to/logmel_train_valid.npz              # every row
    python -m benchmarks.experiments /path/to/logmel_train_valid.npz masks-none   # some rows

Each row is run with three seeds as `dvc exp` experiments, named <row>-<seed>, and kept in docs/experiments.json, from which
the page is written. Run it in a clone: it changes params.yaml.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import judged
from genre_core.files import atomic, write_json

SEEDS = (1, 2, 3)
RESULTS = Path("docs/experiments.json")
BASE = ("dataset.name=features", "segment.protocol=official")
NORMALISATIONS = {
    f"{normalise}-{protocol}": (f"features.normalise={normalise}", f"segment.protocol={protocol}")
    for protocol in ("segment", "track", "artist", "official")
    for normalise in ("dataset", "track")
}
RECIPE: dict[str, tuple[str, ...]] = {
    "default": (),
    "crops-none": ("augment.batches.crops=false",),
    "mixup-none": ("augment.batches.mixup_alpha=0.0",),
    "mixup-1": ("augment.batches.mixup_alpha=1.0",),
    "masks-none": ("augment.batches.frequency_masks=0", "augment.batches.time_masks=0"),
    "smoothing-none": ("train.label_smoothing=0.0",),
    "averaging-none": ("train.weight_averaging=0.0",),
    "decay-0.2": ("train.weight_decay=0.2",),
    "lr-0.001": ("train.lr=0.001",),
    "lr-0.004": ("train.lr=0.004",),
    "width-8": ("model.cnn.width=8",),
    "width-24": ("model.cnn.width=24",),
    "width-32": ("model.cnn.width=32",),
    "dropout-0.5": ("model.cnn.dropout=0.5",),
    "window-5": ("segment.seconds=5.0", "segment.hop_seconds=2.5"),
    "window-10": ("segment.seconds=10.0", "segment.hop_seconds=5.0"),
    "per-window": ("features.normalise=window",),
    "one-window-a-track": ("segment.hop_seconds=28.0",),
    "epochs-60": ("train.epochs=60", "train.patience=60"),
    "epochs-60-width-24-window-5": (
        *("train.epochs=60", "train.patience=60", "model.cnn.width=24"),
        *("segment.seconds=5.0", "segment.hop_seconds=2.5"),
    ),
    "epochs-60-width-32-window-5-no-masks": (
        *("train.epochs=60", "train.patience=60", "model.cnn.width=32", "segment.seconds=5.0", "segment.hop_seconds=2.5"),
        *("augment.batches.frequency_masks=0", "augment.batches.time_masks=0"),
    ),
    "fnn": ("model.type=fnn", "features.normalise=dataset"),
    "svm": ("model.type=svm", "features.normalise=dataset"),
    "logistic": ("model.type=logistic", "features.normalise=dataset"),
    "crnn": ("model.type=crnn",),
    "attention": ("model.type=attention",),
    "resnet": ("model.type=resnet",),
}
ROWS = {**NORMALISATIONS, **RECIPE}


def run(row: str, source: str) -> dict[str, Any]:
    """Three seeds of a row: the accuracy of each, and the mean with an interval drawn over artists."""
    own = [*BASE, f"dataset.features.path={source}", *ROWS[row]]
    return {**judged([(f"{row}-{seed}", [*own, f"seed={seed}"]) for seed in SEEDS]), "settings": list(ROWS[row])}


def page(results: dict[str, dict[str, Any]]) -> str:
    """docs/experiments.md."""
    head = "| row | settings | parameters | mean of three seeds [95 %] | each seed |\n|---|---|---|---|---|"

    def line(row: str) -> str:
        r = results[row]
        settings = ", ".join(f"`{s}`" for s in r["settings"]) or "those of params.yaml"
        each = ", ".join(f"{a:.3f}" for a in r["accuracies"])
        return f"| `{row}` | {settings} | {r['parameters']:,} | {r['mean']:.3f} [{r['low']:.3f}, {r['high']:.3f}] | {each} |"

    leak = ["| protocol | data set's mean | track's mean |", "|---|---|---|"]
    for protocol in ("segment", "track", "artist", "official"):
        cells = []
        for normalise in ("dataset", "track"):
            r = results.get(f"{normalise}-{protocol}")
            cells.append(f"{r['mean']:.3f} [{r['low']:.3f}, {r['high']:.3f}]{' leaky' if r['leaky'] else ''}" if r else "-")
        leak.append(f"| `{protocol}` | {cells[0]} | {cells[1]} |")
    ranked = sorted((row for row in RECIPE if row in results), key=lambda row: -results[row]["mean"])
    return "\n".join(
        [
            "# Experiments at GTZAN's real size",
            "",
            "Written by `python -m benchmarks.experiments FILE.npz [ROW ...]` from `docs/experiments.json`.",
            "A row is made again by its name.",
            "",
            "Data: log-mel of the 639 fault-filtered train and valid tracks (12.9 columns a second), `dataset.name=features`.",
            "Protocol `official` has no test part there: its 197 valid tracks judge, and a fold of its train part, by artist, chooses",
            "the epoch, so about 354 tracks are learned from. The rows were compared on those 197 tracks: **valid chose among them**,",
            "and the best of many rows is flattered by that. Other protocols: one fold of five of all 639.",
            "Intervals: 2,000 draws of whole artists, of the mean over seeds; they leave out what another split would change.",
            "",
            "## What the mean spectrum gives away",
            "",
            "Accuracy of tracks with the data set's mean taken away (`features.normalise=dataset`), or each track's own (`track`).",
            "",
            *leak,
            "",
            "## Recipe",
            "",
            head,
            *map(line, ranked),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=lambda text: str(Path(text).resolve()))
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}")
    chosen = parser.parse_args()
    if unknown := set(chosen.rows) - ROWS.keys():
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for row in (bar := tqdm(chosen.rows or ROWS, unit="row", disable=None)):
        bar.set_postfix_str(row)
        results[row] = run(row, chosen.source)
        write_json(RESULTS, results)
        with atomic(RESULTS.with_suffix(".md")) as part:
            part.write_text(page(results), encoding="utf-8")
        tqdm.write(f"{row}: {results[row]['mean']:.3f} {results[row]['accuracies']}")


if __name__ == "__main__":
    main()
