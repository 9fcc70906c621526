"""Edits of the ID3 chunk of a WAV file (RIFF) or an AIFF file (IFF)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from genre_core.library.tag_formats import id3
from genre_core.library.tag_formats.edits import Edit, Fields, LayoutError, blocks, growth, read_at

_MAX_CHUNKS = 100_000
_AUDIO = (b"data", b"SSND")


@dataclass(frozen=True)
class _Chunk:
    name: bytes
    start: int  # of its header of eight bytes
    length: int  # of its content, without the byte that makes it even

    @property
    def content(self) -> int:
        return self.start + 8

    @property
    def end(self) -> int:
        return self.content + self.length + self.length % 2


def edits(file: BinaryIO, size: int, fields: Fields) -> list[Edit]:
    """Compute the edits that write `fields` into a WAV or AIFF file of `size` bytes; see `id3.edits`.

    A WAV file with a genre in its INFO list (IGNR) gets the new one there too, because some players read nothing else.
    """
    order, form_bytes, chunks = _chunks(file, size)
    tag = next((chunk for chunk in chunks if chunk.name in (b"ID3 ", b"id3 ")), None)
    if tag:
        changed = id3.edits(file, tag.content, tag.content + tag.length, fields)
        changed.append(Edit(tag.start + 4, 4, _number(tag.length + growth(changed), order)))
    else:
        end, even = chunks[-1].end, b""
        if end > min(8 + form_bytes, size):  # some programs do not write the last byte, which makes a chunk even
            end, even = end - 1, b"\0"
            form_bytes = end - 8
        (made,) = id3.edits(file, end, end, fields)
        name = b"id3 " if order == "little" else b"ID3 "
        changed = [Edit(end, 0, even + name + _number(len(made.data), order) + made.data)]
    if fields.genres and order == "little":
        changed += _info_edits(file, chunks, fields.genres[0])
    return [*changed, Edit(4, 4, _number(form_bytes + growth(changed), order))]


def info_genre(file: BinaryIO, size: int) -> str:
    """Read the genre of the INFO list of a WAV file; empty if there is none."""
    found = _info(file, _chunks(file, size)[2])
    return read_at(file, found[1].content, min(found[1].length, 1000)).split(b"\0")[0].decode("utf-8", "replace").strip() if found else ""


def audio(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the bytes of the audio chunk."""
    for chunk in _chunks(file, size)[2]:
        if chunk.name in _AUDIO:
            yield from blocks(file, chunk.content, min(chunk.content + chunk.length, size))


def _chunks(file: BinaryIO, size: int) -> tuple[Literal["little", "big"], int, list[_Chunk]]:
    """Return the byte order, the length of the form from its header, and its chunks."""
    head = read_at(file, 0, 12)
    order: Literal["little", "big"] = "little" if head[:4] == b"RIFF" else "big"
    form_bytes = int.from_bytes(head[4:8], order)
    chunks = _list(file, 12, 8 + form_bytes, order)
    if 8 + form_bytes > size + 1 or not chunks or not any(chunk.name in _AUDIO for chunk in chunks):
        raise LayoutError("the sizes in its header are wrong; write it again with an audio editor")
    return order, form_bytes, chunks


def _list(file: BinaryIO, position: int, end: int, order: Literal["little", "big"]) -> list[_Chunk]:
    """Return the chunks from `position` to `end`."""
    chunks: list[_Chunk] = []
    while position + 8 <= end:
        head = read_at(file, position, 8)
        chunks.append(_Chunk(head[:4], position, int.from_bytes(head[4:], order)))
        if chunks[-1].content + chunks[-1].length > end or not head[:4].isascii() or len(chunks) > _MAX_CHUNKS:
            raise LayoutError("the sizes in its header are wrong; write it again with an audio editor")
        position = chunks[-1].end
    return chunks


def _info(file: BinaryIO, chunks: list[_Chunk]) -> tuple[_Chunk, _Chunk] | None:
    """Return the INFO list of a WAV file and the genre in it, or None."""
    for chunk in chunks:
        if chunk.name == b"LIST" and chunk.length >= 4 and read_at(file, chunk.content, 4) == b"INFO":
            for field in _list(file, chunk.content + 4, chunk.content + chunk.length, "little"):
                if field.name == b"IGNR":
                    return chunk, field
    return None


def _info_edits(file: BinaryIO, chunks: list[_Chunk], genre: str) -> list[Edit]:
    found = _info(file, chunks)
    if not found:
        return []
    info, field = found
    text = genre.encode() + b"\0"
    old_bytes = min(field.end, info.content + info.length) - field.content
    changed = Edit(field.content, old_bytes, text + bytes(len(text) % 2))
    if growth([changed]) % 2:
        raise LayoutError("the sizes in its INFO list are wrong; write it again with an audio editor")
    lengths = [
        Edit(field.start + 4, 4, _number(len(text), "little")),
        Edit(info.start + 4, 4, _number(info.length + growth([changed]), "little")),
    ]
    return [changed, *lengths]


def _number(value: int, order: Literal["little", "big"]) -> bytes:
    if value >= 1 << 32:
        raise LayoutError("it would be longer than 4 GB, which its format does not allow")
    return value.to_bytes(4, order)
