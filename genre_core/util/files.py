"""Atomic writing and safe reading of files.

A file is written under a temporary name and then renamed, so it is either complete or absent.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import re
import secrets
import socket
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from genre_core.errors import GenreError, as_text

_MAX_COLUMNS = 2_000  # enough for 1,000 genres with one column of probabilities each
MAX_TABLE_BYTES = 500_000_000  # limit for a CSV or JSON file; a million rows take about 100 MB
_CLEARED: set[str] = set()  # folders in which this process has already removed the temporary files of killed processes
_OWN_TEMPORARY_FILES: dict[str, Path] = {}  # temporary files that this process is writing, by name
_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` on success.

    The temporary file is in the same folder and is removed after any failure. It is a new file with a random name, so a symbolic
    link in the folder is never followed. The name contains the id of the writing process. On its first write to a folder, a
    process removes the temporary files of killed processes there, and keeps the temporary files of running processes.

    Parameters
    ----------
    path : str or Path
        Path of the file to write; missing folders are created.

    Yields
    ------
    Path
        Path of the temporary file, which exists and is empty.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.path.abspath(path.parent)  # noqa: PTH100 (links are not followed)
    if folder not in _CLEARED:  # only once per folder, because a scan at each write would take quadratic time
        _CLEARED.add(folder)
        remove_leftovers(path.parent)
    temporary = path.with_name(f".{_short(path)}.{_HOST}-{os.getpid()}-{secrets.token_hex(8)}.part{path.suffix}")
    _OWN_TEMPORARY_FILES[temporary.name] = temporary
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # O_EXCL does not follow links
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        _OWN_TEMPORARY_FILES.pop(temporary.name, None)


def remove_own_temporary_files() -> None:
    """Remove the files that this process is writing, before it ends at once."""
    for temporary in list(_OWN_TEMPORARY_FILES.values()):
        with contextlib.suppress(OSError):
            temporary.unlink()


def _short(path: Path) -> str:
    """Shorten a file name to its beginning and a digest.

    File systems limit the length of a file name in bytes.
    """
    stem = re.sub(r"[^A-Za-z0-9_-]", "", path.stem)[:40]
    return f"{stem}-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]}"


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of ended processes of this machine from `folder`."""
    temporary_name = re.compile(rf"\..*\.{_HOST}-(\d+)-[0-9a-f]{{16}}\.part(\..*)?")
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = temporary_name.fullmatch(entry.name)
            if match and entry.name not in _OWN_TEMPORARY_FILES and (int(match[1]) == os.getpid() or not psutil.pid_exists(int(match[1]))):
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()


def plain_file(path: str | Path, *, max_bytes: int, missing: str = "no such file") -> Path:
    """Check that `path` is a plain file that is not too large.

    A pipe would block forever, and a huge file would fill the memory.

    Parameters
    ----------
    path : str or Path
        Path of the file to check.
    max_bytes : int
        Largest allowed size of the file, in bytes.
    missing : str
        Error text if the file does not exist.

    Returns
    -------
    Path
        `path` as a Path.

    Raises
    ------
    GenreError
        The file is missing or larger than `max_bytes`, or is a folder, a pipe or a device.
    """
    path = Path(path)
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise GenreError(f"{path}: {missing}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise GenreError(f"{path}: cannot be opened: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(status.st_mode):
        raise GenreError(f"{path}: is a {'folder' if stat.S_ISDIR(status.st_mode) else 'pipe or device'}, not a file")
    if status.st_size > max_bytes:
        raise GenreError(f"{path}: {status.st_size:,} bytes, at most {max_bytes:,} are read; is this the right file?")
    return path


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as JSON, indented by two spaces, with a final newline.

    Bytes of file names that are not UTF-8 are percent-escaped (`errors.as_text`).

    Raises
    ------
    ValueError
        `value` contains NaN or infinity, which JSON does not allow.
    """
    with atomic(path) as part:
        part.write_text(as_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)) + "\n", encoding="utf-8")


def read_json(path: str | Path, *, max_bytes: int = MAX_TABLE_BYTES) -> Any:
    """Read a JSON file.

    Parameters
    ----------
    path : str or Path
        Path of the file.
    max_bytes : int
        Largest allowed size of the file, in bytes.

    Returns
    -------
    object
        Decoded content.

    Raises
    ------
    GenreError
        The file is missing, too large or not JSON.
    """
    plain_file(path, max_bytes=max_bytes, missing="no such file; `dvc repro` makes it")
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise GenreError(f"{path}: not readable as JSON: {error}") from None


_FORMULA = re.compile(r"'*\s*[=+\-@\t\r\uff0b\uff0d\uff1d\uff20]")  # start of a cell that a spreadsheet would evaluate


def write_csv(path: str | Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `rows` as CSV with a header and Unix line ends.

    A text that a spreadsheet would evaluate as a formula gets a leading quote. `read_csv` with ``strip=False`` removes the quote.
    Bytes of file names that are not UTF-8 are percent-escaped (`errors.as_text`).

    Parameters
    ----------
    path : str or Path
        Path of the file to write.
    columns : iterable of str
        Column names of the header.
    rows : iterable of mapping
        Cell values by column name, one mapping per row.

    Raises
    ------
    ValueError
        A row contains a key that is not in `columns`.
    """
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        columns = list(columns)
        plain = csv.DictWriter(file, columns, lineterminator="\n")
        # Python before 3.13 does not quote a cell that contains \r without \n.
        quoted = csv.DictWriter(file, columns, lineterminator="\n", quoting=csv.QUOTE_ALL)
        plain.writeheader()
        for row in rows:
            cells = {key: _cell(value) for key, value in row.items()}
            (quoted if any(isinstance(value, str) and "\r" in value for value in cells.values()) else plain).writerow(cells)


def _cell(value: Any) -> Any:
    """Escape undecodable bytes in a text, and quote it if it looks like a formula."""
    if not isinstance(value, str):
        return value
    value = as_text(value)
    if not _FORMULA.match(value):
        return value
    with contextlib.suppress(ValueError):
        float(value)
        return value
    return f"'{value}"


def _unquote_formula(value: str) -> str:
    """Remove the leading quote that `_cell` added."""
    return value[1:] if value.startswith("'") and _FORMULA.match(value) else value


def read_csv(path: str | Path, columns: Iterable[str] = (), *, comments: bool = False, strip: bool = True) -> list[dict[str, str]]:
    """Read a CSV file with a header; missing cells become empty strings.

    Parameters
    ----------
    path : str or Path
        Path of the file.
    columns : iterable of str
        Names of the required columns.
    comments : bool
        Whether lines that begin with ``#`` are skipped.
    strip : bool
        Whether white space around each cell is removed. For a file of `write_csv`, use False: this keeps spaces, because a folder
        can have the name " rock", and removes the quotes that `write_csv` added.

    Returns
    -------
    list of dict
        Text of each cell by column name, one dictionary per row.

    Raises
    ------
    GenreError
        The file is missing, too large or not UTF-8 CSV, has more than 2,000 columns, or lacks one of `columns`.
    """
    plain_file(path, max_bytes=MAX_TABLE_BYTES)
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(line for line in file if not (comments and line.startswith("#")))
            header = [name.strip() for name in reader.fieldnames or ()]
            missing = [name for name in columns if name not in header]
            if len(header) > _MAX_COLUMNS:
                raise GenreError(f"{path}: {len(header):,} columns, at most {_MAX_COLUMNS:,} are read; is this the right file?")
            if missing:
                raise GenreError(f"{path}: no column {', '.join(missing)}; the header is: {', '.join(header) or '(empty file)'}")
            reader.fieldnames = header
            return [
                {
                    key: (value or "").strip() if strip else _unquote_formula(value or "")
                    for key, value in row.items()
                    if isinstance(key, str)
                }
                for row in reader
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise GenreError(f"{path}: not readable as UTF-8 CSV: {error}") from None


def digest(*paths: str | Path, algorithm: str = "sha256") -> str:
    """Compute the hexadecimal SHA-256 of the concatenated contents of `paths`.

    Parameters
    ----------
    *paths : str or Path
        Files to read, in this order.
    algorithm : str
        Another algorithm of `hashlib`, for example "sha1".
    """
    hashed = hashlib.new(algorithm, usedforsecurity=algorithm != "sha1")
    for path in paths:
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                hashed.update(block)
    return hashed.hexdigest()
