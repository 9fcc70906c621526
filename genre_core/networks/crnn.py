"""Convolutional recurrent network on log-mel.

Convolution blocks pool frequency more than time. A GRU of two layers runs over the remaining time steps, and a linear layer maps
its last state to the genres (K. Choi, G. Fazekas, M. Sandler and K. Cho, "Convolutional recurrent neural networks for music
classification", ICASSP 2017).
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
    """Section ``model.crnn``."""

    width: int = Field(ge=4, le=256)
    units: int = Field(ge=4, le=1024)
    dropout: float = Field(ge=0, lt=1)


class Network(GenreNetwork):
    """Convolutional recurrent network, for windows of any length."""

    def __init__(self, hyperparameters: Hyperparameters, n_bins: int, n_genres: int) -> None:
        super().__init__()
        self.blocks, channels = conv_blocks(hyperparameters.width, [(2, 2), (2, 4), (2, 4), (1, 4)])
        self.gru = nn.GRU(channels, hyperparameters.units, num_layers=2, batch_first=True, dropout=hyperparameters.dropout)
        self.head = nn.Sequential(nn.Dropout(hyperparameters.dropout), nn.Linear(hyperparameters.units, n_genres))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = self.blocks(windows.unsqueeze(1)).mean(3)  # (B, C, T')
        states, _ = self.gru(x.transpose(1, 2))  # (B, T', units)
        return self.head(states[:, -1])
