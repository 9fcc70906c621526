"""Your own music: ``<root>/<genre>/<file>``, optionally described by ``<root>/metadata.csv``.

Columns of metadata.csv: ``path`` (relative to the root) and any of ``genre`` (default: the first folder of the
path), ``artist`` (empty: unknown) and ``split`` (train, valid, test, or empty), the split for ``segment.protocol: official``.
"""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path, PurePosixPath

from genre_core.audio import AUDIO_SUFFIXES
from genre_core.datasets import SPLITS, Track, write_catalogue
from genre_core.errors import GenreError, one_line
from genre_core.files import read_csv

METADATA = "metadata.csv"


def download(root: str | Path, out: str | Path) -> list[Track]:
    """Link the audio files of `root` into `out` and write the catalogue.

    Parameters
    ----------
    root : str or Path
    out : str or Path

    Returns
    -------
    list of Track
        Sorted by path. A file that metadata.csv names and that is not there is kept: ``segment`` rejects it by name.

    Raises
    ------
    GenreError
        `root` is no folder, holds fewer than two genres, or its metadata.csv is wrong.
    """
    root, out = Path(root), Path(out)
    tracks, found, stray = scan(root)
    if stray := stray + [track.path for track in tracks if not track.genre]:
        warnings.warn(f"{root}: ignored {len(stray)} files that are no audio or lie in no genre's folder: {_some(stray)}", stacklevel=2)
    tracks = [track for track in tracks if track.genre]
    genres = sorted({track.genre for track in tracks})
    if len(genres) < 2:
        raise GenreError(
            f"dataset.folder.path: {str(root)!r} holds {len(tracks)} audio files of {len(genres)} genres"
            f"{' (' + genres[0] + ')' if genres else ''}; at least two genres are needed, as <genre>/<file>"
        )
    for track in tracks:
        if track.path in found:
            link(root / track.path, out / track.path)
    write_catalogue(out, tracks)
    return tracks


def scan(root: Path) -> tuple[list[Track], set[str], list[str]]:
    """The tracks of `root` (those in no genre's folder have none), the paths that are there, and the files that are no audio.

    Raises
    ------
    GenreError
        `root` is no folder, or its metadata.csv is wrong.
    """
    if not root.is_dir():
        raise GenreError(f"{str(root)!r} is no folder; name one that holds <genre>/<file> (dataset.folder.path in params.yaml)")
    metadata = _read_metadata(root)
    found, stray = _audio_files(root)
    found |= {path for path in metadata if (root / path).is_file()}  # whatever its name ends in
    tracks = []
    for path in sorted(found | metadata.keys()):
        row = metadata.get(path, {})
        genre = row.get("genre") or (PurePosixPath(path).parts[0] if "/" in path else "")
        tracks.append(Track(path, path, genre, row.get("artist", ""), row.get("split", "")))
    return tracks, found, [path for path in stray if path not in found]


def link(source: Path, target: Path) -> None:
    """Hard-link `source` as `target`; a symbolic link across disks, a copy where neither is possible.

    DVC moves neither the link's source nor its rights: it replaces the link by one into its own cache.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    source = source.resolve()
    for make in (os.link, os.symlink, shutil.copyfile):
        try:
            make(source, target)
            return
        except OSError as error:
            failure = error
    raise GenreError(f"{source}: cannot be linked or copied to {target}: {failure.strerror}")


def _audio_files(root: Path) -> tuple[set[str], list[str]]:
    """Audio files and other files below `root`, hidden ones left out, as POSIX paths relative to it."""
    audio: set[str] = set()
    stray: list[str] = []
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in visited:  # links may lead in circles
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = sorted(s for s in subfolders if not s.startswith("."))
        for name in names:
            path = Path(folder, name)
            if name.startswith(".") or (path.parent == root and name in (METADATA, "README.md")):
                continue
            relative = path.relative_to(root).as_posix()
            if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and _is_text(relative):
                audio.add(relative)
            else:
                stray.append(relative)
    return audio, stray


def _is_text(name: str) -> bool:
    """Whether a file's name is Unicode, and not bytes of another encoding."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_metadata(root: Path) -> dict[str, dict[str, str]]:
    file = root / METADATA
    if not file.exists():
        return {}
    rows: dict[str, dict[str, str]] = {}
    for number, row in enumerate(read_csv(file, ["path"]), start=2):
        path = PurePosixPath(row["path"].replace("\\", "/")).as_posix()
        where = f"{file}, line {number}"
        if path == "." or path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise GenreError(f"{where}: path {row['path']!r} must be relative and stay inside {root}")
        if path in rows:
            raise GenreError(f"{where}: path {path!r} stands there twice; keep one row")
        if row.get("split", "") not in ("", *SPLITS):
            raise GenreError(f"{where}: split {row['split']!r} is not allowed: {', '.join(SPLITS)}, or empty")
        rows[path] = row
    return rows


def _some(names: list[str]) -> str:
    return one_line(", ".join(names[:5]) + (", ..." if len(names) > 5 else ""))
