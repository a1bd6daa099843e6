"""Waiting for something to become true: with a deadline, and an error that names what did not come."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

from raycache import CacheUnavailable

T = TypeVar("T")

PATIENCE_S = 30.0


def until(condition: Callable[[], T], what: str | Callable[[], str], patience_s: float = PATIENCE_S) -> T:
    """What the condition gives, as soon as that is true; `what` says what is waited for."""
    deadline = time.monotonic() + patience_s
    while not (result := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {patience_s:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.01)
    return result


def insist(change: Callable[[], T], patience_s: float = 60.0) -> T:
    """Makes a change, again while shards do not answer; what it gives."""
    gave: list[T] = []

    def change_it() -> list[T]:
        with contextlib.suppress(CacheUnavailable):
            gave.append(change())
        return gave

    return until(change_it, "the shards answer", patience_s)[0]
