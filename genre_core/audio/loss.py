"""Count of what cannot be decoded of a file."""

from __future__ import annotations

import math
from typing import Any

from genre_core.audio.source import Source

_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
_NO_TIMES = {"mp3", "aac", "ac3", "eac3"}  # formats whose packets hold no time, and follow each other without a gap
# Longest step in the times of formats that have no other gaps than damage, in seconds. Vorbis has packets of two lengths, so its times
# are uneven; a lost page of Ogg is about a second. WebM of a call has gaps where nobody speaks.
_LARGEST_STEP_SECONDS = {"flac": 0.001, "ogg": 0.2, "matroska,webm": 1.0, "avi": 0.5, "mpegts": 0.5}
_PARTIAL_SECONDS = 1.0  # less than this at the end of a file is the part of a packet that a truncated file still has
_LOST_SECONDS = 10.0  # a file that has lost this and more than it holds is refused


class Loss:
    """Count of the damaged parts of a file, from its packets and frames as PyAV yields them.

    Parameters
    ----------
    source : Source
        File whose damage is counted.

    Attributes
    ----------
    source : Source
        As given.
    seconds : float
        Length decoded so far, in seconds.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.seconds = 0.0  # decoded so far
        self._bytes = 0  # of the decoded packets
        self.begin_part()

    def begin_part(self) -> None:
        """Forget the times and positions of the part before."""
        # Bytes and seconds of undecodable packets; those at the end of a file belong to a truncated file.
        self._pending: list[tuple[int, float]] = []
        self._next_time: float | None = None
        self._next_byte: int | None = None
        self._part_bytes = 0  # of all packets of the part, and of what was missing before them
        self._failed_at: float | None = None  # first position of an undecodable packet in the part
        self._flac_block = 0  # samples of a FLAC frame; only the last one is shorter

    def end_part(self, size: int) -> None:
        """Count what could not be decoded before the end of a part of `size` bytes."""
        seconds = self._pending_seconds()
        if self.source.format in _NO_TIMES and self._failed_at is not None:
            # The positions of packets after a hole can be those before it, so that only the sum tells.
            seconds = max(seconds, (size - self._part_bytes) * self._seconds_per_byte())
        if seconds > _PARTIAL_SECONDS:
            self.source.lose(self.seconds + self.source.lost_seconds if self._failed_at is None else self._failed_at, seconds)

    def is_most(self) -> bool:
        """Tell whether more is lost than decoded."""
        return self.source.lost_seconds > _LOST_SECONDS + self.seconds

    def failed(self, packet: Any) -> None:
        """Note a packet that cannot be decoded."""
        self.source.errors += 1
        if packet.size and not bytes(memoryview(packet)[:11]).startswith(_TAGS):
            self._note_missing_bytes(packet)
            self._failed_at = self._failed_at or self.seconds + self.source.lost_seconds
            self._pending.append((packet.size, float((packet.duration or 0) * (packet.time_base or 0))))

    def _note_missing_bytes(self, packet: Any) -> None:
        """Note bytes before a packet that FFmpeg passed by, in a format whose packets follow each other."""
        if self.source.format in _NO_TIMES and packet.pos is not None and packet.size:
            if self._next_byte is not None and packet.pos > self._next_byte:
                self._pending.append((packet.pos - self._next_byte, 0.0))
                self._part_bytes += packet.pos - self._next_byte
            self._next_byte = packet.pos + packet.size
            self._part_bytes += packet.size

    def decoded(self, frames: list[Any], packet: Any) -> None:
        """Note the frames of a packet, and count what is missing before them."""
        gap = 0.0
        seconds = sum(frame.samples / frame.sample_rate for frame in frames)
        self._note_missing_bytes(packet)
        if self.source.format not in _NO_TIMES:
            at = self._flac_seconds(frames[0], packet) if self.source.format == "flac" else frames[0].time
            if at is not None and self._next_time is not None:
                # In other formats, times are also uneven without damage.
                largest_step = 0.0 if self._pending else _LARGEST_STEP_SECONDS.get(self.source.format, math.inf)
                gap = at - self._next_time if at - self._next_time > largest_step else 0.0
            self._next_time = None if at is None else at + seconds
        gap = gap or self._pending_seconds()
        if gap:
            self.source.lose(self.seconds + self.source.lost_seconds, gap)
        self._pending.clear()
        self.seconds += seconds
        self._bytes += packet.size

    def _pending_seconds(self) -> float:
        return sum(max(length, size * self._seconds_per_byte()) for size, length in self._pending)

    def _seconds_per_byte(self) -> float:
        return self.seconds / self._bytes if self._bytes else 0.0

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
