"""Parts of chained Ogg files and of joined mp3 files. FFmpeg reads such parts rightly only if each is opened alone."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from genre_core.errors import AudioError

FIRST_FRAMES_BYTES = 4096  # the Xing header of an mp3 is in its first frame, within this number of bytes
_MAX_PARTS = 1_000
_CHUNK_BYTES = 1 << 20


def parts(path: str | Path, file: IO[bytes], deadline: float) -> list[tuple[int, int]]:
    """Find the parts of a chained Ogg file or of joined mp3 files; any other file has one part.

    Parameters
    ----------
    path : str or Path
        Name of the file in messages.
    file : binary file
    deadline : float
        Time of `time.monotonic` after which the search ends.

    Returns
    -------
    list of (int, int)
        Start and end of each part, in bytes. Tags between the parts are left out.

    Raises
    ------
    AudioError
        The file has more than 1,000 parts.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(4)
    spans = [(0, size)]
    if start == b"OggS":
        cuts = _ogg_cuts(file, size, deadline)
    elif start[:3] == b"ID3" or start[:1] == b"\xff":
        first = after_tags(file, 0)
        # FFmpeg finds no Xing header behind several tags or much padding. A tag can also stand before AAC or FLAC.
        spans = [(first if _is_frame(_read(file, first, 2)) else 0, size)]
        cuts = _mp3_cuts(file, first, size, deadline)
    else:
        return spans
    for end, next_start in cuts:
        spans[-1:] = [(spans[-1][0], end), (next_start, size)]
        if len(spans) > _MAX_PARTS:
            raise AudioError(f"{path}: consists of more than {_MAX_PARTS:,} joined parts; split it")
    return [span for span in spans if span[0] < span[1]]


def after_tags(file: IO[bytes], start: int) -> int:
    """Return where the audio begins: after ID3v2 tags at `start`, and zeros."""
    while size := id3_bytes(_read(file, start, 10)):
        start += size
        while (zeros := _read(file, start, _CHUNK_BYTES)) and not zeros.strip(b"\0"):
            start += len(zeros)
        start += len(zeros) - len(zeros.lstrip(b"\0"))
    return start


def id3_bytes(head: bytes) -> int:
    """Return the size of the ID3v2 tag whose first ten bytes are `head`; 0 if there is no tag."""
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
        return 0
    return 10 + sum(digit << shift for digit, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))  # digits of 7 bits


def _read(file: IO[bytes], start: int, count: int) -> bytes:
    file.seek(start)
    return file.read(count)


def _matches(file: IO[bytes], pattern: bytes, start: int, size: int, deadline: float) -> Iterator[tuple[int, bytes]]:
    """Yield the position and text of each match of a pattern of at most 8 bytes. The search ends at the deadline."""
    while start < size:
        data = _read(file, start, _CHUNK_BYTES + 8)
        for match in re.finditer(pattern, data, re.DOTALL):
            if time.monotonic() > deadline:
                return
            if match.start() < _CHUNK_BYTES:
                yield start + match.start(), match.group()
        if time.monotonic() > deadline:
            return
        start += _CHUNK_BYTES


def _ogg_cuts(file: IO[bytes], size: int, deadline: float) -> Iterator[tuple[int, int]]:
    """Yield where each further part of a chained Ogg file begins (RFC 3533, section 4).

    A part begins with the pages that begin its streams, which have bit 2 in their sixth byte.
    """
    end_of_first_pages = 0
    for at, _ in _matches(file, rb"OggS\0[\x02\x06]", 0, size, deadline):
        if at and at != end_of_first_pages:
            yield at, at
        head = _read(file, at, 27 + 255)
        segments = head[27 : 27 + head[26]] if len(head) > 26 else b""
        end_of_first_pages = at + 27 + len(segments) + sum(segments)


def _mp3_cuts(file: IO[bytes], first: int, size: int, deadline: float) -> Iterator[tuple[int, int]]:
    """Yield the end of a part and the start of the next one: at a tag in the middle, or at a frame with another Xing header.

    `first` is where the audio of the present part begins.
    """
    for at, found in _matches(file, rb"ID3[\x02-\x04]|(?:Xing|Info)\0\0\0", first, size, deadline):
        if at < first:  # inside of a tag
            continue
        if found[:3] == b"ID3":
            next_first = after_tags(file, at)
            head = _read(file, next_first, 2)
            if next_first > at and (next_first >= size or _is_frame(head)):
                yield at, min(next_first, size)
                first = next_first
            continue
        before = _read(file, max(0, at - 36), min(36, at))
        for side_bytes in (36, 21, 13):  # header and side information of a frame: MPEG-1 stereo, mono or MPEG-2, MPEG-2 mono
            start = at - side_bytes
            if len(before) >= side_bytes and _is_frame(before[-side_bytes:]) and start > first + FIRST_FRAMES_BYTES:
                yield start, start
                first = start
                break


def _is_frame(head: bytes) -> bool:
    """Tell whether bytes begin with the synchronisation of an mp3 frame (layer III)."""
    return len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2
