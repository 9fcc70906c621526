"""Copies of remote files and folders on this disk: ``s3://``, ``gs://``, ``https://``.

Buckets are read through fsspec (s3fs, gcsfs), web addresses by `util.download`. Only what is new or has changed is copied, by its ETag
(or time of change) and size. A killed copy is continued: complete files stay, and a part of a file is kept.

A copy is a folder with ``files/``, ``objects.jsonl`` (what was copied, one line per file) and, while it is incomplete, ``parts/``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import requests

from genre_core.errors import GenreError, one_line
from genre_core.util.download import FetchError, fetch
from genre_core.util.files import atomic
from genre_core.util.mirror import RemoteObject, is_current, mirror, read_journal
from genre_core.util.remote_errors import reason_and_remedy
from genre_core.util.urls import check_url, is_web, shown

_MAX_OBJECTS = 1_000_000
_MAX_FILE_BYTES = 10_000_000_000
_MAX_NAME_BYTES = 255  # of one part of a path, on common file systems

# Reasons to skip an object.
UNSAFE_NAME = "with a name that is not safe for a file"
TOO_LARGE = f"larger than {_MAX_FILE_BYTES:,} bytes"
FILE_AND_FOLDER = "both a file and a folder"


@dataclass(frozen=True)
class Copied:
    """Local copy of a remote folder.

    Attributes
    ----------
    root : Path
        Folder of the files.
    files : int
        Number of files.
    new : int
        Number of files that were copied now.
    skipped : dict of str to list of str
        Paths of the objects that were not copied, by reason.
    """

    root: Path
    files: int
    new: int
    skipped: dict[str, list[str]]


def copy_file(url: str, folder: str | Path) -> Path:
    """Copy one remote file, unless its local copy is up to date.

    Parameters
    ----------
    url : str
        Address of the file.
    folder : str or Path
        Folder of this copy; see the module's docstring.

    Returns
    -------
    Path
        The local copy.

    Raises
    ------
    GenreError
        The file cannot be read, or is larger than the free space.
    OSError
        `folder` cannot be written.
    """
    check_url(url)
    folder = Path(folder)
    name = re.sub(r"[^A-Za-z0-9._-]", "_", PurePosixPath(urlsplit(url).path).name).lstrip(".")[-100:] or "file"
    if is_web(url):
        return _copy_from_web(url, folder, name)
    files, path = _file_system(url)

    def listed() -> dict[str, RemoteObject]:
        with _plain_errors(url):
            info = files.info(path)
        if info.get("type") != "file":
            raise GenreError(f"{shown(url)} is a folder; name one file")
        return {name: _object(path, info)}

    mirror(files, listed, folder, url)
    return folder / "files" / name


def copy_folder(url: str, folder: str | Path, why_not: Callable[[str], str | None]) -> Copied:
    """Copy the chosen files of a remote folder, and remove those that are not there any more.

    Parameters
    ----------
    url : str
        Address of the folder, ``s3://`` or ``gs://``.
    folder : str or Path
        Folder of this copy; see the module's docstring.
    why_not : callable
        Function from the relative path of a file to the reason to skip it, or None to copy it.

    Returns
    -------
    Copied

    Raises
    ------
    GenreError
        The folder is missing or cannot be read, holds no chosen file or too many, or some files cannot be copied; the others are kept.
    OSError
        `folder` cannot be written.
    """
    check_url(url)
    if is_web(url):
        raise GenreError(f"{shown(url)}: the web has no folders; name an archive (.zip, .tar.gz), or copy the files here first")
    files, path = _file_system(url)
    skipped: dict[str, list[str]] = {}

    def listed() -> dict[str, RemoteObject]:
        skipped.clear()
        chosen: dict[str, RemoteObject] = {}
        with _plain_errors(url):
            found = files.find(path, detail=True)
        if not found:
            raise GenreError(f"{shown(url)}: nothing is there; is the bucket and the folder spelled right?")
        if len(found) > _MAX_OBJECTS:
            raise GenreError(f"{shown(url)}: {len(found):,} objects, at most {_MAX_OBJECTS:,} are read; name a smaller folder")
        for full, info in found.items():
            if full != path and not full.startswith(f"{path}/"):
                continue
            name = full[len(path) + 1 :]
            if not name and info.get("type") == "file" and not full.endswith("/"):
                raise GenreError(f"{shown(url)} is a file; name a folder, or an archive (.zip, .tar.gz)")
            if not name or name.endswith("/"):  # the marker of an empty folder
                continue
            size = int(info.get("size") or 0)
            reason = (None if _is_safe(name) else UNSAFE_NAME) or why_not(name) or (TOO_LARGE if size > _MAX_FILE_BYTES else None)
            if reason:
                skipped.setdefault(reason, []).append(name)
            else:
                chosen[name] = _object(full, info)
        folders = {parent.as_posix() for name in chosen for parent in PurePosixPath(name).parents}
        for name in sorted(chosen.keys() & folders):
            del chosen[name]
            skipped.setdefault(FILE_AND_FOLDER, []).append(name)
        return chosen

    count, new = mirror(files, listed, Path(folder), url)
    return Copied(Path(folder) / "files", count, new, dict(skipped))


def _is_safe(name: str) -> bool:
    """Tell whether an object's name can be a path below a folder: no "..", no control characters, no part that is too long."""
    refused = '\\<>:"|?*' if sys.platform == "win32" else "\\"
    return not any(
        part in ("", ".", "..") or set(part) & set(refused) or len(part.encode(errors="replace")) > _MAX_NAME_BYTES
        for part in name.split("/")
    ) and not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name)


def _object(path: str, info: Mapping[str, Any]) -> RemoteObject:
    version = next((str(info[key]) for key in ("ETag", "etag", "md5Hash", "LastModified", "updated", "mtime") if info.get(key)), "")
    return RemoteObject(path, int(info.get("size") or 0), version)


def _file_system(url: str) -> tuple[Any, str]:
    """Open fsspec's file system for `url`; return it, and the path in it without a final slash."""
    scheme = urlsplit(url).scheme
    try:
        import fsspec

        kind = fsspec.get_filesystem_class(scheme)
    except ImportError:
        raise GenreError(f"{shown(url)}: {scheme}:// needs more packages; pip install '.[{scheme}]'") from None
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it prints tracebacks of errors that are shown in one line here
    with _plain_errors(url):
        files = kind(use_listings_cache=False, skip_instance_cache=True)
        return files, files._strip_protocol(url).rstrip("/")


@contextlib.contextmanager
def _plain_errors(url: str) -> Iterator[None]:
    """Turn any error of a storage library into one line with the address and the remedy."""
    try:
        yield
    except Exception as error:  # each storage library has its own kinds
        reason, remedy = reason_and_remedy(error, urlsplit(url).scheme)
        raise GenreError(f"{shown(url)}: {reason}; {remedy}") from None


def _copy_from_web(url: str, folder: Path, name: str) -> Path:
    """Download a file with `fetch`, unless the server states that the local copy is current."""
    target = folder / "files" / name
    journal = folder / "objects.jsonl"
    known = read_journal(journal).get(name)
    try:
        with requests.get(url, stream=True, timeout=30, headers={"Accept-Encoding": "identity"}) as response:
            version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
            size = response.headers.get("Content-Length", "")
    except (requests.RequestException, ValueError):
        version = size = ""  # `fetch` retries, and says what is wrong
    if size.isdigit() and is_current(target, RemoteObject(url, int(size), version), known):
        return target
    target.unlink(missing_ok=True)
    try:
        # The user names the address, so it may be on the local network.
        fetch(url, target, max_bytes=min(2**40, shutil.disk_usage(_existing(folder)).free), private_addresses=True)
    except FetchError as error:
        reason = one_line(str(error)).replace(url, shown(url))
        raise GenreError(f"{shown(url)}: {reason}; check the address and the connection, or download the file and name its path") from None
    status = target.stat()
    with atomic(journal) as part:
        record = {"path": name, "size": status.st_size, "version": version, "mtime_ns": status.st_mtime_ns}
        part.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())
