"""A head on the frozen audio backbone musicnn: see `genre_core.features.musicnn`.

Mean and standard deviation over a window of the backbone's embeddings, one a second, and a linear layer: transfer learning
after J. Pons, "sklearn-audio-transfer-learning", 2019. Its windows hold at least one patch of 3 s; longer ones are better.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from genre_core.config import Section
from genre_core.features.musicnn import PENULTIMATE, POOLS, TAGS
from genre_core.networks import GenreNetwork

FEATURE = "musicnn"
NORMALISE = "dataset"  # a track's mean is what tells its genre here
_COLUMNS = {"tags": TAGS, "penultimate": PENULTIMATE, "pools": POOLS}


class Hyperparameters(Section):
    """Section ``model.musicnn``."""

    embedding: Literal["tags", "penultimate", "pools"]
    dropout: float = Field(ge=0, lt=1)


class Network(GenreNetwork):
    """See the module."""

    def __init__(self, hyperparameters: Hyperparameters, n_bins: int, n_genres: int) -> None:
        super().__init__()
        self.columns = _COLUMNS[hyperparameters.embedding]
        width = self.columns.stop - self.columns.start
        self.head = nn.Sequential(nn.Dropout(hyperparameters.dropout), nn.Linear(2 * width, n_genres))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = windows[..., self.columns]  # (B, patches, width)
        return self.head(torch.cat([x.mean(1), x.std(1, correction=0)], 1))  # the deviation of one patch is 0
