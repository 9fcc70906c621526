"""Readers of audio files: libsndfile for WAV, FLAC and the like, PyAV (FFmpeg's libraries) for all others.

The content of a file decides which library reads it, not its name. libsndfile is fast, but it believes the length in the header and
gives up at the first damage. FFmpeg reads packet after packet to the end of the file, so damage costs only its packet.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import soundfile

from genre_core.audio import ffmpeg
from genre_core.audio.source import BLOCK_SAMPLES, Block, Source, UndecodableError, check_format
from genre_core.errors import AudioError

_Reader = Callable[[str | Path, IO[bytes], float], contextlib.AbstractContextManager[tuple[Source, Iterator[Block]]]]
# First four bytes of the files that libsndfile reads first: WAV (RF64 is one of more than 4 GB), W64, AIFF, AU, CAF, FLAC.
_SOUNDFILE_FIRST = {b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b".snd", b"caff", b"fLaC"}
_NO_LENGTH = "its header states no length"
_UNKNOWN_FRAMES = 1 << 40  # libsndfile states more frames where the header states none
_JOINED_BYTES = 16_384  # more bytes than this after the end of a FLAC file are a second one, not a tag
# A streamed WAV has at least this size in bytes in its header, which was written before the length was known.
_STREAMED_BYTES = 0x7FFFF000
_SAMPLE_BYTES = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8, "ULAW": 1, "ALAW": 1}


@contextlib.contextmanager
def open_audio(path: str | Path, file: IO[bytes], deadline: float) -> Iterator[tuple[Source, Iterator[Block]]]:
    """Open a file with the library that its content needs.

    Parameters
    ----------
    path : str or Path
        Name of the file in messages.
    file : binary file
        Open file; it must have a file descriptor.
    deadline : float
        Time of `time.monotonic` after which the file seems to end.

    Yields
    ------
    source : Source
    blocks : iterator of Block

    Raises
    ------
    AudioError
        Neither library can open the file, or its sample rate or number of channels is outside the limits. While blocks are read: more
        than half of the audio is damaged.
    """
    file = getattr(file, "raw", file)  # libsndfile moves the descriptor, which a buffer does not notice
    with contextlib.ExitStack() as stack:
        opened, failure = None, ""
        file.seek(0)
        start = file.read(4)
        readers: list[_Reader] = [_open_soundfile, ffmpeg.open_audio] if start in _SOUNDFILE_FIRST else [ffmpeg.open_audio, _open_soundfile]
        if start[:3] == b"ID3" or start[:1] == b"\xff":
            readers.remove(_open_soundfile)  # libsndfile's decoder of mp3 prints to the terminal
        for reader in readers:
            file.seek(0)
            try:
                opened = stack.enter_context(reader(path, file, deadline))
                break
            except UndecodableError as error:
                failure = failure or str(error)
        if opened is None:
            raise AudioError(f"{path}: not audio that can be decoded ({failure}); replace or remove it")
        if failure == _NO_LENGTH and opened[0].format == "wav":
            opened[0].stated_seconds = 0.0  # a recorder died; FFmpeg reads to the end of the file
        yield opened


@contextlib.contextmanager
def _open_soundfile(path: str | Path, raw_file: IO[bytes], deadline: float) -> Iterator[tuple[Source, Iterator[Block]]]:
    try:
        file = soundfile.SoundFile(raw_file.fileno(), closefd=False)
    except (soundfile.SoundFileError, TypeError, ValueError, OSError) as error:  # TypeError: a .raw file without a header
        raise UndecodableError(str(error)) from None
    with file:
        if not 0 < file.frames < _UNKNOWN_FRAMES:
            raise UndecodableError(_NO_LENGTH)
        check_format(path, file.samplerate, file.channels)
        any_scale = file.subtype in ("FLOAT", "DOUBLE")
        source = Source(file.format.lower(), file.samplerate, file.channels, _stated_seconds(file), any_scale=any_scale)
        yield source, _soundfile_blocks(path, raw_file, file, source, deadline)


def _soundfile_blocks(path: str | Path, raw_file: IO[bytes], file: soundfile.SoundFile, source: Source, deadline: float) -> Iterator[Block]:
    """Read with libsndfile; where it gives up, or ends before the last of several joined FLAC files, go on with PyAV."""
    # numpy converts 16-bit samples (the most frequent type) five times as fast as libsndfile, with the same result.
    dtype = "int16" if file.subtype == "PCM_16" else "float32"
    read = 0
    try:
        while len(y := file.read(max(1, BLOCK_SAMPLES // file.channels), dtype=dtype, always_2d=True)):
            read += len(y)
            yield Block(np.multiply(y, np.float32(1 / 32768), dtype=np.float32) if dtype == "int16" else y, file.samplerate)
        rest_bytes = -raw_file.tell() + raw_file.seek(0, os.SEEK_END)
        if file.format != "FLAC" or rest_bytes < _JOINED_BYTES:
            return
        reason = "unknown data after its end"
    except soundfile.SoundFileError as error:
        reason = str(error)
    raw_file.seek(0)
    try:
        with ffmpeg.open_audio(path, raw_file, deadline, counted_in=source) as (_, blocks):
            for block in blocks:
                if len(block.y) > read:
                    yield Block(block.y[read:], block.sample_rate)
                read -= min(read, len(block.y))
    except UndecodableError:
        raise AudioError(f"{path}: broken audio data ({reason}); replace or remove it") from None


def _stated_seconds(file: soundfile.SoundFile) -> float | None:
    """Read the length that the header states.

    If the file is shorter than its header states, the log of libsndfile contains "should be" and both sizes.
    """
    for line in file.extra_info.splitlines():
        name, _, rest = line.partition(":")
        if name.strip().lower() in ("data", "data size") and "should be" in rest:
            try:
                stated_bytes = max(int(rest.split("(", 1)[0]), int(rest.split("should be", 1)[1].strip(" )")))
            except ValueError:
                continue
            if stated_bytes >= _STREAMED_BYTES or file.subtype not in _SAMPLE_BYTES:
                return None
            return stated_bytes / (_SAMPLE_BYTES[file.subtype] * file.channels) / file.samplerate
    return file.frames / file.samplerate
