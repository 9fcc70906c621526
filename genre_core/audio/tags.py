"""Genre and artist in the tags of audio files.

Mutagen (an extra) reads the tags. Their text is from strangers: it is stripped, bounded and has no control characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genre_core.errors import AudioError, GenreError, one_line
from genre_core.util.files import plain_file

MAX_FILE_BYTES = 64_000_000_000  # a larger file is not music
_MAX_VALUES, _MAX_LETTERS = 32, 200  # of one field
_VARIOUS = {"various", "various artists", "va", "v.a."}  # album artists of compilations
_NOBODY = _VARIOUS | {"unknown", "unknown artist", "[unknown]", "<unknown>"}  # in place of an artist
# Keys of each field, by the kind of tag: ID3 frames, Vorbis comments, MP4 atoms, ASF attributes, APEv2 items.
_GENRE = ("TCON", "genre", "\xa9gen", "WM/Genre", "Genre")
_ARTIST = ("TPE1", "artist", "\xa9ART", "Author", "Artist")
_ALBUM_ARTIST = ("TPE2", "albumartist", "aART", "WM/AlbumArtist", "Album Artist")


@dataclass(frozen=True)
class Tags:
    """Tags of a file that name its music.

    Attributes
    ----------
    genres : tuple of str
        Genres as written, in order, without repetitions. Numbers of ID3v1 are replaced by their names.
    artist : str
        Artist of the album, or of the track if the album has several; empty if the file names none, or has words
        like "Unknown Artist" in its place.
    """

    genres: tuple[str, ...] = ()
    artist: str = ""


def read_tags(path: str | Path) -> Tags:
    """Read the genres and the artist from the tags of a file.

    Parameters
    ----------
    path : str or Path
        Audio file of any format. A file without tags, or of a format whose tags are not known, gives empty `Tags`.

    Returns
    -------
    Tags

    Raises
    ------
    AudioError
        The file cannot be opened, or its tags are damaged.
    """
    import mutagen

    try:
        plain_file(path, max_bytes=MAX_FILE_BYTES)
        file = mutagen.File(path)
    except GenreError as error:
        raise AudioError(str(error)) from None
    except (mutagen.MutagenError, OSError, ValueError, LookupError, ArithmeticError, TypeError, MemoryError, RecursionError) as error:
        raise AudioError(f"{path}: its tags cannot be read: {one_line(str(error))[:200] or type(error).__name__}") from None
    tags = None if file is None else file.tags
    if tags is None:
        return Tags()
    album_artist = next(iter(_texts(tags, _ALBUM_ARTIST)), "")
    artist = next(iter(_texts(tags, _ARTIST)), "")
    named = artist if not album_artist or album_artist.casefold() in _VARIOUS else album_artist
    return Tags(tuple(dict.fromkeys(_texts(tags, _GENRE))), "" if named.casefold() in _NOBODY else named)


def _texts(tags: Any, keys: Iterable[str]) -> list[str]:
    """Return the texts of the first of `keys` that has any."""
    for key in keys:
        try:
            field = tags[key]
        except (KeyError, ValueError):  # ValueError: a key that this kind of tag cannot have
            continue
        values = getattr(field, "genres", None) if key == "TCON" else None  # with the names of ID3v1's numbers
        if values is None:
            values = getattr(field, "text", field)
        values = [values] if isinstance(values, str) or not isinstance(values, Iterable) else list(values)
        if texts := [text for value in values[:_MAX_VALUES] if (text := _clean(value))]:
            return texts
    return []


def _clean(value: Any) -> str:
    """Return a value of a field as composed Unicode on one line, or an empty text."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)[: 4 * _MAX_LETTERS]).split())
    return unicodedata.normalize("NFC", text)[:_MAX_LETTERS].strip()
