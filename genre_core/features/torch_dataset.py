"""The feature store as a `torch.utils.data.Dataset`, for your own training loop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import numpy as np
import torch

from genre_core.corpus import index
from genre_core.errors import GenreError
from genre_core.features.feature_kind import feature_kind
from genre_core.features.kinds import Kind
from genre_core.features.store import FeatureStore


class WindowDataset(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """PyTorch data set of the windows in one part of the split.

    An item is a pair ``(window, genre)``: a tensor [shape=(T, n_bins), dtype=float32] and the number of the genre in `genres`.
    A window is read from the HDF5 file when it is requested. Each worker of a `DataLoader` opens the file itself, so any
    `num_workers` works. Values are as in the store (dB for ``mel``): they are not normalised. `track_mean` returns the mean that
    ``features.normalise: track`` subtracts.

    Parameters
    ----------
    project : str or Path
        Folder in which `dvc repro` has run: it holds ``data/index`` and ``data/features``.
    split : {"train", "valid", "test"}
    kind : {"mel", "mfcc", "musicnn"}

    Attributes
    ----------
    genres : list of str
        Name of each genre; an item holds the position in this list.
    labels : np.ndarray [shape=(windows,), dtype=int64]
        Genre number of each window, known without reading the window.
    tracks : list of str
        Track of each window. If you split the windows yourself, keep all windows of a track in one part.
    artists : list of str
        Artist of each window; empty if unknown.
    frames : int
        Number of rows T in a window.
    spec : FeatureSpec
        Parameters of the store.

    Raises
    ------
    GenreError
        The stages have not run, `kind` is unknown, or the split has no window.
    """

    def __init__(self, project: str | Path = ".", *, split: str = "train", kind: str = "mel") -> None:
        files = {"mel": "original.h5", "mfcc": "original.h5", "musicnn": "embeddings.h5"}
        if kind not in files:
            raise GenreError(f"kind {kind!r} is unknown: allowed are {', '.join(files)}")
        self.kind = cast(Kind, kind)
        self.path = Path(project) / "data" / "features" / files[kind]
        window_index = index.read(Path(project) / "data" / "index")
        windows = [window for window in window_index.windows if window.split == split]
        if not windows:
            splits = ", ".join(sorted({w.split for w in window_index.windows}))
            raise GenreError(f"{project}: no window in split {split!r}; the splits with windows are {splits}")
        self.genres = window_index.genres
        self.tracks = [window.track for window in windows]
        self.artists = [window_index.tracks[track].artist for track in self.tracks]
        self.labels = np.array([self.genres.index(window_index.tracks[track].genre) for track in self.tracks])
        with FeatureStore(self.path) as store:
            feature = feature_kind(self.kind, store.spec)
            if absent := sorted(set(self.tracks) - store.tracks.keys()):
                remedy = "dvc exp run -S model.type=musicnn" if kind == "musicnn" else "dvc repro"
                raise GenreError(f"{self.path}: no track {absent[0]!r}; run `{remedy}`")
            self.frames = feature.frames(window_index.split["segment_seconds"])
            self.spec = store.spec
        self._first_frames = [feature.first_frame(window.start_seconds) for window in windows]
        self._store: FeatureStore | None = None
        self._owner_pid = 0

    def __len__(self) -> int:
        return len(self.tracks)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        track = self._track(self.tracks[number])
        first = max(0, min(self._first_frames[number], len(track) - self.frames))
        # Resampling may round a track down by a frame: the last frame is then repeated.
        rows = np.minimum(np.arange(first, first + self.frames), len(track) - 1)
        return torch.from_numpy(track[rows].astype(np.float32)), int(self.labels[number])

    def track_mean(self, number: int) -> torch.Tensor:
        """Return the mean over time of a window's track.

        ``features.normalise: track`` subtracts this mean.

        Parameters
        ----------
        number : int
            Position of the window in the data set.

        Returns
        -------
        torch.Tensor [shape=(n_bins,), dtype=float32]
        """
        return torch.from_numpy(self._track(self.tracks[number]).astype(np.float32).mean(0))

    def _track(self, track: str) -> np.ndarray:
        # A forked worker must not share the file position of its parent process.
        if self._store is None or self._owner_pid != os.getpid():
            self._store, self._owner_pid = FeatureStore(self.path), os.getpid()
        return self._store.read(self.kind, track)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_store": None}  # an open HDF5 file cannot be sent to another process


def load_features(project: str | Path = ".", *, split: str = "train", kind: str = "mel") -> WindowDataset:
    """Load one part of the split as a PyTorch data set.

    See `WindowDataset` for the parameters, the items and the errors.
    """
    return WindowDataset(project, split=split, kind=kind)
