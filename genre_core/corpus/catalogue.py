"""Catalogue of a data set: one row per track.

Each data set module writes it; the stages read it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath

from genre_core.errors import GenreError
from genre_core.project import PRECOMPUTED
from genre_core.util.files import read_csv, write_csv

CATALOGUE = "catalogue.csv"
DESCRIPTION = PRECOMPUTED.name
LICENCES = "licences.csv"  # licence of each track, if the data set states it
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Track:
    """Row of the catalogue: a track.

    Attributes
    ----------
    track : str
        Unique name.
    path : str
        Path of the audio file, relative to the catalogue's folder, with forward slashes.
    genre : str
        Label of the track.
    artist : str
        Name of the artist; empty if unknown.
    split : str
        The data set's own split: train, valid, test, or empty.
    """

    track: str
    path: str
    genre: str
    artist: str = ""
    split: str = ""


def nfc(text: str) -> str:
    """Convert `text` to Unicode's composed form (NFC), which most systems type."""
    return unicodedata.normalize("NFC", text)


def artist_group(artist: str, track: str) -> str:
    """Return the group of a track: its artist, or itself if unknown."""
    return artist or f"\n{track}"  # the line break keeps the group apart from every artist's name


def name_problem(name: str, *, is_path: bool = False) -> str:
    """Say why a name would break a report, web page or model file.

    Parameters
    ----------
    name : str
        Name from outside.
    is_path : bool
        Whether the name is a path, which may have control characters (other than NUL) and ``</``.

    Returns
    -------
    str
        "has control characters", "holds HTML", or empty if the name is harmless.
    """
    if (any(ord(c) < 32 or ord(c) == 127 for c in name) and not is_path) or "\0" in name:
        return "has control characters"
    if ("</" in name and not is_path) or "<!--" in name or re.search("</?script", name, re.IGNORECASE):
        return "holds HTML"
    return ""


def check_names(track: Track, where: str) -> None:
    """Refuse names that would break a report, web page or model file.

    Parameters
    ----------
    track : Track
        Track whose path, genre and artist are checked.
    where : str
        File and line of the track, for the error message.

    Raises
    ------
    GenreError
        A name has control characters, or would begin or end a script or comment in a web page.
    """
    for what in ("path", "genre", "artist"):
        name = getattr(track, what)
        if problem := name_problem(name, is_path=what == "path"):
            raise GenreError(f"{where}: {what} {name[:100]!r} of {track.path[:100]!r} {problem}; rename it")


def write_catalogue(folder: str | Path, tracks: Iterable[Track]) -> None:
    """Write ``catalogue.csv`` to `folder`, one row per track.

    Raises
    ------
    GenreError
        A name is not allowed; see `check_names`.
    """
    tracks = list(tracks)
    for track in tracks:
        check_names(track, str(folder))
    write_csv(Path(folder) / CATALOGUE, [f.name for f in fields(Track)], (asdict(track) for track in tracks))


def count_licences(folder: str | Path, tracks: Iterable[str]) -> dict[str, int]:
    """Count the licences of `tracks` in a data set that states them.

    Parameters
    ----------
    folder : str or Path
        Folder of the catalogue and of ``licences.csv``.
    tracks : iterable of str
        Names of the tracks.

    Returns
    -------
    dict of str to int
        Number of tracks by licence, the most frequent first.

    Raises
    ------
    GenreError
        The table is missing, or lacks a track.
    """
    path = Path(folder) / LICENCES
    licence_of = {row["track"]: row["licence"] for row in read_csv(path, ["track", "licence"], strip=False)}
    tracks = list(tracks)
    if unknown := [track for track in tracks if track not in licence_of]:
        raise GenreError(f"{path}: no licence of {len(unknown)} tracks ({unknown[0]}, ...); run `dvc repro`, or `dvc checkout`")
    return dict(sorted(Counter(licence_of[track] for track in tracks).items(), key=lambda item: (-item[1], item[0])))


def read_catalogue(folder: str | Path) -> list[Track]:
    """Read ``catalogue.csv`` from `folder`.

    Raises
    ------
    GenreError
        The file is missing, lacks a column, has no rows, or has a path that leaves its folder.
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
