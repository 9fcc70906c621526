"""Files that are whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from genre_core.errors import GenreError


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes `path`'s name on success and is removed on any failure.

    What a killed process left behind under that name is written over. Two processes must not write one `path` at once: DVC sees to that.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as JSON, two spaces deep, with a final newline. NaN is refused: it is not JSON."""
    with atomic(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    GenreError
        The file is missing or no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GenreError(f"{path}: no such file; `dvc repro` makes it") from None
    except ValueError as error:
        raise GenreError(f"{path}: not readable as JSON: {error}") from None


def write_csv(path: str | Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `rows` with a header and Unix line ends."""
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: str | Path, columns: Iterable[str] = (), *, comments: bool = False, strip: bool = True) -> list[dict[str, str]]:
    """Read a CSV file with a header; absent cells are empty; lines that begin with ``#`` are left out with `comments`,
    and cells are stripped unless the file is our own (a folder may be named " rock").

    Raises
    ------
    GenreError
        The file is missing, not UTF-8, or lacks one of `columns`.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(line for line in file if not (comments and line.startswith("#")))
            header = [name.strip() for name in reader.fieldnames or ()]
            missing = [name for name in columns if name not in header]
            if missing:
                raise GenreError(f"{path}: no column {', '.join(missing)}; the header is: {', '.join(header) or '(empty file)'}")
            reader.fieldnames = header
            return [
                {key: (value or "").strip() if strip else value or "" for key, value in row.items() if isinstance(key, str)}
                for row in reader
            ]
    except FileNotFoundError:
        raise GenreError(f"{path}: no such file") from None
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
