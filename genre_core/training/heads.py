"""Linear heads on embeddings of whole tracks, judged by cross-validation over artists.

A head is a logistic regression on the mean and the standard deviation over time of a track's embeddings: what
`genre_core.networks.musicnn` computes, in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from genre_core.corpus.splits import assign_folds
from genre_core.features.musicnn import COLUMNS

_LEAST_PROBABILITY = 1e-12


def statistics(embeddings: np.ndarray, embedding: str) -> np.ndarray:
    """Compute the mean and the deviation over time of a track's embeddings.

    Parameters
    ----------
    embeddings : np.ndarray [shape=(patches, 1756)]
        Embeddings of `musicnn.embeddings`.
    embedding : {"tags", "penultimate", "pools"}
        Part of the embeddings to use.

    Returns
    -------
    np.ndarray [shape=(2 * width,), dtype=float64]
        Means, then standard deviations.
    """
    x = embeddings[:, COLUMNS[embedding]].astype(np.float64)
    return np.concatenate([x.mean(0), x.std(0)])


def head(c: float, seed: int = 0) -> Pipeline:
    """Create a head that is not fitted: standardisation and logistic regression.

    Parameters
    ----------
    c : float > 0
        Inverse of the regularisation strength.
    seed : int
        Seed of the solver.
    """
    return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000, random_state=seed))


def out_of_fold(x: np.ndarray, genres: Sequence[int], groups: Sequence[str], *, c: float, folds: int, seed: int) -> np.ndarray:
    """Compute the genre probabilities of each track by a head that has not heard its artist.

    Parameters
    ----------
    x : np.ndarray [shape=(tracks, values)]
        Statistics of each track.
    genres : sequence of int
        Number of the genre of each track, from 0.
    groups : sequence of str
        Group of each track: its artist, or itself; see `catalogue.artist_group`.
    c : float > 0
        Inverse of the regularisation strength.
    folds : int > 1
        Number of folds; whole groups are in one fold.
    seed : int
        Seed of the folds.

    Returns
    -------
    np.ndarray [shape=(tracks, genres), dtype=float64]
        Logarithms of the probabilities. A genre that is missing from the other folds gets the lowest one.
    """
    true = np.asarray(genres)
    fold_of = np.array(assign_folds(groups, [str(g) for g in genres], folds, seed))
    out = np.full((len(true), int(true.max()) + 1), np.log(_LEAST_PROBABILITY))
    for fold in np.unique(fold_of):
        fitted, held_out = fold_of != fold, fold_of == fold
        known = np.unique(true[fitted])
        if len(known) == 1:  # a regression needs two
            out[np.ix_(held_out, known)] = 0.0
            continue
        model = head(c, seed).fit(x[fitted], true[fitted])
        out[np.ix_(held_out, known)] = np.log(np.maximum(model.predict_proba(x[held_out]), _LEAST_PROBABILITY))
    return out
