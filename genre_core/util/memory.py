"""Bounds on the memory that this process may take, where the system can set one (Linux)."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path

_lock = threading.Lock()


def _taken() -> int | None:
    """Bytes of data that the process has now, as the system counts them for its limit; None on another system."""
    try:
        found = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return int(found[1]) * 1024 if found else None


def limit_memory(more_bytes: int) -> None:
    """Let the process take `more_bytes` beyond what it has: what asks for more gets a MemoryError."""
    with contextlib.suppress(ImportError, OSError, ValueError), _lock:
        import resource

        if (taken := _taken()) is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            resource.setrlimit(resource.RLIMIT_DATA, (taken + more_bytes, hard))


@contextlib.contextmanager
def limited_memory(more_bytes: int) -> Iterator[None]:
    """Limit memory for a while, for a library that trusts what a file claims."""
    try:
        import resource
    except ImportError:
        yield
        return
    with _lock:
        taken, (soft, hard) = _taken(), resource.getrlimit(resource.RLIMIT_DATA)
        limit = None if taken is None else taken + more_bytes
        lowered = limit is not None and (soft == resource.RLIM_INFINITY or limit < soft)
        with contextlib.suppress(OSError, ValueError):
            if lowered and limit is not None:
                resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
        try:
            yield
        finally:
            with contextlib.suppress(OSError, ValueError):
                if lowered:
                    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
