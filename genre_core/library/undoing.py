"""Restore files to the bytes before a change of their tags. No model is needed, so none is loaded."""

from __future__ import annotations

import contextlib
import os
import stat

from genre_core.errors import AudioError
from genre_core.library.journal import Change
from genre_core.library.rewriting import check_writable, replaced
from genre_core.util.files import digest


def undo(change: Change, *, dry_run: bool = False) -> bool:
    """Restore a file to the bytes before a change, and its time.

    Returns
    -------
    bool
        False if the file already was as before, for example because the run was killed before it changed the file.

    Raises
    ------
    AudioError
        The file has changed since, or cannot be replaced; it stays as it is.
    """
    path = change.file
    if os.path.realpath(path) != os.fspath(path):
        raise AudioError(f"{path}: is behind a link now; not undone")
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(f"{path}: is not a file any more; not undone")
        now = digest(path)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error.strerror}; not undone") from None
    if now == change.before_sha256:
        return False
    if now != change.after_sha256:
        raise AudioError(f"{path}: was changed since it was tagged; not undone")
    check_writable(path)
    if not dry_run:
        with replaced(path, change.edits(), status) as copy:
            if copy.after_sha256 != change.before_sha256:
                raise AudioError(f"{path}: its record in the journal is damaged; not undone")
        with contextlib.suppress(OSError):  # the file is restored, and must be marked so
            os.utime(path, ns=(status.st_atime_ns, change.mtime_ns))
    return True
