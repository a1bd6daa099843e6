"""Virtual time: processes whose threads are greenlets, and which may be paused or killed between any two steps.

A thread runs until it waits, or until it touches what it shares with others: shared memory, the network, a clock. Each
such touch is a *step*, and at a step the kernel may let others go on for a moment, stop the whole process as SIGSTOP
does, or kill it as SIGKILL does: what a killed process was about to do never happens, and no `finally` of it runs.

Invariants: one source of randomness per run and nothing else that could differ, so a seed is one history; time moves
only when nothing can run at its present reading.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import greenlet


class Violation(Exception):
    """The history breaks a promise."""


class WrongValue(Violation):
    """A get has returned what it may not."""


class Future:
    """What will come: a value, once. None is what has not come."""

    __slots__ = ("done", "value", "waiters")

    def __init__(self) -> None:
        self.done, self.value = False, None
        self.waiters: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return "Future"

    def set(self, value: Any) -> None:
        if not self.done:
            self.done, self.value = True, value
            for wake in self.waiters:
                wake()
            self.waiters = []


class Thread:
    """One thread of a process."""

    __slots__ = ("greenlet", "process")

    def __init__(self, process: Process, body: Callable[[], None], hub: greenlet.greenlet) -> None:
        self.process = process
        self.greenlet = greenlet.greenlet(body, parent=hub)  # whoever starts it does not get its end


class Kernel:
    """The clock, what is to happen when, and how often something happens to a process at a step."""

    def __init__(self, seed: int, trace: bool = False) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.trace: list[str] | None = [] if trace else None
        self.running: Thread | None = None
        self.over = False
        self._until = 0.0
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0
        self._hub = greenlet.getcurrent()
        self._threads: list[Thread] = []
        self._most_threads = 100
        self._failed: BaseException | None = None
        self.countdown = math.inf
        self.hazard = 0.0  # the chance that something happens at a step
        self.happens: Callable[[Process], float] = lambda _: 0.0  # what does; how long the thread stands for it

    def log(self, *what: Any) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.now:9.4f} {' '.join(map(str, what))}")

    # ---------------------------------------------------------------------------------------------- time

    def at(self, when: float, do: Callable[..., None], *arguments: Any) -> None:
        self._number += 1
        heapq.heappush(self._queue, (when, self._number, do, arguments))

    def soon(self, do: Callable[..., None], *arguments: Any) -> None:
        self.at(self.now, do, *arguments)

    def run(self, until: float) -> None:
        """Lets everything happen until then; raises what a thread has raised."""
        queue, self._until = self._queue, until
        while queue and queue[0][0] <= self._until:
            self.now, _, do, arguments = heapq.heappop(queue)
            do(*arguments)
            if self._failed is not None:
                raise self._failed
        self.now = self._until

    def finish(self) -> None:
        """Nothing later than this is to happen."""
        self._until = self.now

    def end(self) -> None:
        """Ends the threads that are left. Nothing that they still do counts."""
        self.over = True
        for thread in self._threads:
            while not thread.greenlet.dead:
                thread.greenlet.throw()

    # ------------------------------------------------------------------------------------------- threads

    def start(self, process: Process, body: Callable[..., Any], *arguments: Any) -> None:
        def run() -> None:
            try:
                body(*arguments)
            except greenlet.GreenletExit:
                pass
            except BaseException as error:
                if not self.over and self._failed is None:
                    self.log(process, f"FAILS: {type(error).__name__}: {error}")
                    self._failed = error

        thread = Thread(process, run, self._hub)
        self._threads.append(thread)
        if len(self._threads) > self._most_threads:
            self._threads = [each for each in self._threads if not each.greenlet.dead]
            self._most_threads = 2 * len(self._threads) + 100
        self.soon(self._resume, thread, process.life)

    def _resume(self, thread: Thread, life: int) -> None:
        process = thread.process
        if life != process.life:
            return
        if process.stopped_until > self.now:
            self.at(process.stopped_until, self._resume, thread, life)
            return
        self.running = thread
        thread.greenlet.switch()
        self.running = None

    def _switch(self) -> None:
        if self.over:
            raise greenlet.GreenletExit
        self._hub.switch()
        if self.over:
            raise greenlet.GreenletExit

    def sleep(self, seconds: float) -> None:
        """Of the running thread."""
        thread = self.running
        assert thread is not None or self.over
        if thread is not None:
            self.at(self.now + seconds, self._resume, thread, thread.process.life)
        self._switch()

    def wait(self, futures: Sequence[Any], timeout_s: float | None = None, all: bool = True) -> list[Any]:
        """What has come of each when all have, or one, or the time is over."""
        open_ones = [future for future in futures if not future.done]
        if open_ones and (all or len(open_ones) == len(futures)):
            self._wait(open_ones, timeout_s, len(open_ones) if all else 1)
        elif not futures:
            self.sleep(timeout_s or 0.0)
        return [future.value for future in futures]

    def _wait(self, futures: list[Any], timeout_s: float | None, left: int) -> None:
        thread = self.running
        if thread is None:
            raise greenlet.GreenletExit
        life = thread.process.life

        def wake(count: int = 1) -> None:
            nonlocal left
            if left > 0:
                left -= count
                if left <= 0:
                    self.soon(self._resume, thread, life)

        for future in futures:
            future.waiters.append(wake)
        if timeout_s is not None:
            self.at(self.now + timeout_s, wake, left)
        self._switch()

    # --------------------------------------------------------------------------------------------- steps

    def set_hazard(self, chance: float, happens: Callable[[Process], float]) -> None:
        """`chance`: that something happens at a step; `happens` does it, and says how long the thread stands."""
        self.hazard, self.happens = chance, happens
        self._count_down()

    def _count_down(self) -> None:
        self.countdown = math.log(1.0 - self.rng.random()) // math.log(1.0 - self.hazard) if self.hazard else math.inf

    def step(self) -> None:
        """The running thread is about to touch what others see."""
        self.countdown -= 1
        if self.countdown < 0:
            self.interrupt()

    def interrupt(self) -> None:
        self._count_down()
        thread = self.running
        if thread is None:
            if self.over:
                raise greenlet.GreenletExit
            return
        process, life = thread.process, thread.process.life
        seconds = self.happens(process)
        if process.life != life:
            self._switch()  # it was killed: nobody resumes it
        elif seconds > 0 or process.stopped_until > self.now:
            self.sleep(seconds)

    def kill(self, process: Process) -> None:
        """Kills a process, also the one that runs at this moment: it does nothing more."""
        process.kill()
        if self.running is not None and self.running.process is process:
            self._switch()


class Process:
    """A process at a place. It has one life after the other; threads belong to one life."""

    def __init__(self, kernel: Kernel, name: str, place: str) -> None:
        self.kernel, self.name, self.place = kernel, name, place
        self.up, self.life = False, 0
        self.stopped_until = 0.0
        self.mutex = Mutex(kernel)

    def __str__(self) -> str:
        return self.name

    def start(self) -> None:
        """Begins a life. Subclasses make what it has, and start its threads."""
        self.up, self.stopped_until, self.mutex = True, 0.0, Mutex(self.kernel)
        self.kernel.log(self, "starts")

    def stop(self, until: float) -> None:
        """SIGSTOP, and SIGCONT then."""
        self.stopped_until = until
        self.kernel.log(self, f"is STOPPED until {until:.4f}")

    def kill(self) -> None:
        """SIGKILL."""
        self.kernel.log(self, "is KILLED")
        self.up, self.life = False, self.life + 1

    def thread(self, body: Callable[..., Any], *arguments: Any) -> None:
        self.kernel.start(self, body, *arguments)

    def clock(self) -> float:
        raise NotImplementedError


class Mutex:
    """A lock among the threads of one process; first come, first served."""

    __slots__ = ("_held", "_kernel", "_queue")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._held = kernel, False
        self._queue: deque[Future] = deque()

    @property
    def taken(self) -> bool:
        return self._held

    def __enter__(self) -> None:
        if self._held:
            turn = Future()
            self._queue.append(turn)
            self._kernel.wait([turn])
        self._held = True

    def __exit__(self, *_: Any) -> None:
        if self._queue:
            self._queue.popleft().set(True)  # it stays held, for that one
        else:
            self._held = False


class Event:
    """`threading.Event` for one thread that waits and clears it."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._future = kernel, Future()

    def set(self) -> None:
        self._future.set(True)

    def wait(self, timeout_s: float) -> None:
        self._kernel.wait([self._future], timeout_s)
        if self._future.done:
            self._future = Future()
