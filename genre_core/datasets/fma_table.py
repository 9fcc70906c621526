"""Table of the tracks of FMA: ``tracks.csv`` with its three header rows.

The first row names the group of a column (album, artist, set, track), the second one the column in its group, and the third one only the
first column, ``track_id``. The table has 52 columns of 106,574 tracks, biographies with HTML among them, so only six columns are kept.
"""

from __future__ import annotations

import contextlib
import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from genre_core.corpus.catalogue import name_problem, nfc
from genre_core.errors import GenreError
from genre_core.util.files import MAX_TABLE_BYTES, plain_file

SUBSETS = ("small", "medium", "large")  # each contains the ones before it
MAX_NAME = 200  # letters
_COLUMNS = (
    *(("artist", "id"), ("artist", "name"), ("set", "split"), ("set", "subset")),
    *(("track", "genre_top"), ("track", "license")),
)
_SPLITS = {"training": "train", "validation": "valid", "test": "test", "": ""}
_MAX_GENRES = 163  # all genres of the data set's hierarchy; 16 of them are top genres
_MAX_CELL = 10_000_000  # letters; the csv module's 131,072 are less than a biography may have
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Clip:
    """Track of FMA.

    Attributes
    ----------
    track : str
        Number of the track with six digits, which is the name of its file.
    genre : str
        Top genre; empty if the track has none, or several.
    artist : str
        Name of the artist, with its number if several artists have this name; empty if unknown.
    split : {"train", "valid", "test", ""}
        Side of the authors' split.
    licence : str
        Licence of the recording.
    renamed : bool
        Whether the artist's own name was not usable.
    """

    track: str
    genre: str
    artist: str
    split: str
    licence: str
    renamed: bool


def read(path: Path, subset: str, *, name: str | None = None) -> list[Clip]:
    """Read the tracks of a subset.

    Parameters
    ----------
    path : Path
        File ``tracks.csv``.
    subset : {"small", "medium", "large"}
        Subset; a larger one contains the smaller ones.
    name : str, optional
        Name of the table in messages; the default is `path`.

    Returns
    -------
    list of Clip
        Tracks by number.

    Raises
    ------
    GenreError
        The table is missing, too large, not UTF-8, or not as the authors publish it.
    """
    name = name or str(path)
    plain_file(path, max_bytes=MAX_TABLE_BYTES)
    wanted = SUBSETS[: SUBSETS.index(subset) + 1]
    rows: dict[str, tuple[str, str, str, str]] = {}  # track -> artist id, split, genre, licence
    artist_names: dict[str, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file, _long_cells():
            for line, number, (artist_id, artist, split, row_subset, genre, licence) in _cells(file, name):
                where = f"{name}, line {line}"
                if not re.fullmatch(r"[0-9]{1,6}", number):
                    raise GenreError(f"{where}: track_id {number[:40]!r} is not a number of at most six digits; is this FMA's tracks.csv?")
                track = f"{int(number):06d}"
                if row_subset not in SUBSETS or split not in _SPLITS:
                    raise GenreError(
                        f"{where}: subset {row_subset[:40]!r} and split {split[:40]!r}; expected {', '.join(SUBSETS)} and "
                        f"{', '.join(filter(None, _SPLITS))}; is this FMA's tracks.csv?"
                    )
                if track in rows:
                    raise GenreError(f"{where}: track {track} occurs twice; keep one row")
                if not re.fullmatch(r"[0-9]{0,9}", artist_id):
                    raise GenreError(f"{where}: artist id {artist_id[:40]!r} is not a number; is this FMA's tracks.csv?")
                if problem := name_problem(genre):
                    raise GenreError(f"{where}: genre {genre[:100]!r} {problem}; download fma_metadata.zip again")
                # All subsets, because a name that two artists have must not depend on the subset.
                artist_names.setdefault(artist_id, nfc(artist.strip()))
                if row_subset in wanted:
                    rows[track] = (artist_id, _SPLITS[split], nfc(genre.strip()), _licence(licence))
    except (UnicodeDecodeError, csv.Error) as error:
        raise GenreError(f"{name}: not readable as UTF-8 CSV: {error}; download fma_metadata.zip again") from None
    genres = {genre for _, _, genre, _ in rows.values()}
    if len(genres) > _MAX_GENRES:
        raise GenreError(f"{name}: {len(genres):,} top genres, FMA has 16; is this FMA's tracks.csv?")
    if not rows:
        raise GenreError(f"{name}: no track of the subset {subset}; is this FMA's tracks.csv?")
    artists, renamed = _artist_labels(artist_names)
    return [
        Clip(track, genre, artists.get(artist_id, ""), split, licence, artist_id in renamed)
        for track, (artist_id, split, genre, licence) in sorted(rows.items())
    ]


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    """Let the csv module read long cells."""
    before = csv.field_size_limit(_MAX_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _cells(file: Iterator[str], name: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield line, track number and the cells of `_COLUMNS` of each row."""
    reader = csv.reader(file)
    header = list(islice(reader, 3))
    titles = list(zip(*header[:2], strict=False)) if len(header) == 3 else []
    missing = [".".join(column) for column in _COLUMNS if column not in titles]
    if missing or header[2][:1] != ["track_id"]:
        raise GenreError(
            f"{name}: no column {', '.join(missing) or 'track_id'} in the three header rows; is this tracks.csv of fma_metadata.zip?"
        )
    positions = [titles.index(column) for column in _COLUMNS]
    line = reader.line_num + 1
    for row in reader:
        if len(row) <= max(positions):
            raise GenreError(f"{name}, line {line}: {len(row)} cells, expected {len(titles)}; download fma_metadata.zip again")
        yield line, row[0], [row[position] for position in positions]
        line = reader.line_num + 1  # a biography has several lines


def _licence(text: str) -> str:
    """Return the name of a licence, if it is usable."""
    text = " ".join(text.split())[:MAX_NAME]
    return "not readable" if name_problem(text) else text or NOT_STATED


def _artist_labels(names: dict[str, str]) -> tuple[dict[str, str], set[str]]:
    """Give each artist a name that no other artist has.

    Parameters
    ----------
    names : dict of str to str
        Name in the table, by number of the artist.

    Returns
    -------
    labels : dict of str to str
        Unique name by number. The split goes by the number, so two artists of one name must not become one.
    renamed : set of str
        Numbers of artists whose names are not usable.
    """
    of_name: dict[str, list[str]] = defaultdict(list)
    renamed = {number for number, name in names.items() if number and (name_problem(name) or len(name) > MAX_NAME)}
    for number, name in names.items():
        if number and name and number not in renamed:
            of_name[name].append(number)
    labels = {number: f"artist {number}" for number in names if number}
    for name, numbers in of_name.items():
        labels |= {number: name if len(numbers) == 1 else f"{name} ({number})" for number in numbers}
    return labels, renamed
