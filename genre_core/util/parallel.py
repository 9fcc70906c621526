"""Map of a function over tracks: in this process, in processes of this machine, or on a Dask cluster.

All ways give the same results in the same order.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import chain, islice
from typing import TypeVar

from genre_core.errors import GenreError
from genre_core.util.in_order import in_order
from genre_core.util.memory import is_out_of_memory
from genre_core.util.processes import start_pool
from genre_core.util.threads import cores, one_thread

_LOCKS = "/dev/shm"  # noqa: S108 (the C library's folder for semaphores)
Item = TypeVar("Item")
Result = TypeVar("Result")
Workers = int | str  # number of processes of this machine, 0 for one per core; or the address of a Dask scheduler


def _call(function: Callable[[Item], Result], item: Item) -> Result:
    """Call `function`, and convert an out-of-memory error to a GenreError."""
    try:
        return function(item)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        failure = str(error)
    raise GenreError(
        f"a worker needs more memory than there is ({' '.join(failure.split())[:100]}); set `parallel.workers` lower in params.yaml, "
        "or use shorter tracks"
    )


def map_tracks(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: Workers = 0, preload: Sequence[str] = ()
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in order.

    To limit the memory, at most two items for each worker are in progress or wait for the caller at any time. Each worker computes
    with one thread. A single item is computed in this process.

    Parameters
    ----------
    function : picklable callable
        Function of one item.
    items : iterable of picklable values
        Arguments of `function`.
    workers : int >= 0 or str
        Number of processes: 0 means one process per core; 1 means this process, without a pool. A text is the address of a Dask
        scheduler, whose workers then compute; see `cluster.map_on_cluster`.
    preload : sequence of str
        Names of modules that are imported once for all processes, if the platform has a fork server.

    Yields
    ------
    object
        Result of `function` for the next item.

    Raises
    ------
    GenreError
        The system killed a worker, a worker did not have enough memory, or the cluster cannot be used.

    Warns
    -----
    UserWarning
        The system has no room for the locks of worker processes, so this process does all the work.
    """
    items = iter(items)
    first = list(islice(items, 2))
    items = chain(first, items)
    call = partial(_call, function)
    if isinstance(workers, str) and first:
        from genre_core.util.cluster import map_on_cluster

        yield from map_on_cluster(call, items, workers)
        return
    processes = 1 if isinstance(workers, str) or len(first) < 2 else workers or cores()
    if processes > 1:
        try:
            pool = start_pool(processes, preload)
        except (OSError, NotImplementedError) as error:  # NotImplementedError: a system without semaphores
            reason = getattr(error, "strerror", None) or error
            warnings.warn(
                f"{_LOCKS} cannot hold the locks of worker processes ({reason}): one process does all the work; make room there, "
                "or mount it",
                stacklevel=2,
            )
            processes = 1
    if processes == 1:
        one_thread()
        yield from map(call, items)
        return
    with pool:
        try:
            yield from in_order(partial(pool.submit, call), items, lambda: 2 * processes)
        except BrokenProcessPool:
            raise GenreError(
                f"one of {processes} workers was killed, probably because the memory was full; set `parallel.workers` lower in params.yaml"
            ) from None
        finally:  # a caller that stops does not wait for what nobody will read
            pool.shutdown(wait=False, cancel_futures=True)


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
