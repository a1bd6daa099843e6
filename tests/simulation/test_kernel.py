"""Virtual time: what processes do when they wait, are stopped, and are killed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kernel import Event, Future, Kernel, Process


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(seed=1)


@pytest.fixture
def process(kernel: Kernel) -> Process:
    process = Process(kernel, "p", "here")
    process.start()
    return process


def noted(kernel: Kernel, notes: list[Any], *sleeps: float) -> Callable[[], None]:
    """A thread that sleeps and notes when it goes on."""

    def body() -> None:
        try:
            for seconds in sleeps:
                kernel.sleep(seconds)
                notes.append(kernel.now)
        finally:
            if not kernel.over:
                notes.append("end")

    return body


def test_threads_go_on_when_their_time_has_come(kernel: Kernel, process: Process) -> None:
    """Two threads sleep side by side."""
    notes: list[Any] = []
    process.thread(noted(kernel, notes, 1.0, 2.0))
    process.thread(noted(kernel, notes, 1.5))
    kernel.run(10.0)

    assert notes == [1.0, 1.5, "end", 3.0, "end"]


def test_a_stopped_process_goes_on_when_it_is_continued(kernel: Kernel, process: Process) -> None:
    """What came due meanwhile happens then."""
    notes: list[Any] = []
    process.thread(noted(kernel, notes, 1.0, 1.0))
    kernel.at(0.5, process.stop, 4.0)
    kernel.run(10.0)

    assert notes == [4.0, 5.0, "end"]


def test_a_killed_process_does_nothing_more(kernel: Kernel, process: Process) -> None:
    """Not even what stands in a finally."""
    notes: list[Any] = []
    process.thread(noted(kernel, notes, 1.0, 1.0))
    kernel.at(1.5, process.kill)
    kernel.run(10.0)
    kernel.end()

    assert notes == [1.0]


def test_a_process_may_be_killed_at_a_step(kernel: Kernel, process: Process) -> None:
    """What it was about to do has not happened."""
    notes: list[Any] = []

    def body() -> None:
        notes.append("before")
        kernel.step()
        notes.append("after")

    def kill(process: Process) -> float:
        process.kill()
        return 0.0

    kernel.set_hazard(0.999, kill)
    process.thread(body)
    kernel.run(10.0)
    kernel.end()

    assert notes == ["before"]


@pytest.mark.parametrize(
    ("together", "timeout_s", "came", "when"),
    [(True, None, ["a", "b"], 2.0), (False, None, ["a", None], 1.0), (True, 1.5, ["a", None], 1.5)],
)
def test_waiting_ends_with_all_with_one_or_in_time(
    kernel: Kernel, process: Process, together: bool, timeout_s: float | None, came: list[Any], when: float
) -> None:
    """What has not come is None."""
    one, other = Future(), Future()
    notes: list[Any] = []
    process.thread(lambda: notes.append((kernel.wait([one, other], timeout_s, together), kernel.now)))
    kernel.at(1.0, one.set, "a")
    kernel.at(2.0, other.set, "b")
    kernel.run(10.0)

    assert notes == [(came, when)]


def test_one_thread_at_a_time_holds_the_mutex(kernel: Kernel, process: Process) -> None:
    """Those who wait for it get it in the order in which they came."""
    notes: list[Any] = []

    def body(name: str) -> None:
        with process.mutex:
            notes.append(name)
            kernel.sleep(1.0)
            notes.append(name)

    for name in "abc":
        process.thread(body, name)
    kernel.run(10.0)

    assert notes == list("aabbcc")


def test_an_event_wakes_who_waits_and_is_clear_again(kernel: Kernel, process: Process) -> None:
    """One that was set before the waiting counts, too."""
    event, notes = Event(kernel), list[Any]()

    def body() -> None:
        for _ in range(3):
            event.wait(5.0)
            notes.append(kernel.now)

    event.set()
    process.thread(body)
    kernel.at(1.0, event.set)
    kernel.run(10.0)

    assert notes == [0.0, 1.0, 6.0]


def test_what_a_thread_raises_ends_the_run(kernel: Kernel, process: Process) -> None:
    """An error of the real code is a finding."""

    def body() -> None:
        raise ValueError("so")

    process.thread(body)
    with pytest.raises(ValueError, match="so"):
        kernel.run(10.0)
