"""Results in the order of their items, of a bounded number of items in work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")


def in_order(submit: Callable[[Item], Any], items: Iterable[Item], most: Callable[[], int]) -> Iterator[Any]:
    """Yield the result of each item, in order.

    Parameters
    ----------
    submit : callable
        Function that starts the work on an item and returns its future.
    items : iterable
        Arguments of `submit`.
    most : callable
        Function that returns how many items may be in work or wait for the caller, now.

    Yields
    ------
    object
        Result of the future of the next item.
    """
    pending: deque[Any] = deque()
    for item in items:
        pending.append(submit(item))
        if len(pending) >= most():
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
