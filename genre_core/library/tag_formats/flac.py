"""Edits of the metadata blocks of a FLAC file (RFC 9639)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from genre_core.library.tag_formats import comments
from genre_core.library.tag_formats.edits import Edit, Fields, LayoutError, blocks, growth, read_at
from genre_core.library.tag_formats.id3 import tag_bytes

STREAM_INFO, PADDING, COMMENT = 0, 1, 4  # kinds of blocks
_MAX_BLOCKS = 10_000
_LAST = 0x80


@dataclass(frozen=True)
class _Block:
    kind: int
    last: bool
    start: int  # of its header of four bytes
    length: int  # of its content


def edits(file: BinaryIO, size: int, fields: Fields) -> list[Edit]:
    """Compute the edits that write `fields` into a FLAC file of `size` bytes; see `comments.edits`.

    The audio keeps its place if there is enough padding.
    """
    found, _ = _blocks(file, size)
    changed: list[Edit] = []
    comment = next((block for block in found if block.kind == COMMENT), None)
    if comment:
        changed, _ = comments.edits(read_at(file, comment.start + 4, comment.length), comment.start + 4, fields)
        changed.append(_resized(comment, growth(changed)))
    else:
        first = found[0]
        content = comments.new(fields)
        header = bytes([COMMENT | (_LAST if first.last else 0)]) + _length(len(content))
        changed.append(Edit(first.start + 4 + first.length, 0, header + content))
        if first.last:
            changed.append(Edit(first.start, 1, bytes([first.kind])))
    gain = growth(changed)
    padding = next((block for block in found if block.kind == PADDING and block.length >= gain), None)
    if gain and padding:
        changed.append(_resized(padding, -gain))
        changed.append(Edit(padding.start + 4, max(gain, 0), bytes(max(-gain, 0))))
    return changed


def audio(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the bytes of the audio frames, with all that follows them."""
    yield from blocks(file, _blocks(file, size)[1], size)


def _blocks(file: BinaryIO, size: int) -> tuple[list[_Block], int]:
    """Return the metadata blocks, and the position of the audio."""
    file.seek(0)
    position = tag_bytes(file.read(10))
    if read_at(file, position, 4) != b"fLaC":
        raise LayoutError("its FLAC header is damaged")
    position += 4
    found: list[_Block] = []
    while not found or not found[-1].last:
        header = read_at(file, position, 4)
        found.append(_Block(header[0] & 0x7F, bool(header[0] & _LAST), position, int.from_bytes(header[1:], "big")))
        position += 4 + found[-1].length
        if position > size or len(found) > _MAX_BLOCKS or found[0].kind != STREAM_INFO:
            raise LayoutError("its FLAC header is damaged")
    return found, position


def _resized(block: _Block, gain: int) -> Edit:
    return Edit(block.start + 1, 3, _length(block.length + gain))


def _length(value: int) -> bytes:
    if value >= 1 << 24:
        raise LayoutError("its Vorbis comment would be longer than FLAC allows")
    return value.to_bytes(3, "big")
