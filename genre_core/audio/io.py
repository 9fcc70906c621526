"""Decoding of audio files to mono float32, limited in size and time."""

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

from genre_core.errors import AudioError, BeyondEndError
from genre_core.util.files import atomic
from genre_core.util.memory import limited_memory

AUDIO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("wav", "flac", "ogg", "oga", "opus", "mp3", "m4a", "mp4", "aac", "wma", "aif", "aiff", "aifc"),
        *("au", "snd", "caf", "webm", "mka", "mkv", "mov", "w64", "rf64", "wave", "ac3", "mp2", "m4b"),
        *("wv", "ape", "tta", "mpc", "spx", "dsf", "amr", "3gp"),
    )
)
SILENCE_DBFS = -60.0  # audio is silent if no sample exceeds this level
MAX_SECONDS = 3 * 3600.0  # a longer file is not a track; the limit protects the memory from a wrong header
MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 384_000
MAX_CHANNELS = 32
_MAX_SAMPLES = 3 * 3600 * 48_000  # limit for the result at any sample rate: 2 GB
_BLOCK_SAMPLES = 2 << 20
_OPEN_BYTES = 300_000_000  # memory that FFmpeg may allocate to open a file


@dataclass(frozen=True)
class Audio:
    """Decoded mono audio.

    Attributes
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples, full scale is +-1.0.
    sample_rate : int
        Sample rate of `y` in Hz.
    source_sample_rate : int
        Sample rate of the file in Hz.
    channels : int
        Number of channels of the file.
    """

    y: np.ndarray
    sample_rate: int
    source_sample_rate: int
    channels: int

    @property
    def seconds(self) -> float:
        """Length of the audio in seconds."""
        return len(self.y) / self.sample_rate

    @functools.cached_property
    def peak_dbfs(self) -> float:
        """Highest absolute sample in dB re full scale; -120 for digital silence."""
        return 20 * math.log10(max(peak(self.y), 1e-6))


def peak(y: np.ndarray) -> float:
    """Compute the highest absolute sample of `y` [shape=(n,), n > 0].

    No temporary array is allocated. The result is not finite if a sample is not finite.
    """
    low, high = float(y.min()), float(y.max())
    return low + high if math.isnan(low + high) else max(high, -low)


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

    The mono signal is the mean of the channels. soxr (quality HQ) resamples it to `sample_rate`.

    Parameters
    ----------
    path : str or Path
        Path of a file that libsndfile or FFmpeg's libraries (PyAV) can read; the `ffmpeg` program is not needed.
    file : binary file, optional
        Open file to read instead; `path` is then only its name in messages.
    sample_rate : int > 0, optional
        Sample rate of the result in Hz; None keeps the sample rate of the file.
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
        The file is missing, empty, not decodable or too long; it contains samples that are not finite; decoding takes too long; its
        sample rate or number of channels is outside the limits of this module; or `seconds` is above `max_seconds`.
    """
    if seconds is not None and seconds > max_seconds:
        raise AudioError(f"{path}: {seconds:g} s are requested, at most {max_seconds:g} s are read")
    with contextlib.ExitStack() as stack:
        if file is None:
            _check_plain(Path(path))
            try:
                file = stack.enter_context(Path(path).open("rb"))
            except OSError as error:
                raise AudioError(f"{path}: cannot be opened: {error.strerror}") from None
        elif os.fstat(file.fileno()).st_size == 0:
            raise AudioError(f"{path}: empty file; replace or remove it")
        deadline = time.monotonic() + deadline_s
        try:
            blocks, rate, channels = _open_soundfile(path, file)
        except (soundfile.SoundFileError, TypeError, ValueError, OSError):  # TypeError: a .raw file without a header
            file.seek(0)
            blocks, rate, channels = _open_av(path, file, deadline)
        blocks = _cut(
            blocks, round(start_seconds * rate), None if seconds is None else round(seconds * rate), round(max_seconds * rate), deadline
        )
        try:
            y = _concatenate(_resampled(path, blocks, rate, sample_rate or rate))
        except TimeoutError:
            raise AudioError(f"{path}: decoding took longer than {deadline_s:g} s; convert it to WAV or FLAC") from None
        except OverflowError:
            raise AudioError(f"{path}: longer than {max_seconds / 60:g} minutes; cut it, or give a start and a length") from None
        except soundfile.SoundFileError as error:
            raise AudioError(f"{path}: broken audio data ({error}); replace or remove it") from None
    if len(y) == 0 and start_seconds:
        raise BeyondEndError(f"{path}: contains no audio after {start_seconds:g} s; give an earlier start, or replace it")
    if len(y) == 0:
        raise AudioError(f"{path}: contains no audio; replace or remove it")
    return Audio(y, sample_rate or rate, rate, channels)


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


def _check_format(path: str | Path, rate: int, channels: int) -> None:
    """Refuse sample rates and channel counts of broken or hostile files."""
    if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
        raise AudioError(f"{path}: has a sample rate of {rate:,} Hz, only {MIN_RATE_HZ:,} to {MAX_RATE_HZ:,} Hz are read; resample it")
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"{path}: has {channels} channels, at most {MAX_CHANNELS} are read; mix it down")


def _cut(blocks: Iterator[np.ndarray], first: int, count: int | None, max_count: int, deadline: float) -> Iterator[np.ndarray]:
    """Yield `count` mono samples, starting at sample `first`; then stop decoding.

    A `count` of None means up to the end. OverflowError: more than `max_count` samples follow. TimeoutError: `deadline` has passed.
    """
    position = 0
    last = first + max_count if count is None else first + min(count, max_count)
    for block in blocks:
        yield block[max(0, first - position) : max(0, last - position)]
        position += len(block)
        if time.monotonic() > deadline:
            raise TimeoutError
        if position > last and count is None:
            raise OverflowError
        if position >= last and count is not None:
            break


def _resampled(path: str | Path, blocks: Iterator[np.ndarray], rate: int, wanted: int) -> Iterator[np.ndarray]:
    """Resample `blocks` as one signal, and refuse NaN and infinity."""
    stream = soxr.ResampleStream(rate, wanted, 1, dtype="float32", quality="HQ") if wanted != rate else None
    total = 0
    for block in blocks:
        if len(block) and not math.isfinite(peak(block)):
            raise AudioError(f"{path}: contains samples that are not numbers (NaN or infinite); export it again")
        resampled = stream.resample_chunk(np.asarray(block, np.float32)) if stream else block
        total += len(resampled)
        if total > _MAX_SAMPLES:
            raise AudioError(f"{path}: more than {_MAX_SAMPLES:,} samples at {wanted:,} Hz; cut it, or resample it")
        yield resampled
    if stream:
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _concatenate(blocks: Iterator[np.ndarray]) -> np.ndarray:
    parts = [block for block in blocks if len(block)]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _open_soundfile(path: str | Path, source: IO[bytes]) -> tuple[Iterator[np.ndarray], int, int]:
    file = soundfile.SoundFile(source.fileno(), closefd=False)
    try:
        _check_format(path, file.samplerate, file.channels)
    except AudioError:
        file.close()
        raise

    # numpy converts 16-bit samples (the most frequent type) five times as fast as libsndfile, with the same result.
    dtype = "int16" if file.subtype == "PCM_16" else "float32"
    frames = max(1, _BLOCK_SAMPLES // file.channels)

    def blocks() -> Iterator[np.ndarray]:
        with file:
            while len(block := file.read(frames, dtype=dtype, always_2d=True)):
                if dtype == "int16":
                    block = np.multiply(block, np.float32(1 / 32768), dtype=np.float32)
                yield block.mean(axis=1) if block.shape[1] > 1 else block[:, 0]

    return blocks(), file.samplerate, file.channels


class _FileWithDeadline:
    """File that ends at a deadline, so that FFmpeg stops reading."""

    def __init__(self, file: IO[bytes], deadline: float) -> None:
        self.file, self.deadline = file, deadline
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        return self.file.read(size) if time.monotonic() <= self.deadline else b""


def _open_av(path: str | Path, source: IO[bytes], deadline: float) -> tuple[Iterator[np.ndarray], int, int]:
    import av  # slow import, which most files do not need

    # A file object and no protocols: the name of a file or the content of a playlist must not make FFmpeg open another source.
    try:
        with limited_memory(_OPEN_BYTES):  # FFmpeg allocates the sample table that a header claims, even a huge one
            limited_file = _FileWithDeadline(source, deadline)
            container = av.open(limited_file, mode="r", options={"protocol_whitelist": "none"}, metadata_errors="replace")
        stream = container.streams.audio[0]
        rate, channels = int(stream.rate), int(stream.channels)
    except (av.FFmpegError, IndexError, ValueError, TypeError, AttributeError, MemoryError) as error:  # AttributeError: no codec
        reason = "no audio stream" if isinstance(error, IndexError) else (getattr(error, "strerror", None) or str(error))
        raise AudioError(f"{path}: not audio that can be decoded ({reason}); replace or remove it") from None
    _check_format(path, rate, channels)

    def blocks() -> Iterator[np.ndarray]:
        resampler = av.AudioResampler(format="fltp", rate=rate)  # keeps the channels, because FFmpeg's mono mix is 3 dB louder
        try:
            with container:
                for frame in container.decode(stream):
                    _check_format(path, frame.sample_rate, frame.layout.nb_channels)
                    for part in resampler.resample(frame):
                        yield part.to_ndarray().mean(axis=0)  # (channels, n) -> (n,)
        except (av.FFmpegError, ValueError) as error:
            raise AudioError(f"{path}: broken audio data ({error}); replace or remove it") from None

    return blocks(), rate, channels


def write(path: str | Path, y: np.ndarray, sample_rate: int) -> None:
    """Write 16-bit audio as ``.wav`` or ``.flac``, according to the suffix.

    `y` has shape (n,) or (n, channels) and full scale +-1.0; `sample_rate` is in Hz. Raises OSError if the file cannot be written.
    """
    # Not directly to the file, because libsndfile would report a full disk only as "System error".
    encoded = io.BytesIO()
    soundfile.write(encoded, y, sample_rate, format=Path(path).suffix[1:].upper(), subtype="PCM_16")
    with atomic(path) as part:
        part.write_bytes(encoded.getvalue())
