"""The mean of the calibrated probabilities of several saved models.

L. Hansen and P. Salamon, "Neural network ensembles", IEEE TPAMI 1990. Nothing is trained: `train` puts the models of a
folder into one file. They must agree in their genres, their features, and in who was trained on: see `genre_core.inference.predictor`.
"""

from __future__ import annotations

from pydantic import Field

from genre_core.config import Section


class Hyperparameters(Section):
    """Section ``model.ensemble``."""

    folder: str = Field(min_length=1)
