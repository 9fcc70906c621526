"""Genres and artists from the tags of audio files, and spellings that are one genre.

Tags are text from strangers: each file spells a genre in its own way, or names none. A table of aliases joins spellings. What no report
could show is not used.
"""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from genre_core.audio.tags import Tags, read_tags
from genre_core.corpus.catalogue import Track, check_names, nfc
from genre_core.errors import AudioError, GenreError
from genre_core.util.files import plain_file, read_csv
from genre_core.util.parallel import Workers, map_tracks

_MAX_TABLE_BYTES = 10_000_000  # a table of 100,000 aliases takes about 3 MB
_CHUNK = 250  # files that a worker reads at a time
_FEW_FILES = 5_000  # are read sooner than worker processes start
_SEPARATORS = re.compile(r"[;,/|\\]")  # between genres in one text


@lru_cache(maxsize=1 << 16)
def comparable(name: str) -> str:
    """Return what two spellings of a genre share: its letters without case, spaces and hyphens."""
    return "".join(c for c in nfc(name).casefold() if not c.isspace() and unicodedata.category(c) != "Pd")


@dataclass(frozen=True)
class Aliases:
    """Table of spellings that are one genre.

    Attributes
    ----------
    path : str
        File of the table.
    genre_of : mapping of str to str
        Genre by comparable spelling (`comparable`), for genres and aliases. Empty for words that are not a genre.
    aliases : frozenset of str
        Comparable spellings of the column ``alias``.
    """

    path: str = ""
    genre_of: Mapping[str, str] = field(default_factory=dict)
    aliases: frozenset[str] = frozenset()


def read_aliases(path: str | Path) -> Aliases:
    """Read the table of aliases.

    Parameters
    ----------
    path : str or Path
        CSV with the columns ``genre`` and ``alias``, one alias per row. Lines that begin with ``#`` are skipped. An empty genre says
        that the alias is not a genre.

    Returns
    -------
    Aliases

    Raises
    ------
    GenreError
        The file is missing, is larger than 10 MB, is not such a table, or contradicts itself. Up to 20 rows are named.
    """
    plain_file(path, max_bytes=_MAX_TABLE_BYTES, missing="no such file; dataset.folder.aliases names a table with the columns genre, alias")
    rows = [(nfc(row["genre"]), nfc(row["alias"])) for row in read_csv(path, ["genre", "alias"], comments=True)]
    genres: dict[str, str] = {}
    genre_of: dict[str, str] = {}
    problems = []
    for genre, alias in rows:
        row = f"row {genre},{alias}: "
        try:
            check_names(Track("", "", genre), str(path))
        except GenreError as error:
            problems.append(row + str(error))
        spelling = genres.setdefault(comparable(genre), genre)
        if spelling != genre:
            problems.append(f"{row}the genre is also spelled {spelling}; choose one spelling")
        if not comparable(alias):
            problems.append(f"{row}the alias is empty")
        elif genre_of.setdefault(comparable(alias), spelling) != spelling:
            problems.append(f"{row}the alias belongs to {genre_of[comparable(alias)] or 'no genre'} too; choose one")
    problems += [
        f"genre {genre} is an alias of {genre_of[key] or 'no genre'}; name that genre in its rows"
        for key, genre in genres.items()
        if key and genre_of.get(key, genre) != genre
    ]
    if problems:
        raise GenreError(f"{path}: {'; '.join(problems[:20])}")
    named = {key: genre for key, genre in genres.items() if key}
    return Aliases(str(path), named | genre_of, frozenset(genre_of))


def read_all(paths: Sequence[Path], *, workers: Workers = 0) -> list[Tags | None]:
    """Read the tags of many files.

    Parameters
    ----------
    paths : sequence of Path
        Audio files.
    workers : int >= 0 or str
        Number of processes for many files, 0 for one per core; or the address of a Dask scheduler.

    Returns
    -------
    list of Tags or None
        Tags of each file; None if they cannot be read.

    Raises
    ------
    GenreError
        Mutagen is not installed.
    """
    if not paths:
        return []
    if importlib.util.find_spec("mutagen") is None:
        raise GenreError("artists and genres are read from tags by mutagen, which is not installed; pip install '.[pipeline]'")
    progress = tqdm(total=len(paths), desc="tags", unit="file", disable=None)
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    few = len(paths) <= _FEW_FILES
    results = map(_read, chunks) if few else map_tracks(_read, chunks, workers=workers, preload=("genre_core.datasets.labels",))
    tags: list[Tags | None] = []
    with progress:
        for chunk in results:
            tags += chunk
            progress.update(len(chunk))
    return tags


def _read(paths: Iterable[Path]) -> list[Tags | None]:
    tags: list[Tags | None] = []
    for path in paths:
        try:
            tags.append(read_tags(path))
        except AudioError:
            tags.append(None)
    return tags


def tag_genres(tags: Tags, aliases: Aliases) -> tuple[str, ...]:
    """List the genres that the tags of a file name, in their order.

    A text that the table does not have is split at ``; , / |`` and backslashes: "Blues / Rock" is two genres. A word that the table has as
    no genre, and a text with HTML, is left out.

    Returns
    -------
    tuple of str
        Genres as the table spells them, others as written.
    """
    genres: dict[str, None] = {}
    for text in tags.genres:
        for name in [text] if comparable(text) in aliases.genre_of else map(str.strip, _SEPARATORS.split(text)):
            genre = aliases.genre_of.get(comparable(name), name)
            if comparable(genre) and _allowed(Track("", "", text)):
                genres[genre] = None
    return tuple(genres)


def tag_artist(tags: Tags) -> str:
    """Return the artist that the tags of a file name; empty for none, and for HTML."""
    return tags.artist if _allowed(Track("", "", "", tags.artist)) else ""


def _allowed(track: Track) -> bool:
    try:
        check_names(track, "")
    except GenreError:
        return False
    return True


def one_spelling(names: Iterable[str], key: Callable[[str], str], preferred: Iterable[str] = ()) -> dict[str, str]:
    """Choose one spelling for names that are equal by `key`.

    Parameters
    ----------
    names : iterable of str
        Names, repeated as often as they occur.
    key : callable
        Function that returns what equal names share.
    preferred : iterable of str
        Spellings that are chosen before others, and stay as they are.

    Returns
    -------
    dict of str to str
        Chosen spelling by name: a preferred one, else the most frequent one, else the first in alphabetical order.
    """
    counts = Counter(names)
    kept = sorted(set(preferred))
    best: dict[str, str] = {}
    for name in [*kept, *sorted(counts, key=lambda name: (-counts[name], name))]:
        best.setdefault(key(name), name)
    return {name: best[key(name)] for name in counts} | {name: name for name in kept}


@dataclass(frozen=True)
class Assignment:
    """Genres of the tracks.

    Attributes
    ----------
    genre_of : dict of str to str
        Genre by track. A track whose genres are all left out is not in it.
    joined : dict of str to list of str
        Names of folders that the table joins, by the genre that they became.
    small : dict of str to int
        Numbers of tracks of the genres that are left out, by genre.
    """

    genre_of: dict[str, str]
    joined: dict[str, list[str]]
    small: dict[str, int]


def assign(candidates: Mapping[str, Sequence[str]], aliases: Aliases, *, source: str, min_tracks: int = 0) -> Assignment:
    """Give each track the first of its genres that has enough tracks.

    A genre is counted by the tracks that name it first.

    Parameters
    ----------
    candidates : mapping of str to sequence of str
        Genres by track, the first choice first.
    aliases : Aliases
        Table of spellings that are one genre.
    source : {"folder", "tags"}
        Origin of the genres. From tags, all spellings that are comparable (`comparable`) are one genre. Names of folders are their owner's
        choice: they stay as they are, unless an alias makes two of them one genre.
    min_tracks : int >= 0
        Lowest number of tracks of a genre.

    Returns
    -------
    Assignment
    """
    names = Counter(chain.from_iterable(candidates.values()))
    joined: dict[str, list[str]] = {}
    if source == "tags":
        spelled = {name: aliases.genre_of.get(comparable(name)) or name for name in names}
        spelling = one_spelling((spelled[name] for name in names.elements()), comparable)
        spelled = {name: spelling[genre] for name, genre in spelled.items()}
    else:
        joined = _joined_folders(names, aliases)
        spelled = {name: name for name in names} | {name: genre for genre, group in joined.items() for name in group}
    genres_of = {track: [spelled[name] for name in genres] for track, genres in candidates.items()}
    counts = Counter(genres[0] for genres in genres_of.values() if genres)
    chosen = {track: next((genre for genre in genres if counts[genre] >= max(1, min_tracks)), "") for track, genres in genres_of.items()}
    small = {genre: count for genre, count in sorted(counts.items()) if count < min_tracks}
    return Assignment({track: genre for track, genre in chosen.items() if genre}, joined, small)


def _joined_folders(names: Iterable[str], aliases: Aliases) -> dict[str, list[str]]:
    """List the names of folders that an alias makes one genre, by genre."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        if genre := aliases.genre_of.get(comparable(name)):
            groups[genre].append(name)
    return {genre: group for genre, group in groups.items() if len(group) > 1 and any(comparable(n) in aliases.aliases for n in group)}
