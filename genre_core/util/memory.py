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

    Python raises a MemoryError, torch a RuntimeError.
    """
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate memory" in str(error))


def limit_memory(more_bytes: int) -> None:
    """Limit this process to `more_bytes` beyond its present memory, permanently.

    An allocation above the limit raises a MemoryError.
    """
    with _lock:
        _lower_limit(more_bytes)


@contextlib.contextmanager
def limited_memory(more_bytes: int) -> Iterator[None]:
    """Limit memory to `more_bytes` beyond the present, inside a ``with`` block.

    This protects against a library that allocates as much as a file's header claims.
    """
    with _lock:
        before = _lower_limit(more_bytes)
        try:
            yield
        finally:
            if before is not None:
                with contextlib.suppress(OSError, ValueError):
                    _set_limits(before)


def _lower_limit(more_bytes: int) -> tuple[int, int] | None:
    """Lower the limit on data memory, and return the old soft and hard limits.

    Return None if the limits do not change, because the system has none or the limit is already lower.
    """
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used_bytes, before = _used_bytes(), resource.getrlimit(resource.RLIMIT_DATA)
        if used_bytes is not None and (before[0] == resource.RLIM_INFINITY or used_bytes + more_bytes < before[0]):
            _set_limits((used_bytes + more_bytes, before[1]))
            return before
    return None


def _set_limits(soft_and_hard: tuple[int, int]) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, soft_and_hard)


def _used_bytes() -> int | None:
    """Read the data memory of the process in bytes, as the limit counts it.

    Return None on a system other than Linux.
    """
    try:
        match = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return int(match[1]) * 1024 if match else None
