"""Cross-validation over all folds of the artist protocol, with several seeds.

`make cv` runs it. It writes docs/cv.json and docs/cv.png.

    python -m experiments.cv                                     # the data set of params.yaml
    python -m experiments.cv --seeds 3 -S dataset.name=folder -S dataset.folder.path=/path/to/music

Every track is a test track once per seed. The accuracy is the mean over tracks and seeds. Its interval is a bootstrap over the artists
of all folds. The experiment starts from the committed params.yaml and leaves the changes of the last run there: run it in a clone.
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
    """Run all folds with all seeds, and compute the scores.

    Parameters
    ----------
    settings : list of str
        Changes to params.yaml, each KEY=VALUE.
    folds, seeds : int
        Number of folds, and number of seeds for each fold.
    samples : int
        Number of bootstrap samples of the intervals.

    Returns
    -------
    dict
        Content of cv.json: accuracy over all tracks, of each seed and of each fold, and the scores of the mean probabilities.

    Raises
    ------
    GenreError
        A setting is one that cross-validation sets, or a run failed.
    """
    probabilities_of: dict[str, list[np.ndarray]] = defaultdict(list)  # track -> one array (genres,) per seed
    genre_and_artist: dict[str, tuple[str, str]] = {}
    accuracies: dict[int, list[float]] = {}  # fold -> one accuracy per seed
    genres: list[str] = []
    metrics: dict[str, Any] = {}
    if forbidden := [s for s in settings if s.split("=")[0] in ("segment.protocol", "segment.folds", "segment.fold", "seed")]:
        raise GenreError(f"-S {forbidden[0]}: cross-validation sets this parameter itself; leave it out")
    runs = [(fold, seed) for fold in range(folds) for seed in range(1, seeds + 1)]
    for fold, seed in tqdm(runs, desc="cv", unit="run", disable=None):
        run_settings = ["segment.protocol=artist", f"segment.folds={folds}", f"segment.fold={fold}", f"seed={seed}"]
        done = experiment(f"cv-{fold}-{seed}", [*settings, *run_settings], "evaluate")
        if done.returncode:
            raise GenreError(f"fold {fold}, seed {seed}: {done.stderr.strip() or done.stdout.strip()}")
        metrics = read_json("metrics/test/metrics.json")
        rows = read_csv("metrics/test/predictions.csv", strip=False)
        genres = [column[2:] for column in rows[0] if column.startswith("p_")]
        accuracies.setdefault(fold, []).append(metrics["track"]["accuracy"])
        for row in rows:
            probabilities_of[row["track"]].append(np.array([float(row[f"p_{genre}"]) for genre in genres]))
            genre_and_artist[row["track"]] = (row["true"], artist_group(row["artist"], row["track"]))
    true = np.array([genres.index(genre_and_artist[track][0]) for track in probabilities_of])
    artists = [genre_and_artist[track][1] for track in probabilities_of]
    probabilities = np.array(list(probabilities_of.values()))  # (tracks, seeds, genres)
    options: dict[str, Any] = {"groups": artists, "samples": samples, "seed": 0}
    track_accuracy = (probabilities.argmax(2) == true[:, None]).mean(1)
    low, high = artist_interval(track_accuracy, np.unique(artists, return_inverse=True)[1], samples, 0)
    seed_accuracies = [float((probabilities[:, s].argmax(1) == true).mean()) for s in range(seeds)]
    fold_accuracies = [float(np.mean(values)) for values in accuracies.values()]
    scores_of_mean = evaluation_scoring.scores(true, probabilities.mean(1), genres, **options)
    return {
        "data_set": metrics["data_set"],
        "model": metrics["model"]["type"],
        "protocol": "artist",
        "folds": folds,
        "seeds": seeds,
        "tracks": len(true),
        "artists": len(set(artists)),
        "settings": settings,
        "pooled": {"accuracy": round(float(track_accuracy.mean()), 4), "accuracy_low": round(low, 4), "accuracy_high": round(high, 4)},
        "mean_of_the_seeds_probabilities": scores_of_mean,
        "seed_accuracies": [round(value, 4) for value in seed_accuracies],
        "seed_spread": round(float(np.std(seed_accuracies, ddof=1)), 4) if seeds > 1 else None,
        "fold_accuracies": {str(fold): values for fold, values in accuracies.items()},
        "fold_spread": round(float(np.std(fold_accuracies, ddof=1)), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "-S", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="change to params.yaml; may be repeated"
    )
    parser.add_argument("--seeds", type=int, default=2, help="seeds for each fold (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder to write to (default: %(default)s)")
    chosen = parser.parse_args()
    params = config.load()
    result = cross_validate(chosen.settings, params.segment.folds, chosen.seeds, params.evaluate.bootstrap_samples)
    write_json(chosen.out / "cv.json", result)
    title = f"{result['model']} on {result['data_set']}: {intervals.format_score(result['pooled'])} of {result['tracks']} tracks"
    figures.folds(chosen.out / "cv.png", {int(k): v for k, v in result["fold_accuracies"].items()}, result["pooled"], title=title)
    spread = f"seeds {result['seed_accuracies']}, standard deviation over folds {result['fold_spread']:.3f}"
    print(f"{title} of {result['artists']} artists, {result['seeds']} seeds; {spread}; in {chosen.out / 'cv.json'}")


if __name__ == "__main__":
    command(main)
