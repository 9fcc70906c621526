"""Training loop with seeded batches, early stopping and checkpoints."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from genre_core.config import Augment, Train
from genre_core.errors import GenreError
from genre_core.evaluation.calibration import pooled
from genre_core.evaluation.scoring import validation_scores
from genre_core.models.model import GenreModel
from genre_core.training.device import Hardware, hardware, keep_freed_memory
from genre_core.training.plan import epoch as epoch_plan
from genre_core.training.processes import Processes, joined
from genre_core.training.sampler import Sampler, TrainingTrack, ValidTrack
from genre_core.training.step import Training
from genre_core.training.windows import WindowsInMemory, read_windows
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

    If the features need more than ``train.memory_gb``, windows are read from the store during training, with the same bytes as result.

    Several processes (``torchrun`` or ``train.processes``) share each batch. They draw the windows, masks and dropout of one process,
    and batch norm covers the whole batch, so only the rounding of sums differs: after a few epochs, losses by less than 1 %, and the
    weights by less than 1 % of their norm.

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
    on = hardware(params.device, params.precision)
    alone = model.network.closed_form  # the other processes have already ended
    with contextlib.nullcontext(Processes()) if alone else joined(on.device) as processes:
        torch.set_num_threads(max(1, params.threads // processes.on_this_machine))
        torch.use_deterministic_algorithms(True, warn_only=True)
        frames = model.feature.frames(model.segment_seconds)
        if frames < model.network.min_frames:
            raise GenreError(
                f"segment.seconds {model.segment_seconds:g} gives {frames} frames, but model.type {model.type} needs at least "
                f"{model.network.min_frames}; raise segment.seconds"
            )
        sampler = Sampler(train, frames, model.feature.first_frame, crops)
        if alone:
            return _solve(model, sampler, train, valid, seed, history)
        if params.batch_size % processes.count:
            raise GenreError(f"train.batch_size: {params.batch_size} is not a multiple of the {processes.count} processes that share it")
        per_epoch = params.windows_per_epoch or sampler.segments
        steps = max(1, per_epoch // params.batch_size)
        training = Training(model, params, on, processes, total_steps=params.epochs * steps)
        state = training.state
        state.resume(Path(checkpoint))
        processes.check_equal(state.epoch, on.device, f"checkpoint {checkpoint}: the processes read different epochs from it; remove it")
        resumed_from = state.epoch or None
        if resumed_from and processes.first:
            _write_history(history, state.rows)  # DVC deletes it before it starts a killed stage again

        memory_bytes = params.memory_gb * 1e9 / processes.on_this_machine
        windows, valid = read_windows(
            train, valid, sampler, model.normalisation, on.device, memory_bytes=memory_bytes, most_windows=steps * params.batch_size
        )
        share = {"process": processes.number, "processes": processes.count}
        options: dict[str, Any] = {"steps": steps, "batch_size": params.batch_size, "n_bins": model.feature.n_bins, **share}
        plans = (
            epoch_plan(sampler, _seed(seed, epoch), batches=augment.batches, masks=masks, **options)
            for epoch in range(state.epoch + 1, params.epochs + 1)
        )
        batches = windows.read(chain.from_iterable(plans))  # one reader for all epochs: it reads the next one during validation

        with (
            contextlib.closing(batches),
            tqdm(total=params.epochs, initial=state.epoch, desc="train", unit="epoch", disable=None if processes.first else True) as bar,
        ):
            while state.epoch < params.epochs and (params.keep == "last" or state.epoch - state.best_epoch < params.patience):
                epoch = state.epoch + 1
                torch.manual_seed(_seed(seed, epoch))  # dropout uses the global generator
                loss = training.epoch(islice(batches, steps), state.epoch / params.epochs) / steps
                if not math.isfinite(loss):
                    raise GenreError(f"train.lr: {params.lr:g} made the loss {loss} in epoch {epoch}; lower it")
                row: dict[str, float] = {
                    "epoch": epoch,
                    "lr": float(training.schedule.get_last_lr()[0]),
                    "train_loss": loss,
                    **_validate(model, training.evaluated, valid, on, processes),
                }
                state.finish(epoch, row, training.evaluated, always=params.keep == "last")
                if processes.first:
                    _write_history(history, state.rows)
                    state.save(Path(checkpoint))
                bar.set_postfix(loss=f"{loss:.3f}", valid_f1=f"{row['valid_macro_f1']:.3f}", best=f"{state.best_score[0]:.3f}")
                bar.update()
    training.network.load_state_dict(state.best)
    model.network = training.network.cpu()
    best = state.rows[state.best_epoch - 1]
    return {
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "hardware": on.name + (f", {processes.count} processes" if processes.count > 1 else ""),
        "resumed_from": resumed_from,
        **{k: _rounded(best[k]) for k in HISTORY[2:]},
    }


def _seed(seed: int, epoch: int) -> int:
    return seed * 100_003 + epoch


def _solve(
    model: GenreModel, sampler: Sampler, train: Sequence[TrainingTrack], valid: Sequence[ValidTrack], seed: int, history: str | Path
) -> dict[str, Any]:
    """Fit a closed-form network to the grid windows of the original tracks."""
    tracks, rows = sampler.grid_windows()
    cpu = Hardware(torch.device("cpu"), False)
    versions = [version for track in train for version in track.versions]
    x = model.normalisation.apply(WindowsInMemory(versions, sampler, model.normalisation, cpu.device, cpu.device).take(rows))
    model.network.eval()
    with torch.no_grad():
        model.network.solve(x, sampler.genres[tracks], seed)
    with torch.inference_mode():
        loss = nn.functional.cross_entropy(torch.cat([model.network(batch) for batch in x.split(256)]), sampler.genres[tracks])
    row = {"epoch": 1, "lr": 0.0, "train_loss": loss.item(), **_validate(model, model.network, valid, cpu, Processes())}
    _write_history(history, [row])
    return {"epochs": 1, "best_epoch": 1, "hardware": cpu.name, "resumed_from": None, **{k: _rounded(row[k]) for k in HISTORY[2:]}}


def _write_history(path: str | Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write the row of each finished epoch."""
    write_csv(path, HISTORY, [{k: _rounded(v) for k, v in row.items()} for row in rows])


def _validate(model: GenreModel, network: Any, valid: Sequence[ValidTrack], on: Hardware, processes: Processes) -> dict[str, float]:
    """Compute uncalibrated loss, accuracy and macro-F1 of the validation tracks, of which each process takes a share."""
    tracks = torch.zeros(len(valid), len(model.genres), dtype=torch.float64)
    trained, model.network = model.network, network
    try:
        with torch.autocast(on.device.type, torch.bfloat16, enabled=on.bf16):
            for i in range(processes.number, len(valid), processes.count):
                tracks[i] = pooled(model.logits(np.asarray(valid[i].features), valid[i].starts_seconds), 1.0)
    finally:
        model.network = trained
    return validation_scores(processes.sum(tracks, on.device).numpy(), [t.genre for t in valid])


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.6g}")
