"""Augmentation: pitch and tempo copies of waveforms, made once; masks and mixup on batches, drawn anew each time."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch

from genre_core.config import Batches, Copies
from genre_core.files import read_csv, write_csv


@dataclass(frozen=True)
class Copy:
    """A row of copies.csv: a transformed copy of a training track.

    Attributes
    ----------
    copy : str
        Its name in the feature store.
    track : str
    pitch_semitones : float
        0 for a tempo copy.
    tempo_rate : float
        1 for a pitch copy; above 1 is faster.
    """

    copy: str
    track: str
    pitch_semitones: float = 0.0
    tempo_rate: float = 1.0

    @property
    def title(self) -> str:
        """What was done, for people."""
        return f"pitch {self.pitch_semitones:+.1f} semitones" if self.pitch_semitones else f"tempo x {self.tempo_rate:.2f}"


def plan(track: str, copies: Copies, seed: int) -> list[Copy]:
    """The copies of a track: the amounts depend on seed, track and number alone, not on the order of work."""
    planned = []
    for kind, number in (("pitch", copies.pitch), ("tempo", copies.tempo)):
        for i in range(number):
            rng = np.random.default_rng([seed, zlib.crc32(f"{track}#{kind}{i}".encode())])
            if kind == "pitch":
                semitones = round(float(rng.uniform(copies.pitch_semitones.min, copies.pitch_semitones.max)), 3)
                planned.append(Copy(f"{track}#pitch{i}", track, pitch_semitones=semitones))
            else:
                rate = round(float(rng.uniform(copies.tempo_rate.min, copies.tempo_rate.max)), 4)
                planned.append(Copy(f"{track}#tempo{i}", track, tempo_rate=rate))
    return planned


def write_copies(path: str | Path, copies: Iterable[Copy]) -> None:
    """Write copies.csv, one row a copy."""
    write_csv(path, [f.name for f in fields(Copy)], map(asdict, copies))


def read_copies(path: str | Path) -> dict[str, list[Copy]]:
    """Read copies.csv: the copies of each track."""
    found: dict[str, list[Copy]] = {}
    for row in read_csv(path, [f.name for f in fields(Copy)], strip=False):
        copy = Copy(row["copy"], row["track"], float(row["pitch_semitones"]), float(row["tempo_rate"]))
        found.setdefault(copy.track, []).append(copy)
    return found


def transform(y: np.ndarray, sample_rate: int, *, copy: Copy) -> np.ndarray:
    """Shift the pitch or stretch the time of a waveform (librosa's phase vocoder).

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
    sample_rate : int
        Hz.
    copy : Copy

    Returns
    -------
    np.ndarray [shape=(n,) for pitch, about (n / tempo_rate,) for tempo, dtype=float32]
    """
    from librosa import effects  # type: ignore[attr-defined]  # slow to import, and used by this alone

    if copy.pitch_semitones:
        y = effects.pitch_shift(y, sr=sample_rate, n_steps=copy.pitch_semitones)
    if copy.tempo_rate != 1.0:
        y = effects.time_stretch(y, rate=copy.tempo_rate)
    return np.asarray(y, np.float32)


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
    """False where one of `masks` spans of 0 to `share * length` positions lies, shape ``(count, length)``."""
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
