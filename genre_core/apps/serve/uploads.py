"""Receive uploads within limits, and judge them."""

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
        Size of the file, and length of its audio.
    decode_seconds : float
        What decoding may take.
    stall_seconds, upload_seconds : float
        Longest silence of the client, and what the whole upload may take.
    """

    megabytes: float = 60.0
    seconds: float = 15 * 60.0
    decode_seconds: float = 20.0
    stall_seconds: float = 10.0
    upload_seconds: float = 120.0


_SLOWEST_BYTES = 16_000  # a second


class RefusedError(Exception):
    """A request that cannot be served, with its status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def judge(predictor: Predictor, file: IO[bytes], name: str, limits: Limits) -> tuple[Prediction, Audio]:
    """Predict from an uploaded file, within the limits; an error names `name`."""
    warnings.simplefilter("ignore", SilenceWarning)  # the answer says "not sure"; catch_warnings would mix up the threads
    return predictor.decode_and_predict(name, file=file, max_seconds=limits.seconds, deadline_s=limits.decode_seconds)


def temporary_file() -> IO[bytes]:
    """Open a file without a name: nothing of it is left, however the server ends."""
    try:
        return tempfile.TemporaryFile(buffering=0)  # a buffer would fail once more when it is closed
    except OSError as error:
        raise RefusedError(507, _no_room(error)) from None


def _no_room(error: OSError) -> str:
    said = "is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"cannot be used ({error.strerror})"
    return f"the server's temporary folder {said}; make room there, or set TMPDIR to another"


async def receive(request: Request, file: IO[bytes], name: str, megabytes: float, limits: Limits) -> None:
    """Write the body to `file`.

    Raises
    ------
    RefusedError
        It is too large, comes too slowly, or the disk is full.
    """
    size = 0
    began = time.monotonic()
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
                if time.monotonic() - began > limits.stall_seconds + size / _SLOWEST_BYTES:  # who drips holds a place for nothing
                    raise TimeoutError
                rest = memoryview(block)
                while rest:
                    rest = rest[file.write(rest) :]
    except TimeoutError:
        raise RefusedError(408, f"{name}: the upload stalled, or took longer than {limits.upload_seconds:g} s; send it again") from None
    except OSError as error:
        raise RefusedError(507, _no_room(error)) from None
    file.seek(0)


async def drain(request: Request, limits: Limits) -> None:
    """Read the rest of a body that is not used, for a short while."""
    left = limits.megabytes * 1e6
    try:
        async with asyncio.timeout(limits.stall_seconds):
            async for block in request.stream():
                left -= len(block)
                if left < 0:
                    return
    except (TimeoutError, ClientDisconnect):
        return
