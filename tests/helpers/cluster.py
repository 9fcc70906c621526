"""A Dask cluster of real processes on this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from helpers.closure import ROOT
from helpers.project import environment

_SECONDS = 60


def slow_square(number: int) -> tuple[int, int]:
    """The square of a number, and the process that computed it."""
    time.sleep(0.05)
    return number * number, os.getpid()


def ends_its_process(number: int) -> int:
    """Nothing: the process that works on 3 is killed."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def folder_of(number: int) -> str:
    """The folder in which the work is done."""
    time.sleep(0.02)
    return str(Path.cwd())


@contextlib.contextmanager
def scheduler(folder: Path, code: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler on a free port; its address is in ``scheduler.json`` of `folder`."""
    file = folder / "scheduler.json"
    command = [
        "-m",
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--scheduler-file",
        str(file),
    ]
    with _program(command, folder, code, "scheduler") as process:
        deadline = time.monotonic() + _SECONDS
        while not file.is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield str(file), process


@contextlib.contextmanager
def worker(file: str, folder: Path, code: Path, *, nanny: bool = False, threads: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of the scheduler of a scheduler file, started in a folder of its own."""
    command = ["-m", "distributed.cli.dask_worker", "--scheduler-file", file, "--nthreads", str(threads), "--no-dashboard"]
    command += ["--nanny" if nanny else "--no-nanny", "--local-directory", str(folder), "--host", "127.0.0.1"]
    with _program(command, folder, code, f"worker-{time.monotonic_ns()}") as process:
        yield process


@contextlib.contextmanager
def _program(command: list[str], folder: Path, code: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.log").open("wb") as log:
        variables = environment(code, PYTHONPATH=f"{code}{os.pathsep}{ROOT / 'tests'}")
        process = subprocess.Popen([sys.executable, *command], cwd=folder, env=variables, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, 9)
                process.wait()
