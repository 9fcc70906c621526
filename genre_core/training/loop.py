"""Training loop with seeded batches, early stopping and checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from genre_core import networks
from genre_core.config import Augment, Train
from genre_core.errors import GenreError
from genre_core.evaluation.calibration import pooled
from genre_core.evaluation.scoring import validation_scores
from genre_core.models.model import GenreModel
from genre_core.training import augment as training_augment
from genre_core.training.checkpoint import TrainingState
from genre_core.training.device import Hardware, hardware, keep_freed_memory
from genre_core.training.sampler import Sampler, TrainingTrack, ValidTrack
from genre_core.util.files import write_csv

HISTORY = ("epoch", "lr", "train_loss", "valid_loss", "valid_accuracy", "valid_macro_f1")


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
    """Train `model.network` and keep the chosen weights.

    The model is not calibrated. The best epoch has the highest macro-F1 of the validation tracks; if
    several epochs are equal, it has the lowest loss. With ``train.keep: last``, the last epoch is kept, because choosing an
    epoch by a few validation tracks is noisier than averaging the weights. The random numbers of an epoch depend only on (seed,
    epoch), so a resumed run gives the same bytes as an uninterrupted run.

    Parameters
    ----------
    model : GenreModel
        Model with an untrained network; the function changes it.
    train, valid : sequences of TrainingTrack and ValidTrack
    params : Train
    augment : Augment
    seed : int
    history : str or Path
        CSV file, written again after each epoch.
    checkpoint : str or Path
        File, written after each epoch; an existing checkpoint is resumed. The caller names it by a digest of the parameters and inputs,
        and deletes it after training.
    crops : bool
        True draws windows at random positions; False draws them at ``starts_seconds``, the regular starts of the index.
    masks : bool
        True applies time and frequency masks, which are not meaningful for MFCC.

    Returns
    -------
    dict
        epochs, best_epoch, hardware, resumed_from (epoch or None), and the history's losses and scores of the best epoch.

    Raises
    ------
    GenreError
        The device is not available, the segment is too short for the network, the checkpoint is damaged, or the loss is not finite
        (the learning rate is too high).
    """
    keep_freed_memory()
    torch.set_num_threads(params.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    chosen_hardware = hardware(params.device, params.precision)
    frames = model.feature.frames(model.segment_seconds)
    if frames < model.network.min_frames:
        raise GenreError(
            f"segment.seconds {model.segment_seconds:g} gives {frames} frames, but model.type {model.type} needs at least "
            f"{model.network.min_frames}; raise segment.seconds"
        )
    sampler = Sampler(train, frames, model.feature.first_frame, crops, model.normalisation.of_track)
    if model.network.closed_form:
        return _solve(model, sampler, valid, seed, history)
    network = networks.channels_last(model.network.to(chosen_hardware.device))
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(params.weight_averaging), use_buffers=True)
    per_epoch = params.windows_per_epoch or sampler.segments
    steps = max(1, per_epoch // params.batch_size)
    optimiser = torch.optim.AdamW(network.parameters(), lr=params.lr, weight_decay=params.weight_decay)
    schedule: torch.optim.lr_scheduler.LRScheduler
    if params.schedule == "onecycle":
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, params.lr, total_steps=params.epochs * steps + 1)
    else:
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, params.epochs * steps)
    state = TrainingState(network, averaged, optimiser, schedule)
    state.resume(Path(checkpoint))
    resumed_from = state.epoch or None
    if resumed_from:
        _write_history(history, state.rows)  # DVC deletes it before it starts a killed stage again
    criterion = nn.CrossEntropyLoss(label_smoothing=params.label_smoothing)

    with tqdm(total=params.epochs, initial=state.epoch, desc="train", unit="epoch", disable=None) as bar:
        while state.epoch < params.epochs and (params.keep == "last" or state.epoch - state.best_epoch < params.patience):
            epoch = state.epoch + 1
            torch.manual_seed(seed * 100_003 + epoch)  # dropout uses the global generator
            generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
            tracks, rows = sampler.draw(steps * params.batch_size, generator)
            network.train()
            network.unfreeze(state.epoch / params.epochs)
            loss_sum = 0.0
            for batch in torch.arange(len(rows)).split(params.batch_size):
                x = model.normalisation.apply(sampler.windows(rows[batch]).to(chosen_hardware.device))  # (B, T, bins)
                targets = nn.functional.one_hot(sampler.genres[tracks[batch]], len(model.genres)).float().to(chosen_hardware.device)
                x, targets = training_augment.mixup(x, targets, augment.batches.mixup_alpha, generator)
                if masks:
                    x = training_augment.mask(x, generator, batches=augment.batches)
                with torch.autocast(chosen_hardware.device.type, torch.bfloat16, enabled=chosen_hardware.bf16):
                    loss = criterion(network(x), targets) + network.penalty()
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                optimiser.step()
                schedule.step()
                averaged.update_parameters(network)
                loss_sum += loss.item()
            if not math.isfinite(loss_sum):
                raise GenreError(f"train.lr: {params.lr:g} made the loss {loss_sum} in epoch {epoch}; lower it")
            evaluated = averaged.module if params.weight_averaging else network
            row: dict[str, float] = {
                "epoch": epoch,
                "lr": float(schedule.get_last_lr()[0]),
                "train_loss": loss_sum / steps,
                **_validate(model, evaluated, valid, chosen_hardware),
            }
            state.finish(epoch, row, evaluated, always=params.keep == "last")
            _write_history(history, state.rows)
            state.save(Path(checkpoint))
            bar.set_postfix(loss=f"{row['train_loss']:.3f}", valid_f1=f"{row['valid_macro_f1']:.3f}", best=f"{state.best_score[0]:.3f}")
            bar.update()

    network.load_state_dict(state.best)
    model.network = network.cpu()
    best = state.rows[state.best_epoch - 1]
    return {
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "hardware": chosen_hardware.name,
        "resumed_from": resumed_from,
        **{k: _rounded(best[k]) for k in HISTORY[2:]},
    }


def _solve(model: GenreModel, sampler: Sampler, valid: Sequence[ValidTrack], seed: int, history: str | Path) -> dict[str, Any]:
    """Fit a closed-form network to the grid windows of the original tracks."""
    rows, tracks = [], []
    for track, grid in enumerate(sampler.grids):
        version = sampler.first_version[track]
        rows.append(sampler.begin[version] + torch.minimum(grid, sampler.length[version] - sampler.frames))
        tracks += [track] * len(grid)
    track_of_window = torch.tensor(tracks)
    x = model.normalisation.apply(sampler.windows(torch.cat(rows)))
    model.network.eval()
    with torch.no_grad():
        model.network.solve(x, sampler.genres[track_of_window], seed)
    cpu = Hardware(torch.device("cpu"), False)
    with torch.inference_mode():
        loss = nn.functional.cross_entropy(torch.cat([model.network(batch) for batch in x.split(256)]), sampler.genres[track_of_window])
    row = {"epoch": 1, "lr": 0.0, "train_loss": loss.item(), **_validate(model, model.network, valid, cpu)}
    _write_history(history, [row])
    return {"epochs": 1, "best_epoch": 1, "hardware": cpu.name, "resumed_from": None, **{k: _rounded(row[k]) for k in HISTORY[2:]}}


def _write_history(path: str | Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write the row of each finished epoch."""
    write_csv(path, HISTORY, [{k: _rounded(v) for k, v in row.items()} for row in rows])


def _validate(model: GenreModel, network: Any, valid: Sequence[ValidTrack], used_hardware: Hardware) -> dict[str, float]:
    """Compute uncalibrated loss, accuracy and macro-F1 of the validation tracks."""
    trained, model.network = model.network, network
    try:
        with torch.autocast(used_hardware.device.type, torch.bfloat16, enabled=used_hardware.bf16):
            tracks = np.array([pooled(model.logits(t.features, t.starts_seconds), 1.0).numpy() for t in valid])  # (tracks, genres)
    finally:
        model.network = trained
    return validation_scores(tracks, [t.genre for t in valid])


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.6g}")
