"""Network architectures, one per file.

A file ``<type>.py`` holds ``FEATURE`` (the kind of feature), ``Hyperparameters`` (the section ``model.<type>`` of params.yaml) and
``Network(hyperparameters, n_bins, n_genres)``, a `GenreNetwork` that maps windows (B, T, n_bins) to logits (B, n_genres).
A file in this folder is known at once: nothing registers it. If a file holds ``NORMALISE``, it replaces ``features.normalise``.
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
    """Interface between a network and the training loop.

    By default, a network has no penalty, no frozen weights and no pretrained weights, and is not fitted in closed form.

    Attributes
    ----------
    min_frames : int
        Number of rows in the shortest window that the network accepts.
    closed_form : bool
        Whether `solve` fits the network instead of the training loop.
    """

    min_frames = 1
    closed_form = False

    def penalty(self) -> torch.Tensor | float:
        """Compute the term that is added to the loss of each batch."""
        return 0.0

    def unfreeze(self, done: float) -> None:
        """Choose the weights that the next epoch trains, at its start.

        Parameters
        ----------
        done : float in [0, 1)
            Share of the epochs that are done.
        """

    def solve(self, windows: torch.Tensor, genres: torch.Tensor, seed: int) -> None:
        """Fit the network in closed form; only for networks with `closed_form`.

        Parameters
        ----------
        windows : torch.Tensor [shape=(n, T, n_bins), dtype=float32]
            Normalised windows.
        genres : torch.Tensor [shape=(n,), dtype=int64]
            Number of the genre of each window.
        seed : int
        """
        raise NotImplementedError

    def load_pretrained(self, downloads: Path) -> None:
        """Load pretrained weights, and keep downloaded files in the folder `downloads`."""


def architecture(name: str) -> ModuleType:
    """Import the module of an architecture.

    Raises
    ------
    GenreError
        The architecture `name` does not exist.
    """
    if name not in architectures():
        raise GenreError(f"model type {name!r} is unknown: allowed are {', '.join(architectures())}")
    return importlib.import_module(f"genre_core.networks.{name}")


def feature_of(name: str) -> Kind:
    """Return the kind of feature that a network reads."""
    return cast(Kind, architecture(name).FEATURE)


def by_gradient(name: str) -> bool:
    """Tell whether the training loop trains a network, so that several processes can share its batches."""
    network = getattr(architecture(name), "Network", None)
    return network is not None and not network.closed_form


def build(name: str, hyperparameters: dict[str, Any], *, n_bins: int, n_genres: int, where: str = "params.yaml") -> GenreNetwork:
    """Build a network with random weights from torch's global generator.

    Parameters
    ----------
    name : str
        Architecture, as in ``model.type``.
    hyperparameters : dict
        Values of the section ``model.<name>``.
    n_bins : int
        Number of values in a row of the feature.
    n_genres : int
    where : str
        File of the hyperparameters, for error messages.

    Raises
    ------
    GenreError
        The architecture does not exist, or `hyperparameters` are not valid for it.
    """
    module = architecture(name)
    network = module.Network(parse(module.Hyperparameters, hyperparameters, where, f"model.{name}."), n_bins, n_genres)
    return cast(GenreNetwork, network)


def channels_last(network: GenreNetwork) -> GenreNetwork:
    """Convert the weights of a network to the channels-last memory layout.

    Convolutions are then two to three times faster on CPUs. Results change only by rounding.
    """
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class ClosedForm(GenreNetwork):
    """Classical model on standardised MFCC statistics.

    The mean and the standard deviation of the training windows standardise the statistics.
    """

    min_frames = 3
    closed_form = True

    def __init__(self, n_bins: int) -> None:
        super().__init__()
        self.scale = nn.BatchNorm1d(4 * n_bins, affine=False, eps=0.0)  # its running statistics come from the training windows

    def solve(self, windows: torch.Tensor, genres: torch.Tensor, seed: int) -> None:
        x = mfcc_statistics(windows)
        self.scale.running_mean, self.scale.running_var = x.mean(0), x.var(0, correction=0).clamp(min=1e-6)
        self.fit(self.scale(x), genres, seed)

    def fit(self, statistics: torch.Tensor, genres: torch.Tensor, seed: int) -> None:
        """Fit the model to standardised MFCC statistics.

        Parameters
        ----------
        statistics : torch.Tensor [shape=(n, 4 * n_bins), dtype=float32]
        genres : torch.Tensor [shape=(n,), dtype=int64]
            Number of the genre of each window.
        seed : int
        """
        raise NotImplementedError
