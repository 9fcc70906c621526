"""Short-chunk residual network on log-mel.

M. Won, A. Ferraro, D. Bogdanov and X. Serra, "Evaluation of CNN-based automatic music tagging models", SMC 2020. The windows have a
few seconds. A residual block has two 3x3 convolutions, the first with stride 2. The original has seven blocks of 128 to 512
channels and a maximum over the remaining values. For data sets of a thousand tracks, params.yaml has five blocks of `width` to
four times `width` channels; mean over frequency, then mean and maximum over time, follow here.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from pydantic import Field
from torch import nn

from genre_core.config import Section
from genre_core.networks import GenreNetwork

FEATURE = "mel"


class Hyperparameters(Section):
    """Section ``model.resnet``."""

    width: int = Field(ge=4, le=256)
    blocks: int = Field(ge=1, le=7)
    dropout: float = Field(ge=0, lt=1)


class _Block(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.short = nn.Sequential(nn.Conv2d(channels, width, 1, stride=2, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.main(x) + self.short(x)).relu()


class Network(GenreNetwork):
    """Short-chunk residual network, for windows of any length."""

    def __init__(self, hyperparameters: Hyperparameters, n_bins: int, n_genres: int) -> None:
        super().__init__()
        widths = [1, *(hyperparameters.width * min(2**i, 4) for i in range(hyperparameters.blocks))]
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in pairwise(widths)))
        self.head = nn.Sequential(nn.Dropout(hyperparameters.dropout), nn.Linear(2 * widths[-1], n_genres))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = self.blocks(windows.unsqueeze(1)).mean(3)  # (B, C, T')
        return self.head(torch.cat([x.mean(2), x.amax(2)], 1))
