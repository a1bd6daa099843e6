"""Gates: a test decides when a getter goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class Gate:
    """`passing()` says that somebody is here and waits until the gate is open."""

    PATIENCE_S = 30.0

    def __init__(self) -> None:
        self._open = threading.Event()
        self._arrivals = threading.Semaphore(0)

    def passing(self) -> None:
        self._arrivals.release()
        assert self._open.wait(self.PATIENCE_S), "the test never opened the gate"

    def await_arrival(self) -> None:
        """Returns when one more has come to the gate."""
        assert self._arrivals.acquire(timeout=self.PATIENCE_S), "nobody came to the gate"

    def open(self) -> None:
        self._open.set()


def together(*works: Callable[[], Any]) -> list[Any]:
    """Runs something in threads that start at the same moment; results, or exceptions."""
    barrier = threading.Barrier(len(works))

    def start(work: Callable[[], Any]) -> Any:
        barrier.wait(30)
        try:
            return work()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(start, works))
