"""Map of a function over tracks on a Dask cluster (M. Rocklin, "Dask", SciPy 2015).

Workers see the same files at the same paths (a shared file system), and have the same version of this program. A worker that dies costs
a retry of its tracks: Dask gives them to another worker, at most three times.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from genre_core.errors import GenreError
from genre_core.util.environment import prepare_libraries
from genre_core.util.files import digest
from genre_core.util.in_order import in_order
from genre_core.util.threads import one_thread

if TYPE_CHECKING:
    from distributed import Client

Item = TypeVar("Item")
Result = TypeVar("Result")
_CONNECT_SECONDS = 15
_WAIT_SECONDS = 10  # without a worker for so long, the user is told


def map_on_cluster(function: Callable[[Item], Result], items: Iterable[Item], address: str) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in order, computed by the workers of a Dask cluster.

    At most two items for each thread of the cluster are in progress or wait for the caller at any time, so the memory is bounded. The
    number follows the cluster as it grows.

    Parameters
    ----------
    function : picklable callable
        Function of one item. Relative paths in it are those of this process: a worker changes to the same folder.
    items : iterable of picklable values
        Arguments of `function`.
    address : str
        Address of the scheduler, for example ``tcp://10.0.0.1:8786``; its scheduler file, which ends with ``.json``; or an empty text
        for Dask's own setting (``DASK_SCHEDULER_ADDRESS``).

    Yields
    ------
    object
        Result of `function` for the next item.

    Raises
    ------
    GenreError
        The package distributed is missing, there is no scheduler, it ended, a worker has another version of this program or not this
        folder, or four workers died of one item.

    Warns
    -----
    UserWarning
        The cluster has no worker yet; the work waits for one.
    """
    try:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError
        from distributed.comm import CommClosedError
    except ModuleNotFoundError:
        raise GenreError('parallel.backend: dask needs the package distributed: pip install "genre-pipeline[cluster]"') from None
    client = _connect(address)
    place = client.scheduler.address
    work = functools.partial(_work, function, str(Path.cwd()), program_digest())
    try:
        _wait_for_worker(client, place)
        submit = functools.partial(client.submit, work, pure=False)
        yield from in_order(submit, items, lambda: 2 * max(1, sum(client.nthreads().values())))
    except KilledWorker as error:
        raise GenreError(
            f"{error.allowed_failures + 1} workers of {place} died at one track, probably because the memory was full (the last one: "
            f"{error.last_worker.address}); give the workers more memory, or fewer of them to a machine"
        ) from None
    except (CommClosedError, FutureCancelledError):
        raise GenreError(f"the Dask scheduler at {place} has ended; start it again, then run `dvc repro`") from None
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=2)


def _connect(address: str) -> Client:
    from distributed import Client

    target: dict[str, Any] = {"scheduler_file": address} if address.endswith(".json") else {"address": address or None}
    if not address:
        import dask

        if not dask.config.get("scheduler-address", None):
            raise GenreError(
                "parallel.backend: dask needs parallel.address, the address of a scheduler such as tcp://10.0.0.1:8786 "
                "(`dask scheduler` prints it)"
            )
    elif address.endswith(".json") and not Path(address).is_file():
        raise GenreError(f"parallel.address: {address}: no such scheduler file; `dask scheduler --scheduler-file {address}` writes it")
    try:
        return Client(**target, timeout=_CONNECT_SECONDS, set_as_default=False, name="genre-pipeline")
    except (OSError, ValueError, TypeError) as error:
        raise GenreError(
            f"parallel.address: {address or 'of Dask'}: no Dask scheduler answers ({error}); start one with `dask scheduler`, or set "
            "parallel.backend: local"
        ) from None


def _wait_for_worker(client: Client, place: str) -> None:
    """Wait until the cluster has a worker; a queue such as SLURM's can take hours."""
    try:
        client.wait_for_workers(1, timeout=_WAIT_SECONDS)
    except TimeoutError:
        warnings.warn(f"the Dask cluster at {place} has no worker yet: waiting for one (`dask worker {place}` starts one)", stacklevel=4)
        client.wait_for_workers(1)


@functools.cache
def program_digest() -> str:
    """Compute the digest of this program's modules and weights, as this process has imported them."""
    root = Path(__file__).parents[1]
    return digest(*sorted(path for path in root.rglob("*") if path.suffix in (".py", ".safetensors")))


def _work(function: Callable[[Item], Result], folder: str, program: str, item: Item) -> Result:
    """Call `function` on a worker, in the folder of the project and with one thread of torch."""
    if program_digest() != program:
        raise GenreError(
            f"the Dask worker on {platform.node()} runs another version of genre_core, in {Path(__file__).parents[1]}: install "
            "the same version there, and start the worker again"
        )
    prepare_libraries()
    one_thread()
    with _in_folder(folder):
        return function(item)


_FOLDER_CHANGE = threading.Condition()
_tracks_in_work = 0  # of the current folder


@contextlib.contextmanager
def _in_folder(folder: str) -> Iterator[None]:
    """Work in `folder`. Threads of one folder work at once; those of another folder wait, because a process has only one."""
    global _tracks_in_work  # noqa: PLW0603 (the folder belongs to the process, too)
    with _FOLDER_CHANGE:
        _FOLDER_CHANGE.wait_for(lambda: not _tracks_in_work or str(Path.cwd()) == folder)
        try:
            os.chdir(folder)
        except OSError as error:
            raise GenreError(
                f"the Dask worker on {platform.node()} cannot use the project's folder {folder} ({error.strerror}): it must have the "
                "same path on all machines"
            ) from None
        _tracks_in_work += 1
    try:
        yield
    finally:
        with _FOLDER_CHANGE:
            _tracks_in_work -= 1
            _FOLDER_CHANGE.notify_all()
