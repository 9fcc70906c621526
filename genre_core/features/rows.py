"""Rows of a track's features that belong to a window."""

from __future__ import annotations

from typing import Protocol, cast

from genre_core.features import musicnn
from genre_core.features.kinds import Kind
from genre_core.features.spectrogram import FeatureSpec


class Grid(Protocol):
    """Conversion from times of windows to rows of a kind of feature."""

    def frames(self, seconds: float) -> int:
        """Return the number of rows in a window of `seconds`."""

    def first_frame(self, start_seconds: float) -> int:
        """Return the first row of a window that starts at `start_seconds`."""


def grid(kind: Kind, spec: FeatureSpec) -> Grid:
    """Return the grid of a kind; musicnn does not use `spec`."""
    return cast(Grid, musicnn) if kind == "musicnn" else spec


def bins(kind: Kind, spec: FeatureSpec) -> int:
    """Return the number of values in a row of a kind."""
    return {"mel": spec.n_mels, "mfcc": spec.n_mfcc, "musicnn": musicnn.WIDTH}[kind]
