"""What is taken away from features before a network sees them.

First, of a whole track: levels further below its loudest than ``range_db`` are raised to that (log-mel only; the noise floor of a
recording, and where its coding ends, tell recordings apart, not genres). Then:

================  ================================================================================================
``dataset``       per bin, the mean and deviation of the training split
``track``         first each track's own mean of each bin: the recording's equalisation, which tells artists apart
``window``        first each window's own mean and deviation over all its values: the level
================  ================================================================================================

After the first step, ``track`` and ``window`` are scaled per bin by the training split too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Normalisation:
    """A fitted normalisation: `of_track`, then `apply` to windows of what that gave.

    Attributes
    ----------
    kind : {"dataset", "track", "window"}
    mean, deviation : torch.Tensor [shape=(n_bins,), dtype=float32]
        Of the training split, after the first steps.
    range_db : float
        0.0: levels are left as they are.
    """

    kind: str
    mean: torch.Tensor
    deviation: torch.Tensor
    range_db: float = 0.0

    def of_track(self, track: torch.Tensor) -> torch.Tensor:
        """Apply the steps that need the whole `track` [shape=(frames, n_bins)], to the same shape, float32."""
        return _of_track(track, self.kind, self.range_db)

    def apply(self, windows: torch.Tensor) -> torch.Tensor:
        """Apply the other steps to `windows` [shape=(B, T, n_bins), dtype=float32] of `of_track`, to the same shape."""
        if self.kind == "window":
            windows = _levelled(windows)
        return (windows - self.mean.to(windows.device)) / self.deviation.to(windows.device)


def fit(kind: str, tracks: Iterable[np.ndarray], frames: int, *, range_db: float = 0.0) -> Normalisation:
    """Fit on the training tracks, one in memory at a time.

    Parameters
    ----------
    kind : {"dataset", "track", "window"}
    tracks : iterable of np.ndarray [shape=(any, n_bins)]
    frames : int
        Length of a window.
    range_db : float
        See `Normalisation`.
    """
    count, total, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for track in tracks:
        x = _of_track(torch.from_numpy(np.asarray(track, np.float32)), kind, range_db)
        if kind == "window":
            whole = len(x) // frames * frames
            x = _levelled(x[:whole].reshape(-1, frames, x.shape[1])).flatten(0, 1)
        x = x.double()
        count, total, squares = count + len(x), total + x.sum(0), squares + x.square().sum(0)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp(min=0).sqrt().clamp(min=1e-3)
    return Normalisation(kind, mean.float(), deviation.float(), range_db)


def within_range(track: torch.Tensor, range_db: float) -> torch.Tensor:
    """`track` in dB, levels further below its highest than `range_db` raised to that; as it is with 0.0."""
    return torch.maximum(track, track.amax() - range_db) if range_db else track


def _of_track(track: torch.Tensor, kind: str, range_db: float) -> torch.Tensor:
    track = within_range(track.float(), range_db)
    return track - track.mean(0) if kind == "track" else track


def _levelled(windows: torch.Tensor) -> torch.Tensor:
    mean = windows.mean(dim=(1, 2), keepdim=True)
    return (windows - mean) / windows.std(dim=(1, 2), keepdim=True).clamp(min=1e-3)
