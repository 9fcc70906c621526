"""Edits of single ranges of bytes of a file, and their reverse."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

BLOCK_BYTES = 1 << 20
NOTE = "GENRE_PIPELINE"  # name of the own field


class LayoutError(Exception):
    """Error about a file whose tags cannot be changed safely; the message does not name the file."""


@dataclass(frozen=True)
class Fields:
    """Values of the fields that this package reads and writes.

    Attributes
    ----------
    genres : tuple of str
        Values of the genre field, each stored as a value of its own.
    moods : tuple of str
        Values of the field for moods.
    note : str
        Value of our own field, `NOTE`.
    """

    genres: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Edit:
    """Replacement of a range of bytes.

    Attributes
    ----------
    start : int
        Position of the first replaced byte, in the file before all edits.
    length : int
        Number of replaced bytes; 0 inserts.
    data : bytes
        New bytes.
    """

    start: int
    length: int
    data: bytes


def growth(edits: Sequence[Edit]) -> int:
    """Compute by how many bytes edits make a file longer."""
    return sum(len(edit.data) - edit.length for edit in edits)


def in_order(edits: Sequence[Edit]) -> list[Edit]:
    """Sort edits by position, and leave out those that change nothing.

    Raises
    ------
    LayoutError
        Two edits replace the same byte.
    """
    ordered = sorted((edit for edit in edits if edit.length or edit.data), key=lambda edit: (edit.start, edit.length > 0))
    end = 0
    for edit in ordered:
        if edit.start < end or edit.length < 0:
            raise LayoutError("its tags are inside one another")
        end = edit.start + edit.length
    return ordered


def reverse(file: BinaryIO, edits: Sequence[Edit]) -> list[Edit]:
    """Compute the edits that restore a file, from the file before its change.

    Parameters
    ----------
    file : binary file
        The file before the change.
    edits : sequence of Edit
        Edits in order (`in_order`).

    Returns
    -------
    list of Edit
        Edits of the changed file; their data are the bytes that the change replaces.
    """
    backwards, shift = [], 0
    for edit in edits:
        backwards.append(Edit(edit.start + shift, len(edit.data), read_at(file, edit.start, edit.length)))
        shift += len(edit.data) - edit.length
    return backwards


def splice(source: BinaryIO, target: BinaryIO, edits: Sequence[Edit]) -> tuple[str, str]:
    """Copy a file with edits applied.

    Parameters
    ----------
    source, target : binary file
        The whole of `source` is copied to `target`, block by block.
    edits : sequence of Edit
        Edits in order (`in_order`).

    Returns
    -------
    before, after : str
        SHA-256 of all bytes of `source`, and of `target`.

    Raises
    ------
    LayoutError
        An edit lies beyond the end of the file.
    """
    before, after = hashlib.sha256(), hashlib.sha256()
    position = 0
    source.seek(0)

    def keep(until: int | None) -> None:
        nonlocal position
        while until is None or position < until:
            block = source.read(BLOCK_BYTES if until is None else min(BLOCK_BYTES, until - position))
            if not block:
                if until is not None:
                    raise LayoutError("it is shorter than its tags say")
                return
            position += len(block)
            before.update(block)
            after.update(block)
            target.write(block)

    for edit in edits:
        keep(edit.start)
        replaced = source.read(edit.length)
        if len(replaced) < edit.length:
            raise LayoutError("it is shorter than its tags say")
        position += edit.length
        before.update(replaced)
        after.update(edit.data)
        target.write(edit.data)
    keep(None)
    return before.hexdigest(), after.hexdigest()


def read_at(file: BinaryIO, start: int, length: int) -> bytes:
    """Read `length` bytes at `start`.

    Raises
    ------
    LayoutError
        The file ends before.
    """
    file.seek(start)
    data = file.read(length)
    if len(data) < length:
        raise LayoutError("it is shorter than its header says")
    return data


def blocks(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes from `start` to `end` in blocks."""
    while start < end:
        block = read_at(file, start, min(BLOCK_BYTES, end - start))
        yield block
        start += len(block)
