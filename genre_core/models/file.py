"""The model file: write it, and check and read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from safetensors.torch import save_file

from genre_core import networks
from genre_core.config import Features, Section, parse
from genre_core.errors import GenreError
from genre_core.features import rows
from genre_core.features.spectrogram import FeatureSpec
from genre_core.models.model import FORMAT, NOT_SURE_BELOW, Ensemble, Familiarity, GenreModel, Model
from genre_core.models.normalisation import Normalisation
from genre_core.util.files import atomic, plain_file

MAX_MODEL_BYTES = 2_000_000_000
_MAX_HEADER_BYTES = 4_000_000
MAX_WINDOW_VALUES = 2_000_000  # a minute has 660,000 with 256 mels and the default hop
_TRIED_FRAMES = 256
PRETRAINED = Path(__file__).parents[1] / "pretrained" / "gtzan.safetensors"  # for real music: see CARD.md beside it


class _Features(Features):
    """The section ``features`` of a model: frames of precomputed features may lie further apart."""

    hop_length: int = Field(ge=64, le=16384)
    fmin_hz: float = Field(ge=0)
    range_db: float = Field(0.0, ge=0, le=200)  # files from before it was there

    @model_validator(mode="after")
    def _no_gaps(self) -> _Features:
        return self


class _Info(BaseModel):
    """The keys of ``info`` that the code reads; the rest is for people."""

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
    """The JSON in an ensemble file's metadata."""

    format: str
    type: str
    members: list[dict[str, Any]] = Field(min_length=2, max_length=100)
    segment_seconds: float = Field(ge=0.5, le=60)
    hop_seconds: float = Field(ge=0.1, le=60)
    temperature: float = Field(ge=0.01, le=100)
    info: dict[str, Any]


def save(model: Model, path: str | Path) -> None:
    """Write a model; the same model gives the same bytes."""
    description = {"format": FORMAT, **model.description()}
    with atomic(path) as part:  # one metadata entry: safetensors writes several in no fixed order
        save_file(model.state(), part, metadata={"genre_core": json.dumps(description, sort_keys=True)})


def load(path: str | Path) -> Model:
    """Read a model; ``pretrained`` is the packaged one for real music.

    Sizes, names, shapes and types of all tensors are checked before one of them is read: a file from elsewhere may claim anything.

    Raises
    ------
    GenreError
        The file is missing, no safetensors, or no model of this project.
    """
    path = PRETRAINED if str(path) == "pretrained" else path
    missing = "no such model; `make demo` or `dvc repro` makes data/model/model.safetensors, --model pretrained is the packaged one"
    plain_file(path, max_bytes=MAX_MODEL_BYTES, missing=missing)
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
    """Read the model in an open safetensors file."""
    raw = json.loads((file.metadata() or {})["genre_core"], parse_constant=_no_constant)
    if raw["format"] != FORMAT:
        raise GenreError(f"{where}: format {raw['format']!r}, this version reads {FORMAT!r}; train it anew")
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
    """The shape and type that a tensor of a file must have."""

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
        kind = networks.feature_of(said.type)
        bins = rows.bins(kind, spec)
        if (values := rows.grid(kind, spec).frames(said.segment_seconds) * bins) > MAX_WINDOW_VALUES:
            raise ValueError(f"a window of {values:,} values, at most {MAX_WINDOW_VALUES:,} are read")
        with torch.device("meta"):  # shapes alone
            network = networks.build(said.type, said.hyperparameters, n_bins=bins, n_genres=len(said.genres), where=where)
        forms = {name: _Form(tuple(value.shape), _DTYPES[value.dtype]) for name, value in network.state_dict().items()}
        forms |= {f"normalisation.{name}": _Form((bins,)) for name in ("mean", "deviation")}
        if kind == "musicnn":
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
        network = networks.build(said.type, said.hyperparameters, n_bins=self.bins, n_genres=len(said.genres), where=self.where)
        network.load_state_dict(state)
        made = GenreModel(
            said.type,
            said.hyperparameters,
            networks.channels_last(network),
            said.genres,
            self.spec,
            said.segment_seconds,
            said.hop_seconds,
            Normalisation(said.features.normalise, mean, deviation, said.features.range_db),
            said.temperature,
            said.info,
            familiarity,
        )
        frames = min(made.grid.frames(said.segment_seconds), _TRIED_FRAMES)
        ordinary = mean + deviation * torch.linspace(-1, 1, max(frames, network.min_frames))[:, None]  # (T, bins)
        made.logits(ordinary.numpy(), [0.0])
        return made
