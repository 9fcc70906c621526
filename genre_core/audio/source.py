"""Properties of an audio file, and blocks of its samples: what readers yield."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from genre_core.errors import AudioError

MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 384_000
MAX_CHANNELS = 32
BLOCK_SAMPLES = 2 << 20
_DAMAGED_PLACES = 5  # number of damaged places that are listed


@dataclass
class Source:
    """Properties of an audio file. The damage is complete after the last block was read.

    Attributes
    ----------
    format : str
        Name of the container, such as ``wav`` or ``mp3``; a family of containers has one name (``mov,mp4,m4a,...``).
    sample_rate : int
        Sample rate of the file in Hz, at its start.
    channels : int
        Number of channels of the file, at its start.
    stated_seconds : float or None
        Length in seconds that the header states; None if it states no length.
    lost_seconds : float
        Length in seconds of the damaged parts, which are left out; estimated from their number of bytes.
    damaged_at : list of float
        Positions of the first damaged parts in seconds.
    any_scale : bool
        Whether the file holds float samples as they are, so that programs can write them with any scale.
    unit : float
        Full scale of the samples of the file. Some programs write float samples with the scale of integers, for example 32768.
    peak : float
        Highest absolute sample read so far, with the channels mixed.
    errors : int
        Number of packets that could not be decoded.
    """

    format: str
    sample_rate: int
    channels: int
    stated_seconds: float | None = None
    lost_seconds: float = 0.0
    damaged_at: list[float] = field(default_factory=list)
    any_scale: bool = False
    unit: float = 1.0
    peak: float = 0.0
    errors: int = 0

    def lose(self, at_seconds: float, seconds: float) -> None:
        """Count a damaged part of `seconds` at position `at_seconds`."""
        self.lost_seconds += seconds
        if len(self.damaged_at) <= _DAMAGED_PLACES:
            self.damaged_at.append(round(at_seconds, 2))

    @property
    def damage(self) -> str:
        """Damage of the file in words; empty if there is none."""
        if not self.damaged_at:
            return ""
        places = ", ".join(f"{at:g}" for at in self.damaged_at[:_DAMAGED_PLACES])
        places += ", ..." if len(self.damaged_at) > _DAMAGED_PLACES else ""
        return f"damaged at {places} s: {max(0.01, self.lost_seconds):.2f} s could not be decoded"


@dataclass(frozen=True)
class Block:
    """Successive samples of a file.

    Attributes
    ----------
    y : np.ndarray [shape=(n, channels), dtype=float32]
        Samples, full scale +-1.0.
    sample_rate : int
        Sample rate in Hz, which can change inside a file.
    """

    y: np.ndarray
    sample_rate: int


class UndecodableError(Exception):
    """Error of a library that cannot read a file; another library may."""


def is_possible(rate: int, channels: int) -> bool:
    """Tell whether a sample rate in Hz and a number of channels are within the limits."""
    return MIN_RATE_HZ <= rate <= MAX_RATE_HZ and 1 <= channels <= MAX_CHANNELS


def check_format(path: str | Path, rate: int, channels: int) -> None:
    """Refuse sample rates and channel counts of broken or hostile files."""
    if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
        raise AudioError(f"{path}: has a sample rate of {rate:,} Hz, only {MIN_RATE_HZ:,} to {MAX_RATE_HZ:,} Hz are read; resample it")
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"{path}: has {channels} channels, at most {MAX_CHANNELS} are read; mix it down")
