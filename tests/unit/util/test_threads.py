"""Work in threads: order, bounds and errors."""

import threading
import time

import pytest

from genre_core.util.parallel import in_threads
from genre_core.util.threads import cores


def slow_first(i):
    time.sleep(0.3 if i == 0 else 0.01)
    return 10 * i


def test_results_are_in_order_or_as_done():
    assert list(in_threads(slow_first, range(5), ordered=True)) == [(i, 10 * i) for i in range(5)]
    done = list(in_threads(slow_first, range(5)))
    assert sorted(done) == [(i, 10 * i) for i in range(5)]
    if cores() > 1:
        assert done[0][0] != 0


@pytest.mark.parametrize("ordered", [False, True])
def test_few_items_are_taken_ahead(ordered):
    taken = []

    def items():
        for i in range(100):
            taken.append(i)
            yield i

    for count, _ in enumerate(in_threads(lambda i: i, items(), ordered=ordered), start=1):
        assert len(taken) <= count + 2 * cores()


def test_an_error_arrives_and_ends_the_work():
    begun = []

    def fail(i):
        begun.append(i)
        time.sleep(0.02)
        raise ValueError(i)

    with pytest.raises(ValueError, match="0"):
        list(in_threads(fail, range(1000), ordered=True))
    time.sleep(0.1)
    assert len(begun) <= 3 * cores()
    assert threading.active_count() < 50
