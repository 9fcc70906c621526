"""Settings of libraries, made in the environment before they are imported. Worker processes inherit them."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from importlib.util import find_spec
from pathlib import Path

NUMBA_REMEDY = "numba can write no folder for its compiled functions; set NUMBA_CACHE_DIR to a folder that can be written"


def prepare_libraries() -> None:
    """Set up numba and joblib for read-only systems, and for systems without room for locks; let threads of OpenMP sleep.

    Threads that wait for each other would take the cores from other processes: two trainings at once would then last longer than one
    after the other. Sleeping threads change no result.

    numba, which librosa uses, stops if it can write neither beside librosa nor in the user's cache. It then
    gets a private folder below the system's temporary folder. Settings of the user are kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("JOBLIB_MULTIPROCESSING", "0")  # not used here; joblib warns if /dev/shm has no room for its locks
    if "NUMBA_CACHE_DIR" not in os.environ and not any(map(_can_write, _numba_folders())):
        with contextlib.suppress(OSError):
            os.environ["NUMBA_CACHE_DIR"] = str(_private_folder())


def lacks_numba_cache(error: BaseException) -> bool:
    """Tell whether an error means that numba can write its compiled functions nowhere; see `NUMBA_REMEDY`."""
    return isinstance(error, RuntimeError) and "no locator available" in str(error)


def _numba_folders() -> list[Path]:
    """List the folders in which numba looks for a place, in its order."""
    librosa = find_spec("librosa")
    beside = [Path(folder) / "core" / "__pycache__" for folder in (librosa.submodule_search_locations or ())] if librosa else []
    with contextlib.suppress(RuntimeError):  # the user has no home
        beside.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numba")
    return beside


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _private_folder() -> Path:
    """Create a folder that only this user can write, because numba runs the code that it finds there.

    Raises
    ------
    OSError
        No temporary folder can be written, or another user has a folder of this name.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"genre-numba-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or (hasattr(os, "getuid") and (status.st_uid != user or status.st_mode & 0o022)):
        raise PermissionError(f"{folder} belongs to another user")
    return folder
