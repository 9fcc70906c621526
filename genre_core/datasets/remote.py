"""Music and features in a bucket or on the web, copied to this disk first.

==============================  ==========================================================================
``s3://bucket/folder``          the audio files and ``metadata.csv`` of the folder; also ``gs://``
``s3://bucket/music.tar.gz``    an archive (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz), unpacked here; also ``gs://``
``https://host/music.zip``      an archive: the web has no folders
==============================  ==========================================================================
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path, PurePosixPath

from genre_core.audio.io import AUDIO_SUFFIXES
from genre_core.datasets.listing import HIDDEN, MAX_DEPTH, METADATA, NOT_AUDIO, RESERVED, RESERVED_NAMES, TOO_DEEP, TRASH, is_trash, summary
from genre_core.errors import GenreError
from genre_core.terminal import say
from genre_core.util.archives import ArchiveError, unpack
from genre_core.util.files import read_json, write_json
from genre_core.util.remote_files import copy_file, copy_folder
from genre_core.util.urls import cache_name, check_url, is_url, is_web, shown

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_MAX_FILE_BYTES = 10_000_000_000
_MAX_TOTAL_BYTES = 1_000_000_000_000


def why_not(name: str) -> str | None:
    """Return why an object is not copied, or None for audio and ``metadata.csv``.

    The rules are those of `listing.audio_files`, so that nothing is copied that would be skipped afterwards.
    """
    *folders, file = name.split("/")
    if any(part.startswith(".") for part in (*folders, file)):
        return HIDDEN
    if any(is_trash(part) for part in folders):
        return TRASH
    if len(folders) > MAX_DEPTH:
        return TOO_DEEP
    if not folders and file.casefold() == METADATA:
        return None
    if (folders or [file])[0].casefold() in RESERVED_NAMES:
        return RESERVED
    return None if PurePosixPath(file).suffix.lower() in AUDIO_SUFFIXES else NOT_AUDIO


def local_music(path: str, downloads: str | Path) -> Path:
    """Return the local folder of some music; copy it first if `path` is a URL.

    Parameters
    ----------
    path : str
        Path of a folder, or a URL as in the module's docstring.
    downloads : str or Path
        Folder of all copies.

    Returns
    -------
    Path

    Raises
    ------
    GenreError
        The URL cannot be read, or holds no audio.

    Warns
    -----
    UserWarning
        Objects are skipped.
    """
    if not is_url(path):
        return Path(path)
    try:
        check_url(path)
        folder = Path(downloads) / cache_name(path)
        if is_web(path) or path.casefold().endswith(_ARCHIVES):
            return _unpacked(copy_file(path, folder), folder, path)
        copied = copy_folder(path, folder, why_not)
    except GenreError as error:
        raise GenreError(f"dataset.folder.path: {error}") from None
    if copied.skipped:
        warnings.warn(f"{shown(path)}: {summary(copied.skipped)}", stacklevel=2)
    if not copied.files:
        raise GenreError(f"dataset.folder.path: {shown(path)} holds no audio; name a folder that holds <genre>/<file>")
    say(f"{shown(path)}: {copied.files} files, {copied.new} of them new or changed, in {copied.root}")
    return copied.root


def local_features(path: str, downloads: str | Path) -> Path:
    """Return the local file of some features; copy it first if `path` is a URL.

    Parameters
    ----------
    path : str
        Path of an ``.npz`` file, or its URL (``s3://``, ``gs://``, ``https://``).
    downloads : str or Path
        Folder of all copies.

    Raises
    ------
    GenreError
        The URL cannot be read.
    """
    if not is_url(path):
        return Path(path)
    try:
        check_url(path)
        return copy_file(path, Path(downloads) / cache_name(path))
    except GenreError as error:
        raise GenreError(f"dataset.features.path: {error}") from None


def _unpacked(archive: Path, folder: Path, url: str) -> Path:
    """Unpack the audio of an archive, unless it was done; return the folder that holds the genres."""
    root, marker = folder / "unpacked", folder / "unpacked.json"
    status = archive.stat()
    state = {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
    if not (marker.exists() and root.is_dir() and read_json(marker) == state):
        marker.unlink(missing_ok=True)
        shutil.rmtree(root, ignore_errors=True)
        try:
            members = unpack(archive, _place, root, max_file_bytes=_MAX_FILE_BYTES, max_total_bytes=_MAX_TOTAL_BYTES)
        except ArchiveError as error:
            archive.unlink()  # the next run downloads it again
            raise GenreError(f"{shown(url)}: {error}") from None
        if not members:
            raise GenreError(f"{shown(url)} holds no audio; the archive must hold <genre>/<file>")
        write_json(marker, state)
        say(f"{shown(url)}: {len(members)} files unpacked in {root}")
    # Most archives hold one folder with everything in it: that folder is no genre.
    while len(inside := list(root.iterdir())) == 1 and inside[0].is_dir():
        root = inside[0]
    return root


def _place(member: PurePosixPath) -> str | None:
    """Return the path of a member below the folder, or None if it is neither audio nor a ``metadata.csv``."""
    parts = [part for part in member.parts if part != "."]
    if not parts or any(part.startswith(".") or is_trash(part) for part in parts) or len(parts) > MAX_DEPTH:
        return None
    is_wanted = member.suffix.lower() in AUDIO_SUFFIXES or member.name.casefold() == METADATA
    return "/".join(parts) if is_wanted and "/".join(parts).isprintable() else None
