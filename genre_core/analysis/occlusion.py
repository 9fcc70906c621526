"""What a model listens to: the bands and moments of a file that carried its decision, by occlusion.

A band is taken away from the log-mel spectrogram, and the file judged anew: its bins are set to what the network's normalisation makes
ordinary (the data set's mean, the track's own, or the mean of all bins), for the tagger musicnn to silence
(occlusion: M. D. Zeiler and R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014; of spectrograms:
S. Mishra, B. L. Sturm and S. Dixon, "Local interpretable model-agnostic explanations for music content analysis", ISMIR 2017).
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
from genre_core.models.frontend import features, heard, spectrograms
from genre_core.models.model import Ensemble, Model
from genre_core.models.normalisation import within_range


@dataclass(frozen=True)
class Explanation:
    """The explanation of one genre's probability for one file.

    Attributes
    ----------
    genre : str
    starts_seconds : np.ndarray [shape=(windows,)]
    probability : np.ndarray [shape=(windows,)]
        Of the genre in each window.
    edges_hz : np.ndarray [shape=(bands + 1,)]
    carried : np.ndarray [shape=(bands, windows)]
        By how much the genre's probability falls in each window where a band is taken away; below 0 where it rises.
    whole : float
        That of the whole file, from these windows.
    falls : np.ndarray [shape=(bands,)]
        By how much that falls.
    mel : np.ndarray [shape=(frames, n_mels)]
        dB, and how it was made:
    spec : FeatureSpec
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
        """Bands from low to high, each with the fall of the file's probability."""
        edges = [f"{hz:.0f}" for hz in self.edges_hz]
        return [(f"{low}-{high} Hz", float(fall)) for low, high, fall in zip(edges[:-1], edges[1:], self.falls, strict=True)]


def explain(model: Model, y: np.ndarray, sample_rate: int, starts_seconds: Sequence[float], genre: str, *, bands: int = 8) -> Explanation:
    """Take one band after another away.

    Parameters
    ----------
    model : GenreModel or Ensemble
    y : np.ndarray [shape=(n,), dtype=float32]
        The file, mono.
    sample_rate : int
        Hz.
    starts_seconds : sequence of float
        Of the windows.
    genre : str
    bands : int
        Of equal width in mels.
    """
    specs = spectrograms(model)
    mels = heard(model, y, sample_rate)
    filling: dict[Kind, np.ndarray] = {}
    if "mel" in mels:
        mels["mel"] = _within_range(model, mels["mel"])
        filling["mel"] = _filling(model, mels["mel"])
    if "musicnn" in mels:
        filling["musicnn"] = np.full(specs["musicnn"].n_mels, 10 * np.log10(FLOOR_POWER))
    shown, spec = next(iter(specs.items()))
    mel = mels[shown]
    edges = np.linspace(0, spec.n_mels, bands + 1).round().astype(int)
    centres = mel_band_hz(spec)
    edges_hz = np.array([spec.fmin_hz, *((centres[e - 1] + centres[e]) / 2 for e in edges[1:-1]), spec.fmax_hz])
    number = model.genres.index(genre)

    def judged(low_hz: float, high_hz: float) -> tuple[np.ndarray, float]:
        left = {kind: _without(mels[kind], specs[kind], low_hz, high_hz, filling[kind]) for kind in mels}
        made = features(model, left)
        if "mfcc" in model.kinds:
            even = _without(mel, spec, low_hz, high_hz, np.full(spec.n_mels, mel.mean()))
            made["mfcc"] = features(model, {"mel": even})["mfcc"]
        logits = model.score(made, starts_seconds)
        return model.probabilities(logits)[:, number], float(model.track_probabilities(logits)[number])

    windows, whole = judged(0.0, 0.0)
    edges_of_bands = tqdm(list(pairwise(edges_hz)), desc="explain", unit="band", leave=False, disable=None)
    without = [judged(low, high) for low, high in edges_of_bands]
    carried = np.array([windows - of_windows for of_windows, _ in without])
    falls = np.array([whole - of_file for _, of_file in without])
    return Explanation(genre, np.array(starts_seconds), windows, edges_hz, carried, whole, falls, mel, spec)


def _within_range(model: Model, mel: np.ndarray) -> np.ndarray:
    """Limit `mel` to the range that its networks see, before a loud band is taken out."""
    members = model.members if isinstance(model, Ensemble) else [model]
    ranges = [member.normalisation.range_db for member in members if member.kind == "mel"]
    return within_range(torch.from_numpy(mel), max(ranges)).numpy() if ranges and all(ranges) else mel


def _filling(model: Model, mel: np.ndarray) -> np.ndarray:
    """Return the level that replaces each bin of an occluded band: the network's average input."""
    for member in model.members if isinstance(model, Ensemble) else [model]:
        if member.kind == "mel" and member.normalisation.kind == "dataset":
            return member.normalisation.mean.numpy()
        if member.kind == "mel" and member.normalisation.kind == "track":
            return mel.mean(axis=0)
    return np.full(mel.shape[1], mel.mean())


def _without(mel: np.ndarray, spec: FeatureSpec, low_hz: float, high_hz: float, filling: np.ndarray) -> np.ndarray:
    centres = mel_band_hz(spec)
    gone = (centres >= low_hz) & (centres < high_hz)
    rest = mel.copy()
    rest[:, gone] = filling[gone]
    return np.asarray(rest, np.float32)
