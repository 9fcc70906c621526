"""Corrections of labels: a CSV of the user, with the columns ``path`` and ``genre``.

A row replaces the genre of the track with this path. An empty genre leaves the track out. Other columns are ignored, so the
``labels.csv`` of `genre_core.reports.labels` can be corrected and used as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from genre_core.corpus.catalogue import Track, check_names, nfc
from genre_core.errors import GenreError
from genre_core.util.files import read_csv


@dataclass(frozen=True)
class Corrected:
    """Tracks with corrected genres.

    Attributes
    ----------
    tracks : list of Track
        Tracks that stay, in the order of the catalogue.
    left_out : list of Track
        Tracks whose corrected genre is empty.
    changed : int
        Number of tracks with another genre than in the catalogue.
    """

    tracks: list[Track]
    left_out: list[Track]
    changed: int


def read_corrections(path: str | Path) -> dict[str, tuple[int, str]]:
    """Read the corrections of a CSV file.

    Parameters
    ----------
    path : str or Path
        CSV file with the columns path and genre.

    Returns
    -------
    dict of str to (int, str)
        Line and genre by path of the track, in composed Unicode (NFC).

    Raises
    ------
    GenreError
        The file is missing, too large or not UTF-8 CSV, lacks a column, has a row without a path, or gives a path two genres.
    """
    rows: dict[str, tuple[int, str]] = {}
    # The quotes that `write_csv` added are removed, and spaces stay: a folder can have the name " rock".
    for line, row in enumerate(read_csv(path, ["path", "genre"], strip=False), start=2):
        where = f"{path}, line {line}"
        name, genre = nfc(row["path"]), nfc(row["genre"])
        if not name.strip():
            if any(value.strip() for value in row.values()):
                raise GenreError(f"{where}: no path; give the path of a track, or remove the row")
            continue
        if name in rows and rows[name][1] != genre:
            raise GenreError(f"{where}: path {name[:200]!r} has another genre in line {rows[name][0]}; keep one row")
        rows.setdefault(name, (line, genre))
    return rows


def correct(tracks: Sequence[Track], corrections: Mapping[str, tuple[int, str]], source: str | Path) -> Corrected:
    """Apply corrections to the tracks of a catalogue.

    Parameters
    ----------
    tracks : sequence of Track
        Tracks of the catalogue.
    corrections : mapping of str to (int, str)
        Result of `read_corrections`.
    source : str or Path
        File of the corrections, for messages.

    Returns
    -------
    Corrected

    Raises
    ------
    GenreError
        A new genre is not allowed (see `catalogue.check_names`), or fewer than two genres are left.

    Warns
    -----
    UserWarning
        A path is not in the catalogue (a file may have been removed, or another data set chosen), or a genre is new.
    """
    spelling = {nfc(track.genre): track.genre for track in tracks}
    row_of = dict(corrections)
    kept: list[Track] = []
    left_out: list[Track] = []
    new: dict[str, int] = {}
    changed = 0
    for track in tracks:
        row = row_of.pop(nfc(track.path), None)
        if row is None:
            kept.append(track)
            continue
        line, written = row
        genre = spelling.get(written) or spelling.get(written.strip(), written.strip())
        if not genre:
            left_out.append(track)
            continue
        if nfc(genre) not in spelling:
            check_names(replace(track, genre=genre), f"{source}, line {line}")
            new.setdefault(genre, line)
        changed += genre != track.genre
        kept.append(replace(track, genre=genre))
    if row_of:
        path, (line, _) = next(iter(row_of.items()))
        warnings.warn(
            f"{source}: {len(row_of)} rows have no effect, because the data set has no track with their path; "
            f"the first is line {line}, {path[:200]!r}: correct or remove it",
            stacklevel=2,
        )
    for genre, line in new.items():
        warnings.warn(f"{source}, line {line}: genre {genre!r} is new; is it spelt as you want it?", stacklevel=2)
    if corrections and len(left := {track.genre for track in kept}) < 2 <= len(spelling):
        raise GenreError(f"{source} leaves {len(kept)} tracks of {len(left)} genres; at least two genres are needed: restore some rows")
    return Corrected(kept, left_out, changed)
