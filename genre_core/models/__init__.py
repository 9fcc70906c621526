"""Networks: one architecture a file.

A file ``<type>.py`` holds ``FEATURE`` ("mel" or "mfcc"), ``Hyperparameters`` (its section of params.yaml) and
``Network(hyperparameters, n_bins, n_genres)``, which maps windows (B, T, n_bins) to logits (B, n_genres).
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, cast

import torch
from torch import nn

from genre_core.config import architectures, parse
from genre_core.errors import GenreError
from genre_core.store import Kind


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


def build(name: str, hyperparameters: dict[str, Any], *, n_bins: int, n_genres: int, where: str = "params.yaml") -> nn.Module:
    """A network with new weights from torch's global generator.

    Raises
    ------
    GenreError
        There is no such network, or `hyperparameters` are not its; `where` names their file.
    """
    module = architecture(name)
    network = module.Network(parse(module.Hyperparameters, hyperparameters, where, f"model.{name}."), n_bins, n_genres)
    return cast(nn.Module, network)


def channels_last(network: nn.Module) -> nn.Module:
    """Lay out the weights so that convolutions are two to three times faster on CPUs; results change by rounding alone."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
