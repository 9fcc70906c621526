"""Data set of a user's own music: ``<root>/<genre>/<file>``.

An optional table, ``<root>/metadata.csv`` (in any case), describes the files:

==========  ==========================================================================
``path``    path of the file, relative to the root; required. Composed and decomposed letters (NFC, NFD) are the same
``genre``   genre; default: the first folder of the path
``artist``  artist; empty if unknown
``split``   train, valid, test, or empty: the split for ``segment.protocol: official``
==========  ==========================================================================
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from genre_core.corpus.catalogue import SPLITS, Track, nfc, write_catalogue
from genre_core.datasets.listing import LEAVES, METADATA, NOT_AUDIO, RESERVED_NAMES, audio_files, leaves, summary, unique_names
from genre_core.errors import GenreError, as_text
from genre_core.util.files import read_csv

_NO_GENRE = "not in the folder of a genre"


def download(root: str | Path, out: str | Path) -> list[Track]:
    """Link the audio files of `root` into `out` and write the catalogue.

    Parameters
    ----------
    root : str or Path
        Folder of the music.
    out : str or Path
        Folder for the links and the catalogue.

    Returns
    -------
    list of Track
        Tracks sorted by path. Missing files that metadata.csv names are included; ``segment`` rejects them by name.

    Raises
    ------
    GenreError
        `root` is not a folder, holds fewer than two genres, has an invalid metadata.csv, or a file can be neither linked nor copied.

    Warns
    -----
    UserWarning
        Files are skipped, or genres differ only in upper and lower case.
    """
    root, out = Path(root), Path(out)
    scanned = scan(root)
    skipped = dict(scanned.skipped)
    if stray := [track.path for track in scanned.tracks if not track.genre]:
        skipped[_NO_GENRE] = stray
    if skipped:
        warnings.warn(f"{root}: {summary(skipped)}", stacklevel=2)
    tracks = [track for track in scanned.tracks if track.genre]
    genres = sorted({track.genre for track in tracks})
    if len(genres) < 2:
        raise GenreError(
            f"dataset.folder.path: {str(root)!r} holds {len(tracks)} audio files of {len(genres)} genres"
            f"{' (' + genres[0] + ')' if genres else ''}; at least two genres are needed, as <genre>/<file>"
        )
    _warn_about_case(genres)
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
        `listing.unique_names`.
    files : dict of str to str
        Path on the disk, relative to the folder, by path of the track. Tracks whose file is missing have none.
    skipped : dict of str to list of str
        Unused paths by reason; see `listing.Found`.
    """

    tracks: list[Track]
    files: dict[str, str]
    skipped: dict[str, list[str]]


def scan(root: Path) -> Scan:
    """List the tracks and the unused files of a music folder.

    Parameters
    ----------
    root : Path
        Folder of the music.

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
    files = unique_names([*found.audio, *named])
    row_of = {name: metadata.get(nfc(as_text(path)), {}) for name, path in files.items()}
    tracks = []
    for path in sorted(files.keys() | metadata.keys()):
        row = row_of.get(path) or metadata.get(path, {})
        genre = nfc(row.get("genre", "")) or (PurePosixPath(path).parts[0] if "/" in path else "")
        tracks.append(Track(path, path, genre, nfc(row.get("artist", "")), row.get("split", "")))
    unused = sorted(set(not_audio) - set(named))
    skipped = {**found.skipped, NOT_AUDIO: unused}
    for path in skipped.get(LEAVES, []):
        if nfc(as_text(path)) in metadata:
            raise GenreError(f"{root / METADATA}: path {path!r} is a link that leaves {root}; put the file itself there")
    return Scan(tracks, files, {reason: paths for reason, paths in skipped.items() if paths})


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
