"""Features of a track that stay in the store until they are needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from genre_core.features.kinds import Kind
from genre_core.features.store import FeatureStore


@dataclass(frozen=True)
class StoredFeatures:
    """Features of one track in an open store.

    ``len`` gives the number of frames without reading; ``np.asarray`` reads the whole track, and `window` a part of it.

    Parameters
    ----------
    store : FeatureStore
        Open store; it stays open as long as the object is used.
    kind : {"mel", "mfcc", "musicnn"}
    track : str

    Raises
    ------
    GenreError
        The store has no such track. A damaged store raises when it is read.
    """

    store: FeatureStore
    kind: Kind
    track: str

    def __post_init__(self) -> None:
        if self.track not in self.store.tracks:
            self.store.read(self.kind, self.track)  # raises the error of the store

    def __len__(self) -> int:
        rows = self.store.tracks[self.track]
        return rows.stop - rows.start

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.store.read(self.kind, self.track), dtype)

    def window(self, start: int, frames: int) -> np.ndarray:
        """Read at most `frames` rows of the track, from row `start`."""
        return self.store.read(self.kind, self.track, slice(start, start + frames))
