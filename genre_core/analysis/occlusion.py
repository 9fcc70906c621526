"""Explanation of a prediction by occlusion of frequency bands.

One band of the log-mel spectrogram is removed, and the prediction is repeated; the fall of the probability shows how much the band
contributed. The bins of the band are set to the average input of the network, which depends on its normalisation: the mean of the
training split, the mean of the track, or the mean of all bins. For the tagger musicnn, they are set to silence.

Sources: M. D. Zeiler and R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014 (occlusion);
S. Mishra, B. L. Sturm and S. Dixon, "Local interpretable model-agnostic explanations for music content analysis", ISMIR 2017
(spectrograms).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from tqdm import tqdm

from genre_core.features.kinds import Kind
from genre_core.features.spectrogram import FLOOR_POWER, FeatureSpec, mel_band_hz
from genre_core.models.ensemble import Model
from genre_core.models.frontend import compute_spectrograms, features, spectrograms
from genre_core.models.normalisation import within_range


@dataclass(frozen=True)
class Explanation:
    """Explanation of one genre's probability for one file.

    Attributes
    ----------
    genre : str
        Explained genre.
    starts_seconds : np.ndarray [shape=(windows,)]
        Start of each window, in seconds.
    probability : np.ndarray [shape=(windows,)]
        Probability of the genre in each window.
    edges_hz : np.ndarray [shape=(bands + 1,)]
        Edges of the bands in Hz.
    carried : np.ndarray [shape=(bands, windows)]
        Fall of the genre's probability in each window if a band is removed; negative if the probability rises.
    whole : float
        Probability of the genre for the file, pooled over these windows.
    falls : np.ndarray [shape=(bands,)]
        Fall of `whole` if a band is removed; negative if it rises.
    mel : np.ndarray [shape=(frames, n_mels)]
        Log-mel of the file in dB.
    spec : FeatureSpec
        Parameters of `mel`.
    """

    genre: str
    starts_seconds: np.ndarray
    probability: np.ndarray
    edges_hz: np.ndarray
    carried: np.ndarray
    whole: float
    falls: np.ndarray
    mel: np.ndarray
    spec: FeatureSpec

    @property
    def bands(self) -> list[tuple[str, float]]:
        """Names of the bands from low to high, with their `falls`."""
        edges = [f"{hz:.0f}" for hz in self.edges_hz]
        return [(f"{low}-{high} Hz", float(fall)) for low, high, fall in zip(edges[:-1], edges[1:], self.falls, strict=True)]


def explain(model: Model, y: np.ndarray, sample_rate: int, starts_seconds: Sequence[float], genre: str, *, bands: int = 8) -> Explanation:
    """Explain the probability of a genre by removing each band in turn.

    Parameters
    ----------
    model : GenreModel or Ensemble
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples of the file, full scale +-1.0.
    sample_rate : int
        Sample rate of `y` in Hz.
    starts_seconds : sequence of float
        Start of each window, in seconds.
    genre : str
        Genre to explain.
    bands : int
        Number of bands, which have equal width in mels.

    Returns
    -------
    Explanation

    Raises
    ------
    ValueError
        The model does not know the genre.
    """
    specs = spectrograms(model)
    mels = compute_spectrograms(model, y, sample_rate)
    filling: dict[Kind, np.ndarray] = {}
    if "mel" in mels:
        mels["mel"] = _within_range(model, mels["mel"])
        filling["mel"] = _filling(model, mels["mel"])
    if "musicnn" in mels:
        filling["musicnn"] = np.full(specs["musicnn"].n_mels, 10 * np.log10(FLOOR_POWER))
    shown_kind, spec = next(iter(specs.items()))
    mel = mels[shown_kind]
    edges = np.linspace(0, spec.n_mels, bands + 1).round().astype(int)
    centres = mel_band_hz(spec)
    edges_hz = np.array([spec.fmin_hz, *((centres[e - 1] + centres[e]) / 2 for e in edges[1:-1]), spec.fmax_hz])
    genre_index = model.genres.index(genre)

    def probabilities_without(low_hz: float, high_hz: float) -> tuple[np.ndarray, float]:
        occluded = {kind: _without(mels[kind], specs[kind], low_hz, high_hz, filling[kind]) for kind in mels}
        rows = features(model, occluded)
        if "mfcc" in model.kinds:
            occluded_mel = _without(mel, spec, low_hz, high_hz, np.full(spec.n_mels, mel.mean()))
            rows["mfcc"] = features(model, {"mel": occluded_mel})["mfcc"]
        logits = model.score(rows, starts_seconds)
        return model.probabilities(logits)[:, genre_index], float(model.track_probabilities(logits)[genre_index])

    window_probabilities, file_probability = probabilities_without(0.0, 0.0)  # an empty band
    bands_hz = tqdm(list(pairwise(edges_hz)), desc="explain", unit="band", leave=False, disable=None)
    occlusions = [probabilities_without(low_hz, high_hz) for low_hz, high_hz in bands_hz]
    carried = np.array([window_probabilities - occluded_windows for occluded_windows, _ in occlusions])
    falls = np.array([file_probability - occluded_file for _, occluded_file in occlusions])
    return Explanation(genre, np.array(starts_seconds), window_probabilities, edges_hz, carried, file_probability, falls, mel, spec)


def _within_range(model: Model, mel: np.ndarray) -> np.ndarray:
    """Limit the levels of `mel` to the range of the model's networks.

    This happens before a band is removed, because the range counts from the maximum, which a loud band may contain.
    """
    ranges = [member.normalisation.range_db for member in model.members if member.feature.is_log_mel]
    return within_range(torch.from_numpy(mel), max(ranges)).numpy() if ranges and all(ranges) else mel


def _filling(model: Model, mel: np.ndarray) -> np.ndarray:
    """Return the levels that replace the bins of a removed band.

    The levels are the average input of the network, so they depend on its normalisation.

    Returns
    -------
    np.ndarray [shape=(n_mels,)]
        Levels in dB.
    """
    for member in model.members:
        if member.feature.is_log_mel and member.normalisation.kind == "dataset":
            return member.normalisation.mean.numpy()
        if member.feature.is_log_mel and member.normalisation.kind == "track":
            return mel.mean(axis=0)
    return np.full(mel.shape[1], mel.mean())


def _without(mel: np.ndarray, spec: FeatureSpec, low_hz: float, high_hz: float, filling: np.ndarray) -> np.ndarray:
    """Replace the bins from `low_hz` to below `high_hz` by `filling`."""
    centres = mel_band_hz(spec)
    removed = (centres >= low_hz) & (centres < high_hz)
    occluded = mel.copy()
    occluded[:, removed] = filling[removed]
    return np.asarray(occluded, np.float32)
