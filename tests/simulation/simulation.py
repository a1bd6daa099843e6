"""One run: a cluster of real shards, a real directory and real clients in virtual time, judged by its history.

A run takes 21 virtual seconds: faults of a random mix of kinds until `HEAL_S`, then a time in which everything must
work again; without changes from `QUIET_S` on. Where at last all must see the same it goes on beyond `AGREED_S`. Or it
is a scene, which says itself what happens.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from unittest import mock

import scenes
import stage
from clients import ClientProcess
from faults import Chaos
from history import History
from kernel import Future, Kernel, Process, Violation, WrongValue
from loads import SimulatedLoad
from servers import DirectoryProcess, ShardProcess
from shared_memory import Memory
from wire import Wire, ask

from raycache.core import client, entry, lookup, members, ring, unconfirmed, versions
from raycache.core.messages import GroupSpec, Register
from raycache.options import MIB, CacheOptions, group_options

HEAL_S, QUIET_S, END_S, AGREED_S = 12.0, 15.5, 21.0, 34.0
#: A scene ends by itself; this is long after.
SCENE_S = 120.0
LEASE_S = 3.0
#: The longest that a get may take which begins after everything was healed.
MOST_GET_S = LEASE_S + 2.0
#: An operation that began so long before the end must have ended.
MOST_OPERATION_S = 7.0
KEYS = ("ka", "kb", "kc")
#: What the real classes have is made for millions of keys; three need less.
POINTS, SLOTS = 16, 16
#: Shorter than in life, as a run is short: until when a client tries, and until an owner finishes what it did not.
INVALIDATE_S, UNCONFIRMED_S, TURN_S, CLEAR_S = 5.0, 5.5, 1.5, 3.0
_operations = count(1)


@contextmanager
def small() -> Iterator[None]:
    """Rings and version slots of a size for three keys."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(members._log, "disabled", True))  # it tells of every outage
        stack.enter_context(mock.patch.object(ring, "POINTS", POINTS))
        stack.enter_context(mock.patch.object(versions, "SLOTS", SLOTS))
        stack.enter_context(mock.patch.object(lookup, "NearEntry", entry.NearEntry))  # whose rules can be broken
        stack.enter_context(mock.patch.object(client, "_operation", lambda: next(_operations)))  # noqa: PT008
        stack.enter_context(mock.patch.object(unconfirmed, "PATIENCE_S", UNCONFIRMED_S))
        stack.enter_context(mock.patch.object(unconfirmed, "TURN_S", TURN_S))
        stack.enter_context(mock.patch.object(client, "INVALIDATE_S", INVALIDATE_S))
        stack.enter_context(mock.patch.object(client, "CLEAR_S", CLEAR_S))
        ring._placed.cache_clear()
        yield
    ring._placed.cache_clear()


@dataclass(frozen=True)
class Scenario:
    """What a run is made of, where that is not left to chance."""

    kinds: tuple[str, ...] = ()  # of faults
    held: tuple[str, ...] = ()  # messages that are often held up for very long, by their classes
    calm: bool = False  # no faults at all
    changes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    scene: str = ""  # nothing is left to chance but delays: see scenes
    agree: bool = False  # whether at last all must see the same: not where owners forget what clients left undone


@dataclass
class Run:
    """What came of a seed."""

    seed: int
    problem: str = ""
    wrong_value: bool = False  # the problem is not only that something takes too long
    trace: list[str] = field(default_factory=list)
    stats: Counter[str] = field(default_factory=Counter)
    longest: dict[str, float] = field(default_factory=dict)  # of operations that began after all was healed


class Simulation:
    """The cluster, and the dice of one seed."""

    def __init__(self, seed: int, scenario: Scenario, trace: bool) -> None:
        self.kernel = kernel = Kernel(seed, trace)
        rng = kernel.rng
        self.stats: Counter[str] = Counter()
        self.longest: dict[str, float] = {}
        self.heal, self.quiet = 0.0 if scenario.calm else HEAL_S, QUIET_S
        self.scene = scenario.scene
        self.end_s = SCENE_S if scenario.scene else AGREED_S + 2.0 if scenario.agree else END_S
        self.agreed = AGREED_S if scenario.agree else self.end_s
        self.wire = Wire(kernel, self.stats)
        self.wire.ordered, self.wire.told = rng.random() < 0.5, rng.choice((0.0, 0.5, 1.0))
        self.wire.held = scenario.held
        self.keys, self.nodes = KEYS, ("n0", "n1", "n2")[: rng.choice((2, 3, 3))]
        self.think, self.writes = rng.choice((0.1, 0.2, 0.5)), rng.choice((0.05, 0.15, 0.4))
        self.changes = scenario.changes or rng.choice(
            (("remove",), ("set",), ("remove", "set"), ("remove", "set", "clear", "remove_many"))
        )
        self.reads = scenario.reads or rng.choice((("get",), ("get",), ("get", "get", "get_many", "peek")))
        self.slow_loads, self.loader_deaths = 0.0 if scenario.calm else 0.1, 0.0
        self.load_s: float | None = None  # else by chance
        self.unheard = 0.0  # how often a process never hears of the end of a load that it waits for
        self.page_reads = (0.0, 0.5, 1.0)[seed % 3]  # how often a client has a connection to a page server
        if scenario.scene:
            self.keys, self.nodes, self.heal = stage.KEYS, ("n0", "n1", "n2"), SCENE_S
            self.wire.ordered, self.wire.told, self.slow_loads, self.page_reads = False, 0.0, 0.0, 0.0
        large = frozenset({"kc"}) if rng.random() < 0.2 else frozenset[str]()
        self.history = History(kernel, self.keys, large)
        self.epoch_s = 1e9  # the wall clock when the run begins
        self.offsets = {node: rng.uniform(0, 1000) for node in self.nodes}
        self.pending: dict[str, tuple[str, float]] = {}
        self.options = CacheOptions(capacity_bytes=8 * MIB, lease_s=LEASE_S)
        self._tickets = 0
        self.memories: dict[str, Memory] = {}
        self.world = Process(kernel, "world", "dir")
        self.directory = DirectoryProcess(self)
        self.directory.start()
        # Where nothing is near copies are read all the time.
        self.spec = self._register(near="2 MiB" if self.scene or seed // 3 % 3 else 0)
        idle = rng.choice(self.nodes) if rng.random() < 0.2 and not scenario.scene else ""  # its shard owns nothing
        self.shards = {f"{node}.0": ShardProcess(self, f"{node}.0", node, float(node != idle)) for node in self.nodes}
        threads = 0 if scenario.scene else 2
        self.clients = [ClientProcess(self, f"{node}.client", node, threads) for node in self.nodes]
        for each in self.clients:
            each.start()
        if scenario.scene:
            kernel.start(self.world, self._play, scenes.SCENES[scenario.scene])
            return
        for shard in self.shards.values():
            late = not scenario.calm and rng.random() < 0.2
            kernel.at(rng.uniform(1, 6) if late else 0.0, shard.start)
        if not scenario.calm:
            self.chaos = Chaos(self, scenario.kinds)

    def _play(self, scene: Callable[[stage.Stage], None]) -> None:
        scene(stage.Stage(self))
        self.kernel.finish()

    def _register(self, near: str | int) -> GroupSpec:
        """The group, known to the directory before anything begins."""
        options = group_options(8 * MIB, capacity="4 MiB", near=near)
        spec: GroupSpec = self.directory.directory.handle(Register(GroupSpec(0, "g", options, getter=b"getter")))
        self.directory.save()
        return spec

    def ticket(self) -> int:
        self._tickets += 1
        return self._tickets

    def load_directly(self, keys: Sequence[bytes]) -> Future:
        """A client runs the getter by itself: the future brings what it loads."""
        came, load = Future(), SimulatedLoad(self, self.world, list(keys))
        load.landed = lambda _: came.set((load.outcome.value, load.payload.value))
        return came

    # ------------------------------------------------------------------------------------------ operations

    def ended(self, name: str, what: str, began: float) -> None:
        """An operation of a client has ended, in whatever way."""
        self.pending.pop(name, None)
        if began > self.heal:
            kind = what.split(" ")[0]
            self.longest[kind] = max(self.longest.get(kind, 0.0), self.kernel.now - began)
            if kind in ("get", "get_many", "peek") and self.kernel.now - began > MOST_GET_S:
                raise Violation(f"{name} {what}, begun at {began:.4f}, took {self.kernel.now - began:.2f} s")

    def failed(self, name: str, what: str, began: float, error: Exception) -> None:
        """An operation of a client has raised, which it may only while something is wrong."""
        self.stats[type(error).__name__] += 1
        if began > self.heal + MOST_GET_S:
            raise Violation(f"{name} {what}, begun at {began:.4f}: {type(error).__name__}: {error}")

    def forget_operations(self, prefix: str) -> None:
        """Their process was killed."""
        self.pending = {name: each for name, each in self.pending.items() if not name.startswith(prefix)}

    def check_end(self) -> None:
        for name, (what, began) in self.pending.items():
            if began < self.end_s - MOST_OPERATION_S:
                raise Violation(f"{name} {what}, begun at {began:.4f}, has not ended")

    # ------------------------------------------------------------------------------------------ membership

    def tell_directory(self, message: Any) -> None:
        """An operator does."""
        self.kernel.start(self.world, lambda: ask(self.wire, self.world, self.directory, message))

    def let_go(self, shard: ShardProcess) -> None:
        """The shard is gone for good; after a while there is a new one in its place."""
        shard.end()
        self.replace(shard)

    def lose_node(self, shard: ShardProcess) -> None:
        """A machine is gone with all processes and memory; after a while it is there again."""
        shard.end()
        shard.forget()
        self.replace(shard)
        for each in self.clients:
            if each.place == shard.place and each.up:
                each.kill()
                self.replace(each)

    def replace(self, process: ShardProcess | ClientProcess) -> None:
        when = max(min(self.kernel.now + self.kernel.rng.uniform(0.3, 5.0), self.heal), self.kernel.now)
        self.kernel.at(when, lambda: None if process.up else process.start())


def run(seed: int, scenario: Scenario | None = None, trace: bool = False) -> Run:
    """One seed, from its beginning to its end or to the first thing that is wrong."""
    global _operations
    _operations = count(1)
    simulation = Simulation(seed, scenario or Scenario(), trace)
    kernel, problem, wrong_value = simulation.kernel, "", False
    try:
        kernel.run(simulation.end_s)
        if not simulation.scene:
            simulation.check_end()
    except Violation as violation:
        problem, wrong_value = str(violation), isinstance(violation, WrongValue)
    except Exception as error:  # of the real code
        problem = "".join(traceback.format_exception(error))
    finally:
        kernel.end()
    if problem:
        kernel.log("PROBLEM:", problem)
    return Run(seed, problem, wrong_value, kernel.trace or [], simulation.stats, simulation.longest)
