"""Normalisation of features before a network reads them.

The first step limits the range of a whole track (log-mel only): levels more than ``range_db`` below its maximum are raised to this
limit. The reason is that the noise floor and the cut-off frequency of the audio coding identify recordings, not genres. The second
step depends on the kind:

================  ==============================================================================================================
``dataset``       nothing
``track``         subtract the track's mean of each bin, which removes the recording's equalisation, because it identifies artists
``window``        subtract the window's mean over all its values and divide by their standard deviation, which removes the level
================  ==============================================================================================================

The last step is the same for all kinds: per bin, subtract the mean of the training split and divide by its standard deviation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Normalisation:
    """Fitted normalisation: `of_track` for a track, then `apply` for its windows.

    Attributes
    ----------
    kind : {"dataset", "track", "window"}
    mean, deviation : torch.Tensor [shape=(n_bins,), dtype=float32]
        Mean and standard deviation of each bin over the training split, after the first and second step.
    range_db : float
        Range in dB below the maximum of a track; 0.0 does not limit the levels.
    """

    kind: str
    mean: torch.Tensor
    deviation: torch.Tensor
    range_db: float = 0.0

    def of_track(self, track: torch.Tensor) -> torch.Tensor:
        """Apply the steps that need the whole track.

        Parameters
        ----------
        track : torch.Tensor [shape=(frames, n_bins)]
            Features of the track.

        Returns
        -------
        torch.Tensor [shape=(frames, n_bins), dtype=float32]
        """
        return of_part(track, *self.statistics(track))

    def statistics(self, track: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute what `of_part` needs to know about a whole track.

        Parameters
        ----------
        track : torch.Tensor [shape=(frames, n_bins)]
            Features of the track.

        Returns
        -------
        floor : torch.Tensor [shape=(), dtype=float32]
            Lowest level that is kept.
        mean : torch.Tensor [shape=(n_bins,), dtype=float32]
            Mean to subtract; 0 unless the kind is ``track``.
        """
        return _statistics(track, self.kind, self.range_db)

    def apply(self, windows: torch.Tensor) -> torch.Tensor:
        """Apply the other steps to windows.

        Parameters
        ----------
        windows : torch.Tensor [shape=(B, T, n_bins), dtype=float32]
            Windows of the result of `of_track`.

        Returns
        -------
        torch.Tensor [shape=(B, T, n_bins), dtype=float32]
        """
        if self.kind == "window":
            windows = _normalised_windows(windows)
        return (windows - self.mean.to(windows.device)) / self.deviation.to(windows.device)


def fit(kind: str, tracks: Iterable[np.ndarray], frames: int, *, range_db: float = 0.0) -> Normalisation:
    """Fit a normalisation on the training tracks.

    Only one track is in memory at a time.

    Parameters
    ----------
    kind : {"dataset", "track", "window"}
    tracks : iterable of np.ndarray [shape=(any, n_bins)]
        Features of each training track.
    frames : int
        Length of a window in frames.
    range_db : float
        Range in dB below the maximum of a track; 0.0 does not limit the levels.

    Returns
    -------
    Normalisation
    """
    count, total, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for track in tracks:
        x = torch.from_numpy(np.asarray(track, np.float32))
        x = of_part(x, *_statistics(x, kind, range_db))
        if kind == "window":
            length = min(frames, len(x))  # resampling may make a track of one segment's length one frame too short
            whole_windows_frames = len(x) // length * length
            x = _normalised_windows(x[:whole_windows_frames].reshape(-1, length, x.shape[1])).flatten(0, 1)
        x = x.double()
        count, total, squares = count + len(x), total + x.sum(0), squares + x.square().sum(0)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp(min=0).sqrt().clamp(min=1e-3)
    return Normalisation(kind, mean.float(), deviation.float(), range_db)


def within_range(track: torch.Tensor, range_db: float) -> torch.Tensor:
    """Raise the levels that are too far below the maximum of a track.

    Parameters
    ----------
    track : torch.Tensor [shape=(frames, n_mels)]
        Log-mel in dB.
    range_db : float
        Largest distance from the maximum in dB; 0.0 returns the track unchanged.

    Returns
    -------
    torch.Tensor [shape=(frames, n_mels)]
    """
    return torch.maximum(track, track.amax() - range_db) if range_db else track


def of_part(part: torch.Tensor, floor: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """Apply the steps that need the whole track to a part of it, given the track's statistics.

    Parameters
    ----------
    part : torch.Tensor [shape=(..., frames, n_bins)]
    floor, mean : torch.Tensor
        Result of `Normalisation.statistics`, with a shape that broadcasts to `part`.

    Returns
    -------
    torch.Tensor [shape=(..., frames, n_bins), dtype=float32]
    """
    return torch.maximum(part.float(), floor) - mean


def _statistics(track: torch.Tensor, kind: str, range_db: float) -> tuple[torch.Tensor, torch.Tensor]:
    track = track.float()
    floor = track.amax() - range_db if range_db else track.new_tensor(-torch.inf)
    mean = torch.maximum(track, floor).mean(0) if kind == "track" else track.new_zeros(track.shape[1])
    return floor, mean


def _normalised_windows(windows: torch.Tensor) -> torch.Tensor:
    mean = windows.mean(dim=(1, 2), keepdim=True)
    return (windows - mean) / windows.std(dim=(1, 2), keepdim=True).clamp(min=1e-3)
