"""A map over records on 1 or N processes that gives the same results in the same order."""

from __future__ import annotations

import itertools
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def _batch(function: Callable[[A], B], items: list[A]) -> list[B]:
    return [function(item) for item in items]


def pmap(function: Callable[[A], B], items: Iterable[A], workers: int = 1, chunk: int = 256) -> Iterator[B]:
    """Yield ``function(item)`` for each item, in order.

    Parameters
    ----------
    function
        A module's function or a ``functools.partial`` of one (it travels by pickle); it must depend on
        its item alone, which is what makes the number of workers invisible in the result.
    workers
        1 runs here; more start that many processes.
    chunk
        Items a message. A few chunks a worker are under way at once, so a stream stays a stream.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    stream = iter(items)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting: deque[Future[list[B]]] = deque()
        while batch := list(itertools.islice(stream, chunk)):
            waiting.append(pool.submit(_batch, function, batch))
            if len(waiting) >= 3 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
