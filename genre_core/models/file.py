"""Writing, checking and reading of model files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save_file

from genre_core import networks
from genre_core.config import FeatureSettings, Section, parse
from genre_core.errors import GenreError
from genre_core.features.feature_kind import feature_kind
from genre_core.features.spectrogram import FeatureSpec
from genre_core.models.ensemble import Ensemble, Model
from genre_core.models.model import FORMAT, NOT_SURE_BELOW, GenreModel, OutOfDistribution
from genre_core.models.normalisation import Normalisation
from genre_core.util.files import atomic, plain_file

MAX_MODEL_BYTES = 2_000_000_000
_MAX_HEADER_BYTES = 4_000_000
MAX_WINDOW_VALUES = 2_000_000  # one minute has 660,000 values with 256 mels and the default hop
_TRIAL_FRAMES = 256
# CARD.md in the same folder describes this model for real music.
PRETRAINED = Path(__file__).parents[1] / "pretrained" / "gtzan.safetensors"


class _Features(FeatureSettings):
    """Section ``features`` of a model file.

    Its limits are wider than in params.yaml, because precomputed features may have a longer hop.
    """

    hop_length: int = Field(ge=64, le=16384)
    fmin_hz: float = Field(ge=0)
    level_dbfs: float = Field(0.0, ge=-60, le=0)  # older files do not have it
    range_db: float = Field(0.0, ge=0, le=200)  # likewise


class _Conformal(BaseModel):
    """Section ``info.conformal``: what the prediction sets promise."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, strict=True)  # strict: the values are used as they stand

    coverage: float = Field(gt=0, lt=1)
    threshold: float | None = Field(ge=0, le=1)
    tracks: int = Field(ge=0, le=10**9)
    artists: int = Field(ge=0, le=10**9)
    method: str = Field("", max_length=1000)
    reason: str = Field("", max_length=1000)


class _Info(BaseModel):
    """Keys of ``info`` that the code reads; people read the other keys."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    data_set: str = Field("", max_length=1000)
    protocol: str = Field("", max_length=100)
    leaky: bool = False
    split_digest: str = Field("", max_length=100)
    train_tracks: int = Field(0, ge=0, le=10**9)
    not_sure_below: float = Field(NOT_SURE_BELOW, ge=0, le=1, strict=True)
    conformal: _Conformal | None = None
    score: dict[str, Any] = {}


class _Description(Section):
    """JSON description in the metadata of a model file."""

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
    """JSON description in the metadata of an ensemble file."""

    format: str
    type: str
    members: list[dict[str, Any]] = Field(min_length=2, max_length=100)
    segment_seconds: float = Field(ge=0.5, le=60)
    hop_seconds: float = Field(ge=0.1, le=60)
    temperature: float = Field(ge=0.01, le=100)
    info: dict[str, Any]


def save(model: Model, path: str | Path) -> None:
    """Write a model to a safetensors file.

    The same model always gives the same bytes.

    Parameters
    ----------
    model : GenreModel or Ensemble
    path : str or Path
    """
    description = {"format": FORMAT, **model.description()}
    with atomic(path) as part:  # only one metadata entry, because safetensors writes several entries in varying order
        save_file(model.state(), part, metadata={"genre_core": json.dumps(description, sort_keys=True)})


def path_of(name: str | Path) -> Path:
    """Return the path of a model file; ``pretrained`` is the packaged model."""
    return PRETRAINED if str(name) == "pretrained" else Path(name)


def load(path: str | Path) -> Model:
    """Read a model from a safetensors file.

    A file from an unknown source may claim anything. Therefore the sizes, names, shapes and types of all tensors are checked
    before the first tensor is read.

    Parameters
    ----------
    path : str or Path
        File of the model; ``pretrained`` is the packaged model for real music.

    Returns
    -------
    GenreModel or Ensemble

    Raises
    ------
    GenreError
        The file is missing, is not safetensors, or is not a model of this project.
    """
    path = path_of(path)
    missing = "no such model; `make demo` or `dvc repro` makes data/model/model.safetensors, --model pretrained is the packaged model"
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
        raise GenreError(f"{path}: not a model of this project, or damaged ({type(error).__name__}: {error}); train it again") from None


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _read(file: Any, file_name: str) -> Model:
    """Read the model in an open safetensors file."""
    raw = json.loads((file.metadata() or {})["genre_core"], parse_constant=_no_constant)
    if raw["format"] != FORMAT:
        raise GenreError(f"{file_name}: format {raw['format']!r}, this version reads {FORMAT!r}; train it again")
    if raw["type"] != "ensemble":
        plan = _LoadPlan.from_json(raw, file_name)
        _check_tensors(file, plan.tensors)
        return plan.read_model(file, "")
    description = parse(_EnsembleDescription, raw, file_name)
    parse(_Info, description.info, file_name, "info.")
    plans = [_LoadPlan.from_json(member, f"{file_name}, member {i}") for i, member in enumerate(description.members)]
    _check_tensors(file, {f"{i}.{name}": form for i, plan in enumerate(plans) for name, form in plan.tensors.items()})
    members = [plan.read_model(file, f"{i}.") for i, plan in enumerate(plans)]
    return Ensemble(members, description.segment_seconds, description.hop_seconds, description.temperature, description.info)


def _check_tensors(file: Any, expected: Mapping[str, _TensorForm]) -> None:
    """Check the tensors of a file against its description.

    Only names, shapes and types are read, not the values.

    Raises
    ------
    ValueError
        A tensor is missing, not expected, or has another shape or type.
    """
    names = set(file.keys())
    optional = {name for name, form in expected.items() if form.optional}
    if names - expected.keys() or (expected.keys() - optional) - names or (optional & names not in (set(), optional)):
        # Optional tensors stand together: if some are there, the others are missing.
        differing = sorted((names ^ expected.keys()) - (set() if optional & names else optional))
        raise ValueError(f"tensors are missing or not expected: {', '.join(differing[:5])}")
    for name in names:
        slice_, form = file.get_slice(name), expected[name]
        shape, dtype = tuple(slice_.get_shape()), slice_.get_dtype()
        fits = len(shape) == len(form.shape) and all(b in (a, _ANY_SIZE) for a, b in zip(shape, form.shape, strict=True))
        if not fits or dtype != form.dtype:
            raise ValueError(f"tensor {name} is {dtype} {shape}, expected {form.dtype} {form.shape}")


_ANY_SIZE = 0  # only the file knows this size, for example the number of support vectors of an SVM
_DTYPES = {torch.float32: "F32", torch.int64: "I64", torch.bool: "BOOL"}


@dataclass(frozen=True)
class _TensorForm:
    """Required shape and type of a tensor in a file."""

    shape: tuple[int, ...]
    dtype: str = "F32"
    optional: bool = False


@dataclass(frozen=True)
class _LoadPlan:
    """Checked description of a model, and the tensors that it needs."""

    description: _Description
    spec: FeatureSpec
    bins: int
    file_name: str
    tensors: dict[str, _TensorForm]

    @classmethod
    def from_json(cls, raw: dict[str, Any], file_name: str) -> _LoadPlan:
        """Check a model's description, and list the tensors that it needs."""
        # The ranges are checked too, because a hostile file must not cause an endless computation.
        description = parse(_Description, raw, file_name)
        parse(_Info, description.info, file_name, "info.")
        genres = description.genres
        if len(set(genres)) < len(genres) or not all(genre.isprintable() and genre for genre in genres):
            raise ValueError("genres are empty, not printable, or named twice")
        spec = FeatureSpec.of(description.features)
        kind = networks.feature_of(description.type)
        feature = feature_kind(kind, spec)
        bins = feature.n_bins
        if (values := feature.frames(description.segment_seconds) * bins) > MAX_WINDOW_VALUES:
            raise ValueError(f"a window has {values:,} values, at most {MAX_WINDOW_VALUES:,} are read")
        with torch.device("meta"):  # the tensors have a shape, but no memory
            network = networks.build(description.type, description.hyperparameters, n_bins=bins, n_genres=len(genres), where=file_name)
        forms = {name: _TensorForm(tuple(value.shape), _DTYPES[value.dtype]) for name, value in network.state_dict().items()}
        forms |= {f"normalisation.{name}": _TensorForm((bins,)) for name in ("mean", "deviation")}
        if kind == "musicnn":
            familiarity_shapes = {"mean": (50,), "precision": (50, 50), "limit": ()}
            forms |= {f"familiar.{name}": _TensorForm(shape, optional=True) for name, shape in familiarity_shapes.items()}
        return cls(description, spec, bins, file_name, forms)

    def read_model(self, file: Any, prefix: str) -> GenreModel:
        """Read the tensors, and try the network on one typical window.

        The trial is needed because finite weights can still give logits that are not finite.
        """
        description = self.description
        state = {name: file.get_tensor(prefix + name) for name in self.tensors if prefix + name in file.keys()}  # noqa: SIM118
        if not all(torch.isfinite(value).all() for value in state.values()):
            raise ValueError("weights are not finite numbers")
        mean, deviation = (state.pop(f"normalisation.{name}") for name in ("mean", "deviation"))
        if not (deviation > 0).all():
            raise ValueError("a deviation is not above 0")
        out_of_distribution = None
        if "familiar.limit" in state:
            out_of_distribution = OutOfDistribution(
                state.pop("familiar.mean"), state.pop("familiar.precision"), float(state.pop("familiar.limit"))
            )
        network = networks.build(
            description.type, description.hyperparameters, n_bins=self.bins, n_genres=len(description.genres), where=self.file_name
        )
        network.load_state_dict(state)
        model = GenreModel(
            description.type,
            description.hyperparameters,
            networks.channels_last(network),
            description.genres,
            self.spec,
            description.segment_seconds,
            description.hop_seconds,
            Normalisation(description.features.normalise, mean, deviation, description.features.range_db),
            description.temperature,
            description.info,
            out_of_distribution,
        )
        frames = min(model.feature.frames(description.segment_seconds), _TRIAL_FRAMES)
        typical_window = mean + deviation * torch.linspace(-1, 1, max(frames, network.min_frames))[:, None]  # (T, bins)
        model.logits(typical_window.numpy(), [0.0])
        return model
