"""Random masks and mixup of training batches."""

from __future__ import annotations

import numpy as np
import torch

from genre_core.config import Batches


def mask(windows: torch.Tensor, generator: torch.Generator, *, batches: Batches) -> torch.Tensor:
    """Mask random bands of bins and spans of frames.

    The masked values become 0, which is the mean of normalised features (SpecAugment, Park et al. 2019).

    Parameters
    ----------
    windows : torch.Tensor [shape=(B, T, n_bins), dtype=float32]
        Normalised windows; they are not changed.
    generator : torch.Generator
        Random generator on the CPU; each window gets its own masks.
    batches : Batches
        Number of masks, and largest share of the frames or bins that a mask covers.

    Returns
    -------
    torch.Tensor [shape=(B, T, n_bins), dtype=float32]
    """
    count, frames, bins = windows.shape
    keep_frame = _keep(count, frames, batches.time_masks, batches.time_mask_share, generator)
    keep_bin = _keep(count, bins, batches.frequency_masks, batches.frequency_mask_share, generator)
    return windows * (keep_frame[:, :, None] & keep_bin[:, None, :]).to(windows)


def _keep(count: int, length: int, masks: int, share: float, generator: torch.Generator) -> torch.Tensor:
    """Draw the masks of `count` windows.

    Returns
    -------
    torch.Tensor [shape=(count, length), dtype=bool]
        False inside `masks` random spans, each 0 to ``share * length`` long.
    """
    keep = torch.ones(count, length, dtype=torch.bool)
    position = torch.arange(length)
    for _ in range(masks):
        width = (torch.rand(count, 1, generator=generator) * (share * length + 1)).floor().clamp(max=share * length)
        start = torch.rand(count, 1, generator=generator) * (length - width)
        keep &= (position < start.floor()) | (position >= start.floor() + width)
    return keep


def mixup(windows: torch.Tensor, targets: torch.Tensor, alpha: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix each window and its target with another one of the batch.

    The source is Zhang et al. 2018, "mixup: Beyond empirical risk minimization".

    Parameters
    ----------
    windows : torch.Tensor [shape=(B, T, n_bins)]
    targets : torch.Tensor [shape=(B, genres)]
        One-hot or soft targets.
    alpha : float >= 0
        Parameter of the distribution Beta(alpha, alpha) that draws the share of each window; 0 changes nothing.
    generator : torch.Generator
        Random generator on the CPU.

    Returns
    -------
    windows : torch.Tensor [shape=(B, T, n_bins)]
    targets : torch.Tensor [shape=(B, genres)]
    """
    if alpha == 0:
        return windows, targets
    count = len(windows)
    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))  # torch has no seeded Beta
    share = torch.from_numpy(rng.beta(alpha, alpha, count).astype(np.float32)).to(windows.device)
    other = torch.randperm(count, generator=generator).to(windows.device)
    mixed = torch.lerp(windows[other], windows, share[:, None, None])
    return mixed, torch.lerp(targets[other], targets, share[:, None])
