"""Index of a data set: usable tracks, rejected tracks, windows and split.

================  ==================================================================================================
``tracks.csv``    usable tracks and the measurements of their decoded audio; independent of the split, so that a new split
                  does not re-run the extraction of features
``segments.csv``  windows and their side of the split
``rejected.csv``  rejected tracks and the reasons
``folds.csv``     only with the protocol ``all``: artist group of each track, and the fold in which it is held out
``split.json``    protocol, counts of tracks and windows, and counts of tracks and artists that cross
================  ==================================================================================================
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from genre_core.util.files import read_csv, read_json

FOLDS = "folds.csv"


@dataclass(frozen=True)
class IndexedTrack:
    """Row of tracks.csv: a usable track.

    Attributes
    ----------
    track : str
        Unique name.
    path : str
        Path of the file, relative to the catalogue's folder.
    genre, artist : str
        Genre, and artist or empty if unknown.
    seconds : float
        Length of the track.
    sample_rate : int
        Sample rate of the file, in Hz.
    channels : int
        Number of channels of the file.
    peak_dbfs : float
        Peak level of the mono signal, in dBFS; 0 for precomputed features.
    """

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
    """Row of segments.csv: a window, its start and its side.

    Attributes
    ----------
    track : str
        Name of the track.
    start_seconds : float
        Start of the window in the track.
    split : {"train", "valid", "test"}
        Side of the split.
    """

    track: str
    start_seconds: float
    split: str


@dataclass(frozen=True)
class HeldOut:
    """Row of folds.csv: a track in the cross-validation of protocol ``all``.

    Attributes
    ----------
    track : str
        Name of the track.
    group : str
        Artist group of the track: see `splits.artist_groups`.
    fold : int
        Fold in which the track is held out; -1 if it is always in the training part.
    """

    track: str
    group: str
    fold: int


@dataclass(frozen=True)
class Index:
    """Index of a data set.

    Attributes
    ----------
    tracks : dict of str to IndexedTrack
        Usable tracks by name.
    windows : list of Window
        Windows ordered by track, then by start.
    split : dict
        Contents of split.json: protocol, folds, fold, leaky, crossing_tracks, crossing_artists, counts.
    """

    tracks: dict[str, IndexedTrack]
    windows: list[Window]
    split: dict[str, Any]

    @property
    def split_digest(self) -> str:
        """Digest of each track's side, equal for models of the same split."""
        sides = sorted({(w.track, w.split) for w in self.windows})
        return hashlib.sha256(json.dumps(sides).encode()).hexdigest()[:16]

    @property
    def genres(self) -> list[str]:
        """Genres of the tracks that have windows, sorted."""
        return sorted({self.tracks[w.track].genre for w in self.windows})

    def starts(self, split: str) -> dict[str, list[float]]:
        """Collect the starts of the windows in `split`, by track.

        Returns
        -------
        dict of str to list of float
            Starts of the windows of each track, in seconds; tracks without windows in `split` are missing.
        """
        starts_of: dict[str, list[float]] = {}
        for window in self.windows:
            if window.split == split:
                starts_of.setdefault(window.track, []).append(window.start_seconds)
        return starts_of


def window_starts(track_seconds: float, seconds: float, hop_seconds: float) -> list[float]:
    """Compute the starts of all windows that fit into a track.

    Parameters
    ----------
    track_seconds : float
        Length of the track.
    seconds : float
        Length of a window.
    hop_seconds : float > 0
        Distance between the starts of two windows.

    Returns
    -------
    list of float
        Start of each window, in seconds; empty if the track is shorter than a window.
    """
    count = int((track_seconds - seconds) / hop_seconds + 1e-9) + 1 if track_seconds + 1e-9 >= seconds else 0
    return [round(i * hop_seconds, 6) for i in range(count)]


def read_tracks(folder: str | Path) -> dict[str, IndexedTrack]:
    """Read the usable tracks of an index, by name.

    Raises
    ------
    GenreError
        ``tracks.csv`` is missing, or lacks a column.
    """
    names = [f.name for f in fields(IndexedTrack)]
    tracks = {}
    for row in read_csv(Path(folder) / "tracks.csv", names, strip=False):
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
    return tracks


def read(folder: str | Path) -> Index:
    """Read an index that `segment.build` wrote to `folder`.

    Raises
    ------
    GenreError
        A file is missing, or a column is missing from a file.
    """
    folder = Path(folder)
    rows = read_csv(folder / "segments.csv", [f.name for f in fields(Window)], strip=False)
    windows = [Window(row["track"], float(row["start_seconds"]), row["split"]) for row in rows]
    return Index(read_tracks(folder), windows, read_json(folder / "split.json"))


def read_folds(folder: str | Path) -> dict[str, HeldOut]:
    """Read the cross-validation of protocol ``all`` from an index, by track.

    Raises
    ------
    GenreError
        The file is missing: the index was made with another protocol.
    """
    rows = read_csv(Path(folder) / FOLDS, [f.name for f in fields(HeldOut)], strip=False)
    return {row["track"]: HeldOut(row["track"], row["group"], int(row["fold"])) for row in rows}
