"""Edits of an ID3v2 tag (versions 2.2, 2.3 and 2.4), which keeps its version, and of the genre in ID3v1.

The structure is that of id3.org: "ID3 tag version 2.3.0" (Nilsson, 1999), "ID3 tag version 2.4.0" (Nilsson, 2000).
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from typing import BinaryIO

from genre_core.library.tag_formats.edits import NOTE, Edit, Fields, LayoutError, growth, read_at

MAX_TAG_BYTES = 100_000_000
V1_BYTES = 128
_UNSYNCHRONISED = 0x80
_REFUSED_FLAGS = {2: 0x7F, 3: 0x5F, 4: 0x5F}  # compression, extended header (its checksum), footer (no padding), undefined
_FRAME_NAME = {2: re.compile(rb"[A-Z][A-Z0-9]{2}"), 3: re.compile(rb"[A-Z][A-Z0-9]{2}[A-Z0-9 \0]")}
_NEW_PADDING = 1024
_UNKNOWN_V1_GENRE = 255


@dataclass(frozen=True)
class _Frame:
    name: bytes
    start: int  # in the tag without unsynchronisation
    end: int
    content: bytes
    plain: bool  # neither compressed nor encrypted


def tag_bytes(head: bytes) -> int:
    """Return the length of an ID3v2 tag from its first ten bytes; 0 if there is none."""
    if len(head) < 10 or head[:3] != b"ID3" or head[3] == 0xFF or max(head[6:10]) > 0x7F:
        return 0
    return 10 + _number(head[6:10], 7) + (10 if head[3] == 4 and head[5] & 0x10 else 0)


def edits(file: BinaryIO, start: int, end: int, fields: Fields) -> list[Edit]:
    """Compute the edits that write fields into an ID3v2 tag.

    Padding is used; a tag without enough of it grows by an even number of bytes. A missing tag is created with version 2.4.

    Parameters
    ----------
    file : binary file
    start, end : int
        Position of the tag, and the end of the space that it may take.
    fields : Fields
        Values to write; empty ones are left as they are.

    Returns
    -------
    list of Edit

    Raises
    ------
    LayoutError
        The tag is damaged, or has a structure that is not changed.
    """
    file.seek(start)
    head = file.read(min(10, end - start))
    size = tag_bytes(head)
    if not size:
        body = _frames_of(fields, 4, plain_sizes=False)
        body += bytes(_NEW_PADDING + len(body) % 2)
        return [Edit(start, 0, b"ID3\4\0\0" + _bytes(len(body), 7) + body)]
    major, flags = head[3], head[5]
    if major not in _REFUSED_FLAGS:
        raise LayoutError(f"its ID3 tag has the unknown version 2.{major}")
    if flags & _REFUSED_FLAGS[major]:
        raise LayoutError("its ID3 tag has an extended header, a footer or compression, which are not changed")
    if start + size > end or size > MAX_TAG_BYTES:
        raise LayoutError("its ID3 tag is longer than the file")
    raw = read_at(file, start + 10, size - 10)
    whole_unsynchronised = bool(flags & _UNSYNCHRONISED) and major < 4  # in 2.4, each frame is
    dropped = [match.start() + 1 for match in re.finditer(rb"\xff\0", raw)] if whole_unsynchronised else []
    body = raw.replace(b"\xff\0", b"\xff") if whole_unsynchronised else raw
    before = [position - i for i, position in enumerate(dropped)]  # positions in `body` of the bytes after the dropped ones

    def at(position: int) -> int:
        """Return the position in the file of a position in `body`."""
        return start + 10 + position + bisect.bisect_right(before, position)

    frames, frames_end, plain_sizes = _parse(body, major, unsynchronised=bool(flags & _UNSYNCHRONISED))
    changed = [Edit(at(frame.start), at(frame.end) - at(frame.start), b"") for frame in frames if _is_replaced(frame, fields)]
    added = _frames_of(fields, major, plain_sizes=plain_sizes)
    if whole_unsynchronised:
        added = re.sub(rb"\xff(?=[\xe0-\xff\0])", b"\xff\0", added)
    padding = start + size - at(frames_end)
    gain = len(added) + growth(changed)
    if gain <= padding:
        return [*changed, Edit(at(frames_end), max(gain, 0), added + bytes(max(-gain, 0)))]
    more = gain - padding + _NEW_PADDING
    more += more % 2
    return [
        Edit(start + 6, 4, _bytes(size - 10 + more, 7)),
        *changed,
        Edit(at(frames_end), padding, added + bytes(more - gain + padding)),
    ]


def v1_edits(file: BinaryIO, size: int, genre: str) -> list[Edit]:
    """Compute the edit that brings the genre of an ID3v1 tag at the end of a file in line; none if there is no such tag."""
    from mutagen.id3 import TCON

    if size < V1_BYTES or read_at(file, size - V1_BYTES, 3) != b"TAG":
        return []
    names = {_letters(name): number for number, name in reversed(list(enumerate(TCON.GENRES)))}
    return [Edit(size - 1, 1, bytes([min(names.get(_letters(genre), _UNKNOWN_V1_GENRE), 255)]))]


def _letters(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _parse(body: bytes, major: int, *, unsynchronised: bool) -> tuple[list[_Frame], int, bool]:
    """Split a tag into frames; return them, their end, and whether sizes in 2.4 are plain numbers, as iTunes wrote them."""
    for plain_sizes in (False, True) if major == 4 else (True,):
        parsed = _walk(body, major, plain_sizes=plain_sizes, unsynchronised=unsynchronised)
        if parsed:
            return *parsed, plain_sizes
    raise LayoutError("its ID3 tag is damaged")


def _walk(body: bytes, major: int, *, plain_sizes: bool, unsynchronised: bool) -> tuple[list[_Frame], int] | None:
    frames, position = [], 0
    letters = 3 if major == 2 else 4
    header = 2 * letters if major == 2 else 10
    while position < len(body) and body[position]:
        name, sizes = body[position : position + letters], body[position + letters : position + 2 * letters]
        content = position + header
        if content > len(body) or not _FRAME_NAME[min(major, 3)].fullmatch(name) or (not plain_sizes and max(sizes) > 0x7F):
            return None
        end = content + _number(sizes, 8 if plain_sizes else 7)
        if end > len(body):
            return None
        data = body[content:end].replace(b"\xff\0", b"\xff") if unsynchronised and major == 4 else body[content:end]
        frames.append(_Frame(name, position, end, data[:10_000], major == 2 or not body[position + 9] & ~0x02))
        position = end
    return None if body[position:].strip(b"\0") else (frames, position)


def _is_replaced(frame: _Frame, fields: Fields) -> bool:
    if fields.genres and frame.name in (b"TCON", b"TCO"):
        return True
    if fields.moods and frame.name == b"TMOO":
        return True
    if frame.name not in (b"TXXX", b"TXX") or not frame.plain or not frame.content:
        return False
    encoding = ("latin-1", "utf-16", "utf-16-be", "utf-8")[frame.content[0] % 4]
    description = frame.content[1:].decode(encoding, "replace").split("\0", 1)[0].upper()
    return bool(fields.note and description == NOTE) or bool(fields.moods and description == "MOOD")


def _frames_of(fields: Fields, major: int, *, plain_sizes: bool) -> bytes:
    genre, text = (b"TCO", b"TXX") if major == 2 else (b"TCON", b"TXXX")
    made = [(genre, fields.genres)] if fields.genres else []
    if fields.note:
        made.append((text, (NOTE, fields.note)))
    if fields.moods:  # TMOO is a frame of 2.4 alone
        made.append((b"TMOO", fields.moods) if major == 4 else (text, ("MOOD", *fields.moods)))
    frames = b""
    for name, values in made:
        content = _text(values, major)
        if major == 2:
            frames += name + len(content).to_bytes(3, "big") + content
        else:
            frames += name + _bytes(len(content), 8 if plain_sizes else 7) + b"\0\0" + content
    return frames


def _text(values: tuple[str, ...], major: int) -> bytes:
    """Encode values, with a null between two of them."""
    if all(value.isascii() for value in values):
        return b"\0" + b"\0".join(value.encode() for value in values)
    if major == 4:
        return b"\3" + b"\0".join(value.encode() for value in values)
    return b"\1" + b"\0\0".join(b"\xff\xfe" + value.encode("utf-16-le") for value in values)


def _number(data: bytes, bits: int) -> int:
    value = 0
    for byte in data:
        value = value << bits | byte
    return value


def _bytes(value: int, bits: int) -> bytes:
    if value >= 1 << (4 * bits):
        raise LayoutError("its ID3 tag would be too long")
    return bytes(value >> (bits * i) & ((1 << bits) - 1) for i in (3, 2, 1, 0))
