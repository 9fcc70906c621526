"""Convolutional network with attention pooling over time.

The convolution blocks are like those of `cnn`. Attention weights say how much each moment of the window counts (Q. Kong, C. Yu,
Y. Xu, T. Iqbal, W. Wang and M. Plumbley, "Weakly labelled AudioSet tagging with attention neural networks", IEEE/ACM TASLP 2019).
Here, all genres share the attention weights.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from genre_core.config import Section
from genre_core.networks import GenreNetwork
from genre_core.networks._layers import conv_blocks

FEATURE = "mel"


class Hyperparameters(Section):
    """Section ``model.attention``."""

    width: int = Field(ge=4, le=256)
    heads: int = Field(ge=1, le=16)
    dropout: float = Field(ge=0, lt=1)


class Network(GenreNetwork):
    """Network with attention pooling, for windows of any length."""

    def __init__(self, hyperparameters: Hyperparameters, n_bins: int, n_genres: int) -> None:
        super().__init__()
        self.blocks, channels = conv_blocks(hyperparameters.width, [(2, 2), (2, 2), (2, 2), (1, 2)])
        self.scores = nn.Sequential(nn.Linear(channels, channels), nn.Tanh(), nn.Linear(channels, hyperparameters.heads))
        self.head = nn.Sequential(nn.Dropout(hyperparameters.dropout), nn.Linear(channels * hyperparameters.heads, n_genres))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = self.blocks(windows.unsqueeze(1)).mean(3).transpose(1, 2)  # (B, T', C)
        weights = self.scores(x).softmax(1)  # (B, T', heads): sum 1 over time
        return self.head(torch.einsum("bth,btc->bhc", weights, x).flatten(1))
