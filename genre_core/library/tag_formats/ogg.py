"""Edits of the comment packet of an Ogg file: Vorbis, Opus or FLAC (RFC 3533, RFC 7845).

Where the packet still fits into its pages, only bytes of the packet and checksums change; else the numbers of all later pages too.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import BinaryIO

from genre_core.library.tag_formats import comments
from genre_core.library.tag_formats.edits import Edit, Fields, LayoutError, blocks, read_at

MAX_COMMENT_BYTES = 64_000_000
_HEADER_BYTES = 27
_MAX_SEGMENTS = 255
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_NO_POSITION = b"\xff" * 8
_SWAPPED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
# First packet of the stream, and the bytes before the comment in the second packet.
_CODECS = {b"\x01vorbis": 7, b"OpusHead": 8, b"\x7fFLAC": 4}


@dataclass(frozen=True)
class _Page:
    start: int
    header: bytes  # with the table of segments
    body: bytes

    @property
    def segments(self) -> bytes:
        return self.header[_HEADER_BYTES:]

    @property
    def end(self) -> int:
        return self.start + len(self.header) + len(self.body)

    @property
    def serial(self) -> bytes:
        return self.header[14:18]

    @property
    def number(self) -> int:
        return int.from_bytes(self.header[18:22], "little")


def edits(file: BinaryIO, size: int, fields: Fields) -> list[Edit]:
    """Compute the edits that write `fields` into an Ogg file of `size` bytes; see `comments.edits`.

    A chained file gets them in its first part.
    """
    first, pages, packet = _comment(file, size)
    prefix = next(length for magic, length in _CODECS.items() if first.body.startswith(magic))
    changed, _ = comments.edits(packet[prefix:], prefix, fields)
    new, position = b"", 0
    for edit in sorted(changed, key=lambda edit: edit.start):
        new += packet[position : edit.start] + edit.data
        position = edit.start + edit.length
    new += packet[position:]
    if first.body.startswith(b"\x7fFLAC"):
        if len(new) - 4 >= 1 << 24:
            raise LayoutError("its Vorbis comment would be longer than FLAC allows")
        new = new[:1] + (len(new) - 4).to_bytes(3, "big") + new[4:]
    made = _paged(pages, packet, new)
    result = _differences(pages, made)
    if len(made) != len(pages):
        for page in _stream(file, pages[-1].end, size, first.serial):
            header = _numbered(page.header, page.number + len(made) - len(pages), page.body)
            result.append(Edit(page.start + 18, 8, header[18:26]))
    return result


def audio(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the content of all pages without the comment, and all that follows the stream."""
    first, pages, packet = _comment(file, size)
    yield first.body
    yield b"".join(page.body for page in pages)[len(packet) :]
    end = pages[-1].end
    for page in _stream(file, end, size, first.serial):
        end = page.end
        yield page.body
    yield from blocks(file, end, size)


def _page(file: BinaryIO, start: int) -> _Page:
    head = read_at(file, start, _HEADER_BYTES)
    if head[:5] != b"OggS\0":
        raise LayoutError("its Ogg pages are damaged")
    header = head + file.read(head[26])
    body_bytes = sum(header[_HEADER_BYTES:])
    body = file.read(body_bytes)
    if len(header) < _HEADER_BYTES + head[26] or len(body) < body_bytes:
        raise LayoutError("its last Ogg page is incomplete")
    return _Page(start, header, body)


def _comment(file: BinaryIO, size: int) -> tuple[_Page, list[_Page], bytes]:
    """Return the first page, the pages from the start of the comment to its end, and the comment's packet."""
    first = _page(file, 0)
    if not any(first.body.startswith(magic) for magic in _CODECS):
        raise LayoutError("its Ogg stream is not Vorbis, Opus or FLAC; its tags are not supported")
    pages: list[_Page] = []
    packet = b""
    complete = False
    position = first.end
    while not complete:
        page = _page(file, position)
        if page.serial != first.serial or page.header[5] & (_FIRST | (0 if pages else _CONTINUED)):
            raise LayoutError("it has several streams at once; its tags are not supported")
        if _numbered(page.header, page.number, page.body) != page.header:
            raise LayoutError("its Ogg pages are damaged")
        pages.append(page)
        full = len(bytes(takewhile(lambda segment: segment == 255, page.segments)))
        complete = full < len(page.segments)
        packet += page.body[: sum(page.segments[: full + 1])]
        if len(packet) > MAX_COMMENT_BYTES or page.end > size:
            raise LayoutError("its Vorbis comment is damaged")
        position = page.end
    return first, pages, packet


def _stream(file: BinaryIO, position: int, size: int, serial: bytes) -> Iterator[_Page]:
    """Yield the pages of the first stream from `position` to its end."""
    while position < size:
        page = _page(file, position)
        if page.serial != serial or page.header[5] & _FIRST:
            return
        yield page
        if page.header[5] & _LAST:
            return
        position = page.end


def _paged(pages: list[_Page], old: bytes, new: bytes) -> list[_Page]:
    """Lay the new packet, and what follows it in its last page, out in pages: as many as before, if that is enough."""
    rest = pages[-1].segments[len(_lacing(len(old))) - sum(len(page.segments) for page in pages[:-1]) :]
    segments = _lacing(len(new)) + rest
    body = new + b"".join(page.body for page in pages)[len(old) :]
    counts = [len(page.segments) for page in pages[:-1]]
    left = len(segments) - sum(counts)
    if not 0 < left <= _MAX_SEGMENTS:
        number = max(len(pages), -(-len(segments) // _MAX_SEGMENTS))
        if len(segments) < number:  # the comment lost its pages
            number = 1
        counts = [len(segments) * (i + 1) // number - len(segments) * i // number for i in range(number - 1)]
        left = len(segments) - sum(counts)
    made = []
    position = segment = 0
    for i, count in enumerate([*counts, left]):
        part = segments[segment : segment + count]
        content = body[position : position + sum(part)]
        continued = segment > 0 and segments[segment - 1] == 255
        flags = (pages[-1].header[5] & _LAST if i == len(counts) else 0) | (_CONTINUED if continued else 0)
        ended = pages[-1].header[6:14] if i == len(counts) else bytes(8)  # the position of a page where a packet ends
        granule = ended if any(length < 255 for length in part) else _NO_POSITION
        head = b"OggS\0" + bytes([flags]) + granule + pages[0].serial + bytes(8) + bytes([count]) + part
        made.append(_Page(0, _numbered(head, pages[0].number + i, content), content))
        segment, position = segment + count, position + len(content)
    return made


def _lacing(length: int) -> bytes:
    return b"\xff" * (length // 255) + bytes([length % 255])


def _numbered(header: bytes, number: int, body: bytes) -> bytes:
    """Return a page's header with another number, and its checksum."""
    header = header[:18] + (number & 0xFFFFFFFF).to_bytes(4, "little") + bytes(4) + header[26:]
    # Ogg's CRC has zlib's polynomial in the other order of bits, and starts with 0.
    checksum = ~zlib.crc32(body.translate(_SWAPPED), zlib.crc32(header.translate(_SWAPPED), 0xFFFFFFFF)) & 0xFFFFFFFF
    return header[:22] + checksum.to_bytes(4, "big").translate(_SWAPPED) + header[26:]


def _differences(pages: list[_Page], made: list[_Page]) -> list[Edit]:
    """Replace pages by others; what both have at the start and the end of a page stays."""
    result = []
    if len(pages) != len(made):
        start = pages[0].start
        return [Edit(start, pages[-1].end - start, b"".join(page.header + page.body for page in made))]
    for page, other in zip(pages, made, strict=True):
        if page.header != other.header:
            result.append(Edit(page.start, len(page.header), other.header))
        old, new = page.body, other.body
        if old == new:
            continue
        start = _common(old, new)
        end = _common(old[start:][::-1], new[start:][::-1])
        body = page.start + len(page.header)
        if len(old) == len(new) or end or start:
            result.append(Edit(body + start, len(old) - start - end, new[start : len(new) - end]))
        else:
            result.append(Edit(body, len(old), new))
    return result


def _common(a: bytes, b: bytes) -> int:
    """Count the equal bytes at the start of both."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[:middle] == b[:middle] else (low, middle - 1)
    return low
