"""Layers that several networks share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn


def conv_block(channels: int, width: int, pool: int | tuple[int, int] = 2) -> list[nn.Module]:
    """Build a 3x3 convolution with maximum pooling, batch norm and ReLU.

    Pooling comes first because batch norm and ReLU then process fewer values, a quarter with a `pool` of 2.
    """
    return [
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.MaxPool2d(pool, ceil_mode=True),  # ceil_mode: the shortest window keeps one frame
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    ]


def conv_blocks(width: int, pools: Sequence[int | tuple[int, int]]) -> tuple[nn.Sequential, int]:
    """Build a `conv_block` for each entry of `pools`.

    The first block has `width` channels. Each further block has twice as many, up to four times `width`.

    Returns
    -------
    blocks : nn.Sequential
        Maps (B, 1, T, F) to (B, channels, T', F').
    channels : int
        Number of channels of the last block.
    """
    layers: list[nn.Module] = []
    channels = 1
    for block, pool in enumerate(pools):
        layers += conv_block(channels, width * min(2**block, 4), pool)
        channels = width * min(2**block, 4)
    return nn.Sequential(*layers), channels


def mfcc_statistics(windows: torch.Tensor) -> torch.Tensor:
    """Compute statistics of MFCC and of their differences over time.

    The statistics are mean and standard deviation, as for the texture windows of G. Tzanetakis and P. Cook, "Musical genre
    classification of audio signals", IEEE TSAP 2002.

    Parameters
    ----------
    windows : torch.Tensor [shape=(B, T, n_mfcc), dtype=float32], T >= 3

    Returns
    -------
    torch.Tensor [shape=(B, 4 * n_mfcc), dtype=float32]
        Mean and deviation of the MFCC, then mean and deviation of the differences.
    """
    differences = windows[:, 1:] - windows[:, :-1]  # (B, T - 1, F)
    return torch.cat([windows.mean(1), windows.std(1), differences.mean(1), differences.std(1)], dim=1)


def rows_of_genres(coefficients: np.ndarray, intercept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return one row for each genre of a fitted logistic regression.

    For two genres, scikit-learn has only the row of the second genre: the difference of both.

    Parameters
    ----------
    coefficients : np.ndarray [shape=(genres or 1, values)]
    intercept : np.ndarray [shape=(genres or 1,)]

    Returns
    -------
    coefficients : np.ndarray [shape=(genres, values)]
    intercept : np.ndarray [shape=(genres,)]
    """
    if len(coefficients) > 1:
        return coefficients, intercept
    return np.concatenate([-coefficients, coefficients]) / 2, np.concatenate([-intercept, intercept]) / 2
