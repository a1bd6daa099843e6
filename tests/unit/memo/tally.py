"""What a memoized function was computed for. A function that has captured it is the same function all the time."""

from __future__ import annotations

import threading
from typing import Any


class Tally:
    """Call it with what is being computed; the entries of `seen` are in the order of the calls."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.came = threading.Condition()

    def __call__(self, what: Any) -> None:
        with self.came:
            self.seen.append(what)
            self.came.notify_all()

    def __raycache_key__(self) -> str:
        return "a tally, whatever it has counted"

    def __reduce__(self) -> Any:
        raise TypeError("an inline cache pickles no function")


class Held:
    """A gate that a function may capture."""

    def __init__(self, gate: Any) -> None:
        self.gate = gate

    def __call__(self) -> None:
        self.gate.passing()

    def __raycache_key__(self) -> str:
        return "a gate"


def maps_end() -> None:
    """Waits until no map computes any more, also of those that nobody wants the rest of."""
    for thread in threading.enumerate():
        if thread.name.startswith("raycache-map"):
            thread.join(30)


def looks(memoized: Any) -> tuple[int, int]:
    """Hits and misses of a memoized function."""
    info = memoized.cache_info()
    return info.hits, info.misses
