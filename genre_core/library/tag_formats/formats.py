"""Formats whose tags can be changed. The content of a file tells its format, whatever its name says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from genre_core.audio.tags import MAX_FILE_BYTES
from genre_core.errors import AudioError, GenreError
from genre_core.library.tag_formats import flac, id3, iff, mp4, ogg
from genre_core.library.tag_formats.edits import Edit, Fields, LayoutError, blocks, in_order, read_at
from genre_core.util.files import plain_file

MAX_LETTERS = 200  # of a value
Result = TypeVar("Result")
_SUPPORTED = "MP3, FLAC, Ogg (Vorbis, Opus, FLAC), MP4, WAV and AIFF"
_OTHER = {
    b"\x30\x26\xb2\x75": "WMA",
    b"MAC ": "Monkey's Audio (APE)",
    b"wvpk": "WavPack",
    b"\x1aE\xdf\xa3": "Matroska or WebM",
    b"RF64": "RF64",
    b"BW64": "BW64",
    b"riff": "Wave64",
    b"MPCK": "Musepack",
    b"MP+": "Musepack",
    b"TTA1": "True Audio",
    b"DSD ": "DSF",
    b"FRM8": "DSDIFF",
    b".snd": "AU",
    b"caff": "CAF",
    b"#!AM": "AMR",
    b"\x0bw": "AC-3",
    b"ADIF": "raw AAC",
}


def _mp3_edits(file: BinaryIO, size: int, fields: Fields) -> list[Edit]:
    changed = id3.edits(file, 0, size, fields)
    return changed + (id3.v1_edits(file, size, fields.genres[0]) if fields.genres else [])


def _mp3_audio(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield all that is between the ID3 tags."""
    file.seek(0)
    start = id3.tag_bytes(file.read(10))
    has_v1 = size - start >= id3.V1_BYTES and read_at(file, size - id3.V1_BYTES, 3) == b"TAG"
    yield from blocks(file, start, size - id3.V1_BYTES if has_v1 else size)


@dataclass(frozen=True)
class Format:
    """Format of audio files, with the functions that change its tags and read its audio.

    Attributes
    ----------
    name : str
    edits : callable
        Computes the edits of an open file of some size that write fields.
    audio : callable
        Yields the audio of an open file of some size, in blocks.
    """

    name: str
    edits: Callable[[BinaryIO, int, Fields], list[Edit]]
    audio: Callable[[BinaryIO, int], Iterator[bytes]]


MP3 = Format("MP3", _mp3_edits, _mp3_audio)
FLAC = Format("FLAC", flac.edits, flac.audio)
OGG = Format("Ogg", ogg.edits, ogg.audio)
MP4 = Format("MP4", mp4.edits, mp4.audio)
WAV = Format("WAV", iff.edits, iff.audio)
AIFF = Format("AIFF", iff.edits, iff.audio)


def format_of(path: str | Path) -> Format:
    """Find the format of a file from its content.

    Raises
    ------
    AudioError
        The file cannot be opened, or the tags of its format are not supported.
    """
    try:
        plain_file(path, max_bytes=MAX_FILE_BYTES)
        with Path(path).open("rb") as file:
            head = file.read(12)
            if start := id3.tag_bytes(head):
                file.seek(start)
                head = file.read(12)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error.strerror}") from None
    except GenreError as error:
        raise AudioError(str(error)) from None
    if head[:4] == b"fLaC":
        return FLAC
    if not start and head[:4] == b"OggS":
        return OGG
    if not start and head[4:8] == b"ftyp":
        return MP4
    if not start and head[:4] == b"RIFF" and head[8:] == b"WAVE":
        return WAV
    if not start and head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
        return AIFF
    other = next((name for magic, name in _OTHER.items() if head.startswith(magic)), "")
    if head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xF6 == 0xF0:
        other = "raw AAC"
    is_sync = head[:1] == b"\xff" and head[1:2] >= b"\xe0"
    if not other and (start or is_sync or Path(path).suffix.lower() in (".mp3", ".mp2")):
        return MP3
    raise AudioError(f"{path}: tags of {other or 'this format'} are not supported; only those of {_SUPPORTED} are")


def edits_for(path: str | Path, fields: Fields) -> list[Edit]:
    """Compute the edits that write fields into the tags of a file.

    Parameters
    ----------
    path : str or Path
    fields : Fields
        Values to write; empty ones are left as they are.

    Returns
    -------
    list of Edit
        Edits in order.

    Raises
    ------
    AudioError
        As for `read_fields`, or the tags have a structure that is not changed.
    """
    kind = format_of(path)
    return with_file(path, lambda file, size: in_order(kind.edits(file, size, fields)))


def audio_digest(path: str | Path) -> tuple[int, str]:
    """Compute the length in bytes and the SHA-256 of the audio of a file, without its tags.

    Raises
    ------
    AudioError
        As for `edits_for`.
    """

    def digest(file: BinaryIO, size: int) -> tuple[int, str]:
        sha256, length = hashlib.sha256(), 0
        for block in format_of(path).audio(file, size):
            sha256.update(block)
            length += len(block)
        return length, sha256.hexdigest()

    return with_file(path, digest)


def with_file(path: str | Path, function: Callable[[BinaryIO, int], Result]) -> Result:
    """Call a function with the open file and its size in bytes.

    Raises
    ------
    AudioError
        The file cannot be read, or the function raises a `LayoutError`; the message names the file.
    """
    try:
        with Path(path).open("rb") as file:
            return function(file, file.seek(0, 2))
    except LayoutError as error:
        raise AudioError(f"{path}: {error}") from None
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error.strerror}") from None
