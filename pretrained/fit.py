"""Stage `fit`: choose features and head by cross-validation, then fit the head.

The cross-validation is grouped by artist and uses only the training tracks. A candidate is a logistic regression on the mean over
time of the 50 tag probabilities, with or without their standard deviation over time. The stage chooses the candidate with the fewest
features, then the strongest regularisation, among all candidates within one standard error of the best (L. Breiman et al.,
"Classification and regression trees", 1984), because differences below one standard error are noise.
"""

import math
import warnings
from itertools import product

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from genre_core.errors import GenreError
from genre_core.evaluation import calibration
from genre_core.util.files import atomic, write_csv
from pretrained.taggram import FOLDER, params, read
from stages.run import run

C = (0.01, 0.03, 0.1, 0.3)
FEATURES = {"mean": 50, "mean and deviation": 100}


def head(c: float) -> Pipeline:
    """Create a candidate: standardisation and logistic regression.

    Parameters
    ----------
    c : float
        Inverse of the regularisation strength.

    Returns
    -------
    Pipeline
        Candidate, not fitted.
    """
    return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000))


def main() -> str:
    chosen = params()
    data = read("training")
    if data is None:
        raise GenreError("pretrained/data/training.npz is missing; run `dvc repro pretrained/dvc.yaml:fetch`")
    x = np.array([[*p.mean(0), *p.std(0)] for p in data.patches])
    y = np.array(data.genres)
    genres = sorted(set(data.genres))
    folds = [
        list(StratifiedGroupKFold(chosen.folds, shuffle=True, random_state=chosen.seed + r).split(x, y, data.artists))
        for r in range(chosen.repeats)
    ]
    log_probabilities = {}  # of each candidate: (repeats, tracks, genres)
    for (name, width), c in product(FEATURES.items(), C):
        out = np.zeros((chosen.repeats, len(y), len(genres)))
        for repeat, split in enumerate(folds):
            for fitted, held_out in split:
                out[repeat, held_out] = head(c).fit(x[fitted][:, :width], y[fitted]).predict_log_proba(x[held_out][:, :width])
        log_probabilities[name, c] = out
    accuracy = {key: float((np.array(genres)[out.argmax(2)] == y).mean()) for key, out in log_probabilities.items()}
    best = max(accuracy.values())
    standard_error = (best * (1 - best) / len(y)) ** 0.5
    name, c = min((key for key, value in accuracy.items() if value >= best - standard_error), key=lambda key: (FEATURES[key[0]], key[1]))
    rows = [{"features": key[0], "c": key[1], "accuracy": f"{value:.4f}", "chosen": key == (name, c)} for key, value in accuracy.items()]
    write_csv(FOLDER / "candidates.csv", ["features", "c", "accuracy", "chosen"], rows)

    out = log_probabilities[name, c].reshape(-1, len(genres))
    labels = [genres.index(g) for g in data.genres] * chosen.repeats
    temperature = calibration.fit_temperature([torch.from_numpy(row)[None] for row in out], labels, prior_deviation=math.inf)
    write_csv(
        FOLDER / "cross_validation.csv",
        ["repeat", "track", "artist", "true", *(f"p_{g}" for g in genres)],
        (
            {"repeat": r, "track": t, "artist": a, "true": g} | {f"p_{k}": f"{p:.6f}" for k, p in zip(genres, row, strict=True)}
            for r in range(chosen.repeats)
            for t, a, g, row in zip(
                data.tracks,
                data.artists,
                data.genres,
                torch.from_numpy(log_probabilities[name, c][r] / temperature).softmax(1).numpy(),
                strict=True,
            )
        ),
    )

    width = FEATURES[name]
    scaler, logistic = (step for _, step in head(c).fit(x[:, :width], y).steps)
    # The weights include the scaling, so that the model file needs no scaler.
    weight = np.zeros((len(genres), 100))
    weight[:, :width] = logistic.coef_ / scaler.scale_
    bias = logistic.intercept_ - weight[:, :width] @ scaler.mean_
    log_tags = np.log(x[:, :50])
    familiar = LedoitWolf().fit(log_tags)
    distance = np.sqrt(familiar.mahalanobis(log_tags))
    tensors = {
        "head.1.weight": torch.tensor(weight, dtype=torch.float32),
        "head.1.bias": torch.tensor(bias, dtype=torch.float32),
        "familiar.mean": torch.tensor(familiar.location_, dtype=torch.float32),
        "familiar.precision": torch.tensor(familiar.precision_, dtype=torch.float32),
        "familiar.limit": torch.tensor(np.quantile(distance, 0.99), dtype=torch.float32),
        "temperature": torch.tensor(temperature, dtype=torch.float64),
    }
    with atomic(FOLDER / "head.safetensors") as part:
        save_file(tensors, part)
    return (
        f"fit: {name}, C {c}: {accuracy[name, c]:.3f} of {len(y)} tracks in cross-validation (best {best:.3f}), temperature {temperature}"
    )


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=FutureWarning)
    run(main)
