"""Tags of an audio file, read by mutagen: before a change, and to check the changed copy.

Mutagen did not write the change, so it is an independent judge: it must find the new values, and all other fields as before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genre_core.errors import AudioError, one_line
from genre_core.library.tag_formats import flac, iff
from genre_core.library.tag_formats.edits import NOTE, Fields
from genre_core.library.tag_formats.formats import AIFF, MAX_LETTERS, MP3, MP4, WAV, Format, audio_digest, format_of, with_file

_MAX_VALUES = 64
_KEYS: dict[str, dict[str, tuple[str, ...]]] = {
    "genre": {"ID3": ("TCON",), "MP4": ("\xa9gen",), "": ("genre",)},
    "mood": {"ID3": ("TMOO", "TXXX:MOOD"), "MP4": ("----:com.apple.iTunes:MOOD",), "": ("mood",)},
    "note": {"ID3": (f"TXXX:{NOTE}",), "MP4": (f"----:com.genre-pipeline:{NOTE}",), "": (NOTE,)},
}
_OWN_KEYS = {key.casefold() for by_kind in _KEYS.values() for keys in by_kind.values() for key in keys}


def read_fields(path: str | Path) -> Fields:
    """Read the genres, the moods and the own note from the tags of a file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Fields
        Values on one line each, without control characters. A genre of ID3v1, of an APEv2 tag in an MP3 file or of the INFO list of
        a WAV file counts if there is no other.

    Raises
    ------
    AudioError
        The file cannot be opened, its tags are damaged, or those of its format are not supported.
    """
    kind = format_of(path)
    info = with_file(path, iff.info_genre) if kind in (WAV, AIFF) else ""
    tags = _load(path, kind).tags
    values = {name: _values(tags, kind, name) for name in _KEYS}
    genres = values["genre"] or tuple(filter(None, [_clean(info)]))
    if not genres and kind is MP3:
        genres = _ape_genres(path)
    return Fields(genres, values["mood"], " ".join(values["note"]))


def check_copy(path: str | Path, copy: str | Path, fields: Fields) -> tuple[int, str]:
    """Check that a changed copy has the new values, and all else of the file.

    Parameters
    ----------
    path, copy : str or Path
        The file, and its changed copy.
    fields : Fields
        Values that were written.

    Returns
    -------
    tuple of int and str
        Length in bytes and SHA-256 of the audio (`audio_digest`).

    Raises
    ------
    AudioError
        The audio or another field differs, or a new value is not found.
    """
    kind = format_of(path)
    if kind is MP3 and fields.genres and _ape_genres(path):
        raise AudioError(f"{path}: has a genre in an APEv2 tag too, which is not changed; remove that tag")
    audio = audio_digest(path)
    problem = "its audio" if format_of(copy) is not kind or audio_digest(copy) != audio else ""
    before, after = _load(path, kind), _load(copy, kind)
    for name, wanted in (("genre", fields.genres), ("mood", fields.moods), ("note", (fields.note,) if fields.note else ())):
        found = _values(after.tags, kind, name)
        if found != (wanted or _values(before.tags, kind, name)):
            problem = problem or f"its {name}"
    if problem or _others(before) != _others(after):
        raise AudioError(f"{path}: left as it is, because {problem or 'another field'} would not be as wanted; its tags are unusual")
    return audio


def _load(path: str | Path, kind: Format) -> Any:
    """Open a file with mutagen's class for its format."""
    import mutagen
    import mutagen.aiff
    import mutagen.flac
    import mutagen.mp3
    import mutagen.mp4
    import mutagen.oggflac
    import mutagen.oggopus
    import mutagen.oggvorbis
    import mutagen.wave

    classes = {
        "MP3": [mutagen.mp3.MP3],
        "FLAC": [mutagen.flac.FLAC],
        "Ogg": [mutagen.oggvorbis.OggVorbis, mutagen.oggopus.OggOpus, mutagen.oggflac.OggFLAC],
        "MP4": [mutagen.mp4.MP4],
        "WAV": [mutagen.wave.WAVE],
        "AIFF": [mutagen.aiff.AIFF],
    }
    choices = classes[kind.name]
    try:
        return choices[0](path) if len(choices) == 1 else mutagen.File(path, options=choices) or choices[0](path)
    except (mutagen.MutagenError, OSError, ValueError, LookupError, ArithmeticError, TypeError, MemoryError, RecursionError) as error:
        raise AudioError(f"{path}: its tags cannot be read: {one_line(str(error))[:200] or type(error).__name__}") from None


def _values(tags: Any, kind: Format, name: str) -> tuple[str, ...]:
    """Return the texts of a field."""
    fields = {str(key).casefold(): value for key, value in tags.items()} if tags is not None else {}
    for key in _KEYS[name]["ID3" if kind in (MP3, WAV, AIFF) else "MP4" if kind is MP4 else ""]:
        if found := _texts(fields.get(key.casefold()), numbered=key == "TCON"):
            return found
    return ()


def _texts(field: Any, *, numbered: bool = False) -> tuple[str, ...]:
    if field is None:
        return ()
    values = field.genres if numbered else getattr(field, "text", field)  # with the names of ID3v1's numbers
    texts = (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in list(values)[:_MAX_VALUES])
    return tuple(filter(None, map(_clean, texts)))


def _clean(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * MAX_LETTERS]).split())[:MAX_LETTERS]


def _ape_genres(path: str | Path) -> tuple[str, ...]:
    import mutagen
    from mutagen.apev2 import APEv2

    try:
        return _texts(APEv2(path).get("Genre"))
    except (mutagen.MutagenError, OSError, ValueError, LookupError, TypeError):
        return ()


def _others(file: Any) -> list[Any]:
    """Collect all other fields and pictures of a file opened by mutagen."""
    tags = file.tags
    if tags is None:
        others: list[Any] = []
    elif isinstance(tags, list):  # Vorbis comments
        others = [(key, value) for key, value in tags if key.casefold() not in _OWN_KEYS]
    else:
        others = sorted((key, repr(value)) for key, value in tags.items() if key.casefold() not in _OWN_KEYS)
        others += getattr(tags, "unknown_frames", [])
    blocks = getattr(file, "metadata_blocks", [])
    return others + [block.write() for block in blocks if block.code not in (flac.COMMENT, flac.PADDING)]
