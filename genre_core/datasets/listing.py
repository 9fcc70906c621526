"""Audio files of a folder: one set of rules for the commands and the data sets."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from genre_core.audio.io import AUDIO_SUFFIXES
from genre_core.corpus.catalogue import CATALOGUE, DESCRIPTION, nfc
from genre_core.errors import as_text, one_line

METADATA = "metadata.csv"
RESERVED_NAMES = {CATALOGUE, DESCRIPTION, METADATA}  # files of this project in the same folder as the tracks, here or in data/raw
MAX_DEPTH = 64  # number of nested folder levels that are visited

# Reasons to skip a path, for one path and for several.
NOT_AUDIO = "not audio"
HIDDEN = "hidden"
TRASH = "trash"
DANGLING = "link that leads nowhere"
LEAVES = "link that leaves the folder"
SPECIAL = "pipe or device"
TOO_DEEP = "too deep"
RESERVED = "named like a file of this project"
UNREADABLE = "unreadable folder"
_PLURAL = {
    DANGLING: "links that lead nowhere",
    LEAVES: "links that leave the folder",
    SPECIAL: "pipes or devices",
    UNREADABLE: "unreadable folders",
}
# Folders of deleted files, previews and file-system records, in lower case. Names with a leading dot are hidden anyway.
_TRASH = {"$recycle.bin", "recycler", "#recycle", "@eadir", "@recycle", "__macosx", "lost+found", "system volume information"}


@dataclass(frozen=True)
class Found:
    """Audio files of a folder, and the skipped paths.

    Attributes
    ----------
    audio : list of str
        Sorted POSIX paths of the files, relative to the folder, as on the disk.
    skipped : dict of str to list of str
        Relative paths of skipped files and folders, by reason. The content of a skipped folder is not listed.
    """

    audio: list[str] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)


def audio_files(root: str | Path) -> Found:
    """List the audio files of a folder and its subfolders.

    A link is followed if it stays in the folder. No folder is visited twice. Files with the names of this project's own tables
    (`RESERVED_NAMES`) and ``README.md`` at the top of the folder are ignored without a count.

    Parameters
    ----------
    root : str or Path
        Folder to list.

    Returns
    -------
    Found
    """
    root = Path(root)
    found = Found()

    def skip(reason: str, path: str) -> None:
        found.skipped.setdefault(reason, []).append(Path(path).relative_to(root).as_posix())

    visited: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=lambda error: skip(UNREADABLE, error.filename)):
        if (real := os.path.realpath(folder)) in visited:  # links may lead in circles
            subfolders.clear()
            continue
        visited.add(real)
        top = Path(folder) == root
        deepest = len(Path(folder).relative_to(root).parts) >= MAX_DEPTH  # up to Python 3.11, os.walk recurses once per level
        kept = []
        # Real folders first: a link beside a folder does not take its place.
        for name in sorted(sorted(subfolders), key=partial(_is_link, folder)):
            path = os.path.join(folder, name)  # noqa: PTH118 (pathlib takes ten times as long)
            reason = _reason(path, name, root, top=top) or (TOO_DEEP if deepest else None)
            skip(reason, path) if reason else kept.append(name)
        subfolders[:] = kept
        for name in sorted(names):
            if top and (name.casefold() in RESERVED_NAMES or name == "README.md"):
                continue
            path = os.path.join(folder, name)  # noqa: PTH118
            if reason := _reason(path, name, root, top=top) or _file_reason(path):
                skip(reason, path)
            else:
                found.audio.append(Path(path).relative_to(root).as_posix())
    found.audio.sort()
    return found


def _is_link(folder: str, name: str) -> bool:
    return Path(folder, name).is_symlink()


def _reason(path: str, name: str, root: Path, *, top: bool) -> str | None:
    """Return why a path is skipped for its name or as a link, or None."""
    if name.startswith("."):
        return HIDDEN
    if is_trash(name):
        return TRASH
    if top and name.casefold() in RESERVED_NAMES:
        return RESERVED
    if Path(path).is_symlink():
        if not Path(path).exists():
            return DANGLING
        if leaves(path, root):
            return LEAVES
    return None


def is_trash(name: str) -> bool:
    """Tell whether a folder of this name holds deleted files, previews or records of a file system."""
    return name.casefold() in _TRASH


def _file_reason(path: str) -> str | None:
    if os.path.splitext(path)[1].lower() not in AUDIO_SUFFIXES:  # noqa: PTH122
        return NOT_AUDIO
    try:
        return None if stat.S_ISREG(Path(path).stat().st_mode) else SPECIAL
    except OSError:  # removed since it was listed
        return DANGLING


def leaves(path: str | Path, root: str | Path) -> bool:
    """Check whether `path` leads outside the folder `root`, with links resolved."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def summary(skipped: Mapping[str, list[str]]) -> str:
    """Count skipped paths by reason, in one line.

    Returns
    -------
    str
        For example ``skipped 3 files: 2 not audio (cover.jpg, ...), 1 hidden (.DS_Store)``; empty if nothing was skipped.
    """
    if not skipped:
        return ""
    parts = [
        f"{len(paths)} {_PLURAL.get(reason, reason) if len(paths) > 1 else reason} ({paths[0]}{', ...' if len(paths) > 1 else ''})"
        for reason, paths in sorted(skipped.items(), key=lambda item: -len(item[1]))
    ]
    count = sum(map(len, skipped.values()))
    return one_line(f"skipped {count} {'files' if count > 1 else 'file'}: {', '.join(parts)}")


def dvc_obstacles(files: Iterable[str], skipped: Mapping[str, list[str]]) -> list[str]:
    """List the paths at which DVC stops or waits when it hashes the folder: before any of our code runs.

    Parameters
    ----------
    files : iterable of str
        Paths of the audio files, as on the disk.
    skipped : mapping of str to list of str
        Skipped paths by reason.

    Returns
    -------
    list of str
        Links that lead nowhere, pipes, and names that are not UTF-8.
    """
    special = [*skipped.get(DANGLING, []), *skipped.get(SPECIAL, [])]
    return special + [path for path in (*files, *(p for paths in skipped.values() for p in paths)) if not _is_utf8(path)]


def _is_utf8(path: str) -> bool:
    try:
        os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def unique_names(paths: Iterable[str]) -> dict[str, str]:
    """Give each path a name that is valid, composed Unicode.

    Parameters
    ----------
    paths : iterable of str
        Paths as on the disk.

    Returns
    -------
    dict of str to str
        Path by name. Bytes that are not UTF-8 are percent-escaped (``caf%E9.mp3``). Where two paths have the same name, the later
        ones get a number (``a~2.mp3``).
    """
    named: dict[str, str] = {}
    # A path that is its own name keeps it.
    for path in sorted(paths, key=lambda path: (nfc(as_text(path)) != path, path)):
        name = nfc(as_text(path))
        stem, suffix = os.path.splitext(name)  # noqa: PTH122
        number = 2
        while name in named:
            name, number = f"{stem}~{number}{suffix}", number + 1
        named[name] = path
    return named
