"""A head that is chosen and scored by cross-validation over artists, then fitted on all tracks.

A fifth of a small library is too little for a test, and too much to lose. So every track is in the training part
(``segment.protocol: all``), and a nested cross-validation gives the score: see `genre_core.training.nested`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.covariance import LedoitWolf
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from genre_core import config, networks
from genre_core.config import parse
from genre_core.corpus import cross_validation
from genre_core.corpus.index import Index, read_folds
from genre_core.errors import GenreError
from genre_core.evaluation import conformal, out_of_fold, scoring
from genre_core.evaluation.calibration import pooled
from genre_core.features import musicnn
from genre_core.features.store import FeatureStore
from genre_core.models.model import NOT_SURE_BELOW, GenreModel, OutOfDistribution
from genre_core.models.normalisation import Normalisation
from genre_core.project import INDEX, ORIGINAL, STORES
from genre_core.training import heads, loop
from genre_core.training.nested import EMBEDDINGS, Choice, Examples, Head, choose, nested
from genre_core.util.files import write_csv

_BOOTSTRAP_SAMPLES = 2000
_FAMILIAR_SHARE = 0.99


def read_examples(template: GenreModel, split: Index, groups: dict[str, str]) -> tuple[Examples, np.ndarray]:
    """Read the windows of all tracks, cut as `template` cuts them.

    Parameters
    ----------
    template : GenreModel
        Model of type musicnn; its weights are not used.
    split : Index
    groups : dict of str to str
        Artist group by track.

    Returns
    -------
    examples : Examples
        Tracks in the order of the index.
    log_tags : np.ndarray [shape=(tracks, 50), dtype=float64]
        Logarithm of each track's mean tags, for `OutOfDistribution`.
    """
    rows: dict[str, list[np.ndarray]] = {embedding: [] for embedding in EMBEDDINGS}
    starts_of = split.starts("train")
    windows_of, log_tags, first = [], [], 0
    with FeatureStore(STORES["musicnn"]) as store:
        for track, starts in tqdm(starts_of.items(), desc="read", unit="track", disable=None):
            embeddings = store.read("musicnn", track)
            windows = torch.cat(list(template.windows(embeddings, starts))).numpy()  # (windows, patches, 1756)
            for embedding in EMBEDDINGS:
                rows[embedding].append(np.array([heads.statistics(window, embedding) for window in windows], np.float32))
            windows_of.append(slice(first, first + len(windows)))
            first += len(windows)
            log_tags.append(np.log(np.maximum(embeddings[:, musicnn.TAGS].astype(np.float64).mean(0), 1e-6)))
    genres = np.array([split.genres.index(split.tracks[track].genre) for track in starts_of])
    examples = Examples(
        {name: np.concatenate(values) for name, values in rows.items()}, windows_of, genres, [groups[track] for track in starts_of]
    )
    return examples, np.array(log_tags)


def out_of_distribution(log_tags: np.ndarray, fold_of: np.ndarray) -> OutOfDistribution:
    """Fit the out-of-distribution score, with a limit from tracks that did not fit it.

    The distances of the fitted tracks themselves would be too small: 20 tracks span at most 20 of the 50 dimensions.

    Parameters
    ----------
    log_tags : np.ndarray [shape=(tracks, 50), dtype=float64]
        Logarithm of each track's mean tags.
    fold_of : np.ndarray [shape=(tracks,), dtype=int]
        Fold of each track.
    """
    distances = [
        np.sqrt(LedoitWolf().fit(log_tags[fold_of != fold]).mahalanobis(log_tags[fold_of == fold]))
        for fold in sorted(set(fold_of.tolist()) - {cross_validation.NEVER})
    ]
    fitted = LedoitWolf().fit(log_tags)
    mean, precision = (torch.tensor(value, dtype=torch.float32) for value in (fitted.location_, fitted.precision_))
    return OutOfDistribution(mean, precision, float(np.quantile(np.concatenate(distances), _FAMILIAR_SHARE)))


def fit_all(
    params: config.Params, split: Index, info: dict[str, Any], checkpoint: Path, history: Path
) -> tuple[GenreModel, dict[str, Any], str]:
    """Choose a head, score it by nested cross-validation, and fit it on all tracks.

    Beside `history`, the function writes ``out_of_fold.csv``, the predictions of the nested cross-validation, and
    ``candidates.csv``, the accuracies of all candidates.

    Parameters
    ----------
    params : Params
    split : Index
        Index that was made with the protocol ``all``.
    info : dict
        Information about the model, written into its file; the function adds the score.
    checkpoint : Path
        Not used.
    history : Path
        CSV file that gets one row, with the nested scores.

    Returns
    -------
    model : GenreModel
    row : dict
        Number of epochs, best epoch, hardware and scores, as for `train_network`, and the choice.
    note : str
        Text for the summary of the stage.

    Raises
    ------
    GenreError
        The index belongs to another protocol, or a feature store is missing or damaged.
    """
    torch.set_num_threads(params.train.threads)
    chosen = parse(networks.architecture("musicnn").Hyperparameters, params.model.chosen(), "params.yaml", "model.musicnn.")
    with FeatureStore(ORIGINAL) as original:
        spec = original.spec
    identity = Normalisation("dataset", torch.zeros(musicnn.WIDTH), torch.ones(musicnn.WIDTH))  # the head's weights contain the scaling

    def new_model(embedding: str) -> GenreModel:
        hyperparameters = {"embedding": embedding, "dropout": 0.0}
        network = networks.build("musicnn", hyperparameters, n_bins=musicnn.WIDTH, n_genres=len(split.genres))
        window = (params.segment.seconds, params.segment.hop_seconds)
        return GenreModel("musicnn", hyperparameters, network, split.genres, spec, *window, identity, info=info)

    held_out = read_folds(INDEX)
    names = list(split.starts("train"))
    if missing := sorted(set(names) - held_out.keys()):
        raise GenreError(f"{INDEX}: track {missing[0]!r} has no fold; run `dvc repro -f segment`")
    fold_of = np.array([held_out[track].fold for track in names])
    examples, log_tags = read_examples(new_model("tags"), split, {name: row.group for name, row in held_out.items()})
    # One thread of BLAS: the matrices are small, and the result does not depend on the number of cores.
    with threadpool_limits(1):
        logits, choices = nested(examples, chosen.embedding, fold_of, split.split["folds"], params.seed)
        final = choose(examples, chosen.embedding, np.arange(len(names)), fold_of)
        head = Head(examples, final.candidate, np.arange(len(names)))
        familiar = out_of_distribution(log_tags, fold_of)
    model = new_model(final.candidate.embedding)
    weight, bias = head.weights()
    model.network.load_state_dict({"head.1.weight": weight, "head.1.bias": bias})
    model.temperature, model.out_of_distribution = final.temperature, familiar

    temperatures = {track: choices[int(fold_of[track])].temperature for track in logits}
    out_of_fold.write(
        history.with_name("out_of_fold.csv"),
        out_of_fold.OutOfFold(
            split.genres,
            {names[track]: value for track, value in logits.items()},
            {names[track]: value for track, value in temperatures.items()},
            {names[track]: int(fold_of[track]) for track in logits},
        ),
        split.starts("train"),
    )
    _write_candidates(history.with_name("candidates.csv"), final, choices)
    true = np.array([examples.genres[track] for track in logits])
    raw = np.array([pooled(value, 1.0).numpy() for value in logits.values()])
    calibrated = np.array([pooled(value, temperatures[track]).numpy() for track, value in logits.items()])
    groups = [examples.groups[track] for track in logits]
    score = scoring.scores(true, calibrated, split.genres, groups=groups, samples=_BOOTSTRAP_SAMPLES, seed=params.seed)
    plain = round(final.accuracy[final.candidate], 4)
    model.info = info | {
        "not_sure_below": NOT_SURE_BELOW,
        "score": {
            "on": f"{len(true)} tracks of {len(set(groups))} unheard artists in nested cross-validation (plain cross-validation of the "
            f"chosen head, optimistic: {plain:.3f}), then fitted on all tracks",
            **{key: score[key] for key in ("accuracy", "accuracy_low", "accuracy_high")},
            "plain_accuracy": plain,
        },
        "choice": {"embedding": final.candidate.embedding, "c": final.candidate.c, "chosen_by": chosen.embedding},
        "unscored_genres": split.split["unscored_genres"],
        "conformal": conformal.promise(true, calibrated, groups, params.train.coverage),
    }
    scores = {key: float(f"{value:.6g}") for key, value in scoring.validation_scores(raw, true.tolist()).items()}
    fitted = [pooled(head.logits(windows), 1.0)[genre] for windows, genre in zip(examples.windows_of, examples.genres, strict=True)]
    row = {"epoch": 1, "lr": 0.0, "train_loss": float(f"{-torch.stack(fitted).clamp(min=1e-12).log().mean():.6g}"), **scores}
    write_csv(history, loop.HISTORY, [row])
    result = {"epochs": 1, "best_epoch": 1, "hardware": "cpu fp64", **scores, **model.info["choice"], "plain_accuracy": plain}
    return model, result, f", {final.candidate.embedding}, C {final.candidate.c:g}, fitted on all tracks"


def _write_candidates(path: Path, final: Choice, choices: dict[int, Choice]) -> None:
    """Write the plain accuracy of each candidate, and how many outer folds chose it."""
    rows = (
        {
            "embedding": candidate.embedding,
            "c": candidate.c,
            "accuracy": f"{accuracy:.4f}",
            "chosen_in_folds": sum(choice.candidate == candidate for choice in choices.values()),
            "chosen": candidate == final.candidate,
        }
        for candidate, accuracy in final.accuracy.items()
    )
    write_csv(path, ["embedding", "c", "accuracy", "chosen_in_folds", "chosen"], rows)
