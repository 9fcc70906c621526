"""Replacement of a file by an edited copy: the file is whole at every moment."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from genre_core.errors import AudioError
from genre_core.library.tag_formats.edits import Edit, LayoutError, splice
from genre_core.util.files import atomic


@dataclass(frozen=True)
class Copy:
    """Edited copy beside a file, complete on the disk.

    Attributes
    ----------
    path : Path
    before_sha256, after_sha256 : str
        Digests of the file and of the copy.
    """

    path: Path
    before_sha256: str
    after_sha256: str


def check_writable(path: Path) -> None:
    """Refuse a file that cannot or may not be replaced.

    Raises
    ------
    AudioError
        The file or its folder is read-only.
    """
    if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):  # the superuser may write it, but it is protected
        raise AudioError(f"{path}: is read-only; make it writable first")
    if not os.access(path.parent, os.W_OK):
        raise AudioError(f"{path}: its folder is read-only; make it writable first")


@contextlib.contextmanager
def replaced(path: Path, edits: Sequence[Edit], status: os.stat_result) -> Iterator[Copy]:
    """Yield an edited copy, which replaces the file on success.

    The copy has the mode, the extended attributes and, where the system allows it, the owner of the file. It is renamed over the
    file, so other hard links keep the old content: they may be DVC's cache.

    Parameters
    ----------
    path : Path
        File to replace, links resolved.
    edits : sequence of Edit
        Edits in order.
    status : os.stat_result
        Status of the file when the edits were made.

    Raises
    ------
    AudioError
        The file has changed since, or the copy cannot be written; the file stays as it is.
    """
    try:
        with atomic(path) as part:
            part.chmod(0o600)  # the file may be private
            with path.open("rb") as source, part.open("wb") as target:
                before, after = splice(source, target, edits)
                target.flush()
                os.fsync(target.fileno())
            _copy_attributes(path, part, status)
            yield Copy(part, before, after)
            if not is_same(path, status):
                raise AudioError(f"{path}: was changed by another program meanwhile; run the command again")
    except LayoutError as error:
        raise AudioError(f"{path}: {error}") from None
    except OSError as error:
        raise AudioError(f"{path}: cannot be replaced: {error.strerror}") from None


def is_same(path: Path, status: os.stat_result) -> bool:
    """Tell whether a path still leads to the file with that status, with the same content as far as its time and size tell."""
    now = path.lstat()
    return (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns) == (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _copy_attributes(path: Path, part: Path, status: os.stat_result) -> None:
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):  # only the superuser may give files away
            os.chown(part, status.st_uid, status.st_gid)
    shutil.copystat(path, part)
    os.utime(part)  # players look for files with a new time
