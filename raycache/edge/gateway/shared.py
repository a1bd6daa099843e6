"""A question to the cluster that all who ask at the same time share: one thread for all, and one answer or failure."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """For one event loop. An answer is to a question that began when it was asked for, or a little earlier."""

    def __init__(
        self, question: Callable[[], T], fresh_s: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`fresh_s`: how much earlier."""
        self._question, self._fresh_s, self._clock = question, fresh_s, clock
        self._asking: asyncio.Task[T] | None = None
        self._began = 0.0

    async def answer(self) -> T:
        """The answer, or what the question raises."""
        asked = self._clock()
        while self._asking is None or self._began < asked - self._fresh_s:
            if self._asking is None or self._asking.done():
                self._began = self._clock()
                self._asking = asyncio.create_task(asyncio.to_thread(self._question))
                self._asking.add_done_callback(_looked_at)
            else:  # it may not see what was so before this was asked
                await asyncio.wait([self._asking])
        return await asyncio.shield(self._asking)  # who goes away takes it from nobody else


def _looked_at(asked: asyncio.Task[T]) -> None:
    """So that a failure for which nobody waits any more fills no log."""
    if not asked.cancelled():
        asked.exception()
