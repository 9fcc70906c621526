"""Copies of a published data set: local ones, and mirrors on the web.

A copy is an archive, a folder, or parquet files in the layout of the Hugging Face hub. A data set module says where each file belongs
(`place`); this module brings the files there.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from genre_core.datasets import listing, parquet
from genre_core.datasets.folder import link
from genre_core.errors import GenreError
from genre_core.terminal import say
from genre_core.util.archives import unpack
from genre_core.util.download import fetch
from genre_core.util.files import atomic, digest, read_json, write_json

LAST_ALIVE = "mirrors.json"  # addresses of the mirrors that gave a usable copy, the latest first
_MAX_STATE_BYTES = 100_000
_SUFFIXES = (".tar.gz", ".zip", ".parquet")
Place = Callable[[PurePosixPath], str | None]
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Mirror:
    """Web address of a copy, with its checksum if fixed.

    Attributes
    ----------
    url : str
        Web address of the archive, or of the folder of `parts`.
    size : int or None
        Size of the archive in bytes; None if it may change.
    sha256, sha1 : str or None
        Checksum of the archive in hexadecimal; None if it may change, or if the authors publish none.
    parts : tuple of str
        Names of the parquet files below `url`; empty if `url` is one archive.
    """

    url: str
    size: int | None = None
    sha256: str | None = None
    sha1: str | None = None
    parts: tuple[str, ...] = ()


def from_local(path: Path, place: Place, out: Path, **limits: int) -> dict[str, str]:
    """Link or unpack the tracks of a local copy.

    Parameters
    ----------
    path : Path
        Archive, or folder in any layout. A folder without audio may hold parquet files.
    place : callable
        Function from the path of a file in the copy to its path below `out`, or to None for a file to skip.
    out : Path
        Folder for the tracks.
    **limits
        Limits of `archives.unpack`.

    Returns
    -------
    dict of str to str
        Path below `out` by name of the track (its file name without suffix).

    Raises
    ------
    GenreError
        The copy is broken, or two of its files are the same track.
    """
    if not path.is_dir():
        return path_of_each_track(unpack(path, place, out, **limits), path)
    found = listing.audio_files(path)
    if links := found.skipped.get(listing.LEAVES):
        warnings.warn(f"{path}: {listing.summary({listing.LEAVES: links})}; name the real folder", stacklevel=2)
    placed = [(path / file, place(PurePosixPath(file))) for file in found.audio]
    sources = [(file, target) for file, target in placed if target is not None]
    if not sources and (parts := sorted(path.rglob("*.parquet"))):
        return path_of_each_track(parquet.unpack(parts, place, out), path)
    paths = path_of_each_track((target for _, target in sources), path)
    for file, target in sources:
        link(file, out / target)
    return paths


def from_mirror(mirror: Mirror, files: Sequence[Path], place: Place, out: Path, **limits: int) -> dict[str, str]:
    """Unpack the tracks of the files that `first_alive` downloaded; see `from_local`."""
    if mirror.parts:
        return path_of_each_track(parquet.unpack(files, place, out), mirror.url)
    return path_of_each_track(unpack(files[0], place, out, **limits), files[0])


def path_of_each_track(targets: Iterable[str], source: Path | str) -> dict[str, str]:
    """Map each track to its path; refuse two files of a track."""
    paths: dict[str, str] = {}
    for target in targets:
        track = target.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        if track in paths:
            raise GenreError(f"{source}: two files of track {track} ({paths[track]}, {target}); keep one")
        paths[track] = target
    return paths


def first_alive(
    name: str,
    mirrors: Sequence[Mirror],
    downloads: Path,
    use: Callable[[Mirror, list[Path]], _Result],
    *,
    remedy: str,
    max_bytes: int,
    **options: Any,
) -> tuple[_Result, str]:
    """Download from the first mirror that works, and use its files.

    The mirror that worked last is tried first. A mirror that fails costs one line. Its unusable files are removed, unless
    their checksum is right.

    Parameters
    ----------
    name : str
        Name of the data set, for messages.
    mirrors : sequence of Mirror
        Mirrors, in the order in which they are tried if none is known to work.
    downloads : Path
        Folder that keeps the downloaded files. DVC must not delete it.
    use : callable
        Function that reads the files of a mirror; a `GenreError` says that they are not usable.
    remedy : str
        What to do if all mirrors fail, for the error.
    max_bytes : int
        Largest accepted size of a file.
    **options
        Options of `util.download.fetch`.

    Returns
    -------
    result
        Result of `use`.
    url : str
        Address of the mirror.

    Raises
    ------
    GenreError
        No mirror works.
    """
    failures = []
    for mirror in _latest_first(mirrors, downloads):
        try:
            if mirror.parts:
                parquet.check_installed()
            files = [_fetch_file(mirror, url, downloads, max_bytes, options) for url in _urls(mirror)]
            try:
                result = use(mirror, files)
            except GenreError:
                for file in () if _is_fixed(mirror) else files:  # a later run must not use the broken files
                    file.unlink(missing_ok=True)
                raise
        except GenreError as error:
            failures.append(f"{mirror.url}: {error}")
            say(f"{name}: mirror failed: {failures[-1]}")
            continue
        if not _is_fixed(mirror):
            for file in files:
                with atomic(_digest_path(file)) as part:
                    part.write_text(digest(file) + "\n")
        write_json(downloads / LAST_ALIVE, [mirror.url, *(url for url in _last_alive(downloads) if url != mirror.url)])
        return result, mirror.url
    raise GenreError(f"{name} could not be fetched: {'; '.join(failures)}. {remedy}")


def _urls(mirror: Mirror) -> list[str]:
    return [f"{mirror.url}/{part}" for part in mirror.parts] or [mirror.url]


def _is_fixed(mirror: Mirror) -> bool:
    return bool(mirror.sha256 or mirror.sha1)


def _digest_path(file: Path) -> Path:
    return file.with_name(file.name + ".sha256")


def _fetch_file(mirror: Mirror, url: str, downloads: Path, max_bytes: int, options: dict[str, Any]) -> Path:
    """Download a file of a mirror, or find it among the downloads."""
    suffix = next((s for s in _SUFFIXES if url.endswith(s)), "")
    target = downloads / f"{re.sub(r'[^a-z0-9]+', '-', url.lower()).strip('-')}{suffix}"
    sha256 = mirror.sha256
    # written after the content is checked: a cached file that changed later is downloaded again
    if not _is_fixed(mirror) and target.exists() and _digest_path(target).exists():
        sha256 = _digest_path(target).read_text().strip()
    return fetch(url, target, max_bytes=max_bytes, size=mirror.size, sha256=sha256, sha1=mirror.sha1, **options)


def _last_alive(downloads: Path) -> list[str]:
    """Read the addresses of the mirrors that worked, the latest first."""
    try:
        urls = read_json(downloads / LAST_ALIVE, max_bytes=_MAX_STATE_BYTES)
    except GenreError:  # none yet, or damaged: it only saves time
        return []
    return [url for url in urls if isinstance(url, str)] if isinstance(urls, list) else []


def _latest_first(mirrors: Sequence[Mirror], downloads: Path) -> list[Mirror]:
    """Order mirrors by the time at which they worked; keep the order of the others."""
    rank = {url: number for number, url in enumerate(_last_alive(downloads))}
    return sorted(mirrors, key=lambda mirror: rank.get(mirror.url, len(rank)))
