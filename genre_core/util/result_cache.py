"""Results of single tracks, kept from run to run in a folder that DVC does not delete.

A result is found by the digest of the audio file, of the parameters and of the code that computed it. It is one safetensors file, which
runs no code when it is read, after a digest that a damaged file does not pass. The least recently used results go first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from genre_core.util.files import atomic, digest
from genre_core.util.parallel import Workers, in_threads, map_tracks
from genre_core.util.user_folders import user_folder

Item = TypeVar("Item")
Result = TypeVar("Result")
_SUFFIX = ".track"
_DIGEST_BYTES = 32
_MAX_RESULT_BYTES = 2**31
_LIBRARIES = ("numpy", "scipy", "torch", "soundfile", "soxr", "av", "librosa")  # their versions can change a result


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


def code_digest(*names: str) -> str:
    """Compute the digest of code and weights of this program, and of the versions of the libraries that compute.

    Parameters
    ----------
    *names : str
        Packages and files below ``genre_core``, such as ``audio`` or ``corpus/audit.py``.

    Returns
    -------
    str
        Hexadecimal digits.
    """
    root = Path(__file__).parents[1]
    files = sorted(path for name in names for path in ([root / name] if (root / name).is_file() else (root / name).rglob("*.py")))
    return hashlib.sha256(f"{digest(*files)} {[_version(name) for name in _LIBRARIES]}".encode()).hexdigest()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


@dataclass(frozen=True)
class Recipe:
    """How a result is computed and kept.

    Attributes
    ----------
    name : str
        Digest or text of all that changes the result of a file: code and parameters.
    file : callable
        Function from an item to its audio file and the text of what else the item changes; None if its result is not kept.
    to_kept : callable
        Function from a result to `Kept`, or to None if it is not to be kept.
    from_kept : callable
        Function from an item and its `Kept` to the result.
    """

    name: str
    file: Callable[[Any], tuple[Path, str] | None]
    to_kept: Callable[[Any], Kept | None]
    from_kept: Callable[[Any, Kept], Any]


def map_cached(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    recipe: Recipe,
    cache: ResultCache | None,
    *,
    workers: Workers = 0,
    preload: Sequence[str] = (),
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in order; results that are kept are read, not computed.

    This process looks the files up, so the workers of a cluster need no cache, and no worker starts if all results are kept.

    Parameters
    ----------
    function, items, workers, preload
        See `parallel.map_tracks`.
    recipe : Recipe
    cache : ResultCache or None
        None: all results are computed.
    """
    if cache is None:
        yield from map_tracks(function, items, workers=workers, preload=preload)
        return
    keys: deque[tuple[Item, str, bool]] = deque()  # in order; those in front of the next computed result wait here

    def missing() -> Iterator[Item]:
        for item, key in in_threads(lambda item: _key(item, recipe), items, ordered=True):
            kept = bool(key) and cache.has(key)
            keys.append((item, key, kept))
            if not kept:
                yield item

    def read(item: Item, key: str) -> Result:
        kept = cache.get(key)
        if kept is None:  # another process has removed it since, or it is damaged
            return function(item)
        result: Result = recipe.from_kept(item, kept)
        return result

    written: Future[None] | None = None
    with ThreadPoolExecutor(1) as writer:
        for result in map_tracks(function, missing(), workers=workers, preload=preload):
            while keys[0][2]:
                item, key, _ = keys.popleft()
                yield read(item, key)
            _, key, _ = keys.popleft()
            kept = recipe.to_kept(result)
            if key and kept is not None:
                if written:  # at most one result waits for the disk
                    written.result()
                written = writer.submit(cache.put, key, kept)
            yield result
    for item, key, _ in keys:
        yield read(item, key)
    if written:
        cache.prune()


def _key(item: Any, recipe: Recipe) -> str:
    """Return the key of an item's result; empty if it is not kept, or its file cannot be read: `function` then says why."""
    named = recipe.file(item)
    if named is None:
        return ""
    path, more = named
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
    return hashlib.sha256("\0".join((content, path.suffix.lower(), more, recipe.name)).encode("utf-8", "surrogateescape")).hexdigest()
