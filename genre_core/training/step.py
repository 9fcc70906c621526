"""Steps of the training: network, optimiser, schedule and averaged weights, by one process or several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from genre_core import networks
from genre_core.config import Train
from genre_core.models.model import GenreModel
from genre_core.training import augment
from genre_core.training.checkpoint import TrainingState
from genre_core.training.device import Hardware, compiles
from genre_core.training.plan import Batch
from genre_core.training.processes import Processes
from genre_core.training.whole_batch import share_batches
from genre_core.training.windows import to_device

_MAX_GRADIENT_NORM = 5.0


class Training:
    """State of a training, and its steps.

    Parameters
    ----------
    model : GenreModel
        Its network is moved to the device; with several processes, its batch norm and dropout become those of `whole_batch`.
    params : Train
    on : Hardware
    processes : Processes
        Processes that each take a share of every batch; DistributedDataParallel averages their gradients.
    total_steps : int
        Number of steps of the whole training.

    Attributes
    ----------
    network : GenreNetwork
    evaluated : nn.Module
        Network to validate: the averaged one, unless averaging is off.
    schedule : LRScheduler
    state : TrainingState
    """

    def __init__(self, model: GenreModel, params: Train, on: Hardware, processes: Processes, *, total_steps: int) -> None:
        self.model, self.on, self.processes = model, on, processes
        if processes.count > 1:
            share_batches(model.network, on.device)
        self.network = networks.channels_last(model.network.to(on.device))
        averaged = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(params.weight_averaging), use_buffers=True)
        self.evaluated: nn.Module = averaged.module if params.weight_averaging else self.network
        self.averaged = averaged
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=params.lr, weight_decay=params.weight_decay)
        self.schedule: torch.optim.lr_scheduler.LRScheduler
        if params.schedule == "onecycle":
            self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimiser, params.lr, total_steps=total_steps + 1)
        else:
            self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, total_steps)
        self.state = TrainingState(self.network, averaged, self.optimiser, self.schedule)
        self.criterion = nn.CrossEntropyLoss(label_smoothing=params.label_smoothing)
        self.compiled = compiles(params.compile, on.device, total_steps)
        self._trained: tuple[bool, ...] = ()
        self._forward: Any = None

    def epoch(self, batches: Iterable[tuple[Batch, torch.Tensor]], done: float) -> float:
        """Train on the batches of an epoch, and wait for the device at its end alone.

        Parameters
        ----------
        batches : iterable of (Batch, torch.Tensor [shape=(B or 2 B, T, n_bins), dtype=float32])
            Each batch with the windows of its ``rows``, on the device.
        done : float in [0, 1)
            Share of the epochs that are done.

        Returns
        -------
        float
            Sum of the losses of the batches, the mean of all processes.
        """
        self.network.train()
        self.network.unfreeze(done)
        self._wrap()
        losses = [self._step(batch, windows) for batch, windows in batches]
        total = 0.0
        for loss in self.processes.sum(torch.stack(losses), self.on.device).tolist():
            total += loss  # in this order, so that a history has the same bytes on all Pythons: sum() compensates since 3.12
        return total / self.processes.count

    def _wrap(self) -> None:
        """Prepare the forward pass again if other weights are trained than before, which DistributedDataParallel must know."""
        trained = tuple(weight.requires_grad for weight in self.network.parameters())
        if trained == self._trained:
            return
        self._trained = trained
        self._forward = self.network
        if self.processes.count > 1:
            on_gpu = self.on.device.type == "cuda"
            self._forward = DistributedDataParallel(self.network, device_ids=[torch.cuda.current_device()] if on_gpu else None)
        if self.compiled:
            self._forward = torch.compile(self._forward)

    def _step(self, batch: Batch, windows: torch.Tensor) -> torch.Tensor:
        """Train on one batch; return its loss (), which stays on the device."""
        device = self.on.device
        x = self.model.normalisation.apply(windows)  # (B or 2 B, T, bins)
        targets = nn.functional.one_hot(batch.genres, len(self.model.genres)).float()
        targets = to_device(targets, device)
        if batch.share is not None and batch.other is not None:
            share, other = to_device(batch.share, device), to_device(batch.other, device)
            x = augment.mixed(x[: batch.size], x[other], share)  # (B, T, bins)
            targets = augment.mixed(targets[: batch.size], targets[other], share)
        if batch.masks:
            x = augment.masked(x, *(to_device(keep, device) for keep in batch.masks))
        with torch.autocast(device.type, torch.bfloat16, enabled=self.on.bf16):
            loss = self.criterion(self._forward(x), targets) + self.network.penalty()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), _MAX_GRADIENT_NORM)
        self.optimiser.step()
        self.schedule.step()
        self.averaged.update_parameters(self.network)
        return loss.detach()
