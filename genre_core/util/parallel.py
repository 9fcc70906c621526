"""Map a function over tracks: in this process, or in a pool of processes; the same results in the same order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TypeVar

from genre_core.errors import GenreError
from genre_core.util.memory import is_out_of_memory

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_thread() -> None:
    """Compute with one thread: torch's results change with the number of threads, and the pool already uses all cores."""
    import torch

    torch.set_num_threads(1)


def _worker() -> None:
    for name in ("SIGINT", "SIGHUP"):  # they reach the whole group: the parent answers for all
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    one_thread()


def _end_with_parent() -> None:
    """End this worker when its parent was killed: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _bounded(function: Callable[[Item], Result], item: Item) -> Result:
    """Call `function`, and let it fail for want of memory in one line."""
    try:
        return function(item)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        failure = str(error)
    raise GenreError(
        f"a worker needs more memory than there is ({' '.join(failure.split())[:100]}); set `workers` lower in params.yaml, "
        "or use shorter tracks"
    )


def _start_server() -> None:
    """Start the fork server with Ctrl-C blocked, which would break its imports."""
    from multiprocessing import forkserver, resource_tracker

    resource_tracker.ensure_running()  # the server starts it, and its start lets Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def map_tracks(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int = 0, preload: Sequence[str] = ()
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in order.

    At most ``2 * workers`` results are under way or waiting at any time, so memory is bounded by the tracks in
    flight. Workers compute with one thread each.

    Parameters
    ----------
    function : picklable callable
    items : iterable of picklable values
    workers : int >= 0
        Number of processes; 0 is one a core, 1 is this process.
    preload : sequence of str
        Modules imported once for all workers, where the platform can fork.

    Raises
    ------
    GenreError
        The system killed a worker, or one had too little memory.
    """
    workers = workers or cores()
    if workers == 1:
        one_thread()
        yield from map(partial(_bounded, function), items)
        return
    # Forking this process would copy locks of running threads (torch, HDF5); a fork server is clean, and fast after its first import.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(list(preload))
        _start_server()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_worker) as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(_bounded, function, item))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool:
            raise GenreError(
                f"one of {workers} workers was killed, probably for want of memory; set `workers` lower in params.yaml"
            ) from None
        finally:
            for future in pending:
                future.cancel()
