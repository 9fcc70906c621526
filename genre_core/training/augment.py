"""Masks and mixup, drawn anew for each batch."""

from __future__ import annotations

import numpy as np
import torch

from genre_core.config import Batches


def mask(windows: torch.Tensor, generator: torch.Generator, *, batches: Batches) -> torch.Tensor:
    """Set random bands of bins and spans of frames to 0, the mean of normalised features (SpecAugment, Park et al. 2019).

    Parameters
    ----------
    windows : torch.Tensor [shape=(B, T, n_bins), dtype=float32]
        Normalised; a new tensor is returned.
    generator : torch.Generator
        Each window has masks of its own.
    batches : Batches
        Number and widest share of the masks.
    """
    count, frames, bins = windows.shape
    keep_frame = _keep(count, frames, batches.time_masks, batches.time_mask_share, generator)
    keep_bin = _keep(count, bins, batches.frequency_masks, batches.frequency_mask_share, generator)
    return windows * (keep_frame[:, :, None] & keep_bin[:, None, :]).to(windows)


def _keep(count: int, length: int, masks: int, share: float, generator: torch.Generator) -> torch.Tensor:
    """Draw spans to mask: False inside `masks` spans of 0 to `share * length`, shape ``(count, length)``."""
    keep = torch.ones(count, length, dtype=torch.bool)
    position = torch.arange(length)
    for _ in range(masks):
        width = (torch.rand(count, 1, generator=generator) * (share * length + 1)).floor().clamp(max=share * length)
        start = torch.rand(count, 1, generator=generator) * (length - width)
        keep &= (position < start.floor()) | (position >= start.floor() + width)
    return keep


def mixup(windows: torch.Tensor, targets: torch.Tensor, alpha: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix each window with another of the batch, and their targets alike (Zhang et al. 2018, "mixup").

    Parameters
    ----------
    windows : torch.Tensor [shape=(B, T, n_bins)]
    targets : torch.Tensor [shape=(B, genres)]
        One-hot or soft.
    alpha : float >= 0
        Of the Beta(alpha, alpha) that draws a share for each window; 0 changes nothing.
    """
    if alpha == 0:
        return windows, targets
    count = len(windows)
    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))  # torch draws no seeded Beta
    share = torch.from_numpy(rng.beta(alpha, alpha, count).astype(np.float32)).to(windows.device)
    other = torch.randperm(count, generator=generator).to(windows.device)
    mixed = torch.lerp(windows[other], windows, share[:, None, None])
    return mixed, torch.lerp(targets[other], targets, share[:, None])
