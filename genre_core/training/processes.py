"""Training by several processes: who they are, how they start, and how they end together.

`torchrun --nproc-per-node 2 -m stages.train` starts them, or `train.processes`, for which `launch` runs the same elastic launcher.
Processes exchange data by NCCL on GPUs and by gloo on CPUs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from genre_core.errors import GenreError

LAUNCHED = "GENRE_LAUNCHED"  # set for the processes that `launch` starts: it holds the lock of the stage and prints their error
_TIMEOUT = timedelta(minutes=30)  # for a process that hangs; one that ends is noticed at once
_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Processes:
    """Processes that train together, seen from one of them.

    Attributes
    ----------
    number : int
        Number of this process; number 0 writes files and prints.
    count : int
        Count of all processes.
    on_this_machine : int
        Count of the processes that share this machine.
    """

    number: int = 0
    count: int = 1
    on_this_machine: int = 1

    @property
    def first(self) -> bool:
        """True for the process that writes files and prints."""
        return self.number == 0

    def sum(self, values: torch.Tensor, device: torch.device) -> torch.Tensor:
        """Add `values` of all processes; return the sum on the CPU."""
        if self.count == 1:
            return values
        total = values.to(device).clone()
        distributed.all_reduce(total)
        return total.cpu()

    def check_equal(self, value: int, device: torch.device, problem: str) -> None:
        """Check that all processes have the same `value`.

        Raises
        ------
        GenreError
            They differ; `problem` is the message.
        """
        if self.sum(torch.tensor(value), device) != self.count * value:
            raise GenreError(problem)


def torchrun_started() -> bool:
    """Tell whether `torchrun` has started this process, even if it is the only one."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def started() -> Processes:
    """Return the processes that `torchrun` has started, or this one alone."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Processes()
    return Processes(int(os.environ["RANK"]), count, int(os.environ["LOCAL_WORLD_SIZE"]))


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Connect the processes that `torchrun` has started.

    With gloo, they stay connected after the block, and have to end by ``os._exit``.

    Parameters
    ----------
    device : torch.device
        Type of device that each process trains on.

    Yields
    ------
    Processes

    Raises
    ------
    GenreError
        This machine has fewer GPUs than processes, or the device does not allow several.
    """
    processes = started()
    if processes.count == 1:
        yield processes
        return
    local = int(os.environ["LOCAL_RANK"])
    if device.type == "mps":
        raise GenreError("train.device: mps trains with one process only; set train.processes to 1, or train.device to cpu")
    if device.type == "cuda":
        if processes.on_this_machine > torch.cuda.device_count():
            raise GenreError(
                f"train.processes: {processes.on_this_machine} processes, but this machine has {torch.cuda.device_count()} GPUs; "
                "each process needs one"
            )
        torch.cuda.set_device(local)
    _end_with_launcher()
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        yield processes
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "gloo" in str(error).lower():
            time.sleep(_PATIENCE_SECONDS)  # the launcher ends this process first, and names the one that failed
            raise GenreError(
                "another process of this training has ended, so this one cannot go on; see the error of the other one"
            ) from None
        raise
    else:
        if device.type == "cuda":  # gloo's end can wait forever: see `stages.run.run`
            distributed.destroy_process_group()


def _end_with_launcher() -> None:
    """End this process when its launcher has ended, even by kill -9: nobody would notice an orphan."""
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def launch(module: str, count: int) -> None:
    """Run ``python -m module`` in `count` processes of this machine, by the elastic launcher of `torchrun`.

    Raises
    ------
    GenreError
        A process failed. The others are ended, and the message is its error, or the signal that killed it.
    SystemExit
        This process got a signal to end; the others are ended.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable(logging.CRITICAL)  # the launcher's report of a failure has 20 lines
    os.environ[LAUNCHED] = module
    with tempfile.TemporaryDirectory() as folder:  # the launcher reads the error of a process from a file
        settings = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=str(os.getpid()),
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            monitor_interval=0.1,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        try:
            elastic_launch(settings, sys.executable)("-m", module)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            if failure.exitcode < 0:
                reason = f"was ended by signal {failure.signal_name()}" + (" (is the memory full?)" if failure.exitcode == -9 else "")
            elif failure.error_file_data.get("message"):
                raise GenreError(failure.message) from None
            else:
                reason = f"ended with exit code {failure.exitcode}"
            raise GenreError(
                f"train.processes: process {rank} of {count} {reason}; the others were ended too. "
                "`dvc repro` continues after the last finished epoch"
            ) from None
        except SignalException as error:
            print("interrupted; no incomplete output is left, run `dvc repro` to continue", file=sys.stderr)  # noqa: T201
            raise SystemExit(128 + error.sigval) from None
