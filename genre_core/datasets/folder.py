"""Data set of a user's own music: ``<root>/<genre>/<file>``.

An optional table, ``<root>/metadata.csv``, describes the files:

==========  ==========================================================================
``path``    path of the file, relative to the root; required
``genre``   genre; default: the first folder of the path
``artist``  artist; empty if unknown
``split``   train, valid, test, or empty: the split for ``segment.protocol: official``
==========  ==========================================================================
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from genre_core.audio.io import AUDIO_SUFFIXES
from genre_core.corpus.catalogue import CATALOGUE, DESCRIPTION, SPLITS, Track, write_catalogue
from genre_core.errors import GenreError, one_line
from genre_core.util.files import MAX_DEPTH, read_csv

METADATA = "metadata.csv"
_RESERVED_NAMES = {CATALOGUE, DESCRIPTION, METADATA}  # files of this project in the same folder as the tracks, here or in data/raw


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
    """
    root, out = Path(root), Path(out)
    tracks, existing, left_out = scan(root)
    if stray := left_out.stray + [track.path for track in tracks if not track.genre]:
        warnings.warn(
            f"{root}: ignored {len(stray)} files that are not audio or are not in the folder of a genre: {_first_names(stray)}",
            stacklevel=2,
        )
    if left_out.links:
        warnings.warn(
            f"{root}: ignored {len(left_out.links)} links that leave the folder: {_first_names(left_out.links)}; "
            "put the files themselves there",
            stacklevel=2,
        )
    tracks = [track for track in tracks if track.genre]
    genres = sorted({track.genre for track in tracks})
    if len(genres) < 2:
        raise GenreError(
            f"dataset.folder.path: {str(root)!r} holds {len(tracks)} audio files of {len(genres)} genres"
            f"{' (' + genres[0] + ')' if genres else ''}; at least two genres are needed, as <genre>/<file>"
        )
    for track in tracks:
        if track.path in existing:
            link(root / track.path, out / track.path)
    write_catalogue(out, tracks)
    return tracks


@dataclass(frozen=True)
class LeftOut:
    """Unused paths in a music folder, relative to it.

    Attributes
    ----------
    stray : list of str
        Files that are not audio, and folders that are too deep or have a reserved name.
    links : list of str
        Links that leave the folder.
    """

    stray: list[str]
    links: list[str]


def scan(root: Path) -> tuple[list[Track], set[str], LeftOut]:
    """List the tracks and the unused files of a music folder.

    Parameters
    ----------
    root : Path
        Folder of the music.

    Returns
    -------
    tracks : list of Track
        Audio files, and files that metadata.csv names, sorted by path.
    existing : set of str
        Paths of the tracks whose files exist.
    left_out : LeftOut
        Unused paths.

    Raises
    ------
    GenreError
        `root` is not a folder, or its metadata.csv is invalid.
    """
    if not root.is_dir():
        raise GenreError(f"{str(root)!r} is not a folder; name one that holds <genre>/<file> (dataset.folder.path in params.yaml)")
    metadata = _read_metadata(root)
    existing, stray, links = _audio_files(root)
    existing |= {path for path in metadata if (root / path).is_file()}  # with any suffix
    tracks = []
    for path in sorted(existing | metadata.keys()):
        row = metadata.get(path, {})
        genre = row.get("genre") or (PurePosixPath(path).parts[0] if "/" in path else "")
        tracks.append(Track(path, path, genre, row.get("artist", ""), row.get("split", "")))
    return tracks, existing, LeftOut([path for path in stray if path not in existing], links)


def leaves(path: Path, root: Path) -> bool:
    """Check whether `path` leads outside the folder `root`, with links resolved."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def links_that_leave(folder: Path, names: Iterable[str], root: Path) -> set[str]:
    """Return those of the names in `folder` that are links to outside the folder `root`."""
    return {name for name in names if (folder / name).is_symlink() and leaves(folder / name, root)}


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


def _audio_files(root: Path) -> tuple[set[str], list[str], list[str]]:
    """List audio files, other paths, and links that leave the folder.

    The paths are POSIX paths relative to `root`. Hidden files and folders are skipped.
    """
    audio: set[str] = set()
    stray: list[str] = []
    links: list[str] = []
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in visited:  # links may lead in circles
            subfolders.clear()
            continue
        visited.add(real)
        visible = sorted(s for s in subfolders if not s.startswith("."))
        if len(Path(folder).relative_to(root).parts) >= MAX_DEPTH:
            stray += [(Path(folder) / name).relative_to(root).as_posix() for name in visible]
            visible = []
        outside = links_that_leave(Path(folder), [*visible, *names], root)
        links += [Path(folder, name).relative_to(root).as_posix() for name in sorted(outside) if not name.startswith(".")]
        reserved = {name for name in visible if Path(folder) == root and name.casefold() in _RESERVED_NAMES}
        stray += sorted(reserved)
        subfolders[:] = [name for name in visible if name not in outside | reserved]
        for name in names:
            path = Path(folder, name)
            if name.startswith(".") or name in outside or (path.parent == root and name in (METADATA, "README.md")):
                continue
            relative = path.relative_to(root).as_posix()
            if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and _is_text(relative):
                audio.add(relative)
            else:
                stray.append(relative)
    return audio, stray, links


def _is_text(name: str) -> bool:
    """Check whether a file's name is Unicode, not bytes of another encoding."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_metadata(root: Path) -> dict[str, dict[str, str]]:
    """Read and check metadata.csv, if it exists; return rows by path."""
    file = root / METADATA
    if not file.exists():
        return {}
    if leaves(file, root):
        raise GenreError(f"{file} is a link that leaves the folder; put the file itself there")
    rows: dict[str, dict[str, str]] = {}
    for number, row in enumerate(read_csv(file, ["path"]), start=2):
        path = PurePosixPath(row["path"].replace("\\", "/")).as_posix()
        where = f"{file}, line {number}"
        if "\0" in path or path == "." or path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise GenreError(f"{where}: path {row['path']!r} must be relative and stay inside {root}")
        if any(part.startswith(".") for part in PurePosixPath(path).parts) or path.split("/")[0].casefold() in _RESERVED_NAMES:
            raise GenreError(f"{where}: path {row['path']!r} is hidden, or a name of this project's own files; give the file another name")
        if path.lower().endswith(".npy"):
            raise GenreError(f"{where}: path {row['path']!r} is an array, not audio; see dataset.features for precomputed features")
        if leaves(root / path, root):
            raise GenreError(f"{where}: path {row['path']!r} is a link that leaves {root}; put the file itself there")
        if path in rows:
            raise GenreError(f"{where}: path {path!r} occurs twice; keep one row")
        if row.get("split", "") not in ("", *SPLITS):
            raise GenreError(f"{where}: split {row['split']!r} is not allowed: {', '.join(SPLITS)}, or empty")
        rows[path] = row
    return rows


def _first_names(names: list[str]) -> str:
    """Join at most five names for a message."""
    return one_line(", ".join(names[:5]) + (", ..." if len(names) > 5 else ""))
