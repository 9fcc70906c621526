"""Choice of a head by cross-validation over artists, and its nested cross-validation.

A track that scores a model must have influenced neither its weights nor its choice, so the nested cross-validation chooses again
within the training part of each fold (S. Varma and R. Simon, "Bias in error estimation when using cross-validation for model
selection", BMC Bioinformatics 2006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from genre_core.corpus import cross_validation
from genre_core.evaluation.calibration import fit_temperature, pooled
from genre_core.networks._layers import rows_of_genres
from genre_core.training import heads

EMBEDDINGS = ("penultimate", "tags", "pools")  # the first is preferred: with few tracks it was the best, see CONTRIBUTING.md
C = (0.01, 0.1, 1.0)  # with 0.001, all probabilities are nearly equal
DEFAULT_C = 0.1  # if no inner fold can judge a candidate
FIT_WINDOWS = 4  # windows of a track that fit a head, evenly spread; more did not help and cost time. All windows are judged.


@dataclass(frozen=True)
class Candidate:
    """Embedding, and inverse strength of the regularisation."""

    embedding: str
    c: float


@dataclass(frozen=True)
class Examples:
    """Windows of all tracks, as the heads read them.

    Attributes
    ----------
    rows : dict of str to np.ndarray [shape=(windows, 2 * width), dtype=float32]
        Mean and deviation over time of each window, by embedding.
    windows_of : list of slice
        Rows of each track.
    genres : np.ndarray [shape=(tracks,), dtype=int]
        Number of the genre of each track.
    groups : list of str
        Artist group of each track.
    """

    rows: dict[str, np.ndarray]
    windows_of: list[slice]
    genres: np.ndarray
    groups: list[str]


@dataclass(frozen=True)
class Choice:
    """Candidate that a cross-validation chose.

    Attributes
    ----------
    candidate : Candidate
    accuracy : dict of Candidate to float
        Accuracy of each candidate on the held-out tracks; empty if none was held out.
    logits : dict of int to torch.Tensor [shape=(windows, genres), dtype=float64]
        Out-of-fold logits of the chosen candidate, by track.
    temperature : float
        Temperature that fits these logits; 1.0 without them.
    """

    candidate: Candidate
    accuracy: dict[Candidate, float]
    logits: dict[int, torch.Tensor]
    temperature: float


class Head:
    """Head that is fitted on some tracks; each track has the same weight, however long it is.

    Parameters
    ----------
    examples : Examples
    candidate : Candidate
    tracks : np.ndarray of int
        Numbers of the tracks to fit.
    """

    def __init__(self, examples: Examples, candidate: Candidate, tracks: np.ndarray) -> None:
        self._all_rows = examples.rows[candidate.embedding]
        rows, weights, genres = [], [], []
        for track in tracks:
            windows = examples.windows_of[track]
            chosen = np.unique(np.linspace(windows.start, windows.stop - 1, FIT_WINDOWS).round().astype(int))
            rows.append(chosen)
            weights.append(np.full(len(chosen), 1 / len(chosen)))
            genres.append(np.full(len(chosen), examples.genres[track]))
        weight = np.concatenate(weights)
        self.pipeline = heads.head(candidate.c).fit(
            self._all_rows[np.concatenate(rows)].astype(np.float64),
            np.concatenate(genres),
            standardscaler__sample_weight=weight,
            logisticregression__sample_weight=weight,
        )

    def logits(self, windows: slice) -> torch.Tensor:
        """Compute the logarithms of the probabilities of windows ``(windows, genres)``."""
        return torch.from_numpy(self.pipeline.predict_log_proba(self._all_rows[windows].astype(np.float64)))

    def weights(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute weight ``(genres, values)`` and bias ``(genres,)`` that include the standardisation."""
        scaler, logistic = (step for _, step in self.pipeline.steps)
        coefficients, intercept = rows_of_genres(logistic.coef_, logistic.intercept_)
        weight = coefficients / scaler.scale_
        bias = intercept - weight @ scaler.mean_
        return torch.tensor(weight, dtype=torch.float32), torch.tensor(bias, dtype=torch.float32)


def predict_held_out(examples: Examples, candidate: Candidate, tracks: np.ndarray, fold_of: np.ndarray) -> dict[int, torch.Tensor]:
    """Compute the logits of held-out tracks by heads that have not heard their artists.

    Parameters
    ----------
    examples : Examples
    candidate : Candidate
    tracks : np.ndarray [shape=(n,), dtype=int]
        Numbers of the tracks to use.
    fold_of : np.ndarray [shape=(n,), dtype=int]
        Fold of each of these tracks; see `cross_validation.Folds`.

    Returns
    -------
    dict of int to torch.Tensor [shape=(windows, genres), dtype=float64]
        Logits of each track that is held out, by its number.
    """
    logits: dict[int, torch.Tensor] = {}
    for fold in sorted(set(fold_of.tolist()) - {cross_validation.NEVER}):
        head = Head(examples, candidate, tracks[fold_of != fold])
        logits |= {int(track): head.logits(examples.windows_of[track]) for track in tracks[fold_of == fold]}
    return logits


def choose(examples: Examples, embedding: str, tracks: np.ndarray, fold_of: np.ndarray) -> Choice:
    """Choose the embedding and the strength of the regularisation by cross-validation.

    The embedding is the first of `EMBEDDINGS` with a candidate within one standard error of the best accuracy, because smaller
    differences are noise (L. Breiman et al., "Classification and regression trees", 1984). Among its candidates within the
    standard error, the one with the lowest log-loss after calibration is chosen: the strongest regularisation would be as often
    right, but too seldom sure.

    Parameters
    ----------
    examples : Examples
    embedding : {"auto", "tags", "penultimate", "pools"}
        Embedding of all candidates; ``auto`` tries each.
    tracks, fold_of : np.ndarray of int
        As for `predict_held_out`.
    """
    embeddings = EMBEDDINGS if embedding == "auto" else (embedding,)
    if (fold_of == cross_validation.NEVER).all():
        return Choice(Candidate(embeddings[0], DEFAULT_C), {}, {}, 1.0)
    candidates = [Candidate(name, c) for name in embeddings for c in C]  # in the order of preference
    predictions = {candidate: predict_held_out(examples, candidate, tracks, fold_of) for candidate in candidates}
    accuracy = {candidate: _accuracy(examples, logits) for candidate, logits in predictions.items()}
    best = max(accuracy.values())
    standard_error = (best * (1 - best) / len(next(iter(predictions.values())))) ** 0.5
    good = [candidate for candidate in candidates if accuracy[candidate] >= best - standard_error - 1e-9]
    choices = []
    for candidate in (candidate for candidate in good if candidate.embedding == good[0].embedding):
        logits = predictions[candidate]
        temperature = fit_temperature(list(logits.values()), [int(examples.genres[track]) for track in logits])
        choices.append(Choice(candidate, accuracy, logits, temperature))
    return min(choices, key=lambda choice: _log_loss(examples, choice))


def nested(
    examples: Examples, embedding: str, fold_of: np.ndarray, folds: int, seed: int
) -> tuple[dict[int, torch.Tensor], dict[int, Choice]]:
    """Predict each held-out track by a head that was chosen and fitted without its artist.

    Parameters
    ----------
    examples : Examples
    embedding : {"auto", "tags", "penultimate", "pools"}
    fold_of : np.ndarray [shape=(tracks,), dtype=int]
        Outer fold of each track.
    folds, seed : int
        Largest number of inner folds, and their seed.

    Returns
    -------
    logits : dict of int to torch.Tensor [shape=(windows, genres), dtype=float64]
        Logits of each held-out track, by its number.
    choices : dict of int to Choice
        Choice within the training part of each outer fold.
    """
    logits: dict[int, torch.Tensor] = {}
    choices: dict[int, Choice] = {}
    for fold in tqdm(sorted(set(fold_of.tolist()) - {cross_validation.NEVER}), desc="cross-validate", unit="fold", disable=None):
        fitted = np.flatnonzero(fold_of != fold)
        inner = cross_validation.over_artists(
            [examples.groups[i] for i in fitted], [str(examples.genres[i]) for i in fitted], folds, seed
        ).of_track
        choices[fold] = choose(examples, embedding, fitted, np.array(inner))
        head = Head(examples, choices[fold].candidate, fitted)
        logits |= {int(track): head.logits(examples.windows_of[track]) for track in np.flatnonzero(fold_of == fold)}
    return dict(sorted(logits.items())), choices


def _accuracy(examples: Examples, logits: dict[int, torch.Tensor]) -> float:
    """Compute the share of tracks whose pooled prediction is right."""
    return float(np.mean([int(pooled(value, 1.0).argmax()) == examples.genres[track] for track, value in logits.items()]))


def _log_loss(examples: Examples, choice: Choice) -> float:
    """Compute the mean negative log-likelihood of the calibrated predictions."""
    of_true = [pooled(value, choice.temperature)[examples.genres[track]] for track, value in choice.logits.items()]
    return float(-torch.stack(of_true).clamp(min=1e-12).log().mean())
