"""Augmentation: pitch and tempo copies of waveforms, made once; masks and mixup on batches, drawn anew each time."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from genre_core.config import Copies
from genre_core.util.files import read_csv, write_csv


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
        """Description of the change, for people."""
        return f"pitch {self.pitch_semitones:+.1f} semitones" if self.pitch_semitones else f"tempo x {self.tempo_rate:.2f}"


def plan(track: str, copies: Copies, seed: int) -> list[Copy]:
    """Plan the versions of a track: amounts depend on seed, track and number alone."""
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
