"""The training loop: seeded batches, early stop, checkpoint and resume."""

from __future__ import annotations

import copy
import ctypes
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from genre_core import augmentation, models
from genre_core.config import Augment, Train
from genre_core.errors import GenreError
from genre_core.evaluation import macro_f1
from genre_core.files import atomic, write_csv
from genre_core.inference import GenreModel, pooled

_PRIOR_DEVIATION = 0.3  # from 0.55 to 1.8 within two of them
HISTORY = ("epoch", "lr", "train_loss", "valid_loss", "valid_accuracy", "valid_macro_f1")


@dataclass(frozen=True)
class TrainingTrack:
    """A training track with its copies.

    Attributes
    ----------
    genre : int
    versions : list of np.ndarray [shape=(frames, n_bins)]
        The original first; copies may have other lengths.
    starts_seconds : list of float
        Of the original's training windows.
    """

    genre: int
    versions: list[np.ndarray]
    starts_seconds: list[float]


@dataclass(frozen=True)
class ValidTrack:
    """A validation track: features of shape ``(frames, n_bins)`` and the starts of its windows."""

    genre: int
    features: np.ndarray
    starts_seconds: list[float]


@dataclass(frozen=True)
class Hardware:
    """Where and how the arithmetic is done."""

    device: torch.device
    bf16: bool

    @property
    def name(self) -> str:
        return f"{self.device.type} {'bf16' if self.bf16 else 'fp32'}"


def hardware(device: str, precision: str) -> Hardware:
    """Resolve ``auto``: CUDA, then MPS, then the CPU; bf16 where the hardware computes it natively.

    Raises
    ------
    GenreError
        The device is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if (device == "cuda" and not torch.cuda.is_available()) or (device == "mps" and not torch.backends.mps.is_available()):
        raise GenreError(f"train.device: {device!r} is not available here; use auto or cpu")
    native = {
        "cpu": torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported(),
        "cuda": device == "cuda" and torch.cuda.is_bf16_supported(),
        "mps": False,
    }
    return Hardware(torch.device(device), precision == "bf16" or (precision == "auto" and native[device]))


class Sampler:
    """Seeded random windows of training tracks, every track equally often.

    Parameters
    ----------
    tracks : sequence of TrainingTrack
    frames : int
        Length of a window.
    first_frame : callable
        Seconds to frames.
    crops : bool
        Windows anywhere in a version; otherwise on the grid of `starts_seconds`.
    of_track : callable
        The steps of the normalisation that need a whole version.
    """

    def __init__(
        self,
        tracks: Sequence[TrainingTrack],
        frames: int,
        first_frame: Callable[[float], int],
        crops: bool,
        of_track: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        self.frames = frames
        self.crops = crops
        self.genres = torch.tensor([t.genre for t in tracks])
        # Resampling may round a track of one segment's length down by a frame.
        versions = [_padded(of_track(v).to(v.dtype), frames) for t in tracks for v in map(torch.from_numpy, t.versions)]
        self.features = torch.cat(versions)  # (all frames, bins), in the store's precision
        lengths = torch.tensor([len(v) for v in versions])
        self.begin = lengths.cumsum(0) - lengths
        self.length = lengths
        counts = torch.tensor([len(t.versions) for t in tracks])
        self.first_version = counts.cumsum(0) - counts
        self.versions = counts
        self.grids = [torch.tensor([first_frame(s) for s in t.starts_seconds]) for t in tracks]
        self.segments = sum(len(t.starts_seconds) for t in tracks)

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw `count` windows: their track, and first row in `features`, both of shape ``(count,)``."""
        tracks = torch.cat([torch.randperm(len(self.genres), generator=generator) for _ in range(-(-count // len(self.genres)))])[:count]
        share = torch.rand(3, count, generator=generator, dtype=torch.float64)
        version = self.first_version[tracks] + (share[0] * self.versions[tracks]).long()
        room = self.length[version] - self.frames
        if self.crops:
            start = (share[1] * (room + 1)).long()
        else:
            grid = torch.stack(
                [self.grids[t][int(s * len(self.grids[t]))] for t, s in zip(tracks.tolist(), share[2].tolist(), strict=True)]
            )
            scale = self.length[version] / self.length[self.first_version[tracks]]  # a copy of another tempo
            start = torch.minimum((grid * scale).long(), room)
        return tracks, self.begin[version] + start

    def windows(self, rows: torch.Tensor) -> torch.Tensor:
        """Windows that begin at `rows`, shape ``(B, T, n_bins)``, float32."""
        return self.features[rows[:, None] + torch.arange(self.frames)].float()


def _padded(track: torch.Tensor, frames: int) -> torch.Tensor:
    """At least `frames` long, its last frame repeated."""
    return torch.cat([track, track[-1:].expand(max(0, frames - len(track)), -1)])


def fit(
    model: GenreModel,
    train: Sequence[TrainingTrack],
    valid: Sequence[ValidTrack],
    *,
    params: Train,
    augment: Augment,
    seed: int,
    history: str | Path,
    checkpoint: str | Path,
    crops: bool,
    masks: bool,
) -> dict[str, Any]:
    """Train `model.network`, keep the best weights, and fit the temperature on the validation tracks.

    The best epoch is the one with the highest macro-F1 of validation tracks, then the lowest loss; with ``train.keep: last`` it is
    the last one, whose averaged weights vary less than what a few validation tracks choose. Each epoch's random
    numbers come from (seed, epoch) alone, so a run resumed from a checkpoint gives the same bytes as an unbroken one.

    Parameters
    ----------
    model : GenreModel
        With a new network.
    train, valid : sequences of TrainingTrack and ValidTrack
    params : Train
    augment : Augment
    seed : int
    history : str or Path
        CSV, written anew each epoch.
    checkpoint : str or Path
        Written each epoch; one that is there is resumed. The caller keys its name by parameters and inputs, and removes it.
    crops : bool
        Random crops instead of the grid of windows.
    masks : bool
        Time and frequency masks (they mean nothing on MFCC).

    Returns
    -------
    dict
        epochs, best_epoch, hardware, resumed_from (epoch or None), and the best epoch's row of the history.

    Raises
    ------
    GenreError
        The loss is no number: the learning rate is too high.
    """
    _keep_freed_memory()
    torch.set_num_threads(params.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    where = hardware(params.device, params.precision)
    frames = model.grid.frames(model.segment_seconds)
    if frames < model.network.min_frames:
        raise GenreError(
            f"segment.seconds {model.segment_seconds:g} is {frames} frames: model.type {model.type} needs {model.network.min_frames}"
        )
    sampler = Sampler(train, frames, model.grid.first_frame, crops, model.normalisation.of_track)
    if model.network.closed_form:
        return _solve(model, sampler, valid, seed, Path(history))
    network = models.channels_last(model.network.to(where.device))
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(params.weight_averaging), use_buffers=True)
    per_epoch = params.windows_per_epoch or sampler.segments
    steps = max(1, per_epoch // params.batch_size)
    optimiser = torch.optim.AdamW(network.parameters(), lr=params.lr, weight_decay=params.weight_decay)
    schedule: torch.optim.lr_scheduler.LRScheduler
    if params.schedule == "onecycle":
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, params.lr, total_steps=params.epochs * steps + 1)
    else:
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, params.epochs * steps)
    state = _State(network, averaged, optimiser, schedule)
    state.resume(Path(checkpoint))
    resumed_from = state.epoch or None
    criterion = nn.CrossEntropyLoss(label_smoothing=params.label_smoothing)

    with tqdm(total=params.epochs, initial=state.epoch, desc="train", unit="epoch", disable=None) as bar:
        while state.epoch < params.epochs and (params.keep == "last" or state.epoch - state.best_epoch < params.patience):
            epoch = state.epoch + 1
            torch.manual_seed(seed * 100_003 + epoch)  # dropout
            generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
            tracks, rows = sampler.draw(steps * params.batch_size, generator)
            network.train()
            network.thaw(state.epoch / params.epochs)
            total = 0.0
            for some in torch.arange(len(rows)).split(params.batch_size):
                x = model.normalisation.apply(sampler.windows(rows[some]).to(where.device))  # (B, T, bins)
                targets = nn.functional.one_hot(sampler.genres[tracks[some]], len(model.genres)).float().to(where.device)
                x, targets = augmentation.mixup(x, targets, augment.batches.mixup_alpha, generator)
                if masks:
                    x = augmentation.mask(x, generator, batches=augment.batches)
                with torch.autocast(where.device.type, torch.bfloat16, enabled=where.bf16):
                    loss = criterion(network(x), targets) + network.penalty()
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                optimiser.step()
                schedule.step()
                averaged.update_parameters(network)
                total += loss.item()
            if not math.isfinite(total):
                raise GenreError(f"train.lr: {params.lr:g} made the loss {total} in epoch {epoch}; lower it")
            judged = averaged.module if params.weight_averaging else network
            row: dict[str, float] = {
                "epoch": epoch,
                "lr": float(schedule.get_last_lr()[0]),
                "train_loss": total / steps,
                **_validate(model, judged, valid, where),
            }
            state.finish(epoch, row, judged, always=params.keep == "last")
            write_csv(history, HISTORY, [{k: _rounded(v) for k, v in r.items()} for r in state.rows])
            state.save(Path(checkpoint))
            bar.set_postfix(loss=f"{row['train_loss']:.3f}", valid_f1=f"{row['valid_macro_f1']:.3f}", best=f"{state.best_score[0]:.3f}")
            bar.update()

    network.load_state_dict(state.best)
    model.network = network.cpu()
    model.temperature = fit_temperature([model.logits(t.features, t.starts_seconds) for t in valid], [t.genre for t in valid])
    best = state.rows[state.best_epoch - 1]
    return {
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "hardware": where.name,
        "resumed_from": resumed_from,
        **{k: _rounded(best[k]) for k in HISTORY[2:]},
    }


def _keep_freed_memory() -> None:
    """Let glibc keep what a batch frees for the next one: giving pages back and getting them anew takes a third of the time."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        for option, value in ((-4, 0), (-1, 2**31 - 1), (-2, 64 * 2**20)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
            libc.mallopt(option, value)
    except (OSError, AttributeError):  # another system: slower, that is all
        pass


def _solve(model: GenreModel, sampler: Sampler, valid: Sequence[ValidTrack], seed: int, history: Path) -> dict[str, Any]:
    """Fit a network that is no matter of epochs to the windows of the original tracks' grid."""
    rows, tracks = [], []
    for track, grid in enumerate(sampler.grids):
        version = sampler.first_version[track]
        rows.append(sampler.begin[version] + torch.minimum(grid, sampler.length[version] - sampler.frames))
        tracks += [track] * len(grid)
    of = torch.tensor(tracks)
    x = model.normalisation.apply(sampler.windows(torch.cat(rows)))
    model.network.eval()
    with torch.no_grad():
        model.network.solve(x, sampler.genres[of], seed)
    cpu = Hardware(torch.device("cpu"), False)
    with torch.inference_mode():
        loss = nn.functional.cross_entropy(torch.cat([model.network(some) for some in x.split(256)]), sampler.genres[of])
    row = {"epoch": 1, "lr": 0.0, "train_loss": loss.item(), **_validate(model, model.network, valid, cpu)}
    write_csv(history, HISTORY, [{k: _rounded(v) for k, v in row.items()}])
    model.temperature = fit_temperature([model.logits(t.features, t.starts_seconds) for t in valid], [t.genre for t in valid])
    return {"epochs": 1, "best_epoch": 1, "hardware": cpu.name, "resumed_from": None, **{k: _rounded(row[k]) for k in HISTORY[2:]}}


class _State:
    """What a checkpoint holds."""

    def __init__(self, network: nn.Module, averaged: AveragedModel, optimiser: torch.optim.Optimizer, schedule: Any) -> None:
        self.parts = {"network": network, "averaged": averaged, "optimiser": optimiser, "schedule": schedule}
        self.epoch = 0
        self.best_epoch = 0
        self.best_score = (-1.0, -math.inf)
        self.best: dict[str, torch.Tensor] = {}
        self.rows: list[dict[str, float]] = []

    def finish(self, epoch: int, row: dict[str, float], judged: nn.Module, *, always: bool) -> None:
        self.epoch = epoch
        self.rows.append(row)
        score = (row["valid_macro_f1"], -row["valid_loss"])
        if always or score > self.best_score:
            self.best_epoch, self.best_score, self.best = epoch, score, copy.deepcopy(judged.state_dict())

    def save(self, path: Path) -> None:
        own = {name: getattr(self, name) for name in ("epoch", "best_epoch", "best_score", "best", "rows")}
        tensors: dict[str, torch.Tensor] = {}
        tree = _pack({**own, "parts": {name: part.state_dict() for name, part in self.parts.items()}}, "", tensors)
        with atomic(path) as temporary:  # safetensors, as everywhere: nothing here unpickles
            text = json.dumps(tree)
            save_file(tensors, temporary, metadata={"state": text, "digest": _digest(text, tensors)})

    def resume(self, path: Path) -> None:
        if not path.exists():
            return
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
                metadata = file.metadata()
            if _digest(metadata["state"], tensors) != metadata["digest"]:
                raise GenreError(f"checkpoint {path} is damaged: its content is not what was written; remove it to train anew")
            saved = _unpack(json.loads(metadata["state"]), tensors.__getitem__)
            for name, part in self.parts.items():
                part.load_state_dict(saved["parts"][name])
        except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise GenreError(f"checkpoint {path} is not readable ({error}); remove it to train anew") from None
        for name in ("epoch", "best_epoch", "best", "rows"):
            setattr(self, name, saved[name])
        self.best_score = tuple(saved["best_score"])


def _digest(text: str, tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 of a checkpoint's content."""
    total = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        total.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        total.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _pack(tree: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    """`tree` as JSON, its tensors put into `tensors` by name."""
    if isinstance(tree, torch.Tensor):
        tensors[name] = tree.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(tree, dict):  # as pairs: an optimiser's keys are numbers
        return {"dict": [[key, _pack(value, f"{name}/{key}", tensors)] for key, value in tree.items()]}
    if isinstance(tree, list | tuple):
        return {"list": [_pack(value, f"{name}/{i}", tensors) for i, value in enumerate(tree)]}
    return tree


def _unpack(tree: Any, tensor: Callable[[str], torch.Tensor]) -> Any:
    if not isinstance(tree, dict):
        return tree
    if "tensor" in tree:
        return tensor(tree["tensor"])
    if "dict" in tree:
        return {key: _unpack(value, tensor) for key, value in tree["dict"]}
    return [_unpack(value, tensor) for value in tree["list"]]


def _validate(model: GenreModel, network: Any, valid: Sequence[ValidTrack], where: Hardware) -> dict[str, float]:
    """Loss, accuracy and macro-F1 of tracks, uncalibrated."""
    trained, model.network = model.network, network
    try:
        with torch.autocast(where.device.type, torch.bfloat16, enabled=where.bf16):
            tracks = np.array([pooled(model.logits(t.features, t.starts_seconds), 1.0).numpy() for t in valid])  # (tracks, genres)
    finally:
        model.network = trained
    return scores_of(tracks, [t.genre for t in valid])


def scores_of(tracks: np.ndarray, genres: Sequence[int]) -> dict[str, float]:
    """valid_loss, valid_accuracy and valid_macro_f1 of probabilities [shape=(tracks, genres)]."""
    true, predicted = np.array(genres), tracks.argmax(1)
    return {
        "valid_loss": float(-np.log(np.maximum(tracks[np.arange(len(true)), true], 1e-12)).mean()),
        "valid_accuracy": float((predicted == true).mean()),
        "valid_macro_f1": macro_f1(true, predicted, tracks.shape[1]),
    }


def fit_temperature(logits: Sequence[torch.Tensor], genres: Sequence[int], *, prior_deviation: float = _PRIOR_DEVIATION) -> float:
    """The temperature that makes the tracks' `genres` most likely (Guo et al. 2017), between 0.1 and 10.

    Parameters
    ----------
    logits : sequence of torch.Tensor [shape=(windows, genres)]
        Of each validation track.
    genres : sequence of int
    prior_deviation : float
        Of the normal prior of its logarithm, around 0: a few tracks, all of them right, would take the least there is. It counts as
        much as a few tracks do, and next to nothing beside many.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        picked = [pooled(x, math.exp(log_temperature))[genre] for x, genre in zip(logits, genres, strict=True)]
        return float(-torch.stack(picked).clamp(min=1e-12).log().sum()) + (log_temperature / prior_deviation) ** 2 / 2

    return round(math.exp(minimize_scalar(loss, bounds=(math.log(0.1), math.log(10)), method="bounded").x), 4)


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.6g}")
