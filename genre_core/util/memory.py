"""Bounds on the memory that this process may take, where the system can set one (Linux)."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path

_lock = threading.Lock()


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error is for want of memory: Python's own, or torch's RuntimeError."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate memory" in str(error))


def limit_memory(more_bytes: int) -> None:
    """Let the process take `more_bytes` beyond what it has, and never more again: what asks for more gets a MemoryError."""
    with _lock:
        _lower(more_bytes)


@contextlib.contextmanager
def limited_memory(more_bytes: int) -> Iterator[None]:
    """Limit memory for a while, for a library that trusts what a file claims."""
    with _lock:
        before = _lower(more_bytes)
        try:
            yield
        finally:
            if before is not None:
                with contextlib.suppress(OSError, ValueError):
                    _set_limits(before)


def _lower(more_bytes: int) -> tuple[int, int] | None:
    """Lower the limit on data; return the limits before, or None where they stay: another system, or a lower limit already."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        taken, before = _taken(), resource.getrlimit(resource.RLIMIT_DATA)
        if taken is not None and (before[0] == resource.RLIM_INFINITY or taken + more_bytes < before[0]):
            _set_limits((taken + more_bytes, before[1]))
            return before
    return None


def _set_limits(soft_and_hard: tuple[int, int]) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, soft_and_hard)


def _taken() -> int | None:
    """Bytes of data that the process has now, as the system counts them for its limit; None on another system."""
    try:
        found = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return int(found[1]) * 1024 if found else None
