"""A trained network with all that its use needs; several as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from genre_core import networks
from genre_core.errors import GenreError
from genre_core.evaluation.calibration import pooled
from genre_core.features import musicnn, rows
from genre_core.features.kinds import Kind
from genre_core.features.spectrogram import FeatureSpec
from genre_core.models.normalisation import Normalisation

FORMAT = "genre-core model 1"
_VALUES_AT_ONCE = 8_000_000  # of the windows that a network judges together
NOT_SURE_BELOW = 0.5  # a calibrated probability below which the answer is more often wrong than right
MOMENT_SECONDS, MOMENT_HOP_SECONDS = 5.0, 1.0  # of the timeline of a model that takes any length


@dataclass(frozen=True)
class Familiarity:
    """Out-of-distribution score: Mahalanobis distance of a track's log mean tags from the training tracks'.

    Attributes
    ----------
    mean : torch.Tensor [shape=(50,)]
    precision : torch.Tensor [shape=(50, 50)]
    limit : float
        Beyond it the model does not know such music.
    """

    mean: torch.Tensor
    precision: torch.Tensor
    limit: float

    def distance(self, embeddings: np.ndarray) -> float:
        """Compute the distance of a track's embeddings, shape ``(patches, 1756)``."""
        tags = torch.from_numpy(embeddings[:, musicnn.TAGS].astype(np.float32)).mean(0).clamp(min=1e-6)
        off = tags.log() - self.mean
        return float((off @ self.precision @ off).clamp(min=0).sqrt())


class _Calibrated:
    """Logits to probabilities, by a temperature (Guo et al. 2017, "On calibration of modern neural networks")."""

    temperature: float

    def probabilities(self, logits: torch.Tensor) -> np.ndarray:
        """Calibrated probabilities of each window ``(windows, genres)``, float64, by the track temperature."""
        return (logits.double() / self.temperature).softmax(dim=1).numpy()

    def track_probabilities(self, logits: torch.Tensor) -> np.ndarray:
        """Calibrated probabilities of the track of the windows: see `pooled`."""
        return pooled(logits, self.temperature).numpy()


@dataclass
class GenreModel(_Calibrated):
    """A network with all that its use needs.

    Attributes
    ----------
    type : str
        Its file in ``genre_core.networks``.
    hyperparameters : dict
    network : GenreNetwork
    genres : list of str
        In the order of the logits.
    spec : FeatureSpec
    segment_seconds, hop_seconds : float
    normalisation : Normalisation
    temperature : float
        Of the calibration.
    info : dict
        Data set, protocol, seed, versions: for people. ``not_sure_below``: the calibrated probability below which an answer is none.
    familiarity : Familiarity, optional
        Of models that read embeddings.
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
    familiarity: Familiarity | None = None

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(p.numel() for p in self.network.parameters())

    @property
    def kind(self) -> Kind:
        """The kind of feature that the network reads."""
        return networks.feature_of(self.type)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of feature that the model reads."""
        return (self.kind,)

    @property
    def grid(self) -> rows.Grid:
        """Where windows lie in the rows of the features."""
        return rows.grid(self.kind, self.spec)

    def score(self, features: Mapping[Kind, np.ndarray], starts_seconds: Sequence[float]) -> torch.Tensor:
        """`logits` of the features that the network reads."""
        return self.logits(features[self.kind], starts_seconds)

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

        Raises
        ------
        GenreError
            The network's answer is no finite number.
        """
        self.network.eval()
        made = torch.cat([self.network(windows).float().cpu() for windows in self.windows(features, starts_seconds)])
        if not torch.isfinite(made).all():
            raise GenreError(f"the model ({self.type}) answers with what is no number (NaN or infinite): it is damaged; train it anew")
        return made

    def windows(self, features: np.ndarray, starts_seconds: Sequence[float]) -> Iterator[torch.Tensor]:
        """Yield the network's inputs for `logits`: normalised windows ``(up to 32, T, n_bins)``, on its device."""
        device = next(self.network.parameters()).device
        track = self.normalisation.of_track(torch.from_numpy(np.asarray(features, np.float32)).to(device))  # (frames, bins)
        frames = self.grid.frames(self.segment_seconds)
        if self.kind == "musicnn":
            frames = min(frames, len(track))  # any number of patches will do
        first = torch.tensor([max(0, min(self.grid.first_frame(s), len(track) - frames)) for s in starts_seconds], device=device)
        at_once = max(1, min(32, _VALUES_AT_ONCE // (frames * track.shape[1])))
        for some in first.split(at_once):
            # Clamped: resampling may round a track of one segment's length down by a frame.
            at = (some[:, None] + torch.arange(frames, device=device)).clamp(max=len(track) - 1)
            yield self.normalisation.apply(track[at])

    def finer(self) -> GenreModel:
        """Return the model with short windows, where the network takes any length; else itself."""
        return replace(self, segment_seconds=MOMENT_SECONDS, hop_seconds=MOMENT_HOP_SECONDS) if self.kind == "musicnn" else self

    def state(self) -> dict[str, torch.Tensor]:
        """Return every tensor of the model's file."""
        state = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        state |= {"normalisation.mean": self.normalisation.mean.cpu(), "normalisation.deviation": self.normalisation.deviation.cpu()}
        if self.familiarity:
            state |= {f"familiar.{name}": torch.as_tensor(value) for name, value in vars(self.familiarity).items()}
        return state

    def description(self) -> dict[str, Any]:
        """Return everything else in the model's file."""
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


@dataclass
class Ensemble(_Calibrated):
    """The mean of the probabilities of several models (each at temperature 1), with the interface of `GenreModel`.

    Attributes
    ----------
    members : list of GenreModel
    segment_seconds, hop_seconds : float
        The grid of windows; each member reads as much as it was trained on from each start.
    temperature : float
    info : dict

    Raises
    ------
    GenreError
        There are fewer than two members, or they disagree in what they must share.
    """

    members: list[GenreModel]
    segment_seconds: float
    hop_seconds: float
    temperature: float = 1.0
    info: dict[str, Any] = field(default_factory=dict)
    type: str = "ensemble"

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            raise GenreError(f"an ensemble needs two models, {len(self.members)} given")
        shared: dict[str, list[Any]] = {
            "genres": [m.genres for m in self.members],
            "features": [m.spec for m in self.members],
            "split (protocol, fold or data set)": [m.info.get("split_digest") for m in self.members],
        }
        for what, values in shared.items():
            if any(value != values[0] for value in values):
                raise GenreError(f"the members of an ensemble must share their {what}: " + "; ".join(map(str, values)))

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

    def finer(self) -> Ensemble:
        """Return the model itself: its windows stay."""
        return self

    def score(self, features: Mapping[Kind, np.ndarray], starts_seconds: Sequence[float]) -> torch.Tensor:
        """Logarithms of the mean probabilities of windows, shape ``(windows, genres)``; the ensemble's own temperature comes after."""
        each = [m.score(features, starts_seconds).softmax(1) for m in self.members]
        return torch.stack(each).mean(0).clamp(min=1e-12).log()

    def state(self) -> dict[str, torch.Tensor]:
        """Return every tensor of the model's file."""
        return {f"{i}.{name}": value for i, member in enumerate(self.members) for name, value in member.state().items()}

    def description(self) -> dict[str, Any]:
        """Return everything else in the model's file."""
        own = {key: getattr(self, key) for key in ("type", "segment_seconds", "hop_seconds", "temperature", "info")}
        return {**own, "members": [{"format": FORMAT, **member.description()} for member in self.members]}


Model = GenreModel | Ensemble
