"""Run a stage: signals, a lock, and one line of summary or error."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise, takewhile
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from filelock import FileLock, Timeout

from genre_core.errors import GenreError, one_line
from genre_core.project import DOWNLOADS
from genre_core.terminal import say
from genre_core.util.memory import is_out_of_memory

_LOCK_SECONDS = 30.0
_REAPERS = {"systemd", "init", "tini", "dumb-init", "docker-init"}  # what becomes the parent of a process whose own has ended
DATA_SET_KEYS = ("data_set", "protocol", "folds", "fold", "scored_on", "leaky", "crossing_tracks", "crossing_artists")


def _interrupted(number: int, frame: FrameType | None) -> None:
    threading.excepthook = lambda _: None  # what this end does to a pool's threads is no news
    for child in psutil.Process().children(recursive=True):  # one that still starts would miss what this end takes away, and say so
        with contextlib.suppress(psutil.Error):
            if "multiprocessing.resource_tracker" not in " ".join(child.cmdline()):  # it puts away what the others leave
                child.kill()
    with contextlib.suppress(OSError):  # a terminal that was closed
        print("interrupted; nothing half-written is left, run `dvc repro` to go on", file=sys.stderr)
    raise SystemExit(128 + number)


def hear_signals() -> None:
    """End in one line at Ctrl-C, SIGTERM and SIGHUP. Workers leave the first and the last, which reach all, to their parent."""
    worker = multiprocessing.parent_process() is not None
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):
        number = getattr(signal, name, None)
        if number is None or (signal.getsignal(number) is signal.SIG_IGN and name == "SIGHUP"):  # another system; nohup
            continue
        if worker and name == "SIGTERM":
            continue
        signal.signal(number, signal.SIG_IGN if worker else _interrupted)


def _is_shell(process: psutil.Process) -> bool:
    command = process.cmdline()
    return bool({"-c", "/c"} & {part.lower() for part in command}) and "python" not in Path(command[0]).name.lower()


def end_with_dvc() -> None:
    """End this stage when DVC, which started it, is no more: another run would delete what this one writes."""
    if "DVC_STAGE" not in os.environ:
        return
    with contextlib.suppress(psutil.Error):
        above = psutil.Process().parents()
        named = (i for i, process in enumerate(above) if any("dvc" in Path(part).name for part in process.cmdline() if " " not in part))
        starter = next(named, sum(1 for _ in takewhile(_is_shell, above)))  # a program that runs DVC has any name
        if starter >= len(above) or above[starter].pid == 1 or above[starter].name() in _REAPERS:
            sys.exit("error: DVC, which started this stage, has ended; nothing was written, run `dvc repro`")
        threading.Thread(target=_watch, args=(above[: starter + 1],), daemon=True).start()


def _watch(above: list[psutil.Process]) -> None:
    def changed() -> bool:
        try:
            return os.getppid() != above[0].pid or any(a.ppid() != b.pid for a, b in pairwise(above)) or not above[-1].is_running()
        except psutil.Error:
            return True

    while not changed():
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)
    os._exit(128 + signal.SIGTERM)  # its main thread hears no signal


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Hold this stage's lock: what a stage writes, no second process of the same stage removes.

    Raises
    ------
    GenreError
        Another process holds it for longer than a killed run takes to end.
    """
    (DOWNLOADS / "locks").mkdir(parents=True, exist_ok=True)
    lock = FileLock(DOWNLOADS / "locks" / f"{name}.lock")
    try:
        lock.acquire(timeout=_LOCK_SECONDS)
    except Timeout:
        raise GenreError(f"another process runs `python -m stages.{name}` here; wait for its end, or end it") from None
    except NotImplementedError:  # a file system without locks
        yield
        return
    try:
        yield
    finally:
        lock.release()


def described(data_set: Mapping[str, Any]) -> str:
    """Describe the data set and protocol of a model or a score in a line."""
    return f"{data_set['data_set']}, protocol {data_set['protocol']}{' (LEAKY)' if data_set['leaky'] else ''}"


def run(main: Callable[[], str]) -> None:
    """Run a stage: print its one-line summary and its time, or one clear error."""
    began = time.monotonic()
    warnings.showwarning = lambda message, *rest, **more: say(f"warning: {message}", sys.stderr)
    try:
        with _alone(Path(main.__code__.co_filename).stem):
            summary = main()
    except GenreError as error:
        sys.exit(f"error: {error}")
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        sys.exit("error: this needs more memory than there is; set `workers` lower in params.yaml, or use fewer or shorter tracks")
    except OSError as error:  # a full disk, a folder that may not be written: what was begun is removed
        sys.exit(f"error: {one_line(str(error))}; nothing half-written is left, run `dvc repro` again when this is mended")
    say(f"{summary} ({time.monotonic() - began:.1f} s)")
