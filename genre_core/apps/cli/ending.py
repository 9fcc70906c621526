"""End of the ``genre`` process: Ctrl-C, and a reader of its output that has ended.

Python handles a signal only between two instructions of the main thread, and a decoder or a network can compute for minutes in one
instruction. A pool waits for its work when it closes. Threads therefore watch for both events, and end the process.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import NoReturn

INTERRUPTED = 128 + 2  # SIGINT
READER_ENDED = 128 + 13  # SIGPIPE
_GRACE_SECONDS = 1.0  # time in which the main thread can close its files


class _State:
    armed = False  # this process is the `genre` command, not a program or a test that imports it
    running = False  # `main` has begun and handles a KeyboardInterrupt
    own_line = False  # the command itself prints its last line
    interrupted = threading.Lock()  # locked by the first Ctrl-C
    said = threading.Event()


def is_command() -> bool:
    """Tell whether this process is the ``genre`` command itself, not one of its workers."""
    module = any(option == "-m" and name == "genre_core.apps.cli.main" for option, name in pairwise(sys.orig_argv))
    return (module or Path(sys.argv[0]).stem == "genre") and not _is_worker()


def _is_worker() -> bool:
    if "multiprocessing" not in sys.modules:
        return False
    processes = sys.modules["multiprocessing"]
    # While a worker imports the main module, only its private mark tells.
    return processes.parent_process() is not None or getattr(processes.current_process(), "_inheriting", False)


def end_on_ctrl_c() -> None:
    """End this process soon after Ctrl-C, with one line and exit code 130."""
    _State.armed = True
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # Ctrl-C is disabled for a job in the background
        return
    signal.signal(signal.SIGINT, _stop_main_thread)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)  # written at once, whatever the main thread does
    threading.Thread(target=_wait_for_ctrl_c, args=(reader,), daemon=True).start()


def _stop_main_thread(number: int, frame: FrameType | None) -> None:
    _say_once()
    if not _State.running or _is_importing(frame):
        end(INTERRUPTED)
    raise KeyboardInterrupt  # the command closes its files


def _is_importing(frame: FrameType | None) -> bool:
    """Tell whether an import runs: C++ code that starts up, such as torch's, aborts the process at an exception."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _wait_for_ctrl_c(reader: int) -> None:
    while os.read(reader, 1) != bytes([signal.SIGINT]):
        pass
    _say_once()
    time.sleep(_GRACE_SECONDS)
    end(INTERRUPTED)


def _say_once() -> None:
    """Print the last line, unless another thread does; then discard what the interrupted imports and threads print."""
    if _State.interrupted.acquire(blocking=False):
        if not _State.own_line:
            with contextlib.suppress(OSError):
                os.write(2, b"\ninterrupted\n" if os.isatty(2) else b"interrupted\n")
            _silence(2)
        _State.said.set()


def leave_last_line_to_command() -> None:
    """Let the command itself print its last line after Ctrl-C."""
    _State.own_line = True


def leave_ctrl_c_to_command() -> None:
    """Let the command handle Ctrl-C from now on."""
    if signal.getsignal(signal.SIGINT) is _stop_main_thread:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end_with_reader() -> None:
    """End this process when the reader of its standard output ends, as in ``genre predict album | head -1``."""
    if not _State.armed or not hasattr(select, "poll"):  # Windows
        return
    with contextlib.suppress(OSError):
        mode = os.fstat(1).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            threading.Thread(target=_wait_for_reader, daemon=True).start()


def _wait_for_reader() -> None:
    poll = select.poll()
    poll.register(1, 0)  # only errors: the other end is closed
    poll.poll()
    end(READER_ENDED)


def main_begins() -> None:
    """Let Ctrl-C raise a KeyboardInterrupt in `main` from now on, so that the command closes its files."""
    _State.running = True


def end_if_interrupted() -> None:
    """End this process if Ctrl-C was pressed, whatever it has raised."""
    _State.running = False
    if _State.armed and _State.interrupted.locked():
        _State.said.wait(_GRACE_SECONDS)
        end(INTERRUPTED)


def end_after_closed_pipe() -> int:
    """End this process after a write to a closed pipe; return the exit code in a process of another program."""
    if _State.armed:
        end(READER_ENDED)
    return READER_ENDED


def end(code: int) -> NoReturn:
    """End this process and its workers at once, without temporary files and without waiting for threads."""
    _silence(1)
    _silence(2)
    last_resort = threading.Timer(_GRACE_SECONDS / 2, os._exit, [code])  # the interrupted thread can hold a lock
    last_resort.daemon = True
    last_resort.start()
    if "genre_core.util.processes" in sys.modules:
        sys.modules["genre_core.util.processes"].kill_children()
    if "genre_core.util.files" in sys.modules:
        sys.modules["genre_core.util.files"].remove_own_temporary_files()
    os._exit(code)


def _silence(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, descriptor)
        os.close(null)
