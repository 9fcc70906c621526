"""Map of a function over tracks, in one process or several.

Both ways give the same results in the same order.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.util
import os
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TypeVar

import psutil

from genre_core.errors import GenreError
from genre_core.util.memory import is_out_of_memory

_LOCKS = "/dev/shm"  # noqa: S108 (the C library's folder for semaphores)
_STOP_SECONDS = 0.2  # a process in a system call may stop later
Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Count the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_thread() -> None:
    """Limit torch to one thread in this process.

    The results of torch depend on the number of threads, and the pool already uses all cores.
    """
    import torch

    torch.set_num_threads(1)


def _prepare_worker() -> None:
    """Prepare a worker process of the pool."""
    for name in ("SIGINT", "SIGHUP"):  # the system sends these to the whole process group; only the parent handles them
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    one_thread()


def _end_with_parent() -> None:
    """End this worker when its parent ends.

    Without this, the worker of a killed parent would wait forever.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def kill_children() -> None:
    """Kill all processes below this one except the resource tracker, which cleans up after them.

    A child that is still starting would print an error about resources that this exit removes. The direct children are stopped
    before the others are listed, because the fork server could start one more in between.
    """
    this_process = psutil.Process()
    for child in this_process.children():
        with contextlib.suppress(psutil.Error):
            if not _is_resource_tracker(child):
                child.suspend()
                deadline = time.monotonic() + _STOP_SECONDS
                while child.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE) and time.monotonic() < deadline:
                    time.sleep(0.001)
    for child in this_process.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if not _is_resource_tracker(child):
                child.kill()
    # Otherwise the resource tracker removes the semaphores of a process that ends at once, and prints a warning.
    multiprocessing.util._run_finalizers(0)  # type: ignore[attr-defined]


def _is_resource_tracker(process: psutil.Process) -> bool:
    return "multiprocessing.resource_tracker" in " ".join(process.cmdline())


def _call(function: Callable[[Item], Result], item: Item) -> Result:
    """Call `function`, and convert an out-of-memory error to a GenreError."""
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
    """Start the fork server with Ctrl-C blocked.

    Ctrl-C would interrupt the imports of the fork server.
    """
    from multiprocessing import forkserver, resource_tracker

    resource_tracker.ensure_running()  # otherwise the server starts the tracker, which unblocks Ctrl-C
    signals_before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals_before)


def map_tracks(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int = 0, preload: Sequence[str] = ()
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in order.

    To limit the memory, at most ``2 * workers`` items are in progress or wait for the caller at any time. Each worker computes with
    one thread.

    Parameters
    ----------
    function : picklable callable
        Function of one item.
    items : iterable of picklable values
        Arguments of `function`.
    workers : int >= 0
        Number of processes: 0 means one process per core; 1 means this process, without a pool.
    preload : sequence of str
        Names of modules that are imported once for all workers, if the platform has a fork server.

    Yields
    ------
    object
        Result of `function` for the next item.

    Raises
    ------
    GenreError
        The system killed a worker, or a worker did not have enough memory.

    Warns
    -----
    UserWarning
        The system has no room for the locks of worker processes, so this process does all the work.
    """
    workers = workers or cores()
    if workers == 1:
        one_thread()
        yield from map(partial(_call, function), items)
        return
    # A fork would copy the locks of running threads (torch, HDF5). A fork server has no such locks, and is fast after one import.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(list(preload))
        _start_server()
    try:
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare_worker)
    except (OSError, NotImplementedError) as error:  # NotImplementedError: a system without semaphores
        reason = getattr(error, "strerror", None) or error
        warnings.warn(
            f"{_LOCKS} cannot hold the locks of worker processes ({reason}): one process does all the work; make room there, or mount it",
            stacklevel=2,
        )
        one_thread()
        yield from map(partial(_call, function), items)
        return
    with pool:
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(_call, function, item))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool:
            raise GenreError(
                f"one of {workers} workers was killed, probably because the memory was full; set `workers` lower in params.yaml"
            ) from None
        finally:
            for future in pending:
                future.cancel()


def in_threads(function: Callable[[Item], Result], items: Iterable[Item], *, ordered: bool = False) -> Iterator[tuple[Item, Result]]:
    """Yield each item with ``function(item)``, computed by one thread per core.

    Threads, not processes: decoding, FFT and convolution release the GIL, and all threads share one model. At most ``2 * cores()``
    items are in progress or wait for the caller at any time.

    Parameters
    ----------
    function : callable
        Function of one item; it computes with one thread of torch.
    items : iterable
        Arguments of `function`.
    ordered : bool
        Yield in the order of the items; otherwise as each is done.

    Yields
    ------
    item, result
    """

    def call(item: Item) -> Result:
        one_thread()
        return function(item)

    item_of: dict[Future[Result], Item] = {}  # in the order of the items

    def done() -> list[Future[Result]]:
        return [next(iter(item_of))] if ordered else list(wait(item_of, return_when=FIRST_COMPLETED).done)

    pool = ThreadPoolExecutor(cores())
    try:
        for item in items:
            item_of[pool.submit(call, item)] = item
            if len(item_of) >= 2 * cores():
                for future in done():
                    yield item_of.pop(future), future.result()
        while item_of:
            for future in done():
                yield item_of.pop(future), future.result()
    finally:  # a caller that stops does not wait for what nobody will read
        pool.shutdown(wait=not item_of, cancel_futures=True)
