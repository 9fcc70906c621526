"""Cross-validation over all folds of the artist protocol, with several seeds: docs/cv.json and docs/cv.png. `make cv` runs it.

    python -m experiments.cv                                     # the data set of params.yaml
    python -m experiments.cv --seeds 3 -S dataset.name=folder -S dataset.folder.path=/path/to/music

Every track is a test track once a seed. The accuracy is the mean over tracks and seeds, its interval draws whole artists of all folds.
It starts from the committed params.yaml, and leaves the last run's changes there: run it in a clone.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from experiments import command, experiment, figures
from genre_core import config
from genre_core.corpus.catalogue import artist_group
from genre_core.errors import GenreError
from genre_core.evaluation import intervals
from genre_core.evaluation import scoring as evaluation_scoring
from genre_core.evaluation.intervals import artist_interval
from genre_core.util.files import read_csv, read_json, write_json


def cross_validate(settings: list[str], folds: int, seeds: int, samples: int) -> dict[str, Any]:
    """Run all folds with all seeds; the scores of single seeds, of each fold, and pooled."""
    said: dict[str, list[np.ndarray]] = defaultdict(list)  # probabilities of each track, a row a seed
    known: dict[str, tuple[str, str]] = {}
    accuracies: dict[int, list[float]] = {}
    genres: list[str] = []
    metrics: dict[str, Any] = {}
    if fixed := [s for s in settings if s.split("=")[0] in ("segment.protocol", "segment.folds", "segment.fold", "seed")]:
        raise GenreError(f"-S {fixed[0]}: cross-validation sets this itself")
    runs = [(fold, seed) for fold in range(folds) for seed in range(1, seeds + 1)]
    for fold, seed in tqdm(runs, desc="cv", unit="run", disable=None):
        own = ["segment.protocol=artist", f"segment.folds={folds}", f"segment.fold={fold}", f"seed={seed}"]
        done = experiment(f"cv-{fold}-{seed}", [*settings, *own], "evaluate")
        if done.returncode:
            raise GenreError(f"fold {fold}, seed {seed}: {done.stderr.strip() or done.stdout.strip()}")
        metrics = read_json("metrics/test/metrics.json")
        rows = read_csv("metrics/test/predictions.csv", strip=False)
        genres = [column[2:] for column in rows[0] if column.startswith("p_")]
        accuracies.setdefault(fold, []).append(metrics["track"]["accuracy"])
        for row in rows:
            said[row["track"]].append(np.array([float(row[f"p_{genre}"]) for genre in genres]))
            known[row["track"]] = (row["true"], artist_group(row["artist"], row["track"]))
    true = np.array([genres.index(known[track][0]) for track in said])
    artists = [known[track][1] for track in said]
    of_seeds = np.array(list(said.values()))  # (tracks, seeds, genres)
    options: dict[str, Any] = {"groups": artists, "samples": samples, "seed": 0}
    share = (of_seeds.argmax(2) == true[:, None]).mean(1)
    low, high = artist_interval(share, np.unique(artists, return_inverse=True)[1], samples, 0)
    single = [float((of_seeds[:, s].argmax(1) == true).mean()) for s in range(seeds)]
    of_folds = [float(np.mean(values)) for values in accuracies.values()]
    averaged = evaluation_scoring.scores(true, of_seeds.mean(1), genres, **options)
    return {
        "data_set": metrics["data_set"],
        "model": metrics["model"]["type"],
        "protocol": "artist",
        "folds": folds,
        "seeds": seeds,
        "tracks": len(true),
        "artists": len(set(artists)),
        "settings": settings,
        "pooled": {"accuracy": round(float(share.mean()), 4), "accuracy_low": round(low, 4), "accuracy_high": round(high, 4)},
        "mean_of_the_seeds_probabilities": averaged,
        "seed_accuracies": [round(value, 4) for value in single],
        "seed_spread": round(float(np.std(single, ddof=1)), 4) if seeds > 1 else None,
        "fold_accuracies": {str(fold): values for fold, values in accuracies.items()},
        "fold_spread": round(float(np.std(of_folds, ddof=1)), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-S", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    chosen = parser.parse_args()
    params = config.load()
    found = cross_validate(chosen.settings, params.segment.folds, chosen.seeds, params.evaluate.bootstrap_samples)
    write_json(chosen.out / "cv.json", found)
    title = f"{found['model']} on {found['data_set']}: {intervals.format_score(found['pooled'])} of {found['tracks']} tracks"
    figures.folds(chosen.out / "cv.png", {int(k): v for k, v in found["fold_accuracies"].items()}, found["pooled"], title=title)
    spread = f"seeds {found['seed_accuracies']}, deviation of folds {found['fold_spread']:.3f}"
    print(f"{title} of {found['artists']} artists, {found['seeds']} seeds; {spread}; in {chosen.out / 'cv.json'}")


if __name__ == "__main__":
    command(main)
