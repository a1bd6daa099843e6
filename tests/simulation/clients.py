"""Processes of users: threads that get and change a few keys, and check what they get."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kernel import Future, Process
from loads import CODEC, LEAST_WAY_S, MOST_WAY_S, End
from servers import Link

from raycache.core.client import Client
from raycache.core.members import Members
from raycache.core.messages import Answers, InFlight, Repeat
from raycache.core.steps import Wait, drive
from raycache.errors import CacheUnavailable, LoaderDied, LoadTimeout
from raycache.group import Group

if TYPE_CHECKING:
    from simulation import Simulation

REPORT_S = 1.0


class VirtualWaiter:
    """Waits in virtual time. It may lose what there is to hear of the end of a load, until it is told of the load anew,
    as a process of Ray may."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation, self._kernel = simulation, simulation.kernel
        self._lost: dict[End, bool] = {}

    def wait(self, want: Wait) -> list[Any]:
        futures = [Future() if self._loses(future) else future for future in want.futures]
        came = self._kernel.wait(futures, want.timeout_s, want.all)
        for answer in came:
            for future in _brought(answer):
                self._lost.pop(future, None)
        if any(type(each) is dict for each in came):  # the end of a load
            self._kernel.sleep(self._kernel.rng.uniform(LEAST_WAY_S, MOST_WAY_S))
        self._kernel.step()
        return came

    def _loses(self, future: Any) -> bool:
        if future not in self._lost:
            if not self._simulation.unheard or not isinstance(future, End):
                return False
            self._lost[future] = self._kernel.rng.random() < self._simulation.unheard
            self._simulation.stats["ends of loads that are lost"] += self._lost[future]
        return self._lost[future]

    def await_(self, want: Wait) -> Any:
        raise NotImplementedError


def _brought(answer: Any) -> list[Any]:
    """The futures in an answer of a shard's."""
    if isinstance(answer, Repeat):
        return list(answer.futures)
    flights = [item for item in answer.items if isinstance(item, InFlight)] if isinstance(answer, Answers) else []
    return [future for flight in flights for future in (flight.outcome, flight.payload)]


class ClientProcess(Process):
    """A process with a Group of its own, and some threads that use it."""

    def __init__(self, simulation: Simulation, name: str, node: str, threads: int) -> None:
        super().__init__(simulation.kernel, name, node)
        self.simulation, self._threads = simulation, threads

    def clock(self) -> float:
        self.kernel.step()
        return self.kernel.now + self.simulation.offsets[self.place]

    def start(self) -> None:
        super().start()
        self._members = Members(Link(self.simulation, self), self.clock)
        self._waiter = VirtualWaiter(self.simulation)
        client = Client(self._members)
        self.group = Group(self.simulation.spec, client, self._waiter, CODEC, self.clock, lambda spec: ())
        for number in range(self._threads):
            self.thread(self._work, f"{self.name}/{number}")
        self.thread(self._report)

    def kill(self) -> None:
        super().kill()
        self.simulation.forget_operations(self.name + "/")

    def _report(self) -> None:
        self.kernel.sleep(self.kernel.rng.uniform(0, REPORT_S))
        while True:
            self.kernel.sleep(REPORT_S)
            self.simulation.stats["hot hits"] += self.group.reader._hot_hits
            self.group.report()
            drive(self._members.probe(), self._waiter.wait)

    def _work(self, name: str) -> None:
        simulation, rng = self.simulation, self.kernel.rng
        self.kernel.sleep(rng.uniform(0.2, 0.6))
        while True:
            key = rng.choice(simulation.keys)
            if rng.random() < simulation.writes and self.kernel.now < simulation.quiet:
                self.change(name, rng.choice(simulation.changes), key)
            else:
                self.read(name, rng.choice(simulation.reads), key)
            self.kernel.sleep(rng.expovariate(1 / simulation.think))

    # ----------------------------------------------------------------------------------------- operations

    def _timed(self, name: str, what: str, operation: Callable[[], Any]) -> tuple[bool, Any]:
        """Whether it returned, and what."""
        simulation = self.simulation
        began = self.kernel.now
        simulation.pending[name] = what, began
        simulation.stats[what.split(" ")[0]] += 1
        try:
            return True, operation()
        except (CacheUnavailable, LoaderDied, LoadTimeout) as error:
            self.kernel.log(name, what, f"raises {type(error).__name__}: {error}")
            simulation.failed(name, what, began, error)
            return False, None
        finally:
            if not self.kernel.over:
                simulation.ended(name, what, began)

    def refresh(self) -> None:
        """Learns the newest ring."""
        drive(self._members.refresh(), self._waiter.wait)

    def change(self, name: str, kind: str, key: str) -> None:
        simulation, group, history = self.simulation, self.group, self.simulation.history
        keys = simulation.keys if kind in ("clear", "remove_many") else (key,)
        updates = history.begin(kind, keys)
        operation: Callable[[], Any] = {
            "remove": lambda: group.remove(key),
            "remove_many": lambda: group.remove_many(keys),
            "set": lambda: group.set(key, history.value(updates[0])),
            "clear": group.clear,
        }[kind]
        self.kernel.log(name, kind, *(f"{update.key}:{update.version}" for update in updates))
        done, _ = self._timed(name, f"{kind} {key}", operation)
        if done:
            history.end(updates)

    def read(self, name: str, kind: str, key: str) -> None:
        simulation, group, history = self.simulation, self.group, self.simulation.history
        keys = simulation.keys if kind == "get_many" else (key,)
        marks, began = {each: history.mark(each) for each in keys}, self.kernel.now
        operation: Callable[[], Any] = {
            "get": lambda: {key: group.get(key)},
            "get_many": lambda: group.get_many(keys),
            "peek": lambda: {key: group.peek(key)},
            "refresh": lambda: {key: group.refresh(key)},
        }[kind]
        done, values = self._timed(name, f"{kind} {key}", operation)
        if done:
            self.kernel.log(name, kind, f"begun at {began:.4f} =>", *(str(value)[:20] for value in values.values()))
            for each, value in values.items():
                if kind != "peek" or value is not None:
                    version = history.check(name, each, marks[each], began, value, kind)
                    if began > simulation.agreed:
                        history.check_agreed(name, each, version)
