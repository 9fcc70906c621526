"""Limits on the memory of this process, if the system supports them (Linux)."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path

_lock = threading.Lock()


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that the memory is full.

    Python raises a MemoryError; torch raises a RuntimeError.
    """
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate memory" in str(error))


def limit_memory(more_bytes: int) -> None:
    """Limit the additional memory of this process permanently.

    An allocation above the limit raises a MemoryError. On a system without such limits, this function has no effect.

    Parameters
    ----------
    more_bytes : int
        Number of bytes that the process may allocate in addition to its present data memory.
    """
    with _lock:
        _lower_limit(more_bytes)


@contextlib.contextmanager
def limited_memory(more_bytes: int) -> Iterator[None]:
    """Limit the additional memory of this process inside a ``with`` block.

    The limit protects against a library that allocates as much memory as the header of a file claims. The limit applies to all
    threads of the process, so a second block waits until the first one ends.

    Parameters
    ----------
    more_bytes : int
        Number of bytes that the process may allocate in addition to its present data memory.
    """
    with _lock:
        old_limits = _lower_limit(more_bytes)
        try:
            yield
        finally:
            if old_limits is not None:
                with contextlib.suppress(OSError, ValueError):
                    _set_limits(old_limits)


def _lower_limit(more_bytes: int) -> tuple[int, int] | None:
    """Lower the limit on data memory; return old soft and hard limits.

    Return None if the limit stays the same, because the system does not support limits or the limit is already lower.
    """
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used_bytes, old_limits = _used_bytes(), resource.getrlimit(resource.RLIMIT_DATA)
        if used_bytes is not None and (old_limits[0] == resource.RLIM_INFINITY or used_bytes + more_bytes < old_limits[0]):
            _set_limits((used_bytes + more_bytes, old_limits[1]))
            return old_limits
    return None


def _set_limits(soft_and_hard: tuple[int, int]) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, soft_and_hard)


def _used_bytes() -> int | None:
    """Read the data memory of this process in bytes.

    RLIMIT_DATA limits this number. Return None on a system other than Linux.
    """
    try:
        match = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return int(match[1]) * 1024 if match else None
