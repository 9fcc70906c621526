"""Bounded concurrency: a few worker threads and a short queue."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from anyio import to_thread

Result = TypeVar("Result")
RETRY_AFTER_SECONDS = 5


class BusyError(Exception):
    """Error for a full queue."""


class Bench:
    """Bounded places for requests and bounded threads for their work.

    Parameters
    ----------
    turns : int
        Largest number of threads that work at the same time.
    waiting : int
        Largest number of further requests, which wait for a thread or for the rest of their upload.

    Attributes
    ----------
    places : int
        Largest number of requests: `turns` plus `waiting`.
    taken : int
        Number of requests that hold a place.
    working : int
        Number of threads that work now. A thread cannot be stopped.
    """

    def __init__(self, turns: int, waiting: int) -> None:
        self.places = turns + waiting
        self.taken = 0
        self.working = 0
        self._turns = asyncio.Semaphore(turns)

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place for a request inside a ``with`` block.

        Raises
        ------
        BusyError
            All places are taken.
        """
        if self.taken >= self.places:
            raise BusyError
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def run(self, function: Callable[..., Result], *arguments: Any, wanted: Callable[[], Awaitable[bool]]) -> Result | None:
        """Wait for a free thread and call `function` in it.

        Parameters
        ----------
        function : callable
        *arguments
            Arguments of `function`.
        wanted : callable
            Coroutine function that tells, when the thread is free, whether the result is still needed.

        Returns
        -------
        object or None
            Result of `function`; None if `wanted` returned False.
        """
        async with self._turns:
            if not await wanted():
                return None
            return await to_thread.run_sync(self._counted, function, arguments, abandon_on_cancel=True)

    def _counted(self, function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
        self.working += 1
        try:
            return function(*arguments)
        finally:
            self.working -= 1
