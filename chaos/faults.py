"""Carries out a plan of faults on the processes of an arena."""

from __future__ import annotations

import heapq
import itertools
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Protocol

from chaos.history import Pause
from chaos.plan import Fault
from chaos.processes import Process, processes, send
from chaos.source import Source

#: Titles that Ray gives to the processes.
SHARD, DIRECTORY, LOADER = "ray::ShardActor", "ray::DirectoryActor", "ray::load_task"
#: How slow getters are made so that one is met at work.
SLOW_S = 0.2
#: How long a getter is waited for that is to be stopped or killed.
MEET_S = 1.0


class Event(NamedTuple):
    """What was done."""

    at: float
    what: str


class Arena(Protocol):
    """Where faults happen: what an injector cannot do by itself."""

    source: Source

    def clients(self) -> dict[str, int]:
        """The process ids of the clients that run, by name."""
        ...

    def client_killed(self, name: str) -> None: ...

    def crash_node(self, place: int) -> str:
        """Ends one of the nodes beside the first at once; which."""
        ...

    def add_node(self) -> str: ...


class Injector:
    """Does what a plan says, and undoes it in the end."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._undo: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.events: list[Event] = []
        self.pauses: list[Pause] = []
        self.counts: Counter[str] = Counter()

    def run(self, plan: list[Fault], began: float) -> None:
        """Returns when all is done and undone."""
        for fault in plan:
            self._wait(began + fault.at_s)
            getattr(self, fault.kind.replace(" ", "_"))(fault)
        self._wait(max((at for at, _, _ in self._undo), default=0.0))

    def _wait(self, until: float) -> None:
        """Waits for a moment; undoes what is due before."""
        while self._undo and self._undo[0][0] <= until:
            at, _, undo = heapq.heappop(self._undo)
            time.sleep(max(at - time.monotonic(), 0.0))
            undo()
        time.sleep(max(until - time.monotonic(), 0.0))

    def _later(self, seconds: float, undo: Callable[[], None]) -> None:
        heapq.heappush(self._undo, (time.monotonic() + seconds, next(self._numbers), undo))

    def end(self) -> None:
        """Undoes now what is left, also after an error."""
        while self._undo:
            heapq.heappop(self._undo)[2]()

    def _tell(self, what: str, counted: str = "") -> None:
        self.events.append(Event(time.monotonic(), what))
        self.counts[counted] += bool(counted)

    # ------------------------------------------------------------------------------------------ processes

    def _kill(self, what: str, pid: int) -> bool:
        there = send(signal.SIGKILL, pid)
        self._tell(f"SIGKILL {what}, pid {pid}" if there else f"{what}, pid {pid}, had ended", "kills" * there)
        return there

    def _stop(self, what: str, pid: int, seconds: float, paused: str | None = None) -> None:
        """`paused`: the client that this is a pause for, "" for all of them."""
        began = time.monotonic()
        if not send(signal.SIGSTOP, pid):
            return self._tell(f"{what}, pid {pid}, had ended")
        self._tell(f"SIGSTOP {what}, pid {pid}", "stops")

        def go_on() -> None:
            there = send(signal.SIGCONT, pid)
            self._tell(f"SIGCONT {what}, pid {pid}" if there else f"{what}, pid {pid}, had ended")
            if paused is not None:
                self.pauses.append(Pause(paused, began, time.monotonic()))

        return self._later(seconds, go_on)

    def _one(self, title: str, place: int) -> Process | None:
        """One of the processes of a title; None, and an event, if there are none."""
        found = processes(title)
        if not found:
            self._tell(f"there is no {title}")
        return found[place % len(found)] if found else None

    def stop_shard(self, fault: Fault) -> None:
        if shard := self._one(SHARD, fault.place):
            self._stop("shard", shard.pid, fault.length_s)

    def kill_shard(self, fault: Fault) -> None:
        if shard := self._one(SHARD, fault.place):
            self._kill("shard", shard.pid)

    def stop_directory(self, fault: Fault) -> None:
        if directory := self._one(DIRECTORY, 0):
            self._stop("directory", directory.pid, fault.length_s)

    def kill_directory(self, fault: Fault) -> None:
        if directory := self._one(DIRECTORY, 0):
            self._kill("directory", directory.pid)

    def stop_loader(self, fault: Fault) -> None:
        if loader := self._loader():
            self._stop("loader", loader.pid, fault.length_s, "")

    def kill_loader(self, fault: Fault) -> None:
        if loader := self._loader():
            self._kill("loader", loader.pid)

    def _loader(self) -> Process | None:
        """A loader that is met at work."""
        self._slow(SLOW_S, MEET_S)
        deadline = time.monotonic() + MEET_S
        while not processes(LOADER) and time.monotonic() < deadline:
            time.sleep(0.01)
        return self._one(LOADER, 0)

    # -------------------------------------------------------------------------------------------- clients

    def stop_client(self, fault: Fault) -> None:
        clients = sorted(self._arena.clients().items())
        if clients:
            name, pid = clients[fault.place % len(clients)]
            self._stop(name, pid, fault.length_s, name)

    def kill_client(self, fault: Fault) -> None:
        clients = sorted(self._arena.clients().items())
        if clients:
            name, pid = clients[fault.place % len(clients)]
            if self._kill(name, pid):
                self._arena.client_killed(name)

    # -------------------------------------------------------------------------------------------- getters

    def slow_getters(self, fault: Fault) -> None:
        self._tell(f"getters take {SLOW_S:g} s")
        self._slow(SLOW_S, fault.length_s)

    def _slow(self, delay_s: float, seconds: float) -> None:
        began = time.monotonic()
        self._arena.source.behave(delay_s=delay_s)

        def quick() -> None:
            self._arena.source.behave()
            self.pauses.append(Pause("", began, time.monotonic() + delay_s))

        self._later(seconds, quick)

    def broken_getters(self, fault: Fault) -> None:
        self._tell("getters raise")
        self._arena.source.behave(broken=True)
        self._later(fault.length_s, self._arena.source.behave)

    # ---------------------------------------------------------------------------------------------- nodes

    def crash_node(self, fault: Fault) -> None:
        self._tell(f"crashed: {self._arena.crash_node(fault.place)}", "nodes lost")
        self._later(fault.length_s, lambda: self._tell(f"added: {self._arena.add_node()}", "nodes added"))
