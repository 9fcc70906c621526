"""Trained models: a single network, or an ensemble of several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from genre_core import networks
from genre_core.errors import GenreError
from genre_core.evaluation import conformal
from genre_core.evaluation.calibration import pooled
from genre_core.features import musicnn
from genre_core.features.feature_kind import FeatureKind, feature_kind
from genre_core.features.kinds import Kind
from genre_core.features.spectrogram import FeatureSpec
from genre_core.models.normalisation import Normalisation

FORMAT = "genre-core model 1"
_MAX_BATCH_VALUES = 8_000_000  # limits the memory of a batch of windows
NOT_SURE_BELOW = 0.5  # below this calibrated probability, the answer is more often wrong than right
MOMENT_SECONDS, MOMENT_HOP_SECONDS = 5.0, 1.0  # windows of the timeline, if a model accepts any length


@dataclass(frozen=True)
class OutOfDistribution:
    """Out-of-distribution score of a track.

    The score is the Mahalanobis distance from the training tracks, computed from the logarithms of a track's mean tags.

    Attributes
    ----------
    mean : torch.Tensor [shape=(50,), dtype=float32]
        Mean over the training tracks.
    precision : torch.Tensor [shape=(50, 50), dtype=float32]
        Inverse covariance over the training tracks.
    limit : float
        Largest distance at which a track counts as similar to the training tracks.
    """

    mean: torch.Tensor
    precision: torch.Tensor
    limit: float

    def distance(self, embeddings: np.ndarray) -> float:
        """Compute the distance of a track from its `embeddings` [shape=(patches, 1756)]."""
        tags = torch.from_numpy(embeddings[:, musicnn.TAGS].astype(np.float32)).mean(0).clamp(min=1e-6)
        difference = tags.log() - self.mean
        return float((difference @ self.precision @ difference).clamp(min=0).sqrt())


class Calibrated:
    """Calibration of logits by a temperature.

    The source is Guo et al. 2017, "On calibration of modern neural networks".
    """

    temperature: float
    info: dict[str, Any]

    def probabilities(self, logits: torch.Tensor) -> np.ndarray:
        """Compute calibrated probabilities of each window, using the track temperature.

        Parameters
        ----------
        logits : torch.Tensor [shape=(windows, genres)]

        Returns
        -------
        np.ndarray [shape=(windows, genres), dtype=float64]
        """
        return (logits.double() / self.temperature).softmax(dim=1).numpy()

    def track_probabilities(self, logits: torch.Tensor) -> np.ndarray:
        """Pool the logits of a track's windows into calibrated probabilities ``(genres,)``."""
        return pooled(logits, self.temperature).numpy()

    def prediction_set(self, probabilities: Mapping[str, float]) -> tuple[tuple[str, ...], float]:
        """Choose the genres of which one is right with the promised probability.

        Parameters
        ----------
        probabilities : mapping of str to float
            Calibrated probability of each genre for a whole track.

        Returns
        -------
        genres : tuple of str
            Most probable genre first; empty if the model promises nothing.
        coverage : float
            Promised probability that one of them is right; 0 if the model promises nothing.
        """
        promise = self.info.get("conformal") or {}
        if promise.get("threshold") is None:
            return (), 0.0
        return conformal.prediction_set(probabilities, promise["threshold"]), promise["coverage"]


@dataclass
class GenreModel(Calibrated):
    """Network with its feature parameters, normalisation and calibration.

    Attributes
    ----------
    type : str
        Name of the architecture: its module in ``genre_core.networks``.
    hyperparameters : dict
    network : GenreNetwork
    genres : list of str
        Genres in the order of the logits.
    spec : FeatureSpec
    segment_seconds, hop_seconds : float
        Length of a window and distance between windows, in seconds.
    normalisation : Normalisation
    temperature : float
        Temperature of the calibration.
    info : dict
        Data set, protocol, seed and versions, for people; ``not_sure_below`` is the calibrated probability below which the model
        answers "not sure"; ``conformal`` is what its prediction sets promise (`conformal.promise`).
    out_of_distribution : OutOfDistribution, optional
        Out-of-distribution score, for models that read embeddings.
    """

    type: str
    hyperparameters: dict[str, Any]
    network: networks.GenreNetwork
    genres: list[str]
    spec: FeatureSpec
    segment_seconds: float
    hop_seconds: float
    normalisation: Normalisation
    temperature: float = 1.0
    info: dict[str, Any] = field(default_factory=dict)
    out_of_distribution: OutOfDistribution | None = None

    @property
    def parameters(self) -> int:
        """Number of parameters of the network."""
        return sum(p.numel() for p in self.network.parameters())

    @property
    def kind(self) -> Kind:
        """Kind of feature that the network reads."""
        return networks.feature_of(self.type)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds of feature that the model reads."""
        return (self.kind,)

    @property
    def feature(self) -> FeatureKind:
        """Feature that the network reads, with the parameters of the model."""
        return feature_kind(self.kind, self.spec)

    @property
    def members(self) -> list[GenreModel]:
        """The model itself, as the only member."""
        return [self]

    @property
    def any_length(self) -> bool:
        """True if windows may be shorter than a segment."""
        return self.feature.any_length

    def score(self, features: Mapping[Kind, np.ndarray], starts_seconds: Sequence[float]) -> torch.Tensor:
        """Compute the `logits` of windows, given the features of each kind."""
        return self.logits(features[self.kind], starts_seconds)

    @torch.inference_mode()
    def logits(self, features: np.ndarray, starts_seconds: Sequence[float]) -> torch.Tensor:
        """Compute uncalibrated logits of windows of one track.

        Parameters
        ----------
        features : np.ndarray [shape=(frames, n_bins)]
            Features of the whole track, of the kind that the network reads.
        starts_seconds : sequence of float
            Start of each window, in seconds.

        Returns
        -------
        torch.Tensor [shape=(windows, genres), dtype=float32]
            Logits on the CPU.

        Raises
        ------
        GenreError
            A logit is not finite.
        """
        self.network.eval()
        logits = torch.cat([self.network(windows).float().cpu() for windows in self.windows(features, starts_seconds)])
        if not torch.isfinite(logits).all():
            raise GenreError(f"the model ({self.type}) gives logits that are not finite (NaN or infinite): it is damaged; train it again")
        return logits

    def windows(self, features: np.ndarray, starts_seconds: Sequence[float]) -> Iterator[torch.Tensor]:
        """Yield normalised windows in batches ``(at most 32, T, n_bins)``.

        The batches are on the device of the network.
        """
        device = next(self.network.parameters()).device
        track = self.normalisation.of_track(torch.from_numpy(np.asarray(features, np.float32)).to(device))  # (frames, bins)
        feature = self.feature
        frames = feature.frames(self.segment_seconds)
        if feature.any_length:
            frames = min(frames, len(track))
        first_rows = torch.tensor([max(0, min(feature.first_frame(s), len(track) - frames)) for s in starts_seconds], device=device)
        batch_size = max(1, min(32, _MAX_BATCH_VALUES // (frames * track.shape[1])))
        for batch in first_rows.split(batch_size):
            # Resampling may make a track of one segment's length one frame too short.
            rows_of_windows = (batch[:, None] + torch.arange(frames, device=device)).clamp(max=len(track) - 1)
            yield self.normalisation.apply(track[rows_of_windows])

    def timeline_model(self) -> GenreModel:
        """Return the model for the timeline, with short windows if possible."""
        return replace(self, segment_seconds=MOMENT_SECONDS, hop_seconds=MOMENT_HOP_SECONDS) if self.any_length else self

    def state(self) -> dict[str, torch.Tensor]:
        """Return all tensors of the model file."""
        state = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        state |= {"normalisation.mean": self.normalisation.mean.cpu(), "normalisation.deviation": self.normalisation.deviation.cpu()}
        if self.out_of_distribution:
            state |= {f"familiar.{name}": torch.as_tensor(value) for name, value in vars(self.out_of_distribution).items()}
        return state

    def description(self) -> dict[str, Any]:
        """Return all content of the model file except the tensors."""
        return {
            "type": self.type,
            "hyperparameters": self.hyperparameters,
            "genres": self.genres,
            "features": {**asdict(self.spec), "normalise": self.normalisation.kind, "range_db": self.normalisation.range_db},
            "segment_seconds": self.segment_seconds,
            "hop_seconds": self.hop_seconds,
            "temperature": self.temperature,
            "info": self.info,
        }
