"""Support vector machine with a Gaussian kernel on MFCC statistics.

It is the classical baseline of the field (C. Cortes and V. Vapnik, "Support-vector networks", 1995; statistics of G. Tzanetakis and
P. Cook, "Musical genre classification of audio signals", IEEE TSAP 2002). scikit-learn fits the model; the network keeps it as plain
arrays. Logits equal scikit-learn's one-against-rest decision values, which combine the one-against-one votes and margins.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import nn

from genre_core.config import Section
from genre_core.errors import GenreError
from genre_core.networks import ClosedForm
from genre_core.networks._layers import mfcc_statistics

FEATURE = "mfcc"
_MAX_GENRES = 100


class Hyperparameters(Section):
    """Section ``model.svm``; a `gamma` of 0.0 means scikit-learn's "scale"."""

    c: float = Field(gt=0, le=1e6)
    gamma: float = Field(ge=0, le=1e3)


class Network(ClosedForm):
    """Support vector machine, for windows of at least three frames.

    Raises
    ------
    GenreError
        There are more than 100 genres.
    """

    def __init__(self, hyperparameters: Hyperparameters, n_bins: int, n_genres: int) -> None:
        if n_genres > _MAX_GENRES:
            raise GenreError(f"model.type svm allows at most {_MAX_GENRES} genres, not {n_genres}: each pair of genres has a decision")
        super().__init__(n_bins)
        self.c, self.chosen_gamma, self.genres = hyperparameters.c, hyperparameters.gamma, n_genres
        pairs = n_genres * (n_genres - 1) // 2
        # Parameters, not buffers, so that they count as parameters of the model.
        self.vectors = nn.Parameter(torch.zeros(0, 4 * n_bins), requires_grad=False)
        self.weights = nn.Parameter(torch.zeros(0, pairs), requires_grad=False)  # (vectors, pairs)
        self.intercepts = nn.Parameter(torch.zeros(pairs), requires_grad=False)
        self.register_buffer("gamma", torch.zeros(()))

    def fit(self, statistics: torch.Tensor, genres: torch.Tensor, seed: int) -> None:
        from sklearn.svm import SVC

        fitted = SVC(C=self.c, gamma=self.chosen_gamma or "scale").fit(statistics.numpy(), genres.numpy())
        ends = fitted.n_support_.cumsum()
        weights = torch.zeros(len(fitted.support_), len(self.intercepts))
        pair = 0
        # libsvm has no row for a vector's own genre: the coefficient against genre j is in row j, or in row j - 1 after the own genre.
        for i in range(self.genres):
            for j in range(i + 1, self.genres):
                vectors_i = slice(ends[i] - fitted.n_support_[i], ends[i])
                vectors_j = slice(ends[j] - fitted.n_support_[j], ends[j])
                weights[vectors_i, pair] = torch.from_numpy(fitted.dual_coef_[j - 1, vectors_i]).float()
                weights[vectors_j, pair] = torch.from_numpy(fitted.dual_coef_[i, vectors_j]).float()
                pair += 1
        # For two genres, scikit-learn inverts libsvm's signs.
        sign = -1.0 if self.genres == 2 else 1.0
        self.vectors.data, self.weights.data = torch.from_numpy(fitted.support_vectors_).float(), sign * weights
        self.intercepts.data = sign * torch.from_numpy(fitted.intercept_).float()
        self.gamma = torch.tensor(float(fitted._gamma))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = self.scale(mfcc_statistics(windows.float()))
        kernel = torch.exp(-self.gamma * torch.cdist(x, self.vectors).square())  # (B, vectors)
        decisions = kernel @ self.weights + self.intercepts  # (B, pairs): positive for the first genre of the pair
        first, second = torch.triu_indices(self.genres, self.genres, 1)  # genres of each pair
        one_hot = torch.eye(self.genres)
        wins = (decisions > 0).float()
        votes = wins @ one_hot[first] + (1 - wins) @ one_hot[second]
        margins = decisions @ (one_hot[first] - one_hot[second])
        return votes + margins / (3 * (margins.abs() + 1))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in ("vectors", "weights"):  # the number of support vectors depends on the fit: it is taken from the saved state
            if (saved := state_dict.get(prefix + name)) is not None and saved.ndim == 2 and saved.shape[1] == getattr(self, name).shape[1]:
                getattr(self, name).data = torch.zeros_like(saved)
        super()._load_from_state_dict(state_dict, prefix, *rest)
