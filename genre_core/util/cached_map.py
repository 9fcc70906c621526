"""Map of a function over tracks that computes only the results that are not kept.

A result is found by the digest of the audio file, of the parameters and of the code that computed it.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from genre_core.util.files import digest
from genre_core.util.parallel import Workers, in_threads, map_tracks
from genre_core.util.result_cache import Kept, ResultCache

Item = TypeVar("Item")
Result = TypeVar("Result")
_LIBRARIES = ("numpy", "scipy", "torch", "soundfile", "soxr", "av", "librosa")  # their versions can change a result


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
    code : tuple of str
        Code and weights that compute the result; see `code_digest`.
    settings : str
        Text of all parameters that change the result of a file.
    file : callable
        Function from an item to its audio file and the text of what else the item changes; None if its result is not kept.
    to_kept : callable
        Function from a result to `Kept`, or to None if it is not to be kept.
    from_kept : callable
        Function from an item and its `Kept` to the result.
    """

    code: tuple[str, ...]
    settings: str
    file: Callable[[Any], tuple[Path, str] | None]
    to_kept: Callable[[Any], Kept | None]
    from_kept: Callable[[Any, Kept], Any]


def audio_file(path: Path) -> tuple[Path, str] | None:
    """Name an audio file for `Recipe.file`; None for precomputed features, which are not kept."""
    return None if path.suffix == ".npy" else (path, "")


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
    name = f"{recipe.settings} {code_digest(*recipe.code)}"
    keys: deque[tuple[Item, str, bool]] = deque()  # in order; those in front of the next computed result wait here

    def missing() -> Iterator[Item]:
        for item, key in in_threads(lambda item: _key(recipe.file(item), name), items, ordered=True):
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


def _key(named: tuple[Path, str] | None, recipe: str) -> str:
    """Return the key of a file's result; empty if it is not kept, or the file cannot be read: the function then says why."""
    if named is None:
        return ""
    path, more = named
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
    return hashlib.sha256("\0".join((content, path.suffix.lower(), more, recipe)).encode("utf-8", "surrogateescape")).hexdigest()
