"""What a model listens to: the bands and moments of a file that carried its decision, by occlusion.

A band is taken away from the log-mel spectrogram by setting each of its bins to its own mean over time, and the file judged anew
(occlusion: M. D. Zeiler and R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014; of spectrograms:
S. Mishra, B. L. Sturm and S. Dixon, "Local interpretable model-agnostic explanations for music content analysis", ISMIR 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from genre_core import backbone
from genre_core.features import FeatureSpec, dct_basis, mel_and_mfcc, mel_band_hz
from genre_core.inference import Model
from genre_core.store import Kind, rounded


@dataclass(frozen=True)
class Explanation:
    """Of one file and one genre.

    Attributes
    ----------
    genre : str
    starts_seconds : np.ndarray [shape=(windows,)]
    probability : np.ndarray [shape=(windows,)]
        Of the genre in each window.
    edges_hz : np.ndarray [shape=(bands + 1,)]
    carried : np.ndarray [shape=(bands, windows)]
        By how much the genre's probability falls in each window where a band is taken away; below 0 where it rises.
    mel : np.ndarray [shape=(frames, n_mels)]
        dB, and how it was made:
    spec : FeatureSpec
    """

    genre: str
    starts_seconds: np.ndarray
    probability: np.ndarray
    edges_hz: np.ndarray
    carried: np.ndarray
    mel: np.ndarray
    spec: FeatureSpec

    @property
    def bands(self) -> list[tuple[str, float]]:
        """Each band, low to high, with the fall of the whole file's probability."""
        edges = [f"{hz:.0f}" for hz in self.edges_hz]
        return [(f"{low}-{high} Hz", float(fall)) for low, high, fall in zip(edges[:-1], edges[1:], self.carried.mean(axis=1), strict=True)]


def explain(model: Model, samples: dict[int, np.ndarray], starts_seconds: Sequence[float], genre: str, *, bands: int = 8) -> Explanation:
    """Take one band after another away.

    Parameters
    ----------
    model : GenreModel or Ensemble
    samples : dict of sample rate (Hz) to np.ndarray [shape=(n,), dtype=float32]
        The file at the rates of `rates`.
    starts_seconds : sequence of float
        Of the windows.
    genre : str
    bands : int
        Of equal width in mels.
    """
    kinds = set(model.kinds)
    spec = backbone.SPEC if kinds == {"musicnn"} else model.spec
    mel = mel_and_mfcc(samples[spec.sample_rate], spec)[0]
    of_backbone = backbone.decibel(samples[backbone.SPEC.sample_rate]) if "musicnn" in kinds else None
    edges = np.linspace(0, spec.n_mels, bands + 1).round().astype(int)
    centres = mel_band_hz(spec)
    edges_hz = np.array([spec.fmin_hz, *((centres[e - 1] + centres[e]) / 2 for e in edges[1:-1]), spec.fmax_hz])
    number = model.genres.index(genre)

    def judged(low_hz: float, high_hz: float) -> np.ndarray:
        features: dict[Kind, np.ndarray] = {}
        if kinds - {"musicnn"}:
            heard = _without(mel, model.spec, low_hz, high_hz)
            features |= {"mel": rounded(heard), "mfcc": heard @ dct_basis(model.spec.n_mels, model.spec.n_mfcc)}
        if of_backbone is not None:
            features["musicnn"] = rounded(backbone.embed_decibel(_without(of_backbone, backbone.SPEC, low_hz, high_hz)))
        return model.probabilities(model.score(features, starts_seconds))[:, number]

    whole = judged(0.0, 0.0)
    carried = np.array([whole - judged(low, high) for low, high in pairwise(edges_hz)])
    return Explanation(genre, np.array(starts_seconds), whole, edges_hz, carried, mel, spec)


def rates(model: Model) -> set[int]:
    """The sample rates (Hz) that `explain` needs a file at."""
    kinds = set(model.kinds)
    return ({backbone.SPEC.sample_rate} if "musicnn" in kinds else set()) | ({model.spec.sample_rate} if kinds - {"musicnn"} else set())


def _without(mel: np.ndarray, spec: FeatureSpec, low_hz: float, high_hz: float) -> np.ndarray:
    centres = mel_band_hz(spec)
    gone = (centres >= low_hz) & (centres < high_hz)
    heard = mel.copy()
    heard[:, gone] = heard[:, gone].mean(axis=0)
    return np.asarray(heard, np.float32)
