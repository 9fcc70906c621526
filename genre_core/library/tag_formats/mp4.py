"""Edits of the iTunes list of an MP4 file (ISO/IEC 14496-12, with Apple's ``ilst``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from genre_core.library.tag_formats.edits import NOTE, Edit, Fields, LayoutError, blocks, growth, read_at

_MAX_ATOMS = 100_000
_MAX_TABLE_BYTES = 100_000_000
_OWN_DOMAIN, _ITUNES = "com.genre-pipeline", "com.apple.iTunes"
_HANDLER = b"\0\0\0\x21hdlr" + bytes(8) + b"mdirappl" + bytes(9)
_UTF8 = 1


@dataclass(frozen=True)
class Atom:
    """Atom of a file: its name, and the positions of its header, its content and its end."""

    name: bytes
    start: int
    content: int
    end: int

    @property
    def wide(self) -> bool:
        """Whether its header holds a length of eight bytes."""
        return self.content - self.start == 16


def edits(file: BinaryIO, size: int, fields: Fields) -> list[Edit]:
    """Compute the edits that write `fields` into an MP4 file of `size` bytes; see `comments.edits`.

    Free space beside the list or behind the index is used. Without it, the file grows, and the positions of the audio in the index
    are moved.
    """
    top = atoms(file, 0, size)
    movie = _one(top, b"moov")
    if movie is None:
        raise LayoutError("it has no index (moov), so it is incomplete")
    parents = [movie]
    for name in (b"udta", b"meta", b"ilst"):
        start = parents[-1].content + (4 if parents[-1].name == b"meta" else 0)
        found = _one(atoms(file, start, parents[-1].end), name)
        if found is None:
            break
        parents.append(found)
    added = b"".join(_items(fields))
    changed: list[Edit] = []
    space: list[Atom] = []
    inside = atoms(file, parents[2].content + 4, parents[2].end) if len(parents) > 2 else []
    handler = _one(inside, b"hdlr")
    if inside and (handler is None or read_at(file, handler.content + 8, 4) != b"mdir"):
        raise LayoutError("its tags are not those of iTunes; they are not supported")
    if len(parents) == 4:
        items = parents[3]
        changed += [
            Edit(item.start, item.end - item.start, b"") for item in atoms(file, items.content, items.end) if _replaced(file, item, fields)
        ]
        changed.append(Edit(items.end, 0, added))
        space = [atom for atom in inside if atom.name == b"free"]
    elif len(parents) == 3:
        changed.append(Edit(parents[-1].end, 0, _atom(b"ilst", added)))
    else:
        meta_content = bytes(4) + _HANDLER + _atom(b"ilst", added)
        made = _atom(b"meta", meta_content)
        changed.append(Edit(parents[-1].end, 0, made if len(parents) == 2 else _atom(b"udta", made)))
    gain = growth(changed)
    if free := _fitting(space, gain):
        changed += _resized_free(free, gain)
        return [*changed, *_resized(parents[-1:], gain)]
    changed += _resized(parents, gain)
    behind = [atom for atom in top if atom.name == b"free" and atom.start == movie.end]
    if free := _fitting(behind, gain):
        return [*changed, *_resized_free(free, gain)]
    if gain and any(atom.start > movie.start and atom.name == b"mdat" for atom in top):
        changed += _moved(file, top, movie, gain)
    return changed


def audio(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the bytes of the media data."""
    for atom in atoms(file, 0, size):
        if atom.name == b"mdat":
            yield from blocks(file, atom.content, atom.end)


def atoms(file: BinaryIO, position: int, end: int) -> list[Atom]:
    """List the atoms from `position` to `end`.

    Raises
    ------
    LayoutError
        A length is wrong.
    """
    found: list[Atom] = []
    while position + 8 <= end:
        head = read_at(file, position, 8)
        length, header = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, header = int.from_bytes(read_at(file, position + 8, 8), "big"), 16
        if length == 0:
            if head[:4] == bytes(4) and head[4:] == bytes(4):  # zeros at the end of a list
                break
            length = end - position
        if length < header or position + length > end or len(found) > _MAX_ATOMS:
            raise LayoutError("the sizes of its atoms are wrong, or it is incomplete")
        found.append(Atom(head[4:], position, position + header, position + length))
        position += length
    return found


def _one(found: list[Atom], name: bytes) -> Atom | None:
    return next((atom for atom in found if atom.name == name), None)


def _replaced(file: BinaryIO, item: Atom, fields: Fields) -> bool:
    if item.name in (b"\xa9gen", b"gnre"):
        return bool(fields.genres)
    if item.name != b"----":
        return False
    parts = atoms(file, item.content, item.end)
    domain, name = (_text(file, _one(parts, part)) for part in (b"mean", b"name"))
    if domain.casefold() == _OWN_DOMAIN.casefold() and name == NOTE:
        return bool(fields.note)
    return bool(fields.moods) and domain.casefold() == _ITUNES.casefold() and name.upper() == "MOOD"


def _text(file: BinaryIO, atom: Atom | None) -> str:
    if atom is None or not 4 <= atom.end - atom.content <= 1000:
        return ""
    return read_at(file, atom.content + 4, atom.end - atom.content - 4).decode("utf-8", "replace")


def _items(fields: Fields) -> list[bytes]:
    items = [_atom(b"\xa9gen", b"".join(map(_data, fields.genres)))] if fields.genres else []
    for domain, name, values in ((_OWN_DOMAIN, NOTE, (fields.note,) if fields.note else ()), (_ITUNES, "MOOD", fields.moods)):
        if values:
            head = _atom(b"mean", bytes(4) + domain.encode()) + _atom(b"name", bytes(4) + name.encode())
            items.append(_atom(b"----", head + b"".join(map(_data, values))))
    return items


def _data(value: str) -> bytes:
    return _atom(b"data", _UTF8.to_bytes(4, "big") + bytes(4) + value.encode())


def _atom(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


def _fitting(space: list[Atom], gain: int) -> Atom | None:
    """Return an atom of free space that can take up `gain` bytes."""
    return next((atom for atom in space if not atom.wide and atom.end - atom.content >= gain), None)


def _resized_free(free: Atom, gain: int) -> list[Edit]:
    return [*_resized([free], -gain), Edit(free.content, max(gain, 0), bytes(max(-gain, 0)))]


def _resized(changed: list[Atom], gain: int) -> list[Edit]:
    result = []
    for atom in changed:
        length = atom.end - atom.start + gain
        if not atom.wide and length >= 1 << 32:
            raise LayoutError("its tags would be longer than its format allows")
        result.append(Edit(atom.start + 8, 8, length.to_bytes(8, "big")) if atom.wide else Edit(atom.start, 4, length.to_bytes(4, "big")))
    return result


def _moved(file: BinaryIO, top: list[Atom], movie: Atom, gain: int) -> list[Edit]:
    """Move the positions in the index that lie behind it by `gain` bytes."""
    if any(atom.name in (b"moof", b"sidx", b"mfra") for atom in top):
        raise LayoutError("it is a fragmented MP4 without free space for tags; write it again, for example with ffmpeg -c copy")
    result = []
    for track in atoms(file, movie.content, movie.end):
        level = [track]
        for name in (b"trak", b"mdia", b"minf", b"stbl"):
            level = [child for atom in level if atom.name == name for child in atoms(file, atom.content, atom.end)]
        for table in level:
            if table.name not in (b"stco", b"co64"):
                continue
            width = 4 if table.name == b"stco" else 8
            count = int.from_bytes(read_at(file, table.content + 4, 4), "big")
            if count * width > min(table.end - table.content - 8, _MAX_TABLE_BYTES):
                raise LayoutError("its index is damaged")
            data = read_at(file, table.content + 8, count * width)
            positions = [int.from_bytes(data[i : i + width], "big") for i in range(0, len(data), width)]
            positions = [position + gain if position >= movie.end else position for position in positions]
            if max(positions, default=0) >= 1 << (8 * width):
                raise LayoutError("it would be longer than 4 GB, which its index does not allow")
            result.append(Edit(table.content + 8, len(data), b"".join(position.to_bytes(width, "big") for position in positions)))
    return result
