"""A trained model in one file, and its use: audio in, genre probabilities and their timeline out.

The file is safetensors: weights, and everything else that inference needs as JSON in its metadata. No pickle. A
predictor needs no params.yaml, and audio at another rate is resampled, never misread.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import safetensors
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from safetensors.torch import save_file

from genre_core import backbone, models
from genre_core.audio import MAX_SECONDS, SILENCE_DBFS, Audio, decode, peak, resample
from genre_core.config import Features, Section, parse
from genre_core.errors import AudioError, GenreError, SilenceWarning, one_line
from genre_core.features import FeatureSpec, log_mel
from genre_core.files import atomic, plain_file
from genre_core.index import window_starts
from genre_core.normalisation import Normalisation
from genre_core.store import Kind, rounded, row_of_mel

_FORMAT = "genre-core model 1"
MAX_MODEL_BYTES = 2_000_000_000
_MAX_HEADER_BYTES = 4_000_000
NOT_SURE_BELOW = 0.5  # a calibrated probability below which the answer is more often wrong than right
MOMENT_SECONDS, MOMENT_HOP_SECONDS = 5.0, 1.0  # of the timeline of a model that takes any length
STEADY_DB = 1.5  # less change of level than this is a tone or a hum, no music
PRETRAINED = Path(__file__).parent / "pretrained" / "gtzan.safetensors"  # for real music: see CARD.md beside it


class _Features(Features):
    """As in params.yaml, but features made elsewhere may begin at 0 Hz, and lie as far apart as they do."""

    hop_length: int = Field(ge=64, le=16384)
    fmin_hz: float = Field(ge=0)
    range_db: float = Field(0.0, ge=0, le=200)  # files from before it was there

    @model_validator(mode="after")
    def _no_gaps(self) -> _Features:
        return self


class _Info(BaseModel):
    """What is read of ``info``; the rest is for people."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    data_set: str = Field("", max_length=1000)
    protocol: str = Field("", max_length=100)
    leaky: bool = False
    split_digest: str = Field("", max_length=100)
    train_tracks: int = Field(0, ge=0, le=10**9)
    not_sure_below: float = Field(NOT_SURE_BELOW, ge=0, le=1)
    score: dict[str, Any] = {}


class _Description(Section):
    """The JSON in a model file's metadata."""

    format: str
    type: str
    hyperparameters: dict[str, Any]
    genres: list[str] = Field(min_length=2, max_length=1000)
    features: _Features
    segment_seconds: float = Field(ge=0.5, le=60)
    hop_seconds: float = Field(ge=0.1, le=60)
    temperature: float = Field(ge=0.01, le=100)
    info: dict[str, Any]


class _EnsembleDescription(Section):
    """Likewise, of an ensemble."""

    format: str
    type: str
    members: list[dict[str, Any]] = Field(min_length=2, max_length=100)
    segment_seconds: float = Field(ge=0.5, le=60)
    hop_seconds: float = Field(ge=0.1, le=60)
    temperature: float = Field(ge=0.01, le=100)
    info: dict[str, Any]


@dataclass(frozen=True)
class Familiarity:
    """How unlike the music that a head was trained on a track is: Mahalanobis distance of its mean tags' logarithms.

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
        """Of a track's embeddings, shape ``(patches, 1756)``."""
        tags = torch.from_numpy(embeddings[:, backbone.TAGS].astype(np.float32)).mean(0).clamp(min=1e-6)
        off = tags.log() - self.mean
        return float((off @ self.precision @ off).clamp(min=0).sqrt())


def pooled(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Calibrated probabilities of a track, shape ``(genres,)``, float64, from its windows' `logits` [shape=(windows, genres)].

    The windows' probabilities are averaged before the temperature comes, which so never changes the answer (pool, then calibrate:
    R. Rahaman and A. Thiery, "Uncertainty quantification and deep ensembles", NeurIPS 2021).
    """
    return (logits.double().softmax(dim=1).mean(dim=0).clamp(min=1e-12).log() / temperature).softmax(dim=0)


class _Calibrated:
    """Logits to probabilities, by a temperature (Guo et al. 2017, "On calibration of modern neural networks")."""

    temperature: float

    def probabilities(self, logits: torch.Tensor) -> np.ndarray:
        """Of each window, shape ``(windows, genres)``, float64; by the temperature of tracks, as windows have none of their own."""
        return (logits.double() / self.temperature).softmax(dim=1).numpy()

    def track_probabilities(self, logits: torch.Tensor) -> np.ndarray:
        """Of the track that the windows are of: see `pooled`."""
        return pooled(logits, self.temperature).numpy()


@dataclass
class GenreModel(_Calibrated):
    """A network with all that its use needs.

    Attributes
    ----------
    type : str
        Its file in ``genre_core.models``.
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
    network: models.GenreNetwork
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
        return models.feature_of(self.type)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """As of an `Ensemble`."""
        return (self.kind,)

    @property
    def grid(self) -> models.Grid:
        """Where windows lie in the rows of the features."""
        return models.grid(self.kind, self.spec)

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
        """What the network is given for `logits`: normalised windows, shape ``(up to 32, T, n_bins)``, on its device."""
        device = next(self.network.parameters()).device
        track = self.normalisation.of_track(torch.from_numpy(np.asarray(features, np.float32)).to(device))  # (frames, bins)
        frames = self.grid.frames(self.segment_seconds)
        if self.kind == "musicnn":
            frames = min(frames, len(track))  # any number of patches will do
        first = torch.tensor([max(0, min(self.grid.first_frame(s), len(track) - frames)) for s in starts_seconds], device=device)
        for some in first.split(32):
            # Clamped: resampling may round a track of one segment's length down by a frame.
            rows = (some[:, None] + torch.arange(frames, device=device)).clamp(max=len(track) - 1)
            yield self.normalisation.apply(track[rows])

    def finer(self) -> GenreModel:
        """With short windows where the network takes any length: what it says moment by moment; else itself."""
        return replace(self, segment_seconds=MOMENT_SECONDS, hop_seconds=MOMENT_HOP_SECONDS) if self.kind == "musicnn" else self

    def state(self) -> dict[str, torch.Tensor]:
        """Every tensor of the model's file."""
        state = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        state |= {"normalisation.mean": self.normalisation.mean.cpu(), "normalisation.deviation": self.normalisation.deviation.cpu()}
        if self.familiarity:
            state |= {f"familiar.{name}": torch.as_tensor(value) for name, value in vars(self.familiarity).items()}
        return state

    def description(self) -> dict[str, Any]:
        """Everything else in the model's file."""
        return {
            "format": _FORMAT,
            "type": self.type,
            "hyperparameters": self.hyperparameters,
            "genres": self.genres,
            "features": {**asdict(self.spec), "normalise": self.normalisation.kind, "range_db": self.normalisation.range_db},
            "segment_seconds": self.segment_seconds,
            "hop_seconds": self.hop_seconds,
            "temperature": self.temperature,
            "info": self.info,
        }

    def save(self, path: str | Path) -> None:
        """Write the model; the same model gives the same bytes."""
        _write(path, self.state(), self.description())


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
        """As `GenreModel.finer`."""
        return self

    def score(self, features: Mapping[Kind, np.ndarray], starts_seconds: Sequence[float]) -> torch.Tensor:
        """Logarithms of the mean probabilities of windows, shape ``(windows, genres)``; the ensemble's own temperature comes after."""
        each = [m.score(features, starts_seconds).softmax(1) for m in self.members]
        return torch.stack(each).mean(0).clamp(min=1e-12).log()

    def save(self, path: str | Path) -> None:
        """Write all members to one file."""
        state = {f"{i}.{name}": value for i, m in enumerate(self.members) for name, value in m.state().items()}
        own = {key: getattr(self, key) for key in ("type", "segment_seconds", "hop_seconds", "temperature", "info")}
        _write(path, state, {"format": _FORMAT, **own, "members": [m.description() for m in self.members]})


Model = GenreModel | Ensemble


def spectrograms(model: Model) -> dict[Kind, FeatureSpec]:
    """How the log-mel spectrograms that a model's features are made of are computed: ``mel``, ``musicnn`` or both.

    Files are decoded at the rate of the first, and pictures show it.
    """
    kinds = set(model.kinds)
    own: dict[Kind, FeatureSpec] = {"mel": model.spec} if kinds - {"musicnn"} else {}
    return own | ({"musicnn": backbone.SPEC} if "musicnn" in kinds else {})


def heard_by(model: Model) -> FeatureSpec:
    """How the samples that a model is given become a spectrogram: the first of `spectrograms`."""
    return next(iter(spectrograms(model).values()))


def heard(model: Model, y: np.ndarray, sample_rate: int) -> dict[Kind, np.ndarray]:
    """The `spectrograms` of mono samples at `sample_rate` Hz, shape ``(frames, n_mels)`` each, dB."""
    return {kind: log_mel(resample(y, sample_rate, spec.sample_rate), spec) for kind, spec in spectrograms(model).items()}


def features(model: Model, mels: Mapping[Kind, np.ndarray]) -> dict[Kind, np.ndarray]:
    """What a model reads, of its `spectrograms`; in the store's precision, so that a file gets exactly the score of its features."""
    made: dict[Kind, np.ndarray] = {}
    if "mel" in mels:
        made |= row_of_mel(mels["mel"], model.spec)
    if "musicnn" in mels:
        made["musicnn"] = rounded(backbone.embed_decibel(mels["musicnn"]))
    return made


def _write(path: str | Path, state: dict[str, torch.Tensor], description: dict[str, Any]) -> None:
    with atomic(path) as part:  # one metadata entry: safetensors writes several in no fixed order
        save_file(state, part, metadata={"genre_core": json.dumps(description, sort_keys=True)})


def load(path: str | Path) -> Model:
    """Read a model; ``pretrained`` is the packaged one for real music.

    Sizes, names, shapes and types of all tensors are checked before one of them is read: a file from elsewhere may claim anything.

    Raises
    ------
    GenreError
        The file is missing, no safetensors, or no model of this project.
    """
    path = PRETRAINED if str(path) == "pretrained" else path
    if not Path(path).exists():
        raise GenreError(
            f"{path}: no such model; `make demo` or `dvc repro` makes data/model/model.safetensors, --model pretrained is the packaged one"
        )
    plain_file(path, max_bytes=MAX_MODEL_BYTES)
    try:
        with Path(path).open("rb") as start:
            if int.from_bytes(start.read(8), "little") > _MAX_HEADER_BYTES:
                raise GenreError(f"{path}: not readable as a safetensors model: its header claims more than {_MAX_HEADER_BYTES:,} bytes")
        with safetensors.safe_open(path, framework="pt") as file:
            return _read(file, str(path))
    except (safetensors.SafetensorError, OSError) as error:
        raise GenreError(f"{path}: not readable as a safetensors model: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, RecursionError, OverflowError) as error:
        raise GenreError(f"{path}: no model of this project, or damaged ({type(error).__name__}: {error}); train it anew") from None


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _read(file: Any, where: str) -> Model:
    """The model in an open safetensors file."""
    raw = json.loads((file.metadata() or {})["genre_core"], parse_constant=_no_constant)
    if raw["format"] != _FORMAT:
        raise GenreError(f"{where}: format {raw['format']!r}, this version reads {_FORMAT!r}; train it anew")
    if raw["type"] != "ensemble":
        wanted = _Wanted.of(raw, where)
        _check_tensors(file, wanted.tensors)
        return wanted.model(file, "")
    said = parse(_EnsembleDescription, raw, where)
    parse(_Info, said.info, where, "info.")
    members = [_Wanted.of(member, f"{where}, member {i}") for i, member in enumerate(said.members)]
    _check_tensors(file, {f"{i}.{name}": shape for i, member in enumerate(members) for name, shape in member.tensors.items()})
    models_of = [member.model(file, f"{i}.") for i, member in enumerate(members)]
    return Ensemble(models_of, said.segment_seconds, said.hop_seconds, said.temperature, said.info)


def _check_tensors(file: Any, wanted: Mapping[str, _Form]) -> None:
    """Refuse a file whose tensors are not those that its description needs; nothing of them is read."""
    names = set(file.keys())
    optional = {name for name, form in wanted.items() if form.optional}
    if names - wanted.keys() or (wanted.keys() - optional) - names or (optional & names not in (set(), optional)):
        differ = sorted((names ^ wanted.keys()) - (optional - names))
        raise ValueError(f"tensors that are too many or missing: {', '.join(differ[:5])}")
    for name in names:
        slice_, form = file.get_slice(name), wanted[name]
        shape, dtype = tuple(slice_.get_shape()), slice_.get_dtype()
        fits = len(shape) == len(form.shape) and all(b in (a, _ANY) for a, b in zip(shape, form.shape, strict=True))
        if not fits or dtype != form.dtype:
            raise ValueError(f"tensor {name} is {dtype} {shape}, expected {form.dtype} {form.shape}")


_ANY = 0  # a size that only the file knows: of an SVM's vectors
_DTYPES = {torch.float32: "F32", torch.int64: "I64", torch.bool: "BOOL"}


@dataclass(frozen=True)
class _Form:
    """What a tensor of a file must be."""

    shape: tuple[int, ...]
    dtype: str = "F32"
    optional: bool = False


@dataclass(frozen=True)
class _Wanted:
    """A model's description, checked, and the tensors that it needs."""

    said: _Description
    spec: FeatureSpec
    bins: int
    where: str
    tensors: dict[str, _Form]

    @classmethod
    def of(cls, raw: dict[str, Any], where: str) -> _Wanted:
        said = parse(_Description, raw, where)  # ranges too: a hostile file must not make us compute for ever
        parse(_Info, said.info, where, "info.")
        if len(set(said.genres)) < len(said.genres) or not all(genre.isprintable() and genre for genre in said.genres):
            raise ValueError("genres that are empty, not printable, or named twice")
        spec = FeatureSpec.of(said.features)
        bins = models.bins(models.feature_of(said.type), spec)
        with torch.device("meta"):  # shapes alone
            network = models.build(said.type, said.hyperparameters, n_bins=bins, n_genres=len(said.genres), where=where)
        forms = {name: _Form(tuple(value.shape), _DTYPES[value.dtype]) for name, value in network.state_dict().items()}
        forms |= {f"normalisation.{name}": _Form((bins,)) for name in ("mean", "deviation")}
        if models.feature_of(said.type) == "musicnn":
            of_tags = {"mean": (50,), "precision": (50, 50), "limit": ()}
            forms |= {f"familiar.{name}": _Form(shape, optional=True) for name, shape in of_tags.items()}
        return cls(said, spec, bins, where, forms)

    def model(self, file: Any, prefix: str) -> GenreModel:
        """Read the tensors, and try the network on one ordinary window: finite weights can still give no number."""
        said = self.said
        state = {name: file.get_tensor(prefix + name) for name in self.tensors if prefix + name in file.keys()}  # noqa: SIM118
        if not all(torch.isfinite(value).all() for value in state.values()):
            raise ValueError("weights that are no finite numbers")
        mean, deviation = (state.pop(f"normalisation.{name}") for name in ("mean", "deviation"))
        if not (deviation > 0).all():
            raise ValueError("a deviation that is not above 0")
        familiarity = None
        if "familiar.limit" in state:
            familiarity = Familiarity(state.pop("familiar.mean"), state.pop("familiar.precision"), float(state.pop("familiar.limit")))
        network = models.build(said.type, said.hyperparameters, n_bins=self.bins, n_genres=len(said.genres), where=self.where)
        network.load_state_dict(state)
        made = GenreModel(
            said.type,
            said.hyperparameters,
            models.channels_last(network),
            said.genres,
            self.spec,
            said.segment_seconds,
            said.hop_seconds,
            Normalisation(said.features.normalise, mean, deviation, said.features.range_db),
            said.temperature,
            said.info,
            familiarity,
        )
        frames = made.grid.frames(said.segment_seconds)
        ordinary = mean + deviation * torch.linspace(-1, 1, max(frames, network.min_frames))[:, None]  # (T, bins)
        made.logits(ordinary.numpy(), [0.0])
        return made


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
    sure : bool
        False where the probability is low, the music unlike any that was learned from, or there is none.
    starts_seconds : np.ndarray [shape=(windows,)]
    window_seconds : float
    timeline : np.ndarray [shape=(windows, genres)]
        Probabilities of each window, genres in the model's order; the file's are pooled before the temperature, so not their mean.
    """

    genre: str
    probabilities: dict[str, float]
    seconds: float
    sure: bool
    starts_seconds: np.ndarray
    window_seconds: float
    timeline: np.ndarray


def is_sure(model: Model, probabilities: np.ndarray, embeddings: np.ndarray | None, mel_db: np.ndarray | None) -> bool:
    """Whether an answer is one.

    Parameters
    ----------
    model : GenreModel or Ensemble
    probabilities : np.ndarray [shape=(genres,)]
        Of the track.
    embeddings, mel_db : np.ndarray, of models that read embeddings
        Shape ``(patches, 1756)``, and what `backbone.decibel` gave for the same audio.
    """
    if probabilities.max() < model.info.get("not_sure_below", NOT_SURE_BELOW):
        return False
    if isinstance(model, GenreModel) and model.familiarity and embeddings is not None and mel_db is not None:
        return backbone.level_changes_db(mel_db) >= STEADY_DB and model.familiarity.distance(embeddings) <= model.familiarity.limit
    return True


class Predictor:
    """Genre probabilities of files and arrays.

    Parameters
    ----------
    model : str, Path or GenreModel
    """

    def __init__(self, model: str | Path | Model) -> None:
        self.model = load(model) if isinstance(model, str | Path) else model
        self.sample_rate = heard_by(self.model).sample_rate  # Hz, of what is decoded

    def predict_file(self, path: str | Path) -> Prediction:
        """Predict from an audio file of any format and rate; raises as `decode_and_predict`."""
        return self.decode_and_predict(path)[0]

    def decode_and_predict(
        self, path: str | Path, *, file: IO[bytes] | None = None, max_seconds: float = MAX_SECONDS, deadline_s: float = math.inf
    ) -> tuple[Prediction, Audio]:
        """Predict from an audio file, and keep its samples.

        Parameters
        ----------
        path : str or Path
        file : binary file, optional
            What is read; `path` is then its name in messages alone.
        max_seconds, deadline_s : float
            As of `audio.decode`.

        Raises
        ------
        AudioError
            The file cannot be decoded, is too long, or is shorter than one segment.
        """
        audio = decode(path, file=file, sample_rate=self.sample_rate, max_seconds=max_seconds, deadline_s=deadline_s)
        name = one_line(str(path))
        try:
            return self.predict(audio.y, audio.sample_rate, name=name), audio
        except AudioError as error:
            raise AudioError(f"{name}: {error}") from None

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
            The audio is shorter than one segment (3 s for a model of embeddings, whose windows may be shorter), or no finite mono signal.

        Warns
        -----
        SilenceWarning
            The answer means nothing.
        """
        if y.ndim != 1 or (len(y) and not math.isfinite(peak(y))):
            raise AudioError(f"audio of shape {y.shape} must be one-dimensional and finite; mix it to mono")
        seconds = len(y) / sample_rate
        starts = window_starts(seconds, self.model.segment_seconds, self.model.hop_seconds)
        any_length = self.model.kinds == ("musicnn",)
        if not starts and not (any_length and seconds >= backbone.PATCH_SECONDS):
            needs = min(self.model.segment_seconds, backbone.PATCH_SECONDS) if any_length else self.model.segment_seconds
            raise AudioError(f"too short: {seconds:.2f} s, the model needs {needs:g} s")
        starts = starts or [0.0]
        silent = peak(y) < 10 ** (SILENCE_DBFS / 20)
        if silent:
            what = f"{name}: silent" if name else "silent audio"
            warnings.warn(f"{what} (peak below {SILENCE_DBFS:g} dBFS): the answer means nothing", SilenceWarning, stacklevel=2)
        mels = heard(self.model, y, sample_rate)
        made = features(self.model, mels)
        logits = self.model.score(made, starts)
        windows, whole = self.model.probabilities(logits), self.model.track_probabilities(logits)
        order = np.argsort(-whole, kind="stable")
        probabilities = {self.model.genres[i]: float(whole[i]) for i in order}
        sure = not silent and is_sure(self.model, whole, made.get("musicnn"), mels.get("musicnn"))
        finer = self.model.finer()
        if finer is not self.model:
            starts = window_starts(seconds, finer.segment_seconds, finer.hop_seconds) or [0.0]
            windows = finer.probabilities(finer.score(made, starts))
        return Prediction(self.model.genres[order[0]], probabilities, seconds, sure, np.array(starts), finer.segment_seconds, windows)
