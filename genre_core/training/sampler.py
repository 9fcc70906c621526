"""Random windows of training tracks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from genre_core.features.stored import StoredFeatures

Features = np.ndarray | StoredFeatures  # in memory, or in a store: both have a length, and np.asarray gives their values


@dataclass(frozen=True)
class TrainingTrack:
    """Training track with its augmented versions.

    Attributes
    ----------
    genre : int
        Number of the genre.
    versions : sequence of np.ndarray or StoredFeatures [shape=(frames, n_bins)]
        Features of the original, then of its augmented versions, which may have other lengths.
    starts_seconds : list of float
        Start of each training window of the original, in seconds.
    """

    genre: int
    versions: Sequence[Features]
    starts_seconds: list[float]


@dataclass(frozen=True)
class ValidTrack:
    """Validation track.

    Attributes
    ----------
    genre : int
        Number of the genre.
    features : np.ndarray or StoredFeatures [shape=(frames, n_bins)]
    starts_seconds : list of float
        Start of each window, in seconds.
    """

    genre: int
    features: Features
    starts_seconds: list[float]


class Sampler:
    """Sampler of random windows, which draws every training track equally often.

    It knows lengths alone. A window is named by its first row in all versions, one after another; `genre_core.training.windows`
    reads it.

    Parameters
    ----------
    tracks : sequence of TrainingTrack
    frames : int
        Length of a window in frames.
    first_frame : callable
        Function from the start of a window in seconds to its first frame.
    crops : bool
        True draws crops from anywhere in a version; False draws windows of the grid of `starts_seconds`.

    Attributes
    ----------
    genres : torch.Tensor [shape=(tracks,), dtype=int64]
        Number of the genre of each track.
    begin, length : torch.Tensor [shape=(all versions,), dtype=int64]
        First row and length in frames of each version, which is at least one window.
    first_version, versions : torch.Tensor [shape=(tracks,), dtype=int64]
        Number of the first version of each track, which is the original, and count of its versions.
    grids : list of torch.Tensor [shape=(windows,), dtype=int64]
        First frame of each window of the grid, for each track.
    segments : int
        Number of windows of the grid in all tracks.
    """

    def __init__(self, tracks: Sequence[TrainingTrack], frames: int, first_frame: Callable[[float], int], crops: bool) -> None:
        self.frames = frames
        self.crops = crops
        self.genres = torch.tensor([t.genre for t in tracks])
        # Resampling may make a track of one segment's length one frame too short: its last frame is then repeated.
        self.length = torch.tensor([max(frames, len(v)) for t in tracks for v in t.versions])
        self.begin = self.length.cumsum(0) - self.length
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
            First row of each window.
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

    def grid_windows(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the windows of the grid in all original tracks, as `draw` does."""
        rows, tracks = [], []
        for track, grid in enumerate(self.grids):
            version = self.first_version[track]
            rows.append(self.begin[version] + torch.minimum(grid, self.length[version] - self.frames))
            tracks += [track] * len(grid)
        return torch.tensor(tracks), torch.cat(rows)
