"""Reading of audio files with PyAV (FFmpeg's libraries): packet after packet to the end, so damage costs only its packet."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import re
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np

from genre_core.audio.source import BLOCK_SAMPLES, Block, Source, UndecodableError, check_format
from genre_core.errors import AudioError
from genre_core.util.memory import limited_memory

_OPEN_BYTES = 300_000_000  # memory that FFmpeg may allocate to open a file
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
_NO_TIMES = {"mp3", "aac", "ac3", "eac3"}  # formats whose packets hold no time
# Longest step in the times of formats that have no other gaps than damage, in seconds. Vorbis has packets of two lengths, so its times
# are uneven; a lost page of Ogg is about a second.
_LARGEST_STEP_SECONDS = {"flac": 0.001, "ogg": 0.2}
_MAX_PARTS = 1_000
_FIRST_FRAMES_BYTES = 4096
# Without a Xing header, an mp3 does not state the delay of its encoder. This is that of LAME (576 samples) and the decoder's (529).
_MP3_DELAY_SAMPLES = 1105
_LOST_SECONDS = 10.0  # a file that has lost this and more than it holds is refused
# Formats whose header states the length. In others, FFmpeg estimates it from the bit rate or finds it at the end of the file.
_STATED_LENGTH = {"flac", "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "asf", "ape", "wv", "tta", "dsf", "wav", "aiff", "caf", "au"}


class _Span:
    """Part of a file as a file of its own. It ends at a deadline, so that FFmpeg stops reading."""

    def __init__(self, file: IO[bytes], start: int, end: int, deadline: float) -> None:
        self._file, self._start, self._end, self._deadline = file, start, end, deadline
        self._file.seek(start)

    def read(self, size: int = -1) -> bytes:
        left = self._end - self._file.tell()
        if left <= 0 or time.monotonic() > self._deadline:
            return b""
        return self._file.read(left if size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._file.tell(), os.SEEK_END: self._end}[whence]
        return self._file.seek(max(self._start, base + offset)) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start


@contextlib.contextmanager
def open_audio(path: str | Path, file: IO[bytes], deadline: float) -> Iterator[tuple[Source, Iterator[Block]]]:
    """Open an audio file, or the joined parts of one.

    See `readers.open_audio`. While blocks are read, an AudioError means that most of the audio is damaged.

    Raises
    ------
    UndecodableError
        FFmpeg's libraries cannot open the file, or it has no audio stream.
    AudioError
        Its sample rate or number of channels is outside the limits.
    """
    spans = _parts(path, file)
    with _open_av(_Span(file, *spans[0], deadline)) as (container, stream):
        rate, channels = int(stream.rate or 0), int(stream.channels)
        check_format(path, rate, channels)
        name = container.format.name
        stated = container.duration / 1e6 if name in _STATED_LENGTH and container.duration else None
        delay = 0
        if name == "mp3":
            stated = _xing_seconds(file, rate)
            delay = 0 if stated else _MP3_DELAY_SAMPLES
        source = Source(name, rate, channels, stated, any_scale=stream.codec_context.name.startswith("pcm_f"))

        def blocks() -> Iterator[Block]:
            decoded = False
            for block in _av_blocks(path, container, stream, source, delay):
                decoded = True
                yield block
            for span in spans[1:]:
                # Of one Ogg file, FFmpeg does not read on where the rate or the number of channels changes.
                with contextlib.suppress(UndecodableError), _open_av(_Span(file, *span, deadline)) as next_opened:
                    yield from _av_blocks(path, *next_opened, source, 0)
            if not decoded and source.errors:
                raise AudioError(f"{path}: broken audio data: no part of it can be decoded; replace or remove it")

        yield source, blocks()


@contextlib.contextmanager
def _open_av(file: _Span) -> Iterator[tuple[Any, Any]]:
    """Open a file with PyAV, and yield the container and its audio stream."""
    import av  # slow import, which WAV does not need

    # A file object and no protocols: the name of a file or the content of a playlist must not make FFmpeg open another source.
    options = {"protocol_whitelist": "none"}
    try:
        with limited_memory(_OPEN_BYTES):  # FFmpeg allocates the sample table that a header claims, even a huge one
            container = av.open(file, mode="r", options=options, metadata_errors="replace")
    except (av.FFmpegError, ValueError, MemoryError) as error:
        raise UndecodableError(getattr(error, "strerror", None) or str(error)) from None
    with container:
        if not container.streams.audio:
            raise UndecodableError("no audio stream")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise UndecodableError("its codec is unknown")
        stream.codec_context.options = {"err_detect": "crccheck"}  # else a damaged frame is decoded to loud noise
        yield container, stream


def _parts(path: str | Path, file: IO[bytes]) -> list[tuple[int, int]]:
    """Find the parts of a chained Ogg file or of joined mp3 files; any other file has one part."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(4)
    starts = [0]
    if start == b"OggS" or start[:3] == b"ID3" or start[:1] == b"\xff":
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for at in _ogg_links(data) if start == b"OggS" else _xing_frames(data):
                starts.append(at)
                if len(starts) > _MAX_PARTS:
                    raise AudioError(f"{path}: consists of more than {_MAX_PARTS:,} joined parts; split it")
    return list(pairwise([*starts, size]))


def _ogg_links(data: mmap.mmap) -> Iterator[int]:
    """Yield where each further part of a chained Ogg file begins (RFC 3533, section 4).

    A part begins with the pages that begin its streams, which have bit 2 in their sixth byte.
    """
    end_of_first_pages = 0
    for match in re.finditer(rb"OggS\0[\x02\x06]", data):
        at = match.start()
        if at and at != end_of_first_pages:
            yield at
        segments = data[at + 27 : at + 27 + data[at + 26]] if at + 26 < len(data) else b""
        end_of_first_pages = at + 27 + len(segments) + sum(segments)


def _xing_frames(data: mmap.mmap) -> Iterator[int]:
    """Yield where the first frame of each further mp3 begins: a frame with a Xing header, of which no encoder writes a second one."""
    at = min(len(data), _id3_bytes(data[:10]) + _FIRST_FRAMES_BYTES)
    while (at := min((found for name in (b"Xing\0\0\0", b"Info\0\0\0") if (found := data.find(name, at)) >= 0), default=-1)) >= 0:
        for side_bytes in (36, 21, 13):  # header and side information of a frame: MPEG-1 stereo, mono or MPEG-2, MPEG-2 mono
            first, second = data[at - side_bytes : at - side_bytes + 2] if at >= side_bytes else b"\0\0"
            if first == 0xFF and second & 0xE6 == 0xE2:  # synchronisation, layer III
                yield at - side_bytes
                break
        at += 7


def _id3_bytes(start: bytes) -> int:
    """Return the size of the ID3v2 tag that the first ten bytes of a file announce."""
    if start[:3] != b"ID3" or len(start) < 10:
        return 0
    return 10 + sum(digit << shift for digit, shift in zip(start[6:10], (21, 14, 7, 0), strict=True))  # digits of 7 bits


def _xing_seconds(file: IO[bytes], rate: int) -> float | None:
    """Read the length that the Xing header of an mp3 states.

    The header is in the first frame: "Xing" or "Info", flags, number of frames.
    """
    position = file.tell()
    file.seek(0)
    file.seek(_id3_bytes(file.read(10)))
    head = file.read(_FIRST_FRAMES_BYTES)
    file.seek(position)
    found = max(head.find(b"Xing"), head.find(b"Info"))
    if found < 0 or len(head) < found + 12 or not head[found + 7] & 1:
        return None
    return int.from_bytes(head[found + 8 : found + 12], "big") * (1152 if rate >= 32_000 else 576) / rate


def _av_blocks(path: str | Path, container: Any, stream: Any, source: Source, delay: int) -> Iterator[Block]:
    """Decode a stream packet after packet, without its first `delay` samples, and count what is lost."""
    import av

    frames = _Frames(delay)
    loss = _Loss(source)
    for packet in _packets(container, stream):
        try:
            decoded = packet.decode()
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, MemoryError):
                raise AudioError(f"{path}: needs too much memory; cut it") from None
            loss.failed(packet)
            continue
        if decoded:
            loss.decoded(decoded, packet)
        for frame in decoded:
            check_format(path, frame.sample_rate, frame.layout.nb_channels)
            if frames.differ(frame):
                yield frames.block()
                frames = _Frames(_MP3_DELAY_SAMPLES if source.format == "mp3" else 0)  # another mp3 was joined here
            frames.add(frame)
        if frames.samples >= BLOCK_SAMPLES:
            yield frames.block()
        if source.lost_seconds > _LOST_SECONDS + loss.seconds:
            raise AudioError(f"{path}: broken audio data: most of it cannot be decoded; replace or remove it")
    if frames.samples:
        yield frames.block()


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the packets of a stream. After an error, reading goes on as long as further packets come."""
    import av

    progress = True
    while progress:
        progress = False
        try:
            for packet in container.demux(stream):
                progress = True
                yield packet
            return
        except (av.FFmpegError, ValueError):
            continue


class _Loss:
    """Count of the damaged parts of a stream."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.seconds = 0.0  # decoded so far
        self._bytes = 0  # of the decoded packets
        self._pending: list[
            tuple[int, float]
        ] = []  # bytes and seconds of undecodable packets; those at the end of a file belong to a truncated file
        self._next_time: float | None = None
        self._flac_block = 0  # samples of a FLAC frame; only the last one is shorter

    def failed(self, packet: Any) -> None:
        self._source.errors += 1
        if packet.size and not bytes(packet)[:11].startswith(_TAGS):  # a joined file has tags in its middle
            self._pending.append((packet.size, float((packet.duration or 0) * (packet.time_base or 0))))

    def decoded(self, frames: list[Any], packet: Any) -> None:
        gap = 0.0
        seconds = sum(frame.samples / frame.sample_rate for frame in frames)
        if self._source.format not in _NO_TIMES:
            at = self._flac_seconds(frames[0], packet) if self._source.format == "flac" else frames[0].time
            if at is not None and self._next_time is not None:
                # In other formats, times are also uneven without damage.
                largest_step = _LARGEST_STEP_SECONDS.get(self._source.format, 0.0 if self._pending else math.inf)
                gap = at - self._next_time if at - self._next_time > largest_step else 0.0
            self._next_time = None if at is None else at + seconds
        if not gap and self._pending:
            per_byte = self.seconds / self._bytes if self._bytes else 0.0
            gap = sum(max(length, size * per_byte) for size, length in self._pending)
        if gap:
            self._source.lose(self.seconds, gap)
        self._pending.clear()
        self.seconds += seconds
        self._bytes += packet.size

    def _flac_seconds(self, frame: Any, packet: Any) -> float | None:
        """Read the time of a FLAC frame from the number in its header (RFC 9639, section 9.1.5), which FFmpeg ignores."""
        head = bytes(memoryview(packet)[:11])
        if len(head) < 11 or head[0] != 0xFF or head[1] & 0xFE != 0xF8:
            return None
        self._flac_block = self._flac_block or frame.samples
        continuation_bytes = max(0, 8 - (head[4] ^ 0xFF).bit_length() - 1)  # a number of 36 bits, coded as in UTF-8
        number = head[4] & (0x7F >> (continuation_bytes + 1 if continuation_bytes else 0))
        for byte in head[5 : 5 + continuation_bytes]:
            number = number << 6 | byte & 0x3F
        return (number if head[1] & 1 else number * self._flac_block) / frame.sample_rate


class _Frames:
    """Decoded frames of one format, which become one block."""

    def __init__(self, delay: int) -> None:
        self._frames: list[Any] = []
        self._delay = delay  # samples to leave out at the start
        self.samples = 0

    def differ(self, frame: Any) -> bool:
        """Tell whether a frame has another rate, number of channels or sample format than the frames before."""
        return bool(self._frames) and _kind(frame) != _kind(self._frames[0])

    def add(self, frame: Any) -> None:
        self._frames.append(frame)
        self.samples += frame.samples * frame.layout.nb_channels

    def block(self) -> Block:
        """Convert the frames to a block, and forget them."""
        first = self._frames[0]
        parts = [frame.to_ndarray() for frame in self._frames]  # (channels, n), or (1, n * channels) for packed samples
        self._frames, self.samples = [], 0
        y = np.concatenate(parts, axis=1)
        y = y.T if first.format.is_planar else y.reshape(-1, first.layout.nb_channels)
        if y.dtype.kind in "iu":
            full_scale = 2.0 ** (8 * y.dtype.itemsize - 1)
            y = np.subtract(y, full_scale, dtype=np.float32) if y.dtype.kind == "u" else y
            y = np.multiply(y, np.float32(1 / full_scale), dtype=np.float32)
        late, self._delay = y[self._delay :], max(0, self._delay - len(y))
        return Block(np.asarray(late, np.float32), first.sample_rate)


def _kind(frame: Any) -> tuple[int, int, str]:
    return frame.sample_rate, frame.layout.nb_channels, frame.format.name
