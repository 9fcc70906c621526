"""Ensemble of several models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from genre_core.errors import GenreError
from genre_core.features.kinds import Kind
from genre_core.features.spectrogram import FeatureSpec
from genre_core.models.model import FORMAT, Calibrated, GenreModel


@dataclass
class Ensemble(Calibrated):
    """Ensemble of several models, with the interface of `GenreModel`.

    It averages the probabilities of its members, each computed at temperature 1.

    Attributes
    ----------
    members : list of GenreModel
    segment_seconds, hop_seconds : float
        Grid of windows in seconds; from each start, a member reads a window of its own length.
    temperature : float
        Temperature of the calibration, applied to the averaged probabilities.
    info : dict
        Data set, protocol, seed and versions, as for `GenreModel`.
    type : str
        Always "ensemble".

    Raises
    ------
    GenreError
        There are fewer than two members, or their genres, features or splits differ.
    """

    members: list[GenreModel]
    segment_seconds: float
    hop_seconds: float
    temperature: float = 1.0
    info: dict[str, Any] = field(default_factory=dict)
    type: str = "ensemble"

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            raise GenreError(f"an ensemble needs at least two models, {len(self.members)} given")
        shared: dict[str, list[Any]] = {
            "genres": [m.genres for m in self.members],
            "features": [m.spec for m in self.members],
            "split (protocol, fold or data set)": [m.info.get("split_digest") for m in self.members],
        }
        for name, values in shared.items():
            if any(value != values[0] for value in values):
                raise GenreError(f"the members of an ensemble must share their {name}: " + "; ".join(map(str, values)))

    @property
    def genres(self) -> list[str]:
        return self.members[0].genres

    @property
    def spec(self) -> FeatureSpec:
        return self.members[0].spec

    @property
    def parameters(self) -> int:
        return sum(m.parameters for m in self.members)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        return tuple(sorted({m.kind for m in self.members}))

    @property
    def any_length(self) -> bool:
        return all(m.any_length for m in self.members)

    @property
    def out_of_distribution(self) -> None:
        """None: an ensemble does not know which music is outside its training data."""

    def timeline_model(self) -> Ensemble:
        """Return the model itself, because its window length is fixed."""
        return self

    def score(self, features: Mapping[Kind, np.ndarray], starts_seconds: Sequence[float]) -> torch.Tensor:
        """Compute the logarithms of the members' mean probabilities for each window.

        The temperature of the ensemble is not applied.

        Returns
        -------
        torch.Tensor [shape=(windows, genres), dtype=float32]
        """
        member_probabilities = [m.score(features, starts_seconds).softmax(1) for m in self.members]
        return torch.stack(member_probabilities).mean(0).clamp(min=1e-12).log()

    def state(self) -> dict[str, torch.Tensor]:
        """Return all tensors of the model file."""
        return {f"{i}.{name}": value for i, member in enumerate(self.members) for name, value in member.state().items()}

    def description(self) -> dict[str, Any]:
        """Return all content of the model file except the tensors."""
        shared = {key: getattr(self, key) for key in ("type", "segment_seconds", "hop_seconds", "temperature", "info")}
        return {**shared, "members": [{"format": FORMAT, **member.description()} for member in self.members]}


Model = GenreModel | Ensemble
