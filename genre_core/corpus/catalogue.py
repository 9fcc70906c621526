"""The catalogue: one row a track, written by each data set, read by all stages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath

from genre_core.errors import GenreError
from genre_core.project import PRECOMPUTED
from genre_core.util.files import read_csv, write_csv

CATALOGUE = "catalogue.csv"
DESCRIPTION = PRECOMPUTED.name
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Track:
    """A row of the catalogue.

    Attributes
    ----------
    track : str
        Unique name.
    path : str
        Of the audio file, relative to the catalogue's folder, with forward slashes.
    genre : str
    artist : str
        Empty where unknown.
    split : str
        The data set's own split: train, valid, test, or empty.
    """

    track: str
    path: str
    genre: str
    artist: str = ""
    split: str = ""


def artist_group(artist: str, track: str) -> str:
    """Whose tracks are taken as alike: the artist's, or where no artist is known, this track alone."""
    return artist or f"\n{track}"  # no artist has such a name


def check_names(track: Track, where: str) -> None:
    """Refuse names that no report, page or model could hold.

    Raises
    ------
    GenreError
        A name has control characters, or would end or begin a script in a page.
    """
    for what in ("path", "genre", "artist"):
        name = getattr(track, what)
        if (any(ord(c) < 32 or ord(c) == 127 for c in name) and what != "path") or "\0" in name:
            raise GenreError(f"{where}: {what} {name[:100]!r} of {track.path[:100]!r} has control characters; rename it")
        if ("</" in name and what != "path") or "<!--" in name or re.search("</?script", name, re.IGNORECASE):
            raise GenreError(f"{where}: {what} {name[:100]!r} of {track.path[:100]!r} holds HTML; rename it")


def write_catalogue(folder: str | Path, tracks: Iterable[Track]) -> None:
    """Write ``catalogue.csv``, one row a track.

    Raises
    ------
    GenreError
        See `check_names`.
    """
    tracks = list(tracks)
    for track in tracks:
        check_names(track, str(folder))
    write_csv(Path(folder) / CATALOGUE, [f.name for f in fields(Track)], (asdict(track) for track in tracks))


def read_catalogue(folder: str | Path) -> list[Track]:
    """Read ``catalogue.csv``.

    Raises
    ------
    GenreError
        The file is missing, lacks a column, holds no track, or a path that leaves its folder.
    """
    path = Path(folder) / CATALOGUE
    names = [f.name for f in fields(Track)]
    tracks = [Track(**{name: row[name] for name in names}) for row in read_csv(path, names, strip=False)]
    if not tracks:
        raise GenreError(f"{path}: no tracks")
    for track in tracks:
        if not track.path or PurePosixPath(track.path).is_absolute() or ".." in PurePosixPath(track.path).parts:
            raise GenreError(f"{path}: path {track.path!r} of track {track.track!r} must be relative and stay inside the folder")
    return tracks
