"""From samples to what a model reads."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from genre_core.audio.io import resample
from genre_core.features import musicnn
from genre_core.features.kinds import Kind
from genre_core.features.spectrogram import FeatureSpec, log_mel
from genre_core.features.store import rounded, row_of_mel
from genre_core.models.model import Model


def spectrograms(model: Model) -> dict[Kind, FeatureSpec]:
    """Return the parameters of each log-mel spectrogram that a model needs: ``mel``, ``musicnn`` or both.

    Files are decoded at the rate of the first, and pictures show it.
    """
    kinds = set(model.kinds)
    own: dict[Kind, FeatureSpec] = {"mel": model.spec} if kinds - {"musicnn"} else {}
    return own | ({"musicnn": musicnn.SPEC} if "musicnn" in kinds else {})


def heard_by(model: Model) -> FeatureSpec:
    """Return the parameters of a model's first spectrogram: files are decoded at its rate."""
    return next(iter(spectrograms(model).values()))


def heard(model: Model, y: np.ndarray, sample_rate: int) -> dict[Kind, np.ndarray]:
    """Compute the `spectrograms` of mono samples at `sample_rate` Hz, shape ``(frames, n_mels)`` each, dB."""
    return {kind: log_mel(resample(y, sample_rate, spec.sample_rate), spec) for kind, spec in spectrograms(model).items()}


def features(model: Model, mels: Mapping[Kind, np.ndarray]) -> dict[Kind, np.ndarray]:
    """Compute a model's features from its `spectrograms`, in the store's precision."""
    made: dict[Kind, np.ndarray] = {}
    if "mel" in mels:
        made |= row_of_mel(mels["mel"], model.spec)
    if "musicnn" in mels:
        made["musicnn"] = rounded(musicnn.embed_decibel(mels["musicnn"]))
    return made
