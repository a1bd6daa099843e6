"""What all tests share: a clock that is set by hand, gates, and hypothesis kept short."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from fake_clock import FakeClock
from gates import Gate
from hypothesis import HealthCheck, settings

settings.register_profile("raycache", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("raycache")

# A shell's background job ignores SIGINT, and so would every command that a test starts and then interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads of callers; they have ended when the test is over."""
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def gate(pool: ThreadPoolExecutor) -> Iterator[Callable[[], Gate]]:
    """Makes gates, all of which are open when the test is over: no getter and no caller waits for ever."""
    gates: list[Gate] = []

    def make() -> Gate:
        gates.append(Gate())
        return gates[-1]

    yield make
    for each in gates:
        each.open()
