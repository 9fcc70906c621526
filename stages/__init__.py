"""The stages of dvc.yaml: each module holds paths and the order of calls; every decision lives in `genre_core`."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from genre_core.datasets import DESCRIPTION
from genre_core.errors import GenreError, one_line

RAW = Path("data/raw")
MADE = RAW / DESCRIPTION
INDEX = Path("data/index")
ORIGINAL = Path("data/features/original.h5")
EMBEDDINGS = Path("data/features/embeddings.h5")
STORES = {"mel": ORIGINAL, "mfcc": ORIGINAL, "musicnn": EMBEDDINGS}
AUGMENTED = Path("data/features/augmented.h5")
COPIES = Path("data/features/copies.csv")
MODEL = Path("data/model/model.safetensors")
EXTERNAL = Path("data/external")
CHECKPOINTS = Path(".checkpoints")
DOWNLOADS = Path(".cache")  # outside of what DVC deletes before a run
METRICS = Path("metrics")
AUDIT = METRICS / "audit"
DATA_SET_KEYS = ("data_set", "protocol", "folds", "fold", "scored_on", "leaky", "crossing_tracks", "crossing_artists")


def _interrupted(number: int, frame: FrameType | None) -> None:
    threading.excepthook = lambda _: None  # what this end does to a pool's threads is no news
    for child in psutil.Process().children(recursive=True):  # one that still starts would miss what this end takes away, and say so
        with contextlib.suppress(psutil.Error):
            if "multiprocessing.resource_tracker" not in " ".join(child.cmdline()):  # it puts away what the others leave
                child.kill()
    print("interrupted; nothing half-written is left, run `dvc repro` to go on", file=sys.stderr)
    raise SystemExit(128 + number)


# Here, as a stage's imports take seconds: Ctrl-C then gives a line, no traceback. Workers import this too, and say nothing.
signal.signal(signal.SIGINT, signal.SIG_IGN if multiprocessing.parent_process() else _interrupted)


def described(data_set: Mapping[str, Any]) -> str:
    """The data set and protocol of a model or a score, for a summary line."""
    return f"{data_set['data_set']}, protocol {data_set['protocol']}{' (LEAKY)' if data_set['leaky'] else ''}"


def run(main: Callable[[], str]) -> None:
    """Run a stage: print its one-line summary and its time, or one clear error."""
    began = time.monotonic()
    warnings.showwarning = lambda message, *rest, **more: print(f"warning: {one_line(str(message))}", file=sys.stderr)
    try:
        summary = main()
    except GenreError as error:
        sys.exit(f"error: {error}")
    except OSError as error:  # a full disk, a folder that may not be written: what was begun is removed
        sys.exit(f"error: {one_line(str(error))}; nothing half-written is left, run `dvc repro` again when this is mended")
    print(f"{summary} ({time.monotonic() - began:.1f} s)")
