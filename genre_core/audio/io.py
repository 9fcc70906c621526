"""Decoding of audio files to mono float32, limited in length and time."""

from __future__ import annotations

import contextlib
import functools
import io
import math
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import soundfile
import soxr

from genre_core.audio.level import centre, peak
from genre_core.audio.readers import open_audio
from genre_core.audio.source import Block, Source
from genre_core.errors import AudioError, BeyondEndError, PassingError
from genre_core.util.files import atomic

AUDIO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("wav", "flac", "ogg", "oga", "opus", "mp3", "m4a", "mp4", "aac", "wma", "aif", "aiff", "aifc"),
        *("au", "snd", "caf", "webm", "mka", "mkv", "mov", "w64", "rf64", "wave", "ac3", "mp2", "m4b"),
        *("wv", "ape", "tta", "mpc", "spx", "dsf", "amr", "3gp"),
    )
)
MAX_SECONDS = 3 * 3600.0  # a longer file is not a track; the limit protects the memory from a wrong header
MAX_KEPT_RATE_HZ = 48_000  # three hours at this rate take 2 GB
_LENGTH_TOLERANCE_SECONDS = 0.2  # the header of an mp3 counts the delay of its encoder
_MAX_PEAK = 16.0  # higher float samples have the scale of integers; 24 dB above full scale do not occur


@dataclass(frozen=True)
class Audio:
    """Decoded mono audio.

    Attributes
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples, full scale is +-1.0.
    sample_rate : int
        Sample rate of `y` in Hz.
    source : Source
        Properties of the file, with its damage.
    """

    y: np.ndarray
    sample_rate: int
    source: Source

    @property
    def seconds(self) -> float:
        """Length of the audio in seconds."""
        return len(self.y) / self.sample_rate

    @functools.cached_property
    def peak_dbfs(self) -> float:
        """Highest absolute sample in dB re full scale, without the constant offset; -120 for digital silence."""
        return 20 * math.log10(max(peak(centre(self.y)), 1e-6))

    @property
    def shortfall(self) -> str:
        """How much longer the header says that the file is, in words; empty if it does not."""
        stated = self.source.stated_seconds
        if stated is None or self.seconds + self.source.lost_seconds >= 0.98 * stated - _LENGTH_TOLERANCE_SECONDS:
            return ""
        return f"truncated: {self.seconds:.1f} s, its header states {stated:.1f} s"

    @property
    def damage(self) -> str:
        """What is missing of the file, in words; empty if nothing is."""
        return "; ".join(filter(None, [self.source.damage, self.shortfall]))


def resample(y: np.ndarray, sample_rate: int, wanted: int) -> np.ndarray:
    """Resample mono `y` [shape=(n,)] from `sample_rate` to `wanted`, both in Hz.

    The result of soxr (quality HQ) has shape (about n * wanted / sample_rate,) and dtype float32.
    """
    y = np.asarray(y, np.float32)
    return y if sample_rate == wanted else soxr.resample(y, sample_rate, wanted, quality="HQ")


def decode(
    path: str | Path,
    *,
    file: IO[bytes] | None = None,
    sample_rate: int | None = None,
    start_seconds: float = 0.0,
    seconds: float | None = None,
    max_seconds: float = MAX_SECONDS,
    deadline_s: float = math.inf,
) -> Audio:
    """Decode a file block by block, to mono at one sample rate.

    The mono signal is the mean of the channels. soxr (quality HQ) resamples it to `sample_rate`, also where the rate changes inside
    the file. Damaged parts are left out: see `Source.damage`. Float samples with the scale of integers are divided by it.

    Parameters
    ----------
    path : str or Path
        Path of a file that libsndfile or FFmpeg's libraries (PyAV) can read; the `ffmpeg` program is not needed.
    file : binary file, optional
        Open file to read instead; `path` is then only its name in messages.
    sample_rate : int > 0, optional
        Sample rate of the result in Hz; None keeps the sample rate of the file, up to 48 kHz.
    start_seconds, seconds : float >= 0, optional
        Start and length of the decoded part, in seconds; a length of None means up to the end.
    max_seconds : float > 0
        Largest accepted length in seconds, from the start of the part.
    deadline_s : float > 0
        Time limit of the decoding, in seconds.

    Raises
    ------
    BeyondEndError
        `start_seconds` is after the end of the file.
    AudioError
        The file is missing, empty, not decodable or too long; it contains samples that are not finite; most of it is damaged; decoding
        takes too long; its sample rate or number of channels is outside the limits; or `seconds` is above `max_seconds`.
    """
    if seconds is not None and seconds > max_seconds:
        raise AudioError(f"{path}: {seconds:g} s are requested, at most {max_seconds:g} s are read")
    with contextlib.ExitStack() as stack:
        if file is None:
            _check_plain(Path(path))
            try:
                file = stack.enter_context(Path(path).open("rb", buffering=0))
            except OSError as error:
                raise PassingError(f"{path}: cannot be opened: {error.strerror}") from None
        elif os.fstat(file.fileno()).st_size == 0:
            raise AudioError(f"{path}: empty file; replace or remove it")
        deadline = time.monotonic() + deadline_s
        try:
            source, blocks = stack.enter_context(open_audio(path, file, deadline))
            rate = sample_rate or min(source.sample_rate, MAX_KEPT_RATE_HZ)
            y = _concatenate(_resampled(path, _cut(blocks, start_seconds, seconds, max_seconds, deadline), source, rate))
        except (TimeoutError, AudioError) as error:
            if time.monotonic() <= deadline:
                raise
            raise AudioError(f"{path}: decoding took longer than {deadline_s:g} s; convert it to WAV or FLAC") from error
        except OSError as error:
            raise PassingError(f"{path}: cannot be read: {error.strerror}") from None
        except OverflowError:
            raise AudioError(f"{path}: longer than {max_seconds / 60:g} minutes; cut it, or give a start and a length") from None
    if len(y) == 0 and start_seconds:
        raise BeyondEndError(f"{path}: contains no audio after {start_seconds:g} s; give an earlier start, or replace it")
    if len(y) == 0:
        raise AudioError(f"{path}: contains no audio; replace or remove it")
    return Audio(_to_full_scale(path, y, source), rate, source)


def decode_channels(path: str | Path, *, max_samples: int) -> list[np.ndarray]:
    """Decode the channels of a file one by one, at the sample rate of the file.

    Parameters
    ----------
    path : str or Path
        Path of a file that `decode` reads.
    max_samples : int > 0
        Number of samples, of all channels together, after which decoding stops.

    Returns
    -------
    list of np.ndarray [shape=(n,), dtype=float32]
        Samples of each channel. Where the number of channels changes, decoding stops.

    Raises
    ------
    AudioError
        As for `decode`.
    """
    with Path(path).open("rb", buffering=0) as file, open_audio(path, file, math.inf) as (source, blocks):
        parts, left = [], max_samples // source.channels
        for block in blocks:
            if left <= 0 or block.y.shape[1] != source.channels:
                break
            parts.append(block.y[:left])
            left -= len(block.y)
    return list(np.concatenate(parts).T) if parts else []


def _check_plain(path: Path) -> None:
    """Refuse an empty file, a folder, a device, and a (blocking) pipe."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        raise AudioError(f"{path}: cannot be opened: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(f"{path}: is a {'folder' if stat.S_ISDIR(status.st_mode) else 'pipe or device'}, not an audio file")
    if status.st_size == 0:
        raise AudioError(f"{path}: empty file; replace or remove it")


def _cut(blocks: Iterator[Block], start_seconds: float, seconds: float | None, max_seconds: float, deadline: float) -> Iterator[Block]:
    """Yield the blocks from `start_seconds`, mixed to mono, with shape (n,); then stop decoding.

    OverflowError: more than `max_seconds` follow. TimeoutError: `deadline` has passed.
    """
    rate, position = 0, 0  # of the present block, in samples at its rate
    for block in blocks:
        if rate and block.sample_rate != rate:
            position = round(position * block.sample_rate / rate)
        rate = block.sample_rate
        first = round(start_seconds * rate)
        last = first + round(min(max_seconds, max_seconds if seconds is None else seconds) * rate)
        y = block.y[max(0, first - position) : max(0, last - position)]
        yield Block(y.mean(axis=1) if y.shape[1] > 1 else y[:, 0], rate)
        position += len(block.y)
        if time.monotonic() > deadline:
            raise TimeoutError
        if position > last and seconds is None:
            raise OverflowError
        if position >= last and seconds is not None:
            break
    if time.monotonic() > deadline:
        raise TimeoutError


def _resampled(path: str | Path, blocks: Iterator[Block], source: Source, wanted: int) -> Iterator[np.ndarray]:
    """Resample mono blocks as one signal for each sample rate, and refuse NaN and infinity."""
    rate, stream = wanted, None
    for block in blocks:
        highest = peak(block.y) if len(block.y) else 0.0
        source.peak = max(source.peak, highest)
        if not math.isfinite(highest):
            raise AudioError(f"{path}: contains samples that are not numbers (NaN or infinite); export it again")
        if block.sample_rate != rate:
            if stream:
                yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
            rate = block.sample_rate
            stream = soxr.ResampleStream(rate, wanted, 1, dtype="float32", quality="HQ") if rate != wanted else None
        yield stream.resample_chunk(np.ascontiguousarray(block.y, np.float32)) if stream else block.y
    if stream:
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _concatenate(blocks: Iterator[np.ndarray]) -> np.ndarray:
    parts = [block for block in blocks if len(block)]
    if len(parts) == 1:
        return np.ascontiguousarray(parts[0])
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _to_full_scale(path: str | Path, y: np.ndarray, source: Source) -> np.ndarray:
    """Bring samples with a peak far above full scale to +-1.0."""
    if source.peak <= _MAX_PEAK:
        return y
    if not source.any_scale:  # a damaged packet was decoded to a burst of noise
        return np.clip(y, -1, 1)
    for bits in (16, 24, 32):
        if source.peak <= 2.0 ** (bits - 1):
            source.unit = 2.0 ** (bits - 1)
            return y / np.float32(source.unit)
    raise AudioError(f"{path}: contains samples of {source.peak:.3g} times full scale; export it again")


def write(path: str | Path, y: np.ndarray, sample_rate: int) -> None:
    """Write 16-bit audio as ``.wav`` or ``.flac``, according to the suffix.

    `y` has shape (n,) or (n, channels) and full scale +-1.0; `sample_rate` is in Hz. Raises OSError if the file cannot be written.
    """
    # Not directly to the file, because libsndfile would report a full disk only as "System error".
    encoded = io.BytesIO()
    soundfile.write(encoded, y, sample_rate, format=Path(path).suffix[1:].upper(), subtype="PCM_16")
    with atomic(path) as part:
        part.write_bytes(encoded.getvalue())
