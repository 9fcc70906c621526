"""Augmented versions of training tracks: plans of pitch shifts and tempo changes."""

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
    """Row of copies.csv: an augmented version of a training track.

    Attributes
    ----------
    copy : str
        Name of the version in the feature store.
    track : str
        Name of the original.
    pitch_semitones : float
        Pitch shift in semitones; 0 for a version with another tempo.
    tempo_rate : float
        Tempo relative to the original, above 1 is faster; 1 for a version with another pitch.
    """

    copy: str
    track: str
    pitch_semitones: float = 0.0
    tempo_rate: float = 1.0

    @property
    def title(self) -> str:
        """Description of the change, as the title of a figure."""
        return f"pitch {self.pitch_semitones:+.1f} semitones" if self.pitch_semitones else f"tempo x {self.tempo_rate:.2f}"


def plan(track: str, copies: Copies, seed: int) -> list[Copy]:
    """Plan the augmented versions of a track.

    The amount of each change is drawn uniformly. It depends only on the seed, the track and the number of the version.
    """
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


def write_versions(path: str | Path, copies: Iterable[Copy]) -> None:
    """Write copies.csv, with one row per version."""
    write_csv(path, [f.name for f in fields(Copy)], map(asdict, copies))


def read_versions(path: str | Path) -> dict[str, list[Copy]]:
    """Read the versions of each track from copies.csv."""
    by_track: dict[str, list[Copy]] = {}
    for row in read_csv(path, [f.name for f in fields(Copy)], strip=False):
        copy = Copy(row["copy"], row["track"], float(row["pitch_semitones"]), float(row["tempo_rate"]))
        by_track.setdefault(copy.track, []).append(copy)
    return by_track
