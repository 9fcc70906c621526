"""Schema of params.yaml: every parameter and its allowed values."""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from genre_core.config.section import Section


class Range(Section):
    """Closed interval from `min` to `max`.

    params.yaml does not contain lists, because ``dvc exp run -S`` damages the comments after a list.
    """

    min: float
    max: float

    @model_validator(mode="after")
    def _check_order(self) -> Range:
        if self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class TempoRange(Range):
    """Range of tempo factors; above 1 is faster."""

    min: float = Field(ge=0.5, le=2.0)
    max: float = Field(ge=0.5, le=2.0)


class PitchRange(Range):
    """Range of pitch shifts in semitones."""

    min: float = Field(ge=-12, le=12)
    max: float = Field(ge=-12, le=12)


class Demo(Section):
    """Size and seed of the synthesised demo data set."""

    seed: int = Field(ge=0)
    artists_per_genre: int = Field(ge=3, le=100)
    tracks_per_artist: int = Field(ge=1, le=100)
    seconds: float = Field(ge=3, le=120)


class Folder(Section):
    """Folder of your own music; see `genre_core.datasets.folder`."""

    path: str = Field(min_length=1)
    labels: Literal["folder", "tags"]
    aliases: str = Field(min_length=1)
    min_tracks: int = Field(ge=0)


class Gtzan(Section):
    """GTZAN data set, from a local copy or a mirror."""

    path: str
    partial: bool


class Fma(Section):
    """FMA data set, from the authors' archives or a local copy."""

    subset: Literal["small", "medium", "large"]
    path: str
    partial: bool


def _check_band(fmin_hz: float, fmax_hz: float, sample_rate: int) -> None:
    if fmax_hz > sample_rate / 2:
        raise ValueError(f"fmax_hz {fmax_hz:g} is above half the sample_rate {sample_rate}: at most {sample_rate / 2:g}")
    if fmin_hz >= fmax_hz:
        raise ValueError(f"fmin_hz {fmin_hz:g} is not below fmax_hz {fmax_hz:g}")


class PrecomputedFeatures(Section):
    """Features computed elsewhere; see `genre_core.datasets.precomputed`."""

    path: str = Field(min_length=1)
    sample_rate: int = Field(ge=8000, le=48000)
    n_fft: int = Field(ge=256, le=16384, multiple_of=2)
    hop_length: int = Field(ge=64, le=16384)
    fmin_hz: float = Field(ge=0)
    fmax_hz: float = Field(gt=0)
    scale_db: float
    offset_db: float

    @model_validator(mode="after")
    def _check_values(self) -> PrecomputedFeatures:
        _check_band(self.fmin_hz, self.fmax_hz, self.sample_rate)
        return self


class Dataset(Section):
    """Chosen data set, and the settings of every data set."""

    name: Literal["demo", "gtzan", "fma", "folder", "features"]
    demo: Demo
    gtzan: Gtzan
    fma: Fma
    folder: Folder
    features: PrecomputedFeatures


class Segment(Section):
    """Settings of the split of tracks and of the segment grid."""

    protocol: Literal["official", "artist", "track", "segment", "all"]
    folds: int = Field(ge=3, le=100)
    fold: int = Field(ge=0)
    seed: int = Field(ge=0)
    seconds: float = Field(ge=0.5, le=60)
    hop_seconds: float = Field(ge=0.1, le=60)
    silence_dbfs: float = Field(ge=-120, le=-20)
    copies: Literal["keep", "group", "exclude"]
    labels: str = Field(min_length=1)

    @model_validator(mode="after")
    def _check_fold(self) -> Segment:
        if self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} does not exist: if folds is {self.folds}, fold is 0 to {self.folds - 1}")
        return self


class Audit(Section):
    """Thresholds of the search for duplicates; see `genre_core.audio.fingerprint.find_pairs`."""

    similarity: float = Field(gt=0.5, le=1)
    overlap_seconds: float = Field(ge=1, le=60)


class Labels(Section):
    """Search for wrong labels; see `genre_core.analysis.labels`."""

    check: bool


class FeatureSettings(Section):
    """Settings of log-mel spectrograms and MFCCs, also of those computed elsewhere."""

    sample_rate: int = Field(ge=8000, le=48000)
    n_fft: int = Field(ge=256, le=16384, multiple_of=2)
    hop_length: int = Field(ge=64, le=8192)
    n_mels: int = Field(ge=16, le=256)
    n_mfcc: int = Field(ge=4, le=128)
    fmin_hz: float = Field(ge=20)
    fmax_hz: float = Field(gt=20)
    level_dbfs: float = Field(ge=-60, le=0)
    normalise: Literal["dataset", "track", "window"]
    range_db: float = Field(ge=0, le=200)

    @model_validator(mode="after")
    def _check_values(self) -> FeatureSettings:
        _check_band(self.fmin_hz, self.fmax_hz, self.sample_rate)
        if self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc {self.n_mfcc} is above n_mels {self.n_mels}: a DCT of n_mels values has n_mels coefficients")
        return self


class Features(FeatureSettings):
    """Settings of the log-mel spectrograms and the MFCCs that the pipeline computes."""

    @model_validator(mode="after")
    def _check_hop(self) -> Features:
        if self.hop_length > self.n_fft:
            raise ValueError(f"hop_length {self.hop_length} is above n_fft {self.n_fft}: samples would be skipped")
        return self


class Explore(Section):
    """Projection method of the data set's map."""

    map: Literal["pca", "umap"]


class Copies(Section):
    """Augmented versions of each training track.

    The ``augment`` stage computes each version once, from the waveform.
    """

    pitch: int = Field(ge=0, le=20)
    tempo: int = Field(ge=0, le=20)
    pitch_semitones: PitchRange
    tempo_rate: TempoRange


class Batches(Section):
    """Random augmentation, drawn anew for each batch."""

    crops: bool
    mixup_alpha: float = Field(ge=0, le=10)
    frequency_masks: int = Field(ge=0, le=10)
    frequency_mask_share: float = Field(ge=0, lt=1)
    time_masks: int = Field(ge=0, le=10)
    time_mask_share: float = Field(ge=0, lt=1)


class Augment(Section):
    """Augmentation, applied to the training tracks only."""

    copies: Copies
    batches: Batches


class Train(Section):
    """Settings of the training loop."""

    epochs: int = Field(ge=1, le=10000)
    windows_per_epoch: int = Field(ge=0)
    batch_size: int = Field(ge=2, le=4096)
    lr: float = Field(gt=0, le=1)
    schedule: Literal["onecycle", "cosine"]
    weight_decay: float = Field(ge=0, le=10)
    label_smoothing: float = Field(ge=0, lt=1)
    weight_averaging: float = Field(ge=0, lt=1)
    keep: Literal["last", "best"]
    patience: int = Field(ge=1)
    precision: Literal["auto", "fp32", "bf16"]
    device: Literal["auto", "cpu", "cuda", "mps"]
    threads: int = Field(ge=1, le=256)
    processes: int = Field(ge=1, le=256)
    memory_gb: float = Field(gt=0, le=100_000)
    compile: Literal["auto", "on", "off"]
    coverage: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _check_processes(self) -> Train:
        if self.batch_size % self.processes:
            raise ValueError(f"batch_size {self.batch_size} must be a multiple of processes {self.processes}: each takes an equal share")
        return self


class Model(BaseModel):
    """Chosen network, and the hyper-parameters of every network."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str

    @model_validator(mode="after")
    def _check_type(self) -> Model:
        known = architectures()
        if self.type not in known:
            raise ValueError(f"type {self.type!r} is unknown: allowed are {', '.join(known)}")
        for name, value in (self.model_extra or {}).items():
            if name not in known:
                raise ValueError(f"section {name!r} is not a section of a network: allowed are {', '.join(known)}")
            if not isinstance(value, dict):
                raise ValueError(f"section {name!r} must hold settings, KEY: VALUE, not {value!r:.40}")
        if self.type not in (self.model_extra or {}):
            raise ValueError(f"section model.{self.type} is missing")
        return self

    def chosen(self) -> dict[str, Any]:
        """Return the hyper-parameters of the chosen network, as params.yaml contains them."""
        return (self.model_extra or {})[self.type]


class Evaluate(Section):
    """Settings of the scores and of their confidence intervals."""

    bootstrap_samples: int = Field(ge=100, le=1_000_000)
    calibration_bins: int = Field(ge=2, le=100)


class External(Section):
    """Settings for audio from outside the data set."""

    list: str = Field(min_length=1)
    online: bool
    max_megabytes: float = Field(gt=0, le=10_000)
    max_minutes: float = Field(gt=0, le=24 * 60)
    private_addresses: bool
    cookies_file: str
    cookies_from_browser: str


class Parallel(Section):
    """Where the work on tracks is done; see `genre_core.util.parallel.map_tracks`."""

    backend: Literal["local", "dask"]
    workers: int = Field(ge=0, le=1024)
    address: str

    @property
    def chosen(self) -> int | str:
        """Number of processes, or address of the Dask scheduler."""
        return self.address if self.backend == "dask" else self.workers


class Cache(Section):
    """Folder and size of the kept results; see `genre_core.util.result_cache`."""

    folder: str
    gigabytes: float = Field(ge=0, le=1_000_000)


class Params(Section):
    """All parameters of params.yaml."""

    seed: int = Field(ge=0, lt=2**31)
    parallel: Parallel
    cache: Cache
    dataset: Dataset
    audit: Audit
    segment: Segment
    labels: Labels
    features: Features
    explore: Explore
    augment: Augment
    train: Train
    model: Model
    evaluate: Evaluate
    external: External

    @model_validator(mode="after")
    def _check_segment(self) -> Params:
        if self.segment.seconds * self.features.sample_rate / self.features.hop_length < 2:
            raise ValueError(
                f"segment.seconds {self.segment.seconds:g} is shorter than 3 frames of features.hop_length {self.features.hop_length} "
                f"samples: at least {2 * self.features.hop_length / self.features.sample_rate:.2g}"
            )
        if self.dataset.name == "demo" and self.segment.protocol != "all" and self.segment.seconds > self.dataset.demo.seconds:
            raise ValueError(
                f"segment.seconds {self.segment.seconds:g} is longer than the demo's tracks: "
                f"at most dataset.demo.seconds {self.dataset.demo.seconds:g}"
            )
        return self

    @model_validator(mode="after")
    def _check_fit_on_all(self) -> Params:
        if self.segment.protocol == "all" and self.model.type != "musicnn":
            raise ValueError(
                f"segment.protocol all fits a head on all tracks, which only model.type musicnn allows, not {self.model.type}; "
                "set model.type to musicnn, or segment.protocol to artist"
            )
        if self.segment.protocol != "all" and self.model.type == "musicnn" and self.model.chosen().get("embedding") == "auto":
            raise ValueError(
                "model.musicnn.embedding auto is chosen by the cross-validation of segment.protocol all, not of "
                f"{self.segment.protocol}; set it to tags, penultimate or pools"
            )
        return self


def architectures() -> tuple[str, ...]:
    """List the allowed values of ``model.type``.

    Each module in ``genre_core/networks`` contains one network, unless its name starts with an underscore.
    """
    return tuple(sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parents[1] / "networks")]) if not m.name.startswith("_")))
