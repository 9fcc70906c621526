"""Journal of the changes of tags: what was replaced and where, so that each change can be undone byte for byte.

A file of JSON lines. A record is on the disk before its file is changed. A later line names the records that were undone.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from genre_core.errors import AudioError, GenreError, as_text
from genre_core.library.tag_formats.edits import Edit, LayoutError, in_order
from genre_core.util.files import plain_file
from genre_core.util.jsonl import MAX_FILE_BYTES, LineWriter, read_lines
from genre_core.util.user_folders import user_folder

_Sha256 = Field(pattern="^[0-9a-f]{64}$")
_MAX_OFFSET = 1 << 60
_START = b'{"kind": "change", "path": '  # of each journal


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Replaced(_Strict):
    """Range of bytes of the changed file, and the bytes that were there.

    Attributes
    ----------
    start, length : int
        Position and number of the new bytes.
    base64 : str
        Old bytes.
    """

    start: int = Field(ge=0, le=_MAX_OFFSET)
    length: int = Field(ge=0, le=_MAX_OFFSET)
    base64: str


class Change(_Strict):
    """Change of the tags of one file.

    Attributes
    ----------
    path : str
        Absolute path, links resolved.
    path_base64 : str
        Bytes of the path, if they are not UTF-8.
    audio_bytes, audio_sha256 : int, str
        Length and digest of the audio, which the change leaves as it is.
    before_sha256, after_sha256 : str
        Digests of the whole file, before and after the change.
    mtime_ns : int
        Time of the last modification before the change, in ns.
    replaced : list of Replaced
    genres, moods : list of str
        Values that were written.
    note : str
        Value of the own field.
    """

    kind: Literal["change"] = "change"
    path: str
    path_base64: str = ""
    audio_bytes: int
    audio_sha256: str = _Sha256
    before_sha256: str = _Sha256
    after_sha256: str = _Sha256
    mtime_ns: int
    replaced: list[Replaced]
    genres: list[str]
    moods: list[str]
    note: str

    @property
    def file(self) -> Path:
        """Path of the file."""
        return Path(os.fsdecode(base64.b64decode(self.path_base64, validate=True)) if self.path_base64 else self.path)

    def edits(self) -> list[Edit]:
        """Return the edits that undo the change.

        Raises
        ------
        AudioError
            The record is damaged, so this file is not restored.
        """
        try:
            return in_order([Edit(part.start, part.length, base64.b64decode(part.base64, validate=True)) for part in self.replaced])
        except (LayoutError, binascii.Error):
            raise AudioError(f"{self.path}: its record in the journal is damaged; it is not undone") from None


class Undone(_Strict):
    """Mark of an undone change: `line` is the number of its line, from 1."""

    kind: Literal["undone"]
    line: int


def default_path() -> Path:
    """Return the path of the journal in the user's folder for the state of programs.

    Raises
    ------
    GenreError
        The user has no home folder.
    """
    return user_folder("state", "name a file for the journal with --journal PATH") / "tags.jsonl"


def replaced_by(edits: Sequence[Edit]) -> list[Replaced]:
    """Convert the edits that undo a change to a record's."""
    return [Replaced(start=edit.start, length=edit.length, base64=base64.b64encode(edit.data).decode()) for edit in edits]


def path_fields(path: Path) -> tuple[str, str]:
    """Return the `path` and the `path_base64` of a record, whatever the bytes of the path."""
    text = as_text(str(path))
    return text, "" if text == str(path) else base64.b64encode(os.fsencode(path)).decode()


class Journal(LineWriter):
    """Open journal, which keeps other runs out.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    GenreError
        The file exists and is no journal, or as for `LineWriter`.
    """

    def __init__(self, path: str | Path) -> None:
        if Path(path).is_file():  # before the writer cuts off what looks like an incomplete line
            with Path(path).open("rb") as file:
                start = file.read(len(_START))
            if not _START.startswith(start):
                raise GenreError(f"{path}: is not a journal of `genre tag`; name another file with --journal")
        super().__init__(path)

    def changed(self, change: Change) -> None:
        """Add a change, and wait until the disk has it."""
        self.add(change.model_dump(), durable=True)

    def undone(self, line: int) -> None:
        """Mark the change in a line as undone."""
        self.add({"kind": "undone", "line": line}, durable=True)


def pending(path: str | Path, wanted: Callable[[Path], bool]) -> Iterator[tuple[int, Change]]:
    """Yield the changes of a journal that are not undone: of each file the last one first.

    One path for each changed file is in memory, not the records. Records that are added meanwhile are not yielded.

    Parameters
    ----------
    path : str or Path
    wanted : callable
        Tells for the path of a file whether its changes are wanted.

    Yields
    ------
    line : int
        Number of the line, for `Journal.undone`.
    change : Change

    Raises
    ------
    GenreError
        The journal is missing, or a line is not one of a journal.
    """
    lines: dict[Path, list[int]] = {}
    undone: set[int] = set()
    for number, record in _records(path):
        if isinstance(record, Undone):
            undone.add(record.line)
        elif wanted(record.file):
            lines.setdefault(record.file, []).append(number)
    lines = {file: [number for number in numbers if number not in undone] for file, numbers in lines.items()}
    for back in range(1, 1 + max(map(len, lines.values()), default=0)):  # most files have one change
        current = {numbers[-back] for numbers in lines.values() if len(numbers) >= back}
        for number, record in _records(path):
            if isinstance(record, Change) and number in current:
                yield number, record
            current.discard(number)
            if not current:
                break


def _records(path: str | Path) -> Iterator[tuple[int, Change | Undone]]:
    plain_file(path, max_bytes=MAX_FILE_BYTES, missing="no journal; name that of the run to undo with --journal")
    for number, _, line in read_lines(path):
        try:
            record = Undone.model_validate(line) if line.get("kind") == "undone" else Change.model_validate(line)
            if isinstance(record, Change) and ("\0" in str(record.file) or not record.file.is_absolute()):
                raise ValueError("not a path")
        except ValueError:  # of pydantic and of base64 too
            raise GenreError(f"{path}, line {number}: not a record of `genre tag`; name another file with --journal") from None
        yield number, record
