"""A trained model in one file, and its use: audio in, genre probabilities and their timeline out.

The file is safetensors: weights, and everything else that inference needs as JSON in its metadata. No pickle. A
predictor needs no params.yaml, and audio at another rate is resampled, never misread.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import nn

from genre_core import models
from genre_core.audio import decode, peak
from genre_core.config import Features, Section, parse
from genre_core.errors import AudioError, GenreError, SilenceWarning, one_line
from genre_core.features import FeatureSpec, mel_and_mfcc
from genre_core.files import atomic
from genre_core.index import window_starts
from genre_core.normalisation import Normalisation
from genre_core.store import rounded

_FORMAT = "genre-core model 1"
SILENCE_DBFS = -60.0


class _Description(Section):
    """The JSON in a model file's metadata."""

    format: str
    type: str
    hyperparameters: dict[str, Any]
    genres: list[str] = Field(min_length=2, max_length=1000)
    features: Features
    segment_seconds: float = Field(ge=0.5, le=60)
    hop_seconds: float = Field(ge=0.1, le=60)
    temperature: float = Field(ge=0.01, le=100)
    info: dict[str, Any]


@dataclass
class GenreModel:
    """A network with all that its use needs.

    Attributes
    ----------
    type : str
        Its file in ``genre_core.models``.
    hyperparameters : dict
    network : nn.Module
    genres : list of str
        In the order of the logits.
    spec : FeatureSpec
    segment_seconds, hop_seconds : float
    normalisation : Normalisation
    temperature : float
        Divides the logits: calibration (Guo et al. 2017, "On calibration of modern neural networks").
    info : dict
        Data set, protocol, seed, versions: for people.
    """

    type: str
    hyperparameters: dict[str, Any]
    network: nn.Module
    genres: list[str]
    spec: FeatureSpec
    segment_seconds: float
    hop_seconds: float
    normalisation: Normalisation
    temperature: float = 1.0
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.network.parameters())

    @torch.inference_mode()
    def logits(self, features: np.ndarray, starts_seconds: Sequence[float]) -> torch.Tensor:
        """Logits of windows of one track, uncalibrated.

        Parameters
        ----------
        features : np.ndarray [shape=(frames, n_bins)]
            Of the whole track, of the kind that the network reads.
        starts_seconds : sequence of float

        Returns
        -------
        torch.Tensor [shape=(windows, genres), dtype=float32], on the CPU
        """
        self.network.eval()
        device = next(self.network.parameters()).device
        track = torch.from_numpy(np.asarray(features, np.float32)).to(device)  # (frames, bins)
        frames = self.spec.frames(self.segment_seconds)
        first = torch.tensor([max(0, min(self.spec.first_frame(s), len(track) - frames)) for s in starts_seconds], device=device)
        reference = self.normalisation.reference(track)
        parts = []
        for some in first.split(32):
            # Clamped: resampling may round a track of one segment's length down by a frame.
            rows = (some[:, None] + torch.arange(frames, device=device)).clamp(max=len(track) - 1)
            windows = track[rows]  # (B, T, bins)
            parts.append(self.network(self.normalisation.apply(windows, reference.to(device))).float().cpu())
        return torch.cat(parts)

    def probabilities(self, logits: torch.Tensor) -> np.ndarray:
        """Calibrated probabilities of windows, shape ``(windows, genres)``, float64; a track's are their mean."""
        return (logits.double() / self.temperature).softmax(dim=1).numpy()

    def save(self, path: str | Path) -> None:
        """Write the model; the same model gives the same bytes."""
        state = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        state["normalisation.mean"], state["normalisation.deviation"] = self.normalisation.mean.cpu(), self.normalisation.deviation.cpu()
        description = {
            "format": _FORMAT,
            "type": self.type,
            "hyperparameters": self.hyperparameters,
            "genres": self.genres,
            "features": {**asdict(self.spec), "normalise": self.normalisation.kind},
            "segment_seconds": self.segment_seconds,
            "hop_seconds": self.hop_seconds,
            "temperature": self.temperature,
            "info": self.info,
        }
        with atomic(path) as part:  # one metadata entry: safetensors writes several in no fixed order
            save_file(state, part, metadata={"genre_core": json.dumps(description, sort_keys=True)})


def load(path: str | Path) -> GenreModel:
    """Read a model.

    Raises
    ------
    GenreError
        The file is missing, no safetensors, or no model of this project.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except FileNotFoundError:
        raise GenreError(
            f"{path}: no such model; `make demo` or `dvc repro` makes data/model/model.safetensors, --model names another"
        ) from None
    except (safetensors.SafetensorError, OSError) as error:
        raise GenreError(f"{path}: not readable as a safetensors model: {error}") from None
    try:
        raw = json.loads(metadata["genre_core"])
        if raw["format"] != _FORMAT:
            raise GenreError(f"{path}: format {raw['format']!r}, this version reads {_FORMAT!r}; train it anew")
        said = parse(_Description, raw, str(path))  # ranges too: a hostile file must not make us compute for ever
        spec = FeatureSpec.of(said.features)
        normalisation = Normalisation(said.features.normalise, state.pop("normalisation.mean"), state.pop("normalisation.deviation"))
        bins = spec.n_mels if models.feature_of(said.type) == "mel" else spec.n_mfcc
        if normalisation.mean.shape != (bins,) or normalisation.deviation.shape != (bins,):
            raise ValueError(f"normalisation of {tuple(normalisation.mean.shape)} bins, expected {bins}")
        network = models.build(said.type, said.hyperparameters, n_bins=bins, n_genres=len(said.genres), where=str(path))
        network.load_state_dict(state)
    except (KeyError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        raise GenreError(f"{path}: no model of this project, or damaged ({type(error).__name__}: {error}); train it anew") from None
    return GenreModel(
        said.type,
        said.hyperparameters,
        models.channels_last(network),
        said.genres,
        spec,
        said.segment_seconds,
        said.hop_seconds,
        normalisation,
        said.temperature,
        said.info,
    )


@dataclass(frozen=True)
class Prediction:
    """What a model says of a file.

    Attributes
    ----------
    genre : str
        The most probable one.
    probabilities : dict of str to float
        Calibrated, most probable first.
    seconds : float
        Length of the audio.
    starts_seconds : np.ndarray [shape=(windows,)]
    timeline : np.ndarray [shape=(windows, genres)]
        Probabilities of each window, genres in the model's order.
    """

    genre: str
    probabilities: dict[str, float]
    seconds: float
    starts_seconds: np.ndarray
    timeline: np.ndarray


class Predictor:
    """Genre probabilities of files and arrays.

    Parameters
    ----------
    model : str, Path or GenreModel
    """

    def __init__(self, model: str | Path | GenreModel) -> None:
        self.model = model if isinstance(model, GenreModel) else load(model)
        self._feature = models.feature_of(self.model.type)

    def predict_file(self, path: str | Path) -> Prediction:
        """Predict from an audio file of any format and rate.

        Raises
        ------
        AudioError
            The file cannot be decoded, or is shorter than one segment.
        """
        audio = decode(path, sample_rate=self.model.spec.sample_rate)
        try:
            return self.predict(audio.y, audio.sample_rate, name=one_line(str(path)))
        except AudioError as error:
            raise AudioError(f"{path}: {error}") from None

    def predict(self, y: np.ndarray, sample_rate: int, *, name: str = "") -> Prediction:
        """Predict from samples.

        Parameters
        ----------
        y : np.ndarray [shape=(n,), dtype=float32]
            Mono, full scale +-1.0.
        sample_rate : int
            Hz; audio at another rate than the model's is resampled.
        name : str
            For the warning.

        Raises
        ------
        AudioError
            The audio is shorter than one segment, or no finite mono signal.

        Warns
        -----
        SilenceWarning
            The answer means nothing.
        """
        if y.ndim != 1 or (len(y) and not math.isfinite(peak(y))):
            raise AudioError(f"audio of shape {y.shape} must be one-dimensional and finite; mix it to mono")
        spec = self.model.spec
        if sample_rate != spec.sample_rate:
            import soxr

            y = soxr.resample(np.asarray(y, np.float32), sample_rate, spec.sample_rate, quality="HQ")
        seconds = len(y) / spec.sample_rate
        starts = window_starts(seconds, self.model.segment_seconds, self.model.hop_seconds)
        if not starts:
            raise AudioError(f"too short: {seconds:.2f} s, the model needs {self.model.segment_seconds:g} s")
        if peak(y) < 10 ** (SILENCE_DBFS / 20):
            what = f"{name}: silent" if name else "silent audio"
            warnings.warn(f"{what} (peak below {SILENCE_DBFS:g} dBFS): the answer means nothing", SilenceWarning, stacklevel=2)
        mel, mfcc = mel_and_mfcc(y, spec)
        # The store's precision, so that a file gets exactly the score that `evaluate` gave its features.
        features = rounded(mel) if self._feature == "mel" else mfcc
        timeline = self.model.probabilities(self.model.logits(features, starts))
        mean = timeline.mean(axis=0)
        order = np.argsort(-mean, kind="stable")
        probabilities = {self.model.genres[i]: float(mean[i]) for i in order}
        return Prediction(self.model.genres[order[0]], probabilities, seconds, np.array(starts), timeline)
