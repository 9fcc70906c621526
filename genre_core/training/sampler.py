"""Random windows of training tracks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class TrainingTrack:
    """Training track with its augmented versions.

    Attributes
    ----------
    genre : int
        Number of the genre.
    versions : list of np.ndarray [shape=(frames, n_bins)]
        Features of the original, then of its augmented versions, which may have other lengths.
    starts_seconds : list of float
        Start of each training window of the original, in seconds.
    """

    genre: int
    versions: list[np.ndarray]
    starts_seconds: list[float]


@dataclass(frozen=True)
class ValidTrack:
    """Validation track.

    Attributes
    ----------
    genre : int
        Number of the genre.
    features : np.ndarray [shape=(frames, n_bins)]
    starts_seconds : list of float
        Start of each window, in seconds.
    """

    genre: int
    features: np.ndarray
    starts_seconds: list[float]


class Sampler:
    """Sampler of random windows, which draws every training track equally often.

    Parameters
    ----------
    tracks : sequence of TrainingTrack
    frames : int
        Length of a window in frames.
    first_frame : callable
        Function from the start of a window in seconds to its first frame.
    crops : bool
        True draws crops from anywhere in a version; False draws windows of the grid of `starts_seconds`.
    of_track : callable
        Steps of the normalisation that need a whole version.

    Attributes
    ----------
    genres : torch.Tensor [shape=(tracks,), dtype=int64]
        Number of the genre of each track.
    features : torch.Tensor [shape=(all frames, n_bins)]
        Features of all versions, one after another, in the store's precision.
    begin, length : torch.Tensor [shape=(all versions,), dtype=int64]
        First row in `features` and length in frames of each version.
    first_version, versions : torch.Tensor [shape=(tracks,), dtype=int64]
        Number of the first version of each track, which is the original, and count of its versions.
    grids : list of torch.Tensor [shape=(windows,), dtype=int64]
        First frame of each window of the grid, for each track.
    segments : int
        Number of windows of the grid in all tracks.
    """

    def __init__(
        self,
        tracks: Sequence[TrainingTrack],
        frames: int,
        first_frame: Callable[[float], int],
        crops: bool,
        of_track: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        self.frames = frames
        self.crops = crops
        self.genres = torch.tensor([t.genre for t in tracks])
        # Resampling may make a track of one segment's length one frame too short.
        versions = [_padded(of_track(v).to(v.dtype), frames) for t in tracks for v in map(torch.from_numpy, t.versions)]
        self.features = torch.cat(versions)  # (all frames, bins)
        lengths = torch.tensor([len(v) for v in versions])
        self.begin = lengths.cumsum(0) - lengths
        self.length = lengths
        counts = torch.tensor([len(t.versions) for t in tracks])
        self.first_version = counts.cumsum(0) - counts
        self.versions = counts
        self.grids = [torch.tensor([first_frame(s) for s in t.starts_seconds]) for t in tracks]
        self.segments = sum(len(t.starts_seconds) for t in tracks)

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw random windows.

        Parameters
        ----------
        count : int
            Number of windows.
        generator : torch.Generator
            Random generator on the CPU.

        Returns
        -------
        tracks : torch.Tensor [shape=(count,), dtype=int64]
            Number of the track of each window.
        rows : torch.Tensor [shape=(count,), dtype=int64]
            First row of each window in `features`.
        """
        tracks = torch.cat([torch.randperm(len(self.genres), generator=generator) for _ in range(-(-count // len(self.genres)))])[:count]
        uniform = torch.rand(3, count, generator=generator, dtype=torch.float64)
        version = self.first_version[tracks] + (uniform[0] * self.versions[tracks]).long()
        last_start = self.length[version] - self.frames
        if self.crops:
            start = (uniform[1] * (last_start + 1)).long()
        else:
            grid_start = torch.stack(
                [self.grids[t][int(s * len(self.grids[t]))] for t, s in zip(tracks.tolist(), uniform[2].tolist(), strict=True)]
            )
            scale = self.length[version] / self.length[self.first_version[tracks]]  # a version may have another tempo
            start = torch.minimum((grid_start * scale).long(), last_start)
        return tracks, self.begin[version] + start

    def windows(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the windows that begin at the given rows.

        Parameters
        ----------
        rows : torch.Tensor [shape=(B,), dtype=int64]
            First row of each window in `features`.

        Returns
        -------
        torch.Tensor [shape=(B, T, n_bins), dtype=float32]
        """
        return self.features[rows[:, None] + torch.arange(self.frames)].float()


def _padded(track: torch.Tensor, frames: int) -> torch.Tensor:
    """Pad a track to at least `frames` by repeating its last frame."""
    return torch.cat([track, track[-1:].expand(max(0, frames - len(track)), -1)])
