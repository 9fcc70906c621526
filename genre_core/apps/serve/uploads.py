"""Uploads: receive files within limits and predict their genre."""

from __future__ import annotations

import asyncio
import errno
import tempfile
import time
import warnings
from dataclasses import dataclass
from typing import IO

from starlette.requests import ClientDisconnect, Request

from genre_core.audio.io import Audio
from genre_core.errors import SilenceWarning
from genre_core.inference.predictor import Prediction, Predictor


@dataclass(frozen=True)
class Limits:
    """Limits of one upload.

    Attributes
    ----------
    megabytes, seconds : float
        Largest size of the file in MB (10^6 bytes), and largest length of its audio in seconds.
    decode_seconds : float
        Longest time for decoding, in seconds.
    stall_seconds, upload_seconds : float
        Longest pause of the client, and longest time for the whole upload, in seconds.
    """

    megabytes: float = 60.0
    seconds: float = 15 * 60.0
    decode_seconds: float = 20.0
    stall_seconds: float = 10.0
    upload_seconds: float = 120.0


_MIN_BYTES_PER_SECOND = 16_000


class RefusedError(Exception):
    """Refusal of a request, with its HTTP status.

    Attributes
    ----------
    status : int
        HTTP status of the answer, such as 413.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def judge(predictor: Predictor, file: IO[bytes], name: str, limits: Limits) -> tuple[Prediction, Audio]:
    """Predict the genre of an uploaded file, within the limits.

    Parameters
    ----------
    predictor : Predictor
    file : binary file
        Content of the upload.
    name : str
        Name of the file in error messages.
    limits : Limits

    Returns
    -------
    prediction : Prediction
    audio : Audio
        Decoded audio.

    Raises
    ------
    GenreError
        The file is not audio, is damaged, or exceeds the limits.
    """
    warnings.simplefilter("ignore", SilenceWarning)  # the answer says "not sure"; catch_warnings is not thread-safe
    return predictor.decode_and_predict(name, file=file, max_seconds=limits.seconds, deadline_s=limits.decode_seconds)


def temporary_file() -> IO[bytes]:
    """Open a temporary file without a name, so the system always removes it.

    Raises
    ------
    RefusedError
        The temporary folder is full or cannot be used (status 507).
    """
    try:
        return tempfile.TemporaryFile(buffering=0)  # on a full disk, closing a buffered file would fail again
    except OSError as error:
        raise RefusedError(507, _no_room(error)) from None


def _no_room(error: OSError) -> str:
    """Return the message for an error of the temporary folder."""
    problem = "is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"cannot be used ({error.strerror})"
    return f"the server's temporary folder {problem}; make room there, or set TMPDIR to another"


async def receive(request: Request, file: IO[bytes], name: str, megabytes: float, limits: Limits) -> None:
    """Write the body of a request to `file`, and rewind the file.

    Parameters
    ----------
    request : Request
    file : binary file
        Open file for the body.
    name : str
        Name of the file in error messages.
    megabytes : float
        Largest size of the body, in MB (10^6 bytes).
    limits : Limits
        Limits of time; `megabytes` replaces their size.

    Raises
    ------
    RefusedError
        The body is too large (status 413) or comes too slowly (408), or the disk is full (507).
    """
    size = 0
    started = time.monotonic()
    blocks = request.stream()
    try:
        async with asyncio.timeout(limits.upload_seconds):
            while True:
                try:
                    block = await asyncio.wait_for(anext(blocks), limits.stall_seconds)
                except StopAsyncIteration:
                    break
                size += len(block)
                if size > megabytes * 1e6:
                    raise RefusedError(413, f"{name}: larger than {megabytes:g} MB; cut it")
                # A slow client would block a place in the queue.
                if time.monotonic() - started > limits.stall_seconds + size / _MIN_BYTES_PER_SECOND:
                    raise TimeoutError
                remaining = memoryview(block)
                while remaining:
                    remaining = remaining[file.write(remaining) :]
    except TimeoutError:
        raise RefusedError(408, f"{name}: the upload stalled, or took longer than {limits.upload_seconds:g} s; send it again") from None
    except OSError as error:
        raise RefusedError(507, _no_room(error)) from None
    file.seek(0)


async def drain(request: Request, limits: Limits) -> None:
    """Read and discard the rest of a body, within the limits."""
    bytes_left = limits.megabytes * 1e6
    try:
        async with asyncio.timeout(limits.stall_seconds):
            async for block in request.stream():
                bytes_left -= len(block)
                if bytes_left < 0:
                    return
    except (TimeoutError, ClientDisconnect):
        return
