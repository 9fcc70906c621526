"""Layers that several networks share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


def conv_block(channels: int, width: int, pool: int | tuple[int, int] = 2) -> list[nn.Module]:
    """Make a 3x3 convolution, pooled before batch norm and ReLU, which then see a quarter of the values."""
    return [
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.MaxPool2d(pool, ceil_mode=True),  # ceil: the shortest window still leaves one frame
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    ]


def conv_blocks(width: int, pools: Sequence[int | tuple[int, int]]) -> tuple[nn.Sequential, int]:
    """A `conv_block` for each of `pools`, the channels doubling from `width` up to four times it; and the last one's channels."""
    layers: list[nn.Module] = []
    channels = 1
    for block, pool in enumerate(pools):
        layers += conv_block(channels, width * min(2**block, 4), pool)
        channels = width * min(2**block, 4)
    return nn.Sequential(*layers), channels


def mfcc_statistics(windows: torch.Tensor) -> torch.Tensor:
    """Compute mean and deviation over time of MFCC and their differences (texture windows, Tzanetakis and Cook 2002).

    Parameters
    ----------
    windows : torch.Tensor [shape=(B, T, n_mfcc)]

    Returns
    -------
    torch.Tensor [shape=(B, 4 * n_mfcc)]
    """
    change = windows[:, 1:] - windows[:, :-1]  # (B, T - 1, F)
    return torch.cat([windows.mean(1), windows.std(1), change.mean(1), change.std(1)], dim=1)
