"""Reading of audio files with PyAV (FFmpeg's libraries): packet after packet to the end, so damage costs only its packet."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from genre_core.audio.joined import FIRST_FRAMES_BYTES, after_tags, parts
from genre_core.audio.loss import Loss
from genre_core.audio.source import BLOCK_SAMPLES, Block, Source, UndecodableError, check_format, is_possible
from genre_core.errors import AudioError, PassingError
from genre_core.util.memory import limited_memory

_OPEN_BYTES = 300_000_000  # memory that FFmpeg may allocate to open a file with a table of its packets
_NO_TABLE = (b"ID3", b"OggS", b"fLaC")  # starts of files without such a table, besides the synchronisation of mp3 and AAC
# Without a Xing header, an mp3 does not state the delay of its encoder. This is that of LAME (576 samples) and the decoder's (529).
_MP3_DELAY_SAMPLES = 1105
_MOST_PLANES = 7  # from 8 planes on, PyAV reads behind the end of a list, and crashes
# Formats whose header states the length. In others, FFmpeg estimates it from the bit rate or finds it at the end of the file.
_STATED_LENGTH = {"flac", "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "asf", "ape", "wv", "tta", "dsf", "wav", "aiff", "caf", "au"}


class _Span:
    """Part of a file as a file of its own. It ends at a deadline, so that FFmpeg stops reading."""

    def __init__(self, file: IO[bytes], start: int, end: int, deadline: float) -> None:
        self._file, self.start, self._end, self._deadline = file, start, end, deadline
        self._file.seek(start)

    def read(self, size: int = -1) -> bytes:
        left = self._end - self._file.tell()
        if left <= 0 or time.monotonic() > self._deadline:
            return b""
        return self._file.read(left if size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: self.start, os.SEEK_CUR: self._file.tell(), os.SEEK_END: self._end}[whence]
        return self._file.seek(min(max(self.start, base + offset), self._end)) - self.start

    def tell(self) -> int:
        return self._file.tell() - self.start

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self._end - self.start


@contextlib.contextmanager
def open_audio(
    path: str | Path, file: IO[bytes], deadline: float, *, counted_in: Source | None = None
) -> Iterator[tuple[Source, Iterator[Block]]]:
    """Open an audio file, or the joined parts of one.

    See `readers.open_audio`. The damage is counted in `counted_in`, if it is given, else in the yielded source. While blocks are read, an
    AudioError means that most of the audio is damaged.

    Raises
    ------
    UndecodableError
        FFmpeg's libraries cannot open the file, or it has no audio stream.
    AudioError
        Its sample rate or number of channels is outside the limits.
    """
    spans = parts(path, file, deadline)
    with contextlib.ExitStack() as stack:
        while True:
            try:
                span = _Span(file, *spans[0], deadline)
                container, stream = stack.enter_context(_open_av(span))
                break
            except UndecodableError:
                if len(spans) == 1:
                    raise
                spans[:2] = [(spans[0][0], spans[1][1])]  # what looked like two parts is one
        rate, channels = int(stream.rate or 0), int(stream.channels)
        if not rate or not channels:
            raise UndecodableError("its header states no sample rate or no channels")
        check_format(path, rate, channels)
        xing_frames = _xing_frames(file, span, stream)
        stated_seconds = _stated_seconds(container, stream, xing_frames)
        any_scale = stream.codec_context.name.startswith("pcm_f")
        source = Source(container.format.name, rate, channels, stated_seconds, any_scale=any_scale)
        loss = Loss(counted_in or source)

        def blocks() -> Iterator[Block]:
            yield from _av_blocks(path, span, container, stream, loss, _delay(stream, xing_frames))
            for bounds in spans[1:]:
                next_span = _Span(file, *bounds, deadline)
                with contextlib.suppress(UndecodableError), _open_av(next_span) as (next_container, next_stream):
                    delay = _delay(next_stream, _xing_frames(file, next_span, next_stream))
                    yield from _av_blocks(path, next_span, next_container, next_stream, loss, delay)
            if not loss.seconds and loss.source.errors:
                raise AudioError(f"{path}: broken audio data: no part of it can be decoded; replace or remove it")

        yield source, blocks()


@contextlib.contextmanager
def _open_av(span: _Span) -> Iterator[tuple[Any, Any]]:
    """Open a file with PyAV, and yield the container and its audio stream."""
    import av  # slow import, which WAV does not need

    start = span.read(4)
    span.seek(0)
    # FFmpeg allocates the table of packets that a header claims, even a huge one. The limit holds for all threads, so it is set only
    # where it is needed.
    limit = contextlib.nullcontext() if start.startswith(_NO_TABLE) or start[:1] == b"\xff" else limited_memory(_OPEN_BYTES)
    # A file object and no protocols: the name of a file or the content of a playlist must not make FFmpeg open another source.
    options = {"protocol_whitelist": "none"}
    try:
        with limit:
            container = av.open(span, mode="r", options=options, metadata_errors="replace")
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


def _stated_seconds(container: Any, stream: Any, xing_frames: int | None) -> float | None:
    """Read the length of the audio stream that the header states."""
    if container.format.name == "mp3":
        return xing_frames * (1152 if stream.rate >= 32_000 else 576) / stream.rate if xing_frames else None
    if container.format.name not in _STATED_LENGTH:
        return None
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration else None


def _xing_frames(file: IO[bytes], span: _Span, stream: Any) -> int | None:
    """Read the number of frames that the Xing header of an mp3 states: "Xing" or "Info", flags, number.

    None means that there is no such header, and 0 that it states no number.
    """
    if not _is_mp3(stream):
        return None
    position = file.tell()
    file.seek(after_tags(file, span.start))
    head = file.read(FIRST_FRAMES_BYTES)
    file.seek(position)
    found = max(head.find(b"Xing"), head.find(b"Info"))
    if found < 0 or len(head) < found + 12:
        return None
    return int.from_bytes(head[found + 8 : found + 12], "big") if head[found + 7] & 1 else 0


def _delay(stream: Any, xing_frames: int | None) -> int:
    """Return the number of samples before the audio of an mp3 that FFmpeg does not leave out by itself."""
    return _MP3_DELAY_SAMPLES if _is_mp3(stream) and xing_frames is None else 0


def _is_mp3(stream: Any) -> bool:
    return bool(stream.codec_context.name.startswith("mp3"))


def _av_blocks(path: str | Path, span: _Span, container: Any, stream: Any, loss: Loss, delay: int) -> Iterator[Block]:
    """Decode a stream packet after packet, without its first `delay` samples, and count what is lost."""
    import av

    frames = _Frames(delay)
    loss.begin_part()
    for packet in _packets(span, container, stream):
        try:
            decoded = packet.decode()
        except MemoryError:
            raise PassingError(f"{path}: needs too much memory; cut it") from None
        except (av.FFmpegError, ValueError):
            loss.failed(packet)
            continue
        if not all(is_possible(frame.sample_rate, frame.layout.nb_channels) for frame in decoded):
            loss.failed(packet)
            continue
        if decoded:
            loss.decoded(decoded, packet)
        for frame in decoded:
            if frames.differ(frame):
                yield frames.block()
                frames = _Frames(delay)  # another mp3 without a header was joined here
            frames.add(frame)
        if frames.samples >= BLOCK_SAMPLES:
            yield frames.block()
        if loss.is_most():
            raise AudioError(f"{path}: broken audio data: most of it cannot be decoded; replace or remove it")
    loss.end_part(span.size)
    if frames.samples:
        yield frames.block()


def _packets(span: _Span, container: Any, stream: Any) -> Iterator[Any]:
    """Yield the packets of a stream. After an error, reading goes on as long as FFmpeg comes forward."""
    import av

    progress, position = True, -1
    while progress:
        progress = False
        try:
            for packet in container.demux(stream):
                progress = True
                yield packet
            return
        except (av.FFmpegError, ValueError, IndexError):  # IndexError: a stream that appears late
            progress, position = progress or span.tell() > position, span.tell()


class _Frames:
    """Decoded frames of one format, which become one block."""

    def __init__(self, delay: int) -> None:
        self._kind: tuple[int, int, str] | None = None
        self._resampler: Any = None
        self._parts: list[np.ndarray] = []
        self._delay = delay  # samples to leave out at the start
        self.samples = 0

    def differ(self, frame: Any) -> bool:
        """Tell whether a frame has another rate, number of channels or sample format than the frames before."""
        return self._kind is not None and _kind(frame) != self._kind

    def add(self, frame: Any) -> None:
        """Add a frame of the same kind as the ones before."""
        import av

        if self._kind is None:
            self._kind = _kind(frame)
            if self._kind[1] > _MOST_PLANES or self._kind[2].startswith("s64"):
                self._resampler = av.AudioResampler(format="flt")
        frames = self._resampler.resample(frame) if self._resampler else [frame]
        # (channels, n) of a planar format, else (1, n * channels)
        self._parts += [part.to_ndarray() for part in frames]
        self.samples += frame.samples * self._kind[1]

    def block(self) -> Block:
        """Return the frames as a block, and forget them."""
        assert self._kind is not None  # noqa: S101 (for the type checker)
        rate, channels, name = self._kind
        y = np.concatenate(self._parts, axis=1)
        self._parts, self.samples = [], 0
        y = y.reshape(-1, channels) if self._resampler or not name.endswith("p") else y.T
        if y.dtype.kind in "iu":
            full_scale = 2.0 ** (8 * y.dtype.itemsize - 1)
            y = np.subtract(y, full_scale, dtype=np.float32) if y.dtype.kind == "u" else y
            y = np.multiply(y, np.float32(1 / full_scale), dtype=np.float32)
        late, self._delay = y[self._delay :], max(0, self._delay - len(y))
        return Block(np.asarray(late, np.float32), rate)


def _kind(frame: Any) -> tuple[int, int, str]:
    return frame.sample_rate, frame.layout.nb_channels, frame.format.name
