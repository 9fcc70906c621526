"""Files that are whole or absent: written under a temporary name, then renamed."""

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
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from genre_core.errors import GenreError

_MAX_COLUMNS = 2_000  # 1,000 genres have a column of probabilities each
DEEPEST = 64  # folders within folders that are looked into
MAX_TABLE_BYTES = 500_000_000  # of a CSV or JSON file: a million rows have about 100 MB
_CLEARED: set[str] = set()  # folders in which this process looked for what killed ones left
_OURS: set[str] = set()  # temporary files that this process is writing
_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes `path`'s name on success and is removed on any failure.

    The temporary file is created anew under a random name, so no link that lies in the folder is followed. Its name holds the
    process that writes it: what killed processes left in the folder is removed when this one first writes there, what a running one
    writes is left alone.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.path.abspath(path.parent)  # noqa: PTH100 (links are not followed)
    if folder not in _CLEARED:  # once: a look at each file of a folder, for each file of it, takes the square of their number
        _CLEARED.add(folder)
        _remove_leftovers(path.parent)
    temporary = path.with_name(f".{_short(path)}.{_HOST}-{os.getpid()}-{secrets.token_hex(8)}.part{path.suffix}")
    _OURS.add(temporary.name)
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # O_EXCL follows no link
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        _OURS.discard(temporary.name)


def _short(path: Path) -> str:
    """Shorten a file's name to its beginning and a digest: systems bound names in bytes."""
    stem = re.sub(r"[^A-Za-z0-9_-]", "", path.stem)[:40]
    return f"{stem}-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]}"


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files in `folder` whose process, on this machine, has ended."""
    named = re.compile(rf"\..*\.{_HOST}-(\d+)-[0-9a-f]{{16}}\.part(\..*)?")
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = named.fullmatch(entry.name)
            if match and entry.name not in _OURS and (int(match[1]) == os.getpid() or not psutil.pid_exists(int(match[1]))):
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()


def plain_file(path: str | Path, *, max_bytes: int, missing: str = "no such file") -> Path:
    """Return `path` as a Path if it is a plain file that is not too large: a pipe would block for ever, a huge file fill the memory.

    `missing` is what the error says of a file that is not there.

    Raises
    ------
    GenreError
        It is missing, a folder, a pipe or a device, or larger than `max_bytes`.
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


def walk(folder: str | Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Walk as `os.walk` does, links to folders not followed, at most `DEEPEST` folders deep: what lies deeper is said and left out."""
    top = len(Path(folder).parts)
    for at, folders, names in os.walk(folder):
        yield (here := Path(at)), folders, names
        if folders and len(here.parts) - top >= DEEPEST:  # os.walk itself calls once more for each, up to Python 3.11
            warnings.warn(f"{here}: its folders are left out, more than {DEEPEST} lie in one another", stacklevel=2)
            folders.clear()


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as JSON, two spaces deep, with a final newline. NaN is refused: it is not JSON."""
    with atomic(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: str | Path, *, max_bytes: int = MAX_TABLE_BYTES) -> Any:
    """Read a JSON file.

    Raises
    ------
    GenreError
        The file is missing or no JSON.
    """
    plain_file(path, max_bytes=max_bytes, missing="no such file; `dvc repro` makes it")
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise GenreError(f"{path}: not readable as JSON: {error}") from None


_FORMULA = re.compile(r"'*\s*[=+\-@\t\r\uff0b\uff0d\uff1d\uff20]")  # how a cell begins that a spreadsheet would compute


def write_csv(path: str | Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `rows` with a header and Unix line ends.

    A text that a spreadsheet would take for a formula gets a quote in front; `read_csv` takes it away where a file is our own.
    """
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        columns = list(columns)
        plain = csv.DictWriter(file, columns, lineterminator="\n")
        quoted = csv.DictWriter(file, columns, lineterminator="\n", quoting=csv.QUOTE_ALL)  # Python below 3.13 leaves a bare \r unquoted
        plain.writeheader()
        for row in rows:
            cells = {key: _harmless(value) for key, value in row.items()}
            (quoted if any(isinstance(value, str) and "\r" in value for value in cells.values()) else plain).writerow(cells)


def _harmless(value: Any) -> Any:
    """Quote a text that begins like a formula, numbers left out."""
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    with contextlib.suppress(ValueError):
        float(value)
        return value
    return f"'{value}"


def _unquoted(value: str) -> str:
    """Undo `_harmless`."""
    return value[1:] if value.startswith("'") and _FORMULA.match(value) else value


def read_csv(path: str | Path, columns: Iterable[str] = (), *, comments: bool = False, strip: bool = True) -> list[dict[str, str]]:
    """Read a CSV file with a header; absent cells are empty; lines that begin with ``#`` are left out with `comments`,
    and cells are stripped unless the file is our own (a folder may be named " rock"), where quotes that `write_csv` added are taken away.

    Raises
    ------
    GenreError
        The file is missing, not UTF-8, or lacks one of `columns`.
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
                {key: (value or "").strip() if strip else _unquoted(value or "") for key, value in row.items() if isinstance(key, str)}
                for row in reader
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise GenreError(f"{path}: not readable as UTF-8 CSV: {error}") from None


def digest(*paths: str | Path) -> str:
    """SHA-256 of the contents of `paths`, one after another, in hexadecimal."""
    total = hashlib.sha256()
    for path in paths:
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()
