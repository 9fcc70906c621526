"""Files of JSON lines that survive a kill: one line is one record, added at the end.

A killed process leaves at most one incomplete line, the last one. It is not read, and the next writer cuts it off.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from genre_core.errors import GenreError, as_text
from genre_core.util.files import plain_file

MAX_FILE_BYTES = 50_000_000_000  # ten million records of 5 kB
MAX_LINE_BYTES = 16_000_000


def read_lines(path: str | Path) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield the records of a file with their places, one at a time.

    Parameters
    ----------
    path : str or Path

    Yields
    ------
    number : int
        Number of the line, from 1.
    position : int
        First byte of the line, for `LineWriter.read`.
    record : dict
        Record of the line.

    Raises
    ------
    GenreError
        The file is missing, or a line before the last one is not a JSON object.
    """
    plain_file(path, max_bytes=MAX_FILE_BYTES)
    with Path(path).open("rb") as file:
        number = position = 0
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            if not line.endswith(b"\n"):
                if len(line) == MAX_LINE_BYTES:
                    raise GenreError(f"{path}, line {number}: longer than {MAX_LINE_BYTES:,} bytes; is this the right file?")
                return  # the writer was killed
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                raise GenreError(f"{path}, line {number}: {line[:60]!r} is not a JSON object; remove the line, or name another file")
            yield number, position, record
            position += len(line)


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


class LineWriter(contextlib.AbstractContextManager["LineWriter"]):
    """Writer that adds records to the end of a file, and keeps other writers out.

    Parameters
    ----------
    path : str or Path
        File to continue, or to create; missing folders are created.

    Raises
    ------
    GenreError
        The path is a folder or a pipe, cannot be written, or another process is writing the file. The file does not consist of JSON
        lines: nothing is cut off such a file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.exists():
            plain_file(self.path, max_bytes=MAX_FILE_BYTES)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self.path.open("a+b", buffering=0)
        except OSError as error:
            raise GenreError(f"{self.path}: cannot be written: {error.strerror}") from None
        try:
            _lock(self._file)
            self._cut_incomplete_line()
        except OSError:
            self._file.close()
            raise GenreError(f"{self.path}: another process is writing this file; wait for its end, or name another file") from None
        except GenreError:
            self._file.close()
            raise

    def _cut_incomplete_line(self) -> None:
        size = end = self._file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            self._file.seek(start)
            block = self._file.read(end - start)
            if (newline := block.rfind(b"\n")) >= 0:
                end = start + newline + 1
                break
            end = start
        for position in (0, end):  # the first line, and the incomplete one
            self._file.seek(position)
            if position < size and self._file.read(1) != b"{":
                raise GenreError(f"{self.path}: is not a file of JSON lines; name another file")
        self._file.seek(end)
        if size - end <= MAX_LINE_BYTES and _is_record(self._file.read(size - end)):
            self._file.write(b"\n")  # only the line end is missing: nothing is cut off a whole record
        else:
            self._file.truncate(end)

    def add(self, record: Mapping[str, Any], *, durable: bool = False) -> int:
        """Add a record in one write.

        Parameters
        ----------
        record : mapping
            Values that JSON allows. Bytes of file names that are not UTF-8 are percent-escaped (`errors.as_text`).
        durable : bool
            Wait until the disk has the record.

        Returns
        -------
        int
            First byte of the line, for `read`.

        Raises
        ------
        GenreError
            The disk is full, or the file cannot be written; nothing of the record stays in the file.
        """
        line = (as_text(json.dumps(record, ensure_ascii=False, allow_nan=False)) + "\n").encode()
        end = self._file.seek(0, os.SEEK_END)
        try:
            if (self._file.write(line) or 0) < len(line):
                raise OSError(28, "no space left on device")
            if durable:
                os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(end)
            raise GenreError(f"{self.path}: cannot be written: {error.strerror}") from None
        return end

    def read(self, position: int) -> dict[str, Any]:
        """Read the record of the line that begins at byte `position`."""
        self._file.seek(position)
        line = b""
        while b"\n" not in line and (block := self._file.read(65536)):  # `readline` of an unbuffered file reads single bytes
            line += block
        return dict(json.loads(line.partition(b"\n")[0]))

    def close(self) -> None:
        """Close the file, which frees it for other writers."""
        self._file.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
