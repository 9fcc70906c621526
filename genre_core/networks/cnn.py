"""Convolutional network on log-mel, pooled over the whole window.

It is a small, plain network after K. Choi, G. Fazekas and M. Sandler, "Automatic tagging using deep convolutional neural
networks", ISMIR 2016: blocks of 3x3 convolution, maximum pooling, batch norm and ReLU, whose channels double up to four times
the first number. The mean over frequency follows, then mean and maximum over time, so a window of any length gives the same
number of features.
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
    """Section ``model.cnn``."""

    width: int = Field(ge=4, le=256)
    blocks: int = Field(ge=1, le=7)
    dropout: float = Field(ge=0, lt=1)


class Network(GenreNetwork):
    """Convolutional network, for windows of any length.

    `n_bins` does not change the number of parameters.
    """

    def __init__(self, hyperparameters: Hyperparameters, n_bins: int, n_genres: int) -> None:
        super().__init__()
        self.blocks, channels = conv_blocks(hyperparameters.width, [2] * hyperparameters.blocks)
        self.head = nn.Sequential(nn.Dropout(hyperparameters.dropout), nn.Linear(2 * channels, n_genres))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = self.blocks(windows.unsqueeze(1))  # (B, T, F) -> (B, C, T', F')
        x = x.mean(dim=3)  # (B, C, T')
        x = torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1)  # (B, 2 C)
        return self.head(x)
