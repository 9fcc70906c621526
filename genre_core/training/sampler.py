"""Draw random windows of training tracks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class TrainingTrack:
    """A training track with its copies.

    Attributes
    ----------
    genre : int
    versions : list of np.ndarray [shape=(frames, n_bins)]
        The original first; copies may have other lengths.
    starts_seconds : list of float
        Of the original's training windows.
    """

    genre: int
    versions: list[np.ndarray]
    starts_seconds: list[float]


@dataclass(frozen=True)
class ValidTrack:
    """A validation track: features of shape ``(frames, n_bins)`` and the starts of its windows."""

    genre: int
    features: np.ndarray
    starts_seconds: list[float]


class Sampler:
    """Seeded random windows of training tracks, every track equally often.

    Parameters
    ----------
    tracks : sequence of TrainingTrack
    frames : int
        Length of a window.
    first_frame : callable
        Seconds to frames.
    crops : bool
        Windows anywhere in a version; otherwise on the grid of `starts_seconds`.
    of_track : callable
        The steps of the normalisation that need a whole version.
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
        # Resampling may round a track of one segment's length down by a frame.
        versions = [_padded(of_track(v).to(v.dtype), frames) for t in tracks for v in map(torch.from_numpy, t.versions)]
        self.features = torch.cat(versions)  # (all frames, bins), in the store's precision
        lengths = torch.tensor([len(v) for v in versions])
        self.begin = lengths.cumsum(0) - lengths
        self.length = lengths
        counts = torch.tensor([len(t.versions) for t in tracks])
        self.first_version = counts.cumsum(0) - counts
        self.versions = counts
        self.grids = [torch.tensor([first_frame(s) for s in t.starts_seconds]) for t in tracks]
        self.segments = sum(len(t.starts_seconds) for t in tracks)

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw `count` windows: their track, and first row in `features`, both of shape ``(count,)``."""
        tracks = torch.cat([torch.randperm(len(self.genres), generator=generator) for _ in range(-(-count // len(self.genres)))])[:count]
        share = torch.rand(3, count, generator=generator, dtype=torch.float64)
        version = self.first_version[tracks] + (share[0] * self.versions[tracks]).long()
        room = self.length[version] - self.frames
        if self.crops:
            start = (share[1] * (room + 1)).long()
        else:
            grid = torch.stack(
                [self.grids[t][int(s * len(self.grids[t]))] for t, s in zip(tracks.tolist(), share[2].tolist(), strict=True)]
            )
            scale = self.length[version] / self.length[self.first_version[tracks]]  # a copy of another tempo
            start = torch.minimum((grid * scale).long(), room)
        return tracks, self.begin[version] + start

    def windows(self, rows: torch.Tensor) -> torch.Tensor:
        """Windows that begin at `rows`, shape ``(B, T, n_bins)``, float32."""
        return self.features[rows[:, None] + torch.arange(self.frames)].float()


def _padded(track: torch.Tensor, frames: int) -> torch.Tensor:
    """At least `frames` long, its last frame repeated."""
    return torch.cat([track, track[-1:].expand(max(0, frames - len(track)), -1)])
