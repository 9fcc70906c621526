"""Convolutional network on MFCC as an image, as in many tutorials.

The window is 130 frames (3 s) of 13 MFCC. Three blocks have 32, 64 and 128 filters (3x3, 3x3, 2x2), each followed by ReLU, maximum
pooling (3x3, 3x3, 2x2; stride 2, "same" padding) and batch norm. A dense layer of 128 units with dropout 0.4 follows. L2 with factor
0.001 applies to the kernels of all layers. The network has about 0.3 M parameters (V. Velardo, "Deep Learning (for Audio) with
Python", 2020).

`presets/mfcc_cnn.txt` adds early stopping with a patience of 10.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from genre_core.config import Section
from genre_core.errors import GenreError
from genre_core.networks import GenreNetwork

FEATURE = "mfcc"


class Hyperparameters(Section):
    """Section ``model.mfcc_cnn``."""

    coefficients: int = Field(ge=11, le=128)
    dropout: float = Field(ge=0, lt=1)
    l2: float = Field(ge=0, le=1)


class _SamePool(nn.Module):
    """Maximum pooling with stride 2 and TensorFlow's "same" padding.

    The output has half the length of the input, rounded up.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pads = []
        for length in reversed(x.shape[2:]):
            padding = max(0, (-(-length // 2) - 1) * 2 + self.size - length)
            pads += [padding // 2, padding - padding // 2]
        return functional.max_pool2d(functional.pad(x, pads, value=-torch.inf), self.size, 2)


class Network(GenreNetwork):
    """Convolutional network on MFCC, for windows of at least 11 frames.

    A window of 130 frames (3 s) leaves 15 time steps after the blocks. Windows of other lengths are pooled to 15 time steps too.
    """

    min_frames = 11

    def __init__(self, hyperparameters: Hyperparameters, n_bins: int, n_genres: int) -> None:
        super().__init__()
        self.coefficients, self.l2 = hyperparameters.coefficients, hyperparameters.l2
        if n_bins < self.coefficients:
            raise GenreError(f"model.mfcc_cnn.coefficients {self.coefficients} is above features.n_mfcc {n_bins}")
        layers: list[nn.Module] = []
        rows, channels = self.coefficients, 1
        for width, kernel, pool in ((32, 3, 3), (64, 3, 3), (128, 2, 2)):
            layers += [nn.Conv2d(channels, width, kernel), nn.ReLU(inplace=True), _SamePool(pool), nn.BatchNorm2d(width)]
            rows, channels = -(-(rows - kernel + 1) // 2), width
        self.blocks = nn.Sequential(*layers, nn.AdaptiveMaxPool2d((15, rows)), nn.Flatten())
        dense = nn.Linear(channels * 15 * rows, 128)
        self.head = nn.Sequential(dense, nn.ReLU(inplace=True), nn.Dropout(hyperparameters.dropout), nn.Linear(128, n_genres))

    def penalty(self) -> torch.Tensor | float:
        return self.l2 * sum(m.weight.square().sum() for m in self.modules() if isinstance(m, nn.Conv2d | nn.Linear))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(windows[..., : self.coefficients].unsqueeze(1)))  # (B, 1, T, coefficients)
