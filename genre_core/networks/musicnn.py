"""Linear head on embeddings of the frozen audio backbone musicnn.

`genre_core.features.musicnn` computes the embeddings, about one per second. A linear layer classifies their mean and standard
deviation over the window (transfer learning after J. Pons, "sklearn-audio-transfer-learning", 2019). A window has at least one
patch of 3 s; longer windows give better results.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from genre_core.config import Section
from genre_core.errors import GenreError
from genre_core.features.musicnn import COLUMNS
from genre_core.networks import GenreNetwork

FEATURE = "musicnn"
NORMALISE = "dataset"  # the mean of a track tells its genre, so it must not be subtracted


class Hyperparameters(Section):
    """Section ``model.musicnn``; ``auto`` is for `genre_core.training.fit_all`, which replaces it by its choice."""

    embedding: Literal["auto", "tags", "penultimate", "pools"]
    dropout: float = Field(ge=0, lt=1)


class Network(GenreNetwork):
    """Linear head on mean and deviation of musicnn's embeddings."""

    def __init__(self, hyperparameters: Hyperparameters, n_bins: int, n_genres: int) -> None:
        super().__init__()
        if hyperparameters.embedding == "auto":
            raise GenreError("model.musicnn.embedding: auto is not a part of the backbone; choose tags, penultimate or pools")
        self.columns = COLUMNS[hyperparameters.embedding]
        width = self.columns.stop - self.columns.start
        self.head = nn.Sequential(nn.Dropout(hyperparameters.dropout), nn.Linear(2 * width, n_genres))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = windows[..., self.columns]  # (B, patches, width)
        return self.head(torch.cat([x.mean(1), x.std(1, correction=0)], 1))  # correction=0: the deviation of one patch is 0
