"""Mirror of objects in a bucket: only what is new or has changed is copied, in threads.

What was copied is in ``objects.jsonl``, one line per file. A killed mirror is continued: complete files stay, and a part of a file is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tqdm import tqdm

from genre_core.errors import GenreError
from genre_core.util.files import atomic
from genre_core.util.jsonl import LineWriter, read_lines
from genre_core.util.remote_errors import reason_and_remedy
from genre_core.util.urls import shown

_BLOCK_BYTES = 8 << 20  # each thread holds one block
_THREADS = 8
_ROUNDS = 3
_MAX_FAILURES = 10


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """File in a bucket.

    Attributes
    ----------
    path : str
        Path in fsspec's notation, ``bucket/folder/file``.
    size : int
        Size in bytes.
    version : str
        ETag, or the time of the last change; empty if the server states neither.
    """

    path: str
    size: int
    version: str


def mirror(files: Any, listed: Callable[[], dict[str, RemoteObject]], folder: Path, url: str) -> tuple[int, int]:
    """Bring ``<folder>/files`` to the state of a listing.

    Parameters
    ----------
    files : fsspec file system
        Must have ``cat_file(path, start, end)``.
    listed : callable
        Function that lists the objects anew, by their paths below ``<folder>/files``. It is called again after a copy, until nothing has
        changed meanwhile, at most three times.
    folder : Path
        Folder of ``files/`` and of the journal.
    url : str
        Address for the messages.

    Returns
    -------
    files, new : int
        Numbers of all files and of those that were copied now.

    Raises
    ------
    GenreError
        The disk has too little space, or some objects cannot be copied; the others are kept.
    """
    (folder / "files").mkdir(parents=True, exist_ok=True)
    journal = folder / "objects.jsonl"
    known = read_journal(journal)
    copied: dict[str, RemoteObject] = {}
    for _ in range(_ROUNDS):
        objects = listed()
        _remove_others(folder / "files", objects)
        missing = {
            path: object_
            for path, object_ in objects.items()
            if copied.get(path) != object_ and not is_current(folder / "files" / path, object_, known.get(path))
        }
        if not missing:
            break
        copied |= missing
        with LineWriter(journal) as writer:
            _copy_all(files, missing, folder, url, writer, known)
    with atomic(journal) as part, part.open("w", encoding="utf-8") as file:  # one line per file
        for path in sorted(objects.keys() & known.keys()):
            file.write(json.dumps({"path": path, **known[path]}, ensure_ascii=False) + "\n")
    shutil.rmtree(folder / "parts", ignore_errors=True)
    return len(objects), len(copied.keys() & objects.keys())


def read_journal(path: Path) -> dict[str, dict[str, Any]]:
    """Read size, version and local time of each copied file; a damaged journal is empty, and all is copied again."""
    if not path.exists():
        return {}
    try:
        return {
            record["path"]: {key: record[key] for key in ("size", "version", "mtime_ns")} for _number, _position, record in read_lines(path)
        }
    except (GenreError, KeyError, TypeError):
        path.unlink()
        return {}


def is_current(path: Path, object_: RemoteObject, record: Mapping[str, Any] | None) -> bool:
    """Tell whether a local file is the copy of this version of the object, unchanged."""
    if record is None or not object_.version or (record["size"], record["version"]) != (object_.size, object_.version):
        return False
    try:
        status = path.lstat()
    except OSError:
        return False
    return status.st_size == object_.size and status.st_mtime_ns == record["mtime_ns"]


def _remove_others(root: Path, names: Iterable[str]) -> None:
    """Remove files that are not in `names`, and empty folders."""
    kept = set(names)
    for folder, _, files in os.walk(root, topdown=False):
        for name in files:
            path = Path(folder, name)
            if path.relative_to(root).as_posix() not in kept:
                path.unlink()
        if Path(folder) != root:
            with contextlib.suppress(OSError):
                Path(folder).rmdir()  # fails unless it is empty


def _copy_all(
    files: Any, objects: Mapping[str, RemoteObject], folder: Path, url: str, writer: LineWriter, known: dict[str, dict[str, Any]]
) -> None:
    """Copy objects in threads, and note each complete one in the journal and in `known`.

    Raises
    ------
    GenreError
        The disk has too little space, or some objects cannot be copied.
    """
    total = sum(object_.size for object_ in objects.values())
    if total > (free := shutil.disk_usage(folder).free):
        raise GenreError(
            f"{shown(url)}: {total:,} bytes are to be copied to {folder}, which has {free:,} free; make room, or name a smaller folder"
        )
    (folder / "parts").mkdir(exist_ok=True)
    waiting = iter(sorted(objects.items()))
    lock, stop = threading.Lock(), threading.Event()
    failures: list[tuple[str, Exception]] = []

    def work(bar: tqdm[Any]) -> None:
        while not stop.is_set():
            with lock:
                item = next(waiting, None)
            if item is None:
                return
            path, object_ = item
            try:
                mtime_ns = _copy_one(files, object_, folder / "parts", folder / "files" / path, stop, bar)
                if mtime_ns is None:
                    return
                record = {"size": object_.size, "version": object_.version, "mtime_ns": mtime_ns}
                with lock:
                    writer.add({"path": path, **record})
                    known[path] = record
            except _RemoteError as error:
                failures.append((path, error.reason))
                if len(failures) >= _MAX_FAILURES:
                    stop.set()

    with (
        tqdm(total=total, desc="copy", unit="B", unit_scale=True, disable=None) as bar,
        ThreadPoolExecutor(_THREADS) as threads,
    ):
        try:
            for done in wait([threads.submit(work, bar) for _ in range(_THREADS)], return_when=FIRST_EXCEPTION).done:
                done.result()  # raises an error of the local disk
        finally:
            stop.set()  # at Ctrl-C too: each thread ends after its block
    if failures:
        path, error = failures[0]
        reason, remedy = reason_and_remedy(error, urlsplit(url).scheme)
        raise GenreError(
            f"{shown(url)}: {len(failures)} of {len(objects)} files could not be copied, first {path!r}: {reason}; "
            f"{remedy}, then run again (what is complete is kept)"
        )


class _RemoteError(Exception):
    """Error of a storage library while it reads one object."""

    def __init__(self, reason: Exception) -> None:
        self.reason = reason


def _copy_one(files: Any, object_: RemoteObject, parts: Path, target: Path, stop: threading.Event, bar: tqdm[Any]) -> int | None:
    """Copy an object block by block, and rename the complete file.

    Returns
    -------
    int or None
        The file's time of change in nanoseconds; None if `stop` was set before the end.
    """
    # The name contains the version, so that a part is never continued with another version.
    part = parts / hashlib.sha256(f"{object_.path}\0{object_.version}\0{object_.size}".encode()).hexdigest()
    with part.open("ab" if object_.version else "wb") as file:
        if file.tell() > object_.size:
            file.truncate(0)
        position = file.seek(0, os.SEEK_END)
        bar.update(position)
        while position < object_.size:
            if stop.is_set():
                return None
            try:
                block = files.cat_file(object_.path, start=position, end=min(position + _BLOCK_BYTES, object_.size))
            except Exception as error:
                raise _RemoteError(error) from None
            if len(block) != min(_BLOCK_BYTES, object_.size - position):
                raise _RemoteError(ValueError("it changed while it was copied"))
            file.write(block)
            position += len(block)
            bar.update(len(block))
    target.parent.mkdir(parents=True, exist_ok=True)
    part.replace(target)
    return target.stat().st_mtime_ns
