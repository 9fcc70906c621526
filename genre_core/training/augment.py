"""Random masks and mixup of training batches."""

from __future__ import annotations

from collections.abc import Sequence

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
    return masked(windows, *draw_masks(windows.shape, generator, batches=batches))


def draw_masks(shape: Sequence[int], generator: torch.Generator, *, batches: Batches) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw the masks of windows of `shape` (B, T, n_bins).

    Returns
    -------
    keep_frame : torch.Tensor [shape=(B, T), dtype=bool]
    keep_bin : torch.Tensor [shape=(B, n_bins), dtype=bool]
        False where a mask covers the window.
    """
    count, frames, bins = shape
    keep_frame = _keep(count, frames, batches.time_masks, batches.time_mask_share, generator)
    return keep_frame, _keep(count, bins, batches.frequency_masks, batches.frequency_mask_share, generator)


def masked(windows: torch.Tensor, keep_frame: torch.Tensor, keep_bin: torch.Tensor) -> torch.Tensor:
    """Set what the masks of `draw_masks` cover to 0, on the device of `windows`."""
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
    share, other = draw_mixup(len(windows), alpha, generator)
    share, other = share.to(windows.device), other.to(windows.device)
    return mixed(windows, windows[other], share), mixed(targets, targets[other], share)


def draw_mixup(count: int, alpha: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw the share of each window, and the number of the window that it is mixed with.

    Returns
    -------
    share : torch.Tensor [shape=(count,), dtype=float32]
    other : torch.Tensor [shape=(count,), dtype=int64]
    """
    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))  # torch has no seeded Beta
    return torch.from_numpy(rng.beta(alpha, alpha, count).astype(np.float32)), torch.randperm(count, generator=generator)


def mixed(values: torch.Tensor, others: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Mix `values` with `others`: `share` (B,) of the first, the rest of the second."""
    return torch.lerp(others, values, share.reshape(-1, *[1] * (values.dim() - 1)))
