"""Pool of worker processes on this machine, which end with their parent."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.util
import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import psutil

from genre_core.util.threads import one_thread

_STOP_SECONDS = 0.2  # a process in a system call may stop later


def start_pool(workers: int, preload: Sequence[str]) -> ProcessPoolExecutor:
    """Start a pool of worker processes, each with one thread of torch.

    Parameters
    ----------
    workers : int > 0
        Number of processes.
    preload : sequence of str
        Names of modules that are imported once for all workers, if the platform has a fork server.

    Raises
    ------
    OSError, NotImplementedError
        The system has no room for the locks of the pool, or no semaphores.
    """
    # A fork would copy the locks of running threads (torch, HDF5). A fork server has no such locks, and is fast after one import.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(list(preload))
        _start_server()
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare_worker)


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
