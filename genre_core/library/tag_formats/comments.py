"""Edits of a Vorbis comment: the tags of FLAC and of Vorbis, Opus and FLAC in Ogg.

The structure is that of "Ogg Vorbis I format specification: comment field and header specification" (Xiph.Org).
"""

from __future__ import annotations

from genre_core.library.tag_formats.edits import NOTE, Edit, Fields, LayoutError

_MAX_COMMENTS = 100_000
_VENDOR = b"genre-pipeline"


def edits(data: bytes, start: int, fields: Fields) -> tuple[list[Edit], int]:
    """Compute the edits that write fields into a comment.

    Parameters
    ----------
    data : bytes
        Comment, from the length of its vendor; other data may follow.
    start : int
        Position of the comment in the file.
    fields : Fields
        Values to write; empty ones are left as they are.

    Returns
    -------
    edits : list of Edit
    end : int
        Position of the end of the comment.

    Raises
    ------
    LayoutError
        The comment is damaged.
    """

    def number(position: int) -> int:
        if position + 4 > len(data):
            raise LayoutError("its Vorbis comment is damaged")
        return int.from_bytes(data[position : position + 4], "little")

    names = {name for name, value in (("GENRE", fields.genres), ("MOOD", fields.moods), (NOTE, fields.note)) if value}
    position = count_at = 4 + number(0)
    count = number(count_at)
    if count > _MAX_COMMENTS:
        raise LayoutError("its Vorbis comment is damaged")
    position += 4
    changed, kept = [], 0
    for _ in range(count):
        end = position + 4 + number(position)
        if end > len(data):
            raise LayoutError("its Vorbis comment is damaged")
        name = data[position + 4 : min(end, position + 100)].split(b"=", 1)[0]
        if name.decode("ascii", "replace").upper() in names:
            changed.append(Edit(start + position, end - position, b""))
        else:
            kept += 1
        position = end
    added = _entries(fields)
    changed.append(Edit(start + count_at, 4, (kept + len(added)).to_bytes(4, "little")))
    changed.append(Edit(start + position, 0, b"".join(added)))
    return changed, start + position


def new(fields: Fields) -> bytes:
    """Make a comment that holds the fields alone."""
    added = _entries(fields)
    return len(_VENDOR).to_bytes(4, "little") + _VENDOR + len(added).to_bytes(4, "little") + b"".join(added)


def _entries(fields: Fields) -> list[bytes]:
    pairs = [("GENRE", genre) for genre in fields.genres] + [("MOOD", mood) for mood in fields.moods]
    pairs += [(NOTE, fields.note)] if fields.note else []
    texts = [f"{name}={value}".encode() for name, value in pairs]
    return [len(text).to_bytes(4, "little") + text for text in texts]
