"""Runner of a stage: signals, a lock, and a one-line summary or error."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise, takewhile
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import psutil
from filelock import FileLock, Timeout

from genre_core.errors import GenreError, one_line
from genre_core.project import DOWNLOADS
from genre_core.terminal import say, show_any_text
from genre_core.util.environment import NUMBA_REMEDY, lacks_numba_cache
from genre_core.util.files import remove_own_temporary_files
from genre_core.util.memory import is_out_of_memory
from genre_core.util.processes import kill_children

_LOCK_SECONDS = 30.0
_ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # set by torchrun for each of its processes: there it looks for the error
_SIGNALS = ("SIGINT", "SIGHUP", "SIGTERM")
# Programs that become the parent of a process after its own parent has ended.
_REAPERS = {"systemd", "init", "tini", "dumb-init", "docker-init"}
DATA_SET_KEYS = ("data_set", "protocol", "folds", "fold", "scored_on", "leaky", "crossing_tracks", "crossing_artists")


def _exit_interrupted(number: int, frame: FrameType | None) -> None:
    """Kill the child processes and exit with a one-line message."""
    threading.excepthook = lambda _: None  # the threads of a pool fail now, and their tracebacks would not help
    kill_children()
    with contextlib.suppress(OSError):  # the terminal may be closed
        if _ERROR_FILE not in os.environ:  # otherwise, the launcher of several processes says it once
            print("interrupted; no incomplete output is left, run `dvc repro` to continue", file=sys.stderr)
    raise SystemExit(128 + number)


def hear_signals() -> None:
    """Exit with a one-line message on SIGINT (Ctrl-C), SIGTERM and SIGHUP.

    Worker processes ignore SIGINT and SIGHUP, because the terminal sends them to all processes and the parent ends its workers.
    """
    worker = multiprocessing.parent_process() is not None
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        # The system lacks this signal, or nohup has disabled SIGHUP.
        if number is None or (signal.getsignal(number) is signal.SIG_IGN and name == "SIGHUP"):
            continue
        if worker and name == "SIGTERM":
            continue
        signal.signal(number, signal.SIG_IGN if worker else _exit_interrupted)


def _is_shell(process: psutil.Process) -> bool:
    """Tell whether a process is a shell that runs a command (``sh -c``)."""
    command = process.cmdline()
    return bool({"-c", "/c"} & {part.lower() for part in command}) and "python" not in Path(command[0]).name.lower()


def end_with_dvc() -> None:
    """End this stage when the DVC process that started it has ended.

    Another DVC run would delete the output of an orphaned stage. Without the variable ``DVC_STAGE`` nothing happens.
    """
    if "DVC_STAGE" not in os.environ:
        return
    with contextlib.suppress(psutil.Error):
        ancestors = psutil.Process().parents()
        dvc_positions = (
            i for i, process in enumerate(ancestors) if any("dvc" in Path(part).name for part in process.cmdline() if " " not in part)
        )
        # A program that runs DVC can have any name: the starter is then the first ancestor that is not a shell.
        starter = next(dvc_positions, sum(1 for _ in takewhile(_is_shell, ancestors)))
        if starter >= len(ancestors) or ancestors[starter].pid == 1 or ancestors[starter].name() in _REAPERS:
            sys.exit("error: DVC, which started this stage, has ended; nothing was written, run `dvc repro`")
        threading.Thread(target=_watch, args=(ancestors[: starter + 1],), daemon=True).start()


def _watch(ancestors: list[psutil.Process]) -> None:
    """Terminate this process when its chain of ancestors changes."""

    def changed() -> bool:
        try:
            return (
                os.getppid() != ancestors[0].pid or any(a.ppid() != b.pid for a, b in pairwise(ancestors)) or not ancestors[-1].is_running()
            )
        except psutil.Error:
            return True

    while not changed():
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)
    os._exit(128 + signal.SIGTERM)  # the main thread does not handle the signal


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Hold the lock of a stage.

    Without it, a second process of the same stage would remove the output of the first one.

    Raises
    ------
    GenreError
        Another process holds the lock for more than `_LOCK_SECONDS`, so it is not a killed run that is about to end.
    """
    (DOWNLOADS / "locks").mkdir(parents=True, exist_ok=True)
    lock = FileLock(DOWNLOADS / "locks" / f"{name}.lock")
    try:
        lock.acquire(timeout=_LOCK_SECONDS)
    except Timeout:
        raise GenreError(f"another process runs `python -m stages.{name}` here; wait until it ends, or end it") from None
    except NotImplementedError:  # a file system without locks
        yield
        return
    try:
        yield
    finally:
        lock.release()


def described(data_set: Mapping[str, Any]) -> str:
    """Describe the data set and protocol of a model or score in one line.

    Parameters
    ----------
    data_set : mapping
        Has the keys ``data_set``, ``protocol`` and ``leaky``.
    """
    return f"{data_set['data_set']}, protocol {data_set['protocol']}{' (LEAKY)' if data_set['leaky'] else ''}"


def _fail(text: str) -> NoReturn:
    """Print an error, or hand it to the launcher of several processes, which prints it once."""
    if path := os.environ.get(_ERROR_FILE):
        with contextlib.suppress(OSError):
            Path(path).write_text(json.dumps({"message": text, "timestamp": int(time.time())}), encoding="utf-8")
    sys.exit(1 if "GENRE_LAUNCHED" in os.environ and path else f"error: {text}")


def run(main: Callable[[], str]) -> None:
    """Run a stage as `_run` does; a process that `torchrun` has started ends at once afterwards.

    The usual end of Python destroys gloo's process group, and can wait forever: it holds the GIL, for which gloo's thread waits that
    drops its last tensor, while it waits for the end of that thread (seen with torch 2.13).
    """
    if _ERROR_FILE not in os.environ:
        _run(main)
        return
    code: int | str | None = 1
    try:
        _run(main)
        code = 0
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        remove_own_temporary_files()
        with contextlib.suppress(OSError, ValueError):  # closed by the reader
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _run(main: Callable[[], str]) -> None:
    """Run a stage and print its one-line summary and time, or its error.

    Parameters
    ----------
    main : callable
        Function of the stage module; it returns the summary, or an empty text if another process prints it.

    Raises
    ------
    SystemExit
        The stage failed with a `GenreError`, an `OSError` or too little memory.
    """
    started = time.monotonic()
    show_any_text()
    warnings.showwarning = lambda message, *rest, **more: say(f"warning: {message}", sys.stderr)
    name = Path(main.__code__.co_filename).stem
    # Of several processes, the launcher or the first one has the lock.
    locked = os.environ.get("GENRE_LAUNCHED") == f"stages.{name}" or os.environ.get("RANK", "0") != "0"
    try:
        with contextlib.nullcontext() if locked else _alone(name):
            summary = main()
    except GenreError as error:
        _fail(str(error))
    except (MemoryError, RuntimeError) as error:
        if lacks_numba_cache(error):
            _fail(NUMBA_REMEDY)
        if not is_out_of_memory(error):
            raise
        _fail("this needs more memory than there is; set `parallel.workers` lower in params.yaml, or use fewer or shorter tracks")
    except OSError as error:  # for example a full disk or a read-only folder; incomplete output is already removed
        _fail(f"{one_line(str(error))}; no incomplete output is left, fix this and run `dvc repro` again")
    if summary:
        say(f"{summary} ({time.monotonic() - started:.1f} s)")
    for name in _SIGNALS:  # what is left is the end of libraries: a SystemExit there would be a traceback
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is _exit_interrupted:
            signal.signal(getattr(signal, name), signal.SIG_DFL)
