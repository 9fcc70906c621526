"""The feature store as a `torch.utils.data.Dataset`, for loops of one's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import numpy as np
import torch

from genre_core.corpus import index
from genre_core.errors import GenreError
from genre_core.features.kinds import Kind
from genre_core.features.rows import grid
from genre_core.features.store import FeatureStore


class WindowDataset(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """The windows of one side of the split: ``(window, genre)``, window of shape ``(T, n_bins)``, float32, genre a number.

    Windows are read from the HDF5 file as they are asked for. Each worker of a `DataLoader` opens the file for itself, so any
    `num_workers` will do. Values are as in the store (dB for ``mel``); `track_mean` is what ``features.normalise: track`` takes away.

    Parameters
    ----------
    project : str or Path
        The folder with ``data/index`` and ``data/features``, in which `dvc repro` has run.
    split : {"train", "valid", "test"}
    kind : {"mel", "mfcc", "musicnn"}

    Attributes
    ----------
    genres : list of str
        Of the numbers.
    labels : np.ndarray [shape=(windows,), dtype=int64]
        Genre of each window, without reading it.
    tracks : list of str
        Track of each window: windows of one track must not stand on two sides of a split of your own.
    artists : list of str
        Artist of each window; empty where unknown.

    Raises
    ------
    GenreError
        The stages have not run, or the split holds no window.
    """

    def __init__(self, project: str | Path = ".", *, split: str = "train", kind: str = "mel") -> None:
        files = {"mel": "original.h5", "mfcc": "original.h5", "musicnn": "embeddings.h5"}
        if kind not in files:
            raise GenreError(f"kind {kind!r} is unknown: allowed are {', '.join(files)}")
        self.kind = cast(Kind, kind)
        self.path = Path(project) / "data" / "features" / files[kind]
        made = index.read(Path(project) / "data" / "index")
        windows = [window for window in made.windows if window.split == split]
        if not windows:
            raise GenreError(f"{project}: no window in split {split!r}; there are {', '.join(sorted({w.split for w in made.windows}))}")
        self.genres = made.genres
        self.tracks = [window.track for window in windows]
        self.artists = [made.tracks[track].artist for track in self.tracks]
        self.labels = np.array([self.genres.index(made.tracks[track].genre) for track in self.tracks])
        with FeatureStore(self.path) as store:
            lie = grid(self.kind, store.spec)
            if absent := sorted(set(self.tracks) - store.tracks.keys()):
                remedy = "dvc exp run -S model.type=musicnn" if kind == "musicnn" else "dvc repro"
                raise GenreError(f"{self.path}: no track {absent[0]!r}; run `{remedy}`")
            self.frames = lie.frames(made.split["segment_seconds"])
            self.spec = store.spec
        self._first = [lie.first_frame(window.start_seconds) for window in windows]
        self._store: FeatureStore | None = None
        self._opened_by = 0

    def __len__(self) -> int:
        return len(self.tracks)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        track = self._track(self.tracks[number])
        first = max(0, min(self._first[number], len(track) - self.frames))
        rows = np.minimum(np.arange(first, first + self.frames), len(track) - 1)  # resampling may round a track down by a frame
        return torch.from_numpy(track[rows].astype(np.float32)), int(self.labels[number])

    def track_mean(self, number: int) -> torch.Tensor:
        """Return the mean over time of a window's track, shape ``(n_bins,)``, as ``features.normalise: track`` subtracts."""
        return torch.from_numpy(self._track(self.tracks[number]).astype(np.float32).mean(0))

    def _track(self, track: str) -> np.ndarray:
        if self._store is None or self._opened_by != os.getpid():  # a forked worker must not share its parent's file position
            self._store, self._opened_by = FeatureStore(self.path), os.getpid()
        return self._store.read(self.kind, track)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_store": None}  # an open HDF5 file cannot go to another process


def load_features(project: str | Path = ".", *, split: str = "train", kind: str = "mel") -> WindowDataset:
    """Load the features of one side of the split as a `torch.utils.data.Dataset`: see `WindowDataset`."""
    return WindowDataset(project, split=split, kind=kind)
