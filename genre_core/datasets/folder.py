"""Your own music: ``<root>/<genre>/<file>``, optionally described by ``<root>/metadata.csv``.

Columns of metadata.csv: ``path`` (relative to the root) and any of ``genre`` (default: the first folder of the
path), ``artist`` (empty: unknown) and ``split`` (train, valid, test, or empty), the split for ``segment.protocol: official``.
"""

from __future__ import annotations

import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from genre_core.audio.io import AUDIO_SUFFIXES
from genre_core.corpus.catalogue import CATALOGUE, DESCRIPTION, SPLITS, Track, write_catalogue
from genre_core.errors import GenreError, one_line
from genre_core.util.files import DEEPEST, read_csv

METADATA = "metadata.csv"
_OUR_NAMES = {CATALOGUE, DESCRIPTION, METADATA}  # what stands beside the tracks, here or in data/raw


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
    tracks, found, left = scan(root)
    if stray := left.stray + [track.path for track in tracks if not track.genre]:
        warnings.warn(f"{root}: ignored {len(stray)} files that are no audio or lie in no genre's folder: {_some(stray)}", stacklevel=2)
    if left.links:
        warnings.warn(
            f"{root}: ignored {len(left.links)} links that leave the folder: {_some(left.links)}; put the files themselves there",
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
        if track.path in found:
            link(root / track.path, out / track.path)
    write_catalogue(out, tracks)
    return tracks


@dataclass(frozen=True)
class LeftOut:
    """Paths below a music folder that are not used: files that are no audio, and links that leave the folder."""

    stray: list[str]
    links: list[str]


def scan(root: Path) -> tuple[list[Track], set[str], LeftOut]:
    """List the tracks of `root`, the paths that exist, and what is left out.

    Raises
    ------
    GenreError
        `root` is no folder, or its metadata.csv is wrong.
    """
    if not root.is_dir():
        raise GenreError(f"{str(root)!r} is no folder; name one that holds <genre>/<file> (dataset.folder.path in params.yaml)")
    metadata = _read_metadata(root)
    found, stray, links = _audio_files(root)
    found |= {path for path in metadata if (root / path).is_file()}  # whatever its name ends in
    tracks = []
    for path in sorted(found | metadata.keys()):
        row = metadata.get(path, {})
        genre = row.get("genre") or (PurePosixPath(path).parts[0] if "/" in path else "")
        tracks.append(Track(path, path, genre, row.get("artist", ""), row.get("split", "")))
    return tracks, found, LeftOut([path for path in stray if path not in found], links)


def leaves(path: Path, root: Path) -> bool:
    """Tell whether `path`, its links followed, lies outside the folder `root`."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


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


def _audio_files(root: Path) -> tuple[set[str], list[str], list[str]]:
    """Audio files, other files, and links that leave the folder, as POSIX paths relative to `root`; hidden ones are left out."""
    audio: set[str] = set()
    stray: list[str] = []
    links: list[str] = []
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in visited:  # links may lead in circles
            subfolders.clear()
            continue
        visited.add(real)
        shown = sorted(s for s in subfolders if not s.startswith("."))
        if len(Path(folder).relative_to(root).parts) >= DEEPEST:
            stray += [(Path(folder) / name).relative_to(root).as_posix() for name in shown]
            shown = []
        outside = {name for name in [*shown, *names] if Path(folder, name).is_symlink() and leaves(Path(folder, name), root)}
        links += [Path(folder, name).relative_to(root).as_posix() for name in sorted(outside) if not name.startswith(".")]
        ours = {name for name in shown if Path(folder) == root and name.casefold() in _OUR_NAMES}
        stray += sorted(ours)
        subfolders[:] = [name for name in shown if name not in outside | ours]
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
    """Tell whether a file's name is Unicode, not bytes of another encoding."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_metadata(root: Path) -> dict[str, dict[str, str]]:
    file = root / METADATA
    if not file.exists():
        return {}
    if leaves(file, root):
        raise GenreError(f"{file}: is a link that leaves the folder; put the file itself there")
    rows: dict[str, dict[str, str]] = {}
    for number, row in enumerate(read_csv(file, ["path"]), start=2):
        path = PurePosixPath(row["path"].replace("\\", "/")).as_posix()
        where = f"{file}, line {number}"
        if "\0" in path or path == "." or path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise GenreError(f"{where}: path {row['path']!r} must be relative and stay inside {root}")
        if any(part.startswith(".") for part in PurePosixPath(path).parts) or path.split("/")[0].casefold() in _OUR_NAMES:
            raise GenreError(f"{where}: path {row['path']!r} is hidden, or a name of this project's own files; give the file another name")
        if path.lower().endswith(".npy"):
            raise GenreError(f"{where}: path {row['path']!r} is an array, no audio; see dataset.features for features made elsewhere")
        if leaves(root / path, root):
            raise GenreError(f"{where}: path {row['path']!r} is a link that leaves {root}; put the file itself there")
        if path in rows:
            raise GenreError(f"{where}: path {path!r} stands there twice; keep one row")
        if row.get("split", "") not in ("", *SPLITS):
            raise GenreError(f"{where}: split {row['split']!r} is not allowed: {', '.join(SPLITS)}, or empty")
        rows[path] = row
    return rows


def _some(names: list[str]) -> str:
    return one_line(", ".join(names[:5]) + (", ..." if len(names) > 5 else ""))
