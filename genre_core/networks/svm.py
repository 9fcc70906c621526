"""A support vector machine with a Gaussian kernel on MFCC statistics, by scikit-learn, kept as plain arrays.

The classical baseline of the field (C. Cortes and V. Vapnik, "Support-vector networks", 1995; G. Tzanetakis and P. Cook 2002 for
the statistics). Logits are scikit-learn's one-against-rest decision values, made of one-against-one votes and margins.
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
_MOST_GENRES = 100


class Hyperparameters(Section):
    """Section ``model.svm``; `gamma` 0.0 is scikit-learn's "scale"."""

    c: float = Field(gt=0, le=1e6)
    gamma: float = Field(ge=0, le=1e3)


class Network(ClosedForm):
    """See the module."""

    def __init__(self, hyperparameters: Hyperparameters, n_bins: int, n_genres: int) -> None:
        if n_genres > _MOST_GENRES:
            raise GenreError(f"model.type svm knows at most {_MOST_GENRES} genres, not {n_genres}: it has a decision for each pair of them")
        super().__init__(n_bins)
        self.c, self.chosen_gamma, self.genres = hyperparameters.c, hyperparameters.gamma, n_genres
        pairs = n_genres * (n_genres - 1) // 2
        self.vectors = nn.Parameter(torch.zeros(0, 4 * n_bins), requires_grad=False)  # parameters, so that they are counted
        self.weights = nn.Parameter(torch.zeros(0, pairs), requires_grad=False)  # of each vector in each pair's decision
        self.intercepts = nn.Parameter(torch.zeros(pairs), requires_grad=False)
        self.register_buffer("gamma", torch.zeros(()))

    def fit(self, statistics: torch.Tensor, genres: torch.Tensor, seed: int) -> None:
        from sklearn.svm import SVC

        fitted = SVC(C=self.c, gamma=self.chosen_gamma or "scale").fit(statistics.numpy(), genres.numpy())
        ends = fitted.n_support_.cumsum()
        weights = torch.zeros(len(fitted.support_), len(self.intercepts))
        pair = 0
        for i in range(self.genres):  # libsvm keeps a vector's coefficient against genre j in row j - 1 or j
            for j in range(i + 1, self.genres):
                of_i, of_j = slice(ends[i] - fitted.n_support_[i], ends[i]), slice(ends[j] - fitted.n_support_[j], ends[j])
                weights[of_i, pair] = torch.from_numpy(fitted.dual_coef_[j - 1, of_i]).float()
                weights[of_j, pair] = torch.from_numpy(fitted.dual_coef_[i, of_j]).float()
                pair += 1
        # For two genres scikit-learn turns libsvm's signs round.
        sign = -1.0 if self.genres == 2 else 1.0
        self.vectors.data, self.weights.data = torch.from_numpy(fitted.support_vectors_).float(), sign * weights
        self.intercepts.data = sign * torch.from_numpy(fitted.intercept_).float()
        self.gamma = torch.tensor(float(fitted._gamma))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = self.scale(mfcc_statistics(windows.float()))
        kernel = torch.exp(-self.gamma * torch.cdist(x, self.vectors).square())  # (B, vectors)
        decisions = kernel @ self.weights + self.intercepts  # (B, pairs): above 0 for the pair's first genre
        first, second = torch.triu_indices(self.genres, self.genres, 1)  # of each pair
        one_hot = torch.eye(self.genres)
        wins = (decisions > 0).float()
        votes = wins @ one_hot[first] + (1 - wins) @ one_hot[second]
        margins = decisions @ (one_hot[first] - one_hot[second])
        return votes + margins / (3 * (margins.abs() + 1))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in ("vectors", "weights"):  # as many as the fit found
            if (saved := state_dict.get(prefix + name)) is not None and saved.ndim == 2 and saved.shape[1] == getattr(self, name).shape[1]:
                getattr(self, name).data = torch.zeros_like(saved)
        super()._load_from_state_dict(state_dict, prefix, *rest)
