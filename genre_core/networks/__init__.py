"""Networks: one architecture a file.

A file ``<type>.py`` holds ``FEATURE`` (a kind of the feature stores), ``Hyperparameters`` (its section of params.yaml) and
``Network(hyperparameters, n_bins, n_genres)``, a `GenreNetwork`, which maps windows (B, T, n_bins) to logits (B, n_genres).
``NORMALISE``, where a file has it, takes the place of ``features.normalise``.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import nn

from genre_core.config import architectures, parse
from genre_core.errors import GenreError
from genre_core.features.kinds import Kind
from genre_core.networks._layers import mfcc_statistics


class GenreNetwork(nn.Module):
    """The interface of a network for the training loop; each method does nothing by default."""

    min_frames = 1  # the shortest window
    closed_form = False  # `solve` takes the place of the loop

    def penalty(self) -> torch.Tensor | float:
        """Return a term that is added to the loss of each batch."""
        return 0.0

    def thaw(self, done: float) -> None:
        """Unfreeze weights when `done`, a share of the epochs from 0 to below 1, are past."""

    def solve(self, windows: torch.Tensor, genres: torch.Tensor, seed: int) -> None:
        """Fit at once, to normalised `windows` (n, T, n_bins) and their `genres` (n,), if `closed_form`."""
        raise NotImplementedError

    def load_pretrained(self, downloads: Path) -> None:
        """Load pretrained weights; downloads are kept in the folder `downloads`."""


def architecture(name: str) -> ModuleType:
    """Import the module of a network.

    Raises
    ------
    GenreError
        There is no such network.
    """
    if name not in architectures():
        raise GenreError(f"model type {name!r} is unknown: allowed are {', '.join(architectures())}")
    return importlib.import_module(f"genre_core.networks.{name}")


def feature_of(name: str) -> Kind:
    """Return the kind of feature that a network reads."""
    return cast(Kind, architecture(name).FEATURE)


def build(name: str, hyperparameters: dict[str, Any], *, n_bins: int, n_genres: int, where: str = "params.yaml") -> GenreNetwork:
    """Build a network with new weights from torch's global generator.

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
