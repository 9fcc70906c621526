"""Ensemble: the mean of the probabilities of several saved models.

L. Hansen and P. Salamon, "Neural network ensembles", IEEE TPAMI 1990. Nothing is trained: the stage `train` puts the models of a
folder into one file. The models must have the same genres, features and split: see `genre_core.models.model.Ensemble`.
"""

from __future__ import annotations

from pydantic import Field

from genre_core.config import Section


class Hyperparameters(Section):
    """Section ``model.ensemble``."""

    folder: str = Field(min_length=1)
