"""Networks: one architecture a file.

A file ``<type>.py`` holds ``FEATURE`` (a kind of the feature stores), ``Hyperparameters`` (its section of params.yaml) and
``Network(hyperparameters, n_bins, n_genres)``, a `GenreNetwork`, which maps windows (B, T, n_bins) to logits (B, n_genres).
``NORMALISE``, where a file has it, takes the place of ``features.normalise``.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

import torch
from torch import nn

from genre_core import backbone
from genre_core.config import architectures, parse
from genre_core.errors import GenreError
from genre_core.features import FeatureSpec
from genre_core.store import Kind


class GenreNetwork(nn.Module):
    """What the training loop asks of a network; each method does nothing unless a network says otherwise."""

    min_frames = 1  # the shortest window
    closed_form = False  # `solve` takes the place of the loop

    def penalty(self) -> torch.Tensor | float:
        """What is added to the loss of each batch."""
        return 0.0

    def thaw(self, done: float) -> None:
        """Say which weights are trained when `done`, a share of the epochs from 0 to below 1, are past."""

    def solve(self, windows: torch.Tensor, genres: torch.Tensor, seed: int) -> None:
        """Fit at once, to normalised `windows` (n, T, n_bins) and their `genres` (n,), if `closed_form`."""
        raise NotImplementedError

    def load_pretrained(self, downloads: Path) -> None:
        """Begin from weights that others trained; downloads are kept in the folder `downloads`."""


class Grid(Protocol):
    """Where windows lie in the rows of a kind of feature."""

    def frames(self, seconds: float) -> int:
        """Rows of a window of `seconds`."""

    def first_frame(self, start_seconds: float) -> int:
        """First row of a window that starts at `start_seconds`."""


def architecture(name: str) -> ModuleType:
    """The module of a network.

    Raises
    ------
    GenreError
        There is no such network.
    """
    if name not in architectures():
        raise GenreError(f"model type {name!r} is unknown: allowed are {', '.join(architectures())}")
    return importlib.import_module(f"genre_core.models.{name}")


def feature_of(name: str) -> Kind:
    """The kind of feature that a network reads."""
    return cast(Kind, architecture(name).FEATURE)


def grid(kind: Kind, spec: FeatureSpec) -> Grid:
    """The grid of a kind of feature."""
    return cast(Grid, backbone) if kind == "musicnn" else spec


def bins(kind: Kind, spec: FeatureSpec) -> int:
    """Values in a row of a kind of feature."""
    return {"mel": spec.n_mels, "mfcc": spec.n_mfcc, "musicnn": backbone.WIDTH}[kind]


def build(name: str, hyperparameters: dict[str, Any], *, n_bins: int, n_genres: int, where: str = "params.yaml") -> GenreNetwork:
    """A network with new weights from torch's global generator.

    Raises
    ------
    GenreError
        There is no such network, or `hyperparameters` are not its; `where` names their file.
    """
    module = architecture(name)
    network = module.Network(parse(module.Hyperparameters, hyperparameters, where, f"model.{name}."), n_bins, n_genres)
    return cast(GenreNetwork, network)


def channels_last(network: GenreNetwork) -> GenreNetwork:
    """Lay out the weights so that convolutions are two to three times faster on CPUs; results change by rounding alone."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def conv_block(channels: int, width: int, pool: int | tuple[int, int] = 2) -> list[nn.Module]:
    """A 3x3 convolution, pooled before batch norm and ReLU, which then have a quarter of the values to work on."""
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
    """Mean and standard deviation over time of MFCC and of their first differences (texture windows, Tzanetakis and Cook 2002).

    Parameters
    ----------
    windows : torch.Tensor [shape=(B, T, n_mfcc)]

    Returns
    -------
    torch.Tensor [shape=(B, 4 * n_mfcc)]
    """
    change = windows[:, 1:] - windows[:, :-1]  # (B, T - 1, F)
    return torch.cat([windows.mean(1), windows.std(1), change.mean(1), change.std(1)], dim=1)


class ClosedForm(GenreNetwork):
    """A classical model on MFCC statistics, standardised by those of the training windows."""

    min_frames = 3
    closed_form = True

    def __init__(self, n_bins: int) -> None:
        super().__init__()
        self.scale = nn.BatchNorm1d(4 * n_bins, affine=False, eps=0.0)  # its running statistics are the training split's

    def solve(self, windows: torch.Tensor, genres: torch.Tensor, seed: int) -> None:
        x = mfcc_statistics(windows)
        self.scale.running_mean, self.scale.running_var = x.mean(0), x.var(0, correction=0).clamp(min=1e-6)
        self.fit(self.scale(x), genres, seed)

    def fit(self, statistics: torch.Tensor, genres: torch.Tensor, seed: int) -> None:
        """Fit to standardised `statistics` (n, 4 * n_bins)."""
        raise NotImplementedError
