"""Cores of this machine, and one thread of torch for each."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


def cores() -> int:
    """Count the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_thread() -> None:
    """Limit torch to one thread in this process, without importing it.

    The results of torch depend on the number of threads, and the workers already use all cores.
    """
    if "torch" in sys.modules:
        import torch  # waits until another thread has imported it

        torch.set_num_threads(1)
    else:
        os.environ["OMP_NUM_THREADS"] = "1"  # torch reads it when it is imported


@contextlib.contextmanager
def single_thread() -> Iterator[None]:
    """Compute with one thread of torch in the block.

    With several, the last digit of a function such as the cosine can differ from process to process: it depends on where a thread begins.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
