"""Computation of a model's features from samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from genre_core.audio.io import resample
from genre_core.audio.level import to_level
from genre_core.features import musicnn
from genre_core.features.kinds import Kind
from genre_core.features.spectrogram import FeatureSpec, log_mel
from genre_core.features.store import features_from_log_mel, to_store_dtype
from genre_core.models.ensemble import Model


def spectrograms(model: Model) -> dict[Kind, FeatureSpec]:
    """Return the parameters of each log-mel spectrogram that a model needs.

    Parameters
    ----------
    model : GenreModel or Ensemble

    Returns
    -------
    dict of str to FeatureSpec
        Parameters for the keys ``mel``, ``musicnn`` or both. Files are decoded at the sample rate of the first spectrogram, and
        figures show this spectrogram.
    """
    kinds = set(model.kinds)
    mel: dict[Kind, FeatureSpec] = {"mel": model.spec} if kinds - {"musicnn"} else {}
    return mel | ({"musicnn": musicnn.SPEC} if "musicnn" in kinds else {})


def first_spectrogram(model: Model) -> FeatureSpec:
    """Return the parameters of a model's first spectrogram.

    Files are decoded at its sample rate.
    """
    return next(iter(spectrograms(model).values()))


def compute_spectrograms(model: Model, y: np.ndarray, sample_rate: int) -> dict[Kind, np.ndarray]:
    """Bring audio to the model's level, and compute the spectrograms that the model needs.

    Parameters
    ----------
    model : GenreModel or Ensemble
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples of any level.
    sample_rate : int
        Sample rate of `y` in Hz.

    Returns
    -------
    dict of str to np.ndarray [shape=(frames, n_mels), dtype=float32]
        Log-mel in dB for each key of `spectrograms`.
    """
    y = to_level(y, sample_rate, model.spec.level_dbfs)
    return {kind: log_mel(resample(y, sample_rate, spec.sample_rate), spec) for kind, spec in spectrograms(model).items()}


def features(model: Model, mels: Mapping[Kind, np.ndarray], *, fast: bool = False) -> dict[Kind, np.ndarray]:
    """Compute the features of a model in the feature store's precision.

    Parameters
    ----------
    model : GenreModel or Ensemble
    mels : mapping of str to np.ndarray [shape=(frames, n_mels), dtype=float32]
        Log-mel in dB for each key of `spectrograms`.
    fast : bool
        Compute embeddings with 8-bit integers.

    Returns
    -------
    dict of str to np.ndarray [shape=(frames, n_bins)]
        Features of each kind: ``mel`` and ``musicnn`` in float16, ``mfcc`` in float32.
    """
    rows: dict[Kind, np.ndarray] = {}
    if "mel" in mels:
        rows |= features_from_log_mel(mels["mel"], model.spec)
    if "musicnn" in mels:
        rows["musicnn"] = to_store_dtype(musicnn.embed_decibel(mels["musicnn"], int8=fast))
    return rows
