"""Loader tasks: they read the source at some moment, bring what they read a while later, or die."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kernel import Future, Process

from raycache.core.codec import Blob, Codec
from raycache.core.getters import INLINE_BYTES
from raycache.core.keys import decode
from raycache.core.messages import PREFIX_BYTES, Failed, GroupSpec, Loaded, Outcome

if TYPE_CHECKING:
    from simulation import Simulation

CODEC = Codec()
#: How long the end of a load is on its way to those who wait for it.
LEAST_WAY_S, MOST_WAY_S = 0.001, 0.03


class End(Future):
    """Of a load: who waits for it may never hear of it."""

    __slots__ = ()


class Held:
    """The future of a large value in the memory of a process: lost with that."""

    __slots__ = ("_life", "_owner", "_value")
    done = True

    def __init__(self, owner: Process, value: Any) -> None:
        self._owner, self._life, self._value = owner, owner.life, value

    def __repr__(self) -> str:
        return f"Held by {self._owner}"

    @property
    def value(self) -> Any:
        return self._value if self._owner.life == self._life else Failed("its owner died", lost=True)


class SimulatedLoad:
    """One load, on some process of the cluster."""

    def __init__(self, simulation: Simulation, owner: Process, keys: Sequence[bytes], deaths: float = 0.0) -> None:
        self._simulation, self._owner, self.keys = simulation, owner, keys
        self.outcome, self.payload = End(), End()
        self._known: Outcome | Failed | None = None
        self.landed: Any = None  # called when its owner knows of its end
        kernel, rng = simulation.kernel, simulation.kernel.rng
        took = rng.uniform(0.005, 2.0 if rng.random() < simulation.slow_loads else 0.2)
        when = rng.uniform(0, took)
        dies = rng.random() < deaths
        if simulation.load_s is not None:
            when, took = 0.0, simulation.load_s
        kernel.at(kernel.now + when, self._read)
        kernel.at(kernel.now + took, self._end, Failed("the loader was killed") if dies else None)

    def _read(self) -> None:
        simulation = self._simulation
        values = {key: simulation.history.source(str(decode(key[PREFIX_BYTES:]))) for key in self.keys}
        cost_s = 0.02
        outcome: Outcome = {}
        large: list[Blob] = []
        for key, value in values.items():
            blob = CODEC.encode(value)
            if blob.size > INLINE_BYTES:
                outcome[key] = Loaded(blob.tag, len(large), None, cost_s, blob.size)
                large.append(blob)
            else:
                tag, data = blob.packed()
                outcome[key] = Loaded(tag, data, None, cost_s, len(data))
        self._came = outcome, tuple(large)

    def _end(self, failed: Failed | None) -> None:
        if self.outcome.done:
            return
        kernel = self._simulation.kernel
        outcome, payload = (failed, failed) if failed else self._came
        self.outcome.set(outcome)
        self.payload.set(payload)
        kernel.at(kernel.now + kernel.rng.uniform(LEAST_WAY_S, MOST_WAY_S), self._settle, outcome)

    def _settle(self, outcome: Outcome | Failed) -> None:
        self._known = outcome
        if self.landed is not None:
            self.landed(self)

    def result(self) -> Outcome | Failed | None:
        return self._known

    def large(self, place: int) -> Held:
        return Held(self._owner, (self._came[1][place],))

    def cancel(self) -> None:
        self._end(Failed("ended: it took too long", hung=True))

    def lose(self) -> None:
        """Its owner is gone, and with it what it would bring."""
        self.landed = None
        self._end(Failed("the owner of the result died", lost=True))


class SimulatedLoader:
    """Starts the loads of one life of a shard."""

    def __init__(self, simulation: Simulation, shard: Process, landed: Any) -> None:
        self._simulation, self._shard, self._landed = simulation, shard, landed
        self._loads: list[SimulatedLoad] = []

    def start(self, spec: GroupSpec, keys: list[bytes], calls: Sequence[Any] = ()) -> SimulatedLoad:
        self._simulation.kernel.step()
        load = SimulatedLoad(self._simulation, self._shard, list(keys), self._simulation.loader_deaths)
        load.landed = self._landed
        self._loads = [each for each in self._loads if not each.outcome.done]
        self._loads.append(load)
        self._simulation.stats["loads"] += 1
        return load

    def hold(self, blob: Blob) -> Held:
        return Held(self._shard, (blob,))

    def end(self) -> None:
        """The shard has been killed."""
        for load in self._loads:
            load.lose()
