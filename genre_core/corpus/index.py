"""The index of a data set: which tracks can be used, why others can not, and the windows cut from them.

``tracks.csv`` holds what decoding told (it does not depend on the split, so a changed split re-runs no extraction),
``segments.csv`` the windows with their split, ``rejected.csv`` the tracks left out, ``split.json`` what crosses.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from genre_core.util.files import read_csv, read_json


@dataclass(frozen=True)
class IndexedTrack:
    """A row of tracks.csv: a track that can be used."""

    track: str
    path: str
    genre: str
    artist: str
    seconds: float
    sample_rate: int
    channels: int
    peak_dbfs: float


@dataclass(frozen=True)
class Window:
    """A row of segments.csv."""

    track: str
    start_seconds: float
    split: str


@dataclass(frozen=True)
class Index:
    """The index, read back.

    Attributes
    ----------
    tracks : dict of str to IndexedTrack
    windows : list of Window
        Track after track, in time.
    split : dict
        Contents of split.json: protocol, folds, fold, leaky, crossing_tracks, crossing_artists, counts.
    """

    tracks: dict[str, IndexedTrack]
    windows: list[Window]
    split: dict[str, Any]

    @property
    def split_digest(self) -> str:
        """Digest of each track's side of the split: equal for models of one split."""
        sides = sorted({(w.track, w.split) for w in self.windows})
        return hashlib.sha256(json.dumps(sides).encode()).hexdigest()[:16]

    @property
    def genres(self) -> list[str]:
        """Genres of the tracks that have windows, sorted."""
        return sorted({self.tracks[w.track].genre for w in self.windows})

    def starts(self, split: str) -> dict[str, list[float]]:
        """Return the starts of the windows of `split` in seconds, by track."""
        found: dict[str, list[float]] = {}
        for window in self.windows:
            if window.split == split:
                found.setdefault(window.track, []).append(window.start_seconds)
        return found


def window_starts(track_seconds: float, seconds: float, hop_seconds: float) -> list[float]:
    """Return the start of each whole window of `seconds`, every `hop_seconds`."""
    count = int((track_seconds - seconds) / hop_seconds + 1e-9) + 1 if track_seconds + 1e-9 >= seconds else 0
    return [round(i * hop_seconds, 6) for i in range(count)]


def read(folder: str | Path) -> Index:
    """Read an index written by `build`.

    Raises
    ------
    GenreError
        A file is missing or lacks a column.
    """
    folder = Path(folder)
    names = [f.name for f in fields(IndexedTrack)]
    tracks = {}
    for row in read_csv(folder / "tracks.csv", names, strip=False):
        tracks[row["track"]] = IndexedTrack(
            track=row["track"],
            path=row["path"],
            genre=row["genre"],
            artist=row["artist"],
            seconds=float(row["seconds"]),
            sample_rate=int(row["sample_rate"]),
            channels=int(row["channels"]),
            peak_dbfs=float(row["peak_dbfs"]),
        )
    rows = read_csv(folder / "segments.csv", [f.name for f in fields(Window)], strip=False)
    windows = [Window(row["track"], float(row["start_seconds"]), row["split"]) for row in rows]
    return Index(tracks, windows, read_json(folder / "split.json"))
