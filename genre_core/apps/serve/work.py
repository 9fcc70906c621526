"""How much is done at once: as many files as there are cores, a short queue, and no more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from anyio import to_thread

Result = TypeVar("Result")
RETRY_AFTER_SECONDS = 5


class BusyError(Exception):
    """The queue is full."""


class Bench:
    """Places for requests, and turns for the work that they ask for.

    Parameters
    ----------
    turns : int
        Pieces of work at once, each in a thread.
    waiting : int
        Requests that may wait for a turn, or for the rest of their upload, beside those.

    Attributes
    ----------
    working : int
        Threads that work. None of them can be stopped.
    """

    def __init__(self, turns: int, waiting: int) -> None:
        self.places = turns + waiting
        self.taken = 0
        self.working = 0
        self._turns = asyncio.Semaphore(turns)

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place while a request is served.

        Raises
        ------
        BusyError
            All are taken.
        """
        if self.taken >= self.places:
            raise BusyError
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def run(self, function: Callable[..., Result], *arguments: Any, wanted: Callable[[], Awaitable[bool]]) -> Result | None:
        """Call a function in a thread, when it is this request's turn; None if `wanted` then says no."""
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
