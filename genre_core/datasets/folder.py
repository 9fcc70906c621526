"""Data set of a user's own music: ``<root>/<genre>/<file>``, or any folders if the genres are in the files' tags.

An optional table, ``<root>/metadata.csv`` (in any case), describes the files:

==========  ==========================================================================
``path``    path of the file, relative to the root; required. Composed and decomposed letters (NFC, NFD) are the same
``genre``   genre; default: the first folder of the path, or the genre in the file's tags
``artist``  artist; default: the artist in the file's tags; a track without one has an unknown artist
``split``   train, valid, test, or empty: the split for ``segment.protocol: official``
==========  ==========================================================================
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from genre_core.audio.tags import Tags
from genre_core.corpus.catalogue import SPLITS, Track, artist_group, nfc, write_catalogue
from genre_core.datasets import labels
from genre_core.datasets.listing import LEAVES, METADATA, NOT_AUDIO, RESERVED_NAMES, audio_files, leaves, summary, unique_names
from genre_core.errors import GenreError, as_text
from genre_core.util.files import read_csv
from genre_core.util.parallel import Workers

_MAX_GENRES = 1_000  # tables of predictions have a column per genre
_MIN_FOLDS = 3  # least value of segment.folds

# Reasons why the genre of a track is unknown.
_NO_FOLDER = "not in the folder of a genre"
_MISSING = "missing"
_UNREAD = "with unreadable tags"
_UNUSABLE = "with no usable genre in the tags"
_NO_TAG = "without a genre in the tags"


def download(
    root: str | Path,
    out: str | Path,
    *,
    source: str = "folder",
    aliases: str | Path | None = None,
    min_tracks: int = 0,
    workers: Workers = 0,
) -> list[Track]:
    """Link the audio files of `root` into `out` and write the catalogue.

    Parameters
    ----------
    root : str or Path
        Folder of the music.
    out : str or Path
        Folder for the links and the catalogue.
    source : {"folder", "tags"}
        Origin of the genres; see `scan`.
    aliases : str or Path, optional
        Table of spellings that are one genre; see `labels.read_aliases`.
    min_tracks : int >= 0
        Lowest number of tracks of a genre; smaller genres are left out.
    workers : int >= 0 or str
        Number of processes that read the tags of many files, 0 for one per core; or the address of a Dask scheduler.

    Returns
    -------
    list of Track
        Tracks sorted by path. Missing files that metadata.csv names are included if their genre is known; ``segment`` rejects them by name.

    Raises
    ------
    GenreError
        `root` is not a folder, holds fewer than two genres or more than 1,000, has an invalid metadata.csv, the table is invalid, or a file
        can be neither linked nor copied.

    Warns
    -----
    UserWarning
        Files are skipped, tags cannot be read, genres are left out or joined, genres differ only in upper and lower case, or genres from
        tags have too few artists for a split by artist.
    """
    root, out = Path(root), Path(out)
    table = labels.read_aliases(aliases) if aliases is not None else labels.Aliases()
    scanned = scan(root, source=source, aliases=table, workers=workers)
    assigned = labels.assign(scanned.genres, table, source=source, min_tracks=min_tracks)
    if skipped := scanned.skipped | scanned.without_genre:
        warnings.warn(f"{root}: {summary(skipped)}", stacklevel=2)
    if unread := sorted(set(scanned.unread) & assigned.genre_of.keys()):
        warnings.warn(f"{root}: the tags of {len(unread)} files cannot be read ({_some(unread)}): no artist is known", stacklevel=2)
    if assigned.small:
        counted = [f"{genre} ({count})" for genre, count in sorted(assigned.small.items(), key=lambda item: (-item[1], item[0]))]
        fewer = f"with fewer than {min_tracks} tracks (dataset.folder.min_tracks)"
        warnings.warn(f"{len(counted)} genres {fewer} are left out: {_some(counted, 20)}", stacklevel=2)
    for genre, names in assigned.joined.items():
        warnings.warn(f"{' and '.join(names)} are one genre, {genre}, by {table.path}; change its rows to keep them apart", stacklevel=2)
    tracks = [replace(track, genre=assigned.genre_of[track.path]) for track in scanned.tracks if track.path in assigned.genre_of]
    genres = sorted({track.genre for track in tracks})
    if not 2 <= len(genres) <= _MAX_GENRES:
        few = f"at least two genres are needed, {'in the tags of the files' if source == 'tags' else 'as <genre>/<file>'}"
        remedy = few if len(genres) < 2 else f"at most {_MAX_GENRES:,} are allowed; raise dataset.folder.min_tracks"
        raise GenreError(
            f"dataset.folder.path: {str(root)!r} holds {len(tracks)} audio files of {len(genres)} genres"
            f"{' (' + genres[0] + ')' if len(genres) == 1 else ''}; {remedy}"
        )
    _warn_about_case(genres)
    if source == "tags":
        _warn_about_artists(tracks)
    for track in tracks:
        if track.path in scanned.files:
            link(root / scanned.files[track.path], out / track.path)
    write_catalogue(out, tracks)
    return tracks


@dataclass(frozen=True)
class Scan:
    """Tracks of a music folder.

    Attributes
    ----------
    tracks : list of Track
        Audio files, and files that metadata.csv names, sorted by path. Paths, genres and artists are composed Unicode (NFC): see
        `listing.unique_names`. The genre is the first one of `genres`, empty if unknown.
    files : dict of str to str
        Path on the disk, relative to the folder, by path of the track. Tracks whose file is missing have none.
    skipped : dict of str to list of str
        Unused paths by reason; see `listing.Found`.
    genres : dict of str to sequence of str
        Genres by path of the track, the first choice first. Tracks of `without_genre` are not in it.
    without_genre : dict of str to list of str
        Paths of the tracks whose genre is unknown, by reason.
    unread : list of str
        Paths of the tracks whose tags cannot be read.
    """

    tracks: list[Track]
    files: dict[str, str]
    skipped: dict[str, list[str]]
    genres: dict[str, Sequence[str]]
    without_genre: dict[str, list[str]]
    unread: list[str]


def scan(
    root: Path, *, source: str = "folder", aliases: labels.Aliases | None = None, read_tags: bool = True, workers: Workers = 0
) -> Scan:
    """List the tracks and the unused files of a music folder.

    The artist is the one of metadata.csv, else the one of the file's tags.

    Parameters
    ----------
    root : Path
        Folder of the music.
    source : {"folder", "tags"}
        Origin of the genres that metadata.csv does not give: the first folder of the path, or the tags of the file.
    aliases : labels.Aliases, optional
        Table that says which words of tags are a genre.
    read_tags : bool
        Whether the tags of the files are read; without them, an artist is known only from metadata.csv. The source "tags" needs them.
    workers : int >= 0 or str
        Number of processes that read the tags of many files, 0 for one per core; or the address of a Dask scheduler.

    Raises
    ------
    GenreError
        `root` is not a folder, or its metadata.csv is invalid.
    """
    if not root.is_dir():
        raise GenreError(f"{str(root)!r} is not a folder; name one that holds <genre>/<file> (dataset.folder.path in params.yaml)")
    metadata = _read_metadata(root)
    found = audio_files(root)
    not_audio = found.skipped.get(NOT_AUDIO, [])
    named = [path for path in not_audio if nfc(as_text(path)) in metadata]  # metadata.csv may name a file with any suffix
    unused = sorted(set(not_audio) - set(named))
    skipped = {**found.skipped, NOT_AUDIO: unused}
    for path in skipped.get(LEAVES, []):
        if nfc(as_text(path)) in metadata:
            raise GenreError(f"{root / METADATA}: path {path!r} is a link that leaves {root}; put the file itself there")
    files = unique_names([*found.audio, *named])
    row_of = {path: metadata.get(path, {}) for path in metadata} | {
        name: metadata.get(nfc(as_text(path)), {}) for name, path in files.items()
    }
    silent = [name for name in sorted(files) if not row_of[name].get("artist") or (source == "tags" and not row_of[name].get("genre"))]
    if not read_tags:
        silent = []
    tags = dict(zip(silent, labels.read_all([root / files[name] for name in silent], workers=workers), strict=True))

    genres: dict[str, Sequence[str]] = {}
    without_genre: dict[str, list[str]] = defaultdict(list)
    for path, row in sorted(row_of.items()):
        if genre := nfc(row.get("genre", "")):
            genres[path] = (genre,)
        elif source == "tags":
            read = tags.get(path)
            if read and (names := labels.tag_genres(read, aliases or labels.Aliases())):
                genres[path] = names
            else:
                without_genre[_why_no_genre(path, files, read)].append(path)
        elif "/" in path:
            genres[path] = (PurePosixPath(path).parts[0],)
        else:
            without_genre[_NO_FOLDER].append(path)
    given = {path: nfc(row.get("artist", "")) for path, row in row_of.items()}
    tagged = {path: labels.tag_artist(read) for path, read in tags.items() if read and not given[path]}
    spelling = labels.one_spelling(filter(None, tagged.values()), str.casefold, preferred=filter(None, given.values()))
    tracks = [
        Track(path, path, next(iter(genres.get(path, ())), ""), given[path] or spelling.get(tagged.get(path, ""), ""), row.get("split", ""))
        for path, row in sorted(row_of.items())
    ]
    unread = [path for path, read in tags.items() if read is None]
    return Scan(tracks, files, {reason: paths for reason, paths in skipped.items() if paths}, genres, dict(without_genre), unread)


def _why_no_genre(path: str, files: Mapping[str, str], read: Tags | None) -> str:
    if path not in files:
        return _MISSING
    if read is None:
        return _UNREAD
    return _UNUSABLE if read.genres else _NO_TAG


def _some(names: Sequence[str], count: int = 3) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def _warn_about_artists(tracks: list[Track]) -> None:
    """Warn about genres that cannot be split by artist, whatever the number of folds."""
    artists = defaultdict(set)
    for track in tracks:
        artists[track.genre].add(artist_group(track.artist, track.track))
    if few := [f"{genre} ({len(names)})" for genre, names in sorted(artists.items()) if len(names) < _MIN_FOLDS]:
        warnings.warn(
            f"{len(few)} genres have fewer than {_MIN_FOLDS} artists, too few for segment.protocol artist: {_some(few, 20)}; "
            "to leave small genres out, raise dataset.folder.min_tracks",
            stacklevel=3,
        )


def _warn_about_case(genres: list[str]) -> None:
    """Warn about genres that differ only in upper and lower case."""
    spellings = defaultdict(list)
    for genre in genres:
        spellings[genre.casefold()].append(genre)
    if pairs := [" and ".join(names) for names in spellings.values() if len(names) > 1]:
        warnings.warn(f"genres that differ only in case stay apart: {', '.join(pairs)}; rename one to join them", stacklevel=3)


def link(source: Path, target: Path) -> None:
    """Create a hard link `target` to the file `source`.

    Across disks it creates a symbolic link, and if links are impossible, a copy. DVC does not move the source and does not change
    its permissions: it replaces the link by a link into its own cache.

    Raises
    ------
    GenreError
        The file can be neither linked nor copied.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    source = source.resolve()
    for create in (os.link, os.symlink, shutil.copyfile):
        try:
            create(source, target)
            return
        except OSError as error:
            failure = error
    raise GenreError(f"{source}: cannot be linked or copied to {target}: {failure.strerror}")


def _read_metadata(root: Path) -> dict[str, dict[str, str]]:
    """Read and check metadata.csv, if it exists; return rows by path (NFC)."""
    tables = sorted(path for path in root.iterdir() if path.name.casefold() == METADATA and not path.is_dir())
    if not tables:
        return {}
    if len(tables) > 1:
        raise GenreError(f"{root}: {' and '.join(path.name for path in tables)} differ only in case; keep one")
    file = tables[0]
    if leaves(file, root):
        raise GenreError(f"{file} is a link that leaves the folder; put the file itself there")
    rows: dict[str, dict[str, str]] = {}
    for number, row in enumerate(read_csv(file, ["path"]), start=2):
        written = PurePosixPath(row["path"].replace("\\", "/")).as_posix()
        path = nfc(written)
        where = f"{file}, line {number}"
        if "\0" in path or path == "." or path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise GenreError(f"{where}: path {row['path']!r} must be relative and stay inside {root}")
        if any(part.startswith(".") for part in PurePosixPath(path).parts) or path.split("/")[0].casefold() in RESERVED_NAMES:
            raise GenreError(f"{where}: path {row['path']!r} is hidden, or a name of this project's own files; give the file another name")
        if path.lower().endswith(".npy"):
            raise GenreError(f"{where}: path {row['path']!r} is an array, not audio; see dataset.features for precomputed features")
        if leaves(root / path, root) or leaves(root / written, root):
            raise GenreError(f"{where}: path {row['path']!r} is a link that leaves {root}; put the file itself there")
        if path in rows:
            raise GenreError(f"{where}: path {path!r} occurs twice; keep one row")
        if row.get("split", "") not in ("", *SPLITS):
            raise GenreError(f"{where}: split {row['split']!r} is not allowed: {', '.join(SPLITS)}, or empty")
        rows[path] = row
    return rows
