"""Several who ask one model, a question after the other, answered in common batches.

An agent that acts in one environment asks for a few answers at a time, and a batch of two takes a model
nearly as long as one of twenty. :func:`together` runs any number of such jobs side by side: each goes on
until it asks, and when all of them have asked, one call answers everybody. Only one job runs at any moment,
always in the same order, so that batches, and with them the answers, are the same every time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from xlam_lib.generation import Backend, Generation, Message, Progress, generate

T = TypeVar("T")


class _Stopped(Exception):
    """Another job failed: nobody will answer any more."""


class _Seat:
    """A job's own back end: it hands over what is asked, and waits."""

    def __init__(self, backend: Backend, job: Callable[[Backend], Any]) -> None:
        self.name, self.constrains = backend.name, getattr(backend, "constrains", False)
        self.asked: tuple[Sequence[Sequence[Message]], int, Sequence[str | None]] | None = None
        self.answers: list[Generation] = []
        self.value: Any = None
        self.error: BaseException | None = None
        self._job, self._stopped = job, False
        self._turn, self._waits = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        self._turn.acquire()
        try:
            self.value = self._job(self)
        except _Stopped:
            pass
        except BaseException as error:
            self.error = error
        self._waits.release()

    def go_on(self) -> None:
        """Let the job run until it asks or ends."""
        if self._thread.ident is None:
            self._thread.start()
        self._turn.release()
        self._waits.acquire()

    def stop(self) -> None:
        """End the job where it asks, or asks next, if it has not ended; a job that never began does not."""
        self._stopped = True
        if self.asked is not None:
            self.go_on()
        if self._thread.ident is not None:
            self._thread.join()

    def generate(
        self,
        chats: Sequence[Sequence[Message]],
        max_new_tokens: int,
        schemas: Sequence[str | None] | None = None,
    ) -> list[Generation]:
        if not self._stopped:
            self.asked = (chats, max_new_tokens, schemas or [None] * len(chats))
            self._waits.release()
            self._turn.acquire()
            self.asked = None
        if self._stopped:
            raise _Stopped
        return self.answers


def together(
    backend: Backend,
    jobs: Sequence[Callable[[Backend], T]],
    *,
    batch_size: int = 32,
    batch_characters: int = 160_000,
    progress: Progress | None = None,
) -> list[T]:
    """What each job returns, in their order.

    Parameters
    ----------
    backend
        Who answers.
    jobs
        Called with a back end of their own that has the name of ``backend`` and answers as it does. They
        need not be safe for threads.
    batch_size, batch_characters
        As in :func:`xlam_lib.generation.generate`.
    progress
        Called with (jobs done, jobs) after each round of questions.

    Raises
    ------
    BaseException
        What a job raised; the others are stopped where they ask next.
    """
    seats = [_Seat(backend, job) for job in jobs]
    asking = seats
    try:
        while asking:
            for seat in asking:
                seat.go_on()
                if seat.error is not None:
                    raise seat.error
            asking = [seat for seat in asking if seat.asked is not None]
            _answer(backend, asking, batch_size, batch_characters)
            if progress:
                progress(len(seats) - len(asking), len(seats))
    finally:
        for seat in seats:
            seat.stop()
    return [seat.value for seat in seats]


def _answer(backend: Backend, seats: Sequence[_Seat], batch_size: int, batch_characters: int) -> None:
    asked = [(seat, *seat.asked) for seat in seats if seat.asked is not None]
    found: dict[int, list[Generation]] = {}
    for limit in sorted({limit for _, _, limit, _ in asked}):
        own = [(seat, chats, schemas) for seat, chats, other, schemas in asked if other == limit]
        schemas = [schema for _, _, held in own for schema in held]
        answers = iter(
            generate(
                [chat for _, chats, _ in own for chat in chats],
                backend,
                max_new_tokens=limit,
                batch_size=batch_size,
                batch_characters=batch_characters,
                schemas=schemas if any(schemas) else None,
            )
        )
        for seat, chats, _ in own:
            found[id(seat)] = [next(answers) for _ in chats]
    for seat, *_ in asked:
        seat.answers = found[id(seat)]
