"""Small VGG: five blocks of two convolutions on log-mel.

It is a reduced version of K. Simonyan and A. Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR
2015. Each of the five blocks has convolution, ReLU, convolution, ReLU, batch norm and maximum pooling. Adaptive average pooling
follows, then dense layers 256-512-128-genres with dropout. `presets/vgg.txt` has the intended set-up: windows of 10 s with 50 %
overlap, normalised by window.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from genre_core.config import Section
from genre_core.networks import GenreNetwork

FEATURE = "mel"


class Hyperparameters(Section):
    """Section ``model.vgg``."""

    width: int = Field(ge=2, le=64)
    dropout: float = Field(ge=0, lt=1)


class Network(GenreNetwork):
    """Small VGG, for windows of any length."""

    def __init__(self, hyperparameters: Hyperparameters, n_bins: int, n_genres: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for block in range(5):
            width = hyperparameters.width * 2**block
            for inner in (channels, width):
                layers += [nn.Conv2d(inner, width, 3, padding=1), nn.ReLU(inplace=True)]
            layers += [nn.BatchNorm2d(width), nn.MaxPool2d(2, ceil_mode=True)]
            channels = width
        self.blocks = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        head: list[nn.Module] = []
        for width in (512, 128):
            head += [nn.Linear(channels, width), nn.ReLU(inplace=True), nn.Dropout(hyperparameters.dropout)]
            channels = width
        self.head = nn.Sequential(*head, nn.Linear(channels, n_genres))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(windows.unsqueeze(1)))  # (B, T, F) -> (B, 1, T, F) -> (B, 16 width) -> (B, genres)
