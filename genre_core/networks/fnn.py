"""Feed-forward network with two hidden layers on MFCC statistics, a classical baseline.

The statistics are mean and standard deviation over the window, for the MFCC and for their first differences, as for the texture
windows of G. Tzanetakis and P. Cook, "Musical genre classification of audio signals", IEEE TSAP 2002.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from genre_core.config import Section
from genre_core.networks import GenreNetwork
from genre_core.networks._layers import mfcc_statistics

FEATURE = "mfcc"


class Hyperparameters(Section):
    """Section ``model.fnn``."""

    hidden_1: int = Field(ge=1, le=4096)
    hidden_2: int = Field(ge=1, le=4096)
    dropout: float = Field(ge=0, lt=1)


class Network(GenreNetwork):
    """Feed-forward network, for windows of at least three frames."""

    min_frames = 3  # the deviation of differences needs two differences

    def __init__(self, hyperparameters: Hyperparameters, n_bins: int, n_genres: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.BatchNorm1d(4 * n_bins)]
        width = 4 * n_bins
        for hidden in (hyperparameters.hidden_1, hyperparameters.hidden_2):
            layers += [nn.Linear(width, hidden), nn.ReLU(inplace=True), nn.Dropout(hyperparameters.dropout)]
            width = hidden
        self.layers = nn.Sequential(*layers, nn.Linear(width, n_genres))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.layers(mfcc_statistics(windows))  # (B, 4 F) -> (B, genres)
