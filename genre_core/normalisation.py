"""What is taken away from features before a network sees them.

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
    """A fitted normalisation.

    Attributes
    ----------
    kind : {"dataset", "track", "window"}
    mean, deviation : torch.Tensor [shape=(n_bins,), dtype=float32]
        Of the training split, after the first step.
    """

    kind: str
    mean: torch.Tensor
    deviation: torch.Tensor

    def reference(self, track: torch.Tensor) -> torch.Tensor:
        """What is taken from every frame of a track.

        Parameters
        ----------
        track : torch.Tensor [shape=(frames, n_bins)]

        Returns
        -------
        torch.Tensor [shape=(n_bins,), dtype=float32]
        """
        return track.float().mean(0) if self.kind == "track" else torch.zeros(track.shape[1])

    def apply(self, windows: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """Normalise windows.

        Parameters
        ----------
        windows : torch.Tensor [shape=(B, T, n_bins), dtype=float32]
        reference : torch.Tensor [shape=(n_bins,) or (B, 1, n_bins), dtype=float32]
            From `reference`, of the windows' track or tracks.

        Returns
        -------
        torch.Tensor [shape=(B, T, n_bins), dtype=float32]
        """
        windows = windows - reference
        if self.kind == "window":
            windows = _levelled(windows)
        return (windows - self.mean.to(windows.device)) / self.deviation.to(windows.device)


def fit(kind: str, tracks: Iterable[np.ndarray], frames: int) -> Normalisation:
    """Fit on the training tracks, one in memory at a time.

    Parameters
    ----------
    kind : {"dataset", "track", "window"}
    tracks : iterable of np.ndarray [shape=(any, n_bins)]
    frames : int
        Length of a window.
    """
    count, total, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for track in tracks:
        x = torch.from_numpy(np.asarray(track, np.float32))
        if kind == "track":
            x = x - x.mean(0)
        elif kind == "window":
            whole = len(x) // frames * frames
            x = _levelled(x[:whole].reshape(-1, frames, x.shape[1])).flatten(0, 1)
        x = x.double()
        count, total, squares = count + len(x), total + x.sum(0), squares + x.square().sum(0)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp(min=0).sqrt().clamp(min=1e-3)
    return Normalisation(kind, mean.float(), deviation.float())


def _levelled(windows: torch.Tensor) -> torch.Tensor:
    mean = windows.mean(dim=(1, 2), keepdim=True)
    return (windows - mean) / windows.std(dim=(1, 2), keepdim=True).clamp(min=1e-3)
