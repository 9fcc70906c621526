"""All random numbers of an epoch's batches, drawn in one order whatever reads the windows and however many processes share them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from genre_core.config import Batches
from genre_core.training import augment
from genre_core.training.sampler import Sampler


@dataclass(frozen=True)
class Batch:
    """Share of a batch that one process trains on: B windows.

    Attributes
    ----------
    rows : torch.Tensor [shape=(B or 2 B,), dtype=int64]
        First row of each window to read: the B windows, then those that they are mixed with, if another process has them.
    genres : torch.Tensor [shape=(B or 2 B,), dtype=int64]
        Number of the genre of each window that is read.
    share : torch.Tensor [shape=(B,), dtype=float32], optional
        Share of each window if it is mixed.
    other : torch.Tensor [shape=(B,), dtype=int64], optional
        Position in `rows` of the window that it is mixed with.
    masks : tuple of two torch.Tensor [shape=(B, T) and (B, n_bins), dtype=bool], optional
        Result of `augment.draw_masks`.
    """

    rows: torch.Tensor
    genres: torch.Tensor
    share: torch.Tensor | None = None
    other: torch.Tensor | None = None
    masks: tuple[torch.Tensor, torch.Tensor] | None = None

    @property
    def size(self) -> int:
        """Number B of windows that the process trains on."""
        return len(self.rows) if self.share is None else len(self.share)


def epoch(
    sampler: Sampler,
    seed: int,
    *,
    steps: int,
    batch_size: int,
    n_bins: int,
    batches: Batches,
    masks: bool,
    process: int = 0,
    processes: int = 1,
) -> Iterator[Batch]:
    """Yield the batches of an epoch, of which each process takes an equal share.

    Every process draws the random numbers of whole batches and keeps its slice, so the processes together train on the same windows
    with the same masks as one process alone.

    Parameters
    ----------
    sampler : Sampler
    seed : int
        Seed of this epoch.
    steps, batch_size : int
        Number of batches and windows in a batch of all processes, which is a multiple of `processes`.
    n_bins : int
        Number of values in a row of the feature.
    batches : Batches
        Settings of the random augmentation.
    masks : bool
        True draws time and frequency masks.
    process, processes : int
        Number of this process, from 0, and count of all.
    """
    generator = torch.Generator().manual_seed(seed)
    tracks, rows = sampler.draw(steps * batch_size, generator)
    share_size = batch_size // processes
    mine = slice(process * share_size, (process + 1) * share_size)
    for batch in torch.arange(len(rows)).split(batch_size):
        chosen, share, other, drawn_masks = batch[mine], None, None, None
        if batches.mixup_alpha:
            share, other = augment.draw_mixup(batch_size, batches.mixup_alpha, generator)
            share, other = share[mine], other[mine]
            if processes > 1:
                chosen, other = torch.cat([chosen, batch[other]]), torch.arange(share_size, 2 * share_size)
        if masks:
            keep_frame, keep_bin = augment.draw_masks((batch_size, sampler.frames, n_bins), generator, batches=batches)
            drawn_masks = keep_frame[mine], keep_bin[mine]
        yield Batch(rows[chosen], sampler.genres[tracks[chosen]], share, other, drawn_masks)
