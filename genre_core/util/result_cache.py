"""Results of single tracks, kept from run to run in a folder that DVC does not delete.

A result is one safetensors file, which runs no code when it is read, after a digest that a damaged file does not pass. The least recently
used results go first. `genre_core.util.cached_map` computes what is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genre_core.util.files import atomic
from genre_core.util.user_folders import user_folder

_SUFFIX = ".track"
_DIGEST_BYTES = 32
_MAX_RESULT_BYTES = 2**31


@dataclass(frozen=True)
class Kept:
    """Result of a track in the form in which it is kept.

    Attributes
    ----------
    arrays : mapping of str to np.ndarray
    facts : mapping of str to a JSON value
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Usage:
    """Results in a cache: their number and bytes on disk."""

    results: int
    bytes: int


class ResultCache:
    """Folder of results.

    Several processes may use one folder. A full or read-only disk costs only the results that are not kept.

    Parameters
    ----------
    folder : Path
    max_bytes : int >= 0
        Size to which `prune` reduces the folder.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._warned = False

    def has(self, key: str) -> bool:
        """Tell whether a result is kept, and mark it as used now."""
        try:
            os.utime(self._path(key))
        except OSError:
            return False
        return True

    def get(self, key: str) -> Kept | None:
        """Read a result; None if it is missing or damaged."""
        from safetensors import SafetensorError, deserialize

        try:
            if self._path(key).stat().st_size > _MAX_RESULT_BYTES:
                return None
            content = self._path(key).read_bytes()
            if hashlib.blake2b(content[_DIGEST_BYTES:], digest_size=_DIGEST_BYTES).digest() != content[:_DIGEST_BYTES]:
                return None
            tensors = dict(deserialize(content[_DIGEST_BYTES:]))
            facts, names = json.loads(bytes(tensors[_FACTS]["data"]))
            arrays = {name: _array(tensors[name]) for name in names}  # in their order: safetensors sorts them
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return Kept(arrays, facts)

    def put(self, key: str, result: Kept) -> None:
        """Keep a result."""
        from safetensors.numpy import save

        facts = np.frombuffer(json.dumps([result.facts, list(result.arrays)]).encode(), np.uint8)
        content = save({_FACTS: facts, **{name: np.ascontiguousarray(a) for name, a in result.arrays.items()}})
        path = self._path(key)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with atomic(path) as part:
                part.write_bytes(hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest() + content)
        except OSError as error:
            if not self._warned:
                warnings.warn(f"{self.folder}: results of tracks cannot be kept for the next run: {error.strerror or error}", stacklevel=2)
            self._warned = True

    def prune(self) -> None:
        """Remove the least recently used results until the folder has at most `max_bytes`."""
        self._remove(self.max_bytes)

    def clear(self) -> Usage:
        """Remove all results; return what was removed."""
        before = self.usage()
        self._remove(-1)
        return before

    def usage(self) -> Usage:
        """Count the results and their bytes."""
        sizes = [size for _, size, _ in self._files()]
        return Usage(len(sizes), sum(sizes))

    def _remove(self, max_bytes: int) -> None:
        files = sorted(self._files())  # the oldest first
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= max_bytes:
                return
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """List the time of the last use, the size and the path of each result."""
        for path in self.folder.glob(f"??/*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                status = path.stat()
                yield status.st_mtime, status.st_size, path

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}{_SUFFIX}"


_FACTS = "facts.json"
_DTYPES = {"BOOL": np.dtype(bool), "F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "U8": np.dtype("u1")}
_DTYPES |= {"U32": np.dtype("<u4"), "I64": np.dtype("<i8")}


def _array(tensor: Mapping[str, Any]) -> np.ndarray:
    return np.frombuffer(tensor["data"], _DTYPES[tensor["dtype"]]).reshape(tensor["shape"])


def open_cache(folder: str, gigabytes: float) -> ResultCache | None:
    """Open the cache of params.yaml.

    Parameters
    ----------
    folder : str
        Path; empty for the user's cache folder.
    gigabytes : float >= 0
        Largest size in 1e9 bytes; 0 for no cache.

    Raises
    ------
    GenreError
        `folder` is empty, and the user has no home folder.
    """
    return ResultCache(chosen_folder(folder), round(gigabytes * 1e9)) if gigabytes else None


def chosen_folder(folder: str) -> Path:
    """Return the folder of a cache, by default in the user's cache folder.

    Raises
    ------
    GenreError
        `folder` is empty, and the user has no home folder.
    """
    return Path(folder) if folder else user_folder("cache", "set cache.folder in params.yaml, or cache.gigabytes to 0.0") / "tracks"
