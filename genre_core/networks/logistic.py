"""Multinomial logistic regression on MFCC statistics.

scikit-learn fits the model; the network keeps its coefficients as plain arrays. The statistics are those of G. Tzanetakis and
P. Cook, "Musical genre classification of audio signals", IEEE TSAP 2002.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from genre_core.config import Section
from genre_core.networks import ClosedForm
from genre_core.networks._layers import mfcc_statistics, rows_of_genres

FEATURE = "mfcc"


class Hyperparameters(Section):
    """Section ``model.logistic``."""

    c: float = Field(gt=0, le=1e6)


class Network(ClosedForm):
    """Multinomial logistic regression, for windows of at least three frames."""

    def __init__(self, hyperparameters: Hyperparameters, n_bins: int, n_genres: int) -> None:
        super().__init__(n_bins)
        self.c = hyperparameters.c
        self.linear = nn.Linear(4 * n_bins, n_genres)

    def fit(self, statistics: torch.Tensor, genres: torch.Tensor, seed: int) -> None:
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression(C=self.c, max_iter=2000, random_state=seed).fit(statistics.numpy(), genres.numpy())
        coefficients, intercept = rows_of_genres(fitted.coef_, fitted.intercept_)
        self.linear.weight.data, self.linear.bias.data = torch.tensor(coefficients).float(), torch.tensor(intercept).float()

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.linear(self.scale(mfcc_statistics(windows)))
