"""What goes wrong until the run is healed: each seed has a mix of kinds of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel import Process
from servers import ShardProcess

from raycache.core.messages import Drain, Weigh

if TYPE_CHECKING:
    from simulation import Simulation

KINDS = (
    *("cut", "slow", "lossy", "stop", "stop client", "kill", "kill client"),
    *("directory", "loader", "leave", "weigh", "node"),
)
#: Only when asked for: what the directory has saved is lost, too; clients do not hear of the ends of loads.
RARE_KINDS = ("amnesia", "unheard")


class Chaos:
    """Decides, by the run's random numbers alone, what goes wrong and when."""

    def __init__(self, simulation: Simulation, kinds: tuple[str, ...]) -> None:
        self._simulation, self._kernel, self._rng = simulation, simulation.kernel, simulation.kernel.rng
        rng = self._rng
        self.kinds = kinds or tuple(rng.sample(KINDS, rng.randint(1, 6)))
        simulation.wire.slow = rng.choice((0.01, 0.05, 0.25)) if "slow" in self.kinds else 0.0
        simulation.wire.lossy = rng.choice((0.005, 0.03)) if "lossy" in self.kinds else 0.0
        simulation.loader_deaths = rng.choice((0.02, 0.2)) if "loader" in self.kinds else 0.0
        simulation.unheard = rng.choice((0.1, 0.5)) if "unheard" in self.kinds else 0.0
        self._every_s = 1 / rng.choice((0.4, 1.0, 2.5))
        chance = rng.choice((0.0, 0.03, 0.1))  # of a pause at a step
        self._stops = rng.choice((0.0, 0.001, 0.004)) if chance else 0.0
        self._kernel.set_hazard(chance, self._at_step)
        self._kernel.at(1.0, self._next)
        self._kernel.at(simulation.heal, self._heal)

    def _soon(self, least_s: float, most_s: float) -> float:
        return min(self._kernel.now + self._rng.uniform(least_s, most_s), self._simulation.heal)

    def _heal(self) -> None:
        self._kernel.log("everything is HEALED")
        self._simulation.wire.heal()
        self._simulation.loader_deaths = self._simulation.unheard = 0.0
        self._simulation.slow_loads = 0.0  # what a get may take is without a long load

    def _at_step(self, process: Process) -> float:
        """Between two accesses of a process to what it shares with others."""
        rng, at = self._rng, self._rng.random() * self._kernel.hazard
        if self._kernel.now < self._simulation.heal:
            if at < self._stops / 4 and process.up:
                if isinstance(process, ShardProcess) and not process.left:
                    self._kill(process, 0.3, 2.0)
                    return 0.0
            elif at < self._stops:
                process.stop(self._soon(0.0, 10.0))
                return 0.0
        return rng.expovariate(50)

    def _kill(self, process: Process, least_s: float, most_s: float) -> None:
        """SIGKILL, and a new process after a while."""
        process.kill()
        self._kernel.at(self._soon(least_s, most_s), self._restart, process)

    def _restart(self, process: Process) -> None:
        if not process.up:
            process.start()

    def _next(self) -> None:
        simulation, rng = self._simulation, self._rng
        if self._kernel.now >= simulation.heal:
            return
        kind = rng.choice(self.kinds)
        shard = rng.choice(list(simulation.shards.values()))
        client = rng.choice(simulation.clients)
        simulation.stats[f"fault: {kind}"] += 1
        if kind == "cut":
            simulation.wire.cut(rng.choice(simulation.nodes), rng.choice((*simulation.nodes, "dir", "dir")),
                                self._soon(0.1, 10.0))  # fmt: skip
        elif kind == "stop" and shard.up:
            shard.stop(self._soon(0.0, 10.0))
        elif kind == "stop client":
            client.stop(self._soon(0.0, 10.0))
        elif kind == "kill" and shard.up:
            self._kill(shard, 0.3, rng.choice((0.6, 6.0)))
        elif kind == "kill client" and client.up:
            self._kill(client, 0.1, 1.0)
        elif kind in ("directory", "amnesia") and simulation.directory.up:
            if kind == "amnesia":
                simulation.directory.saved = None
            self._kill(simulation.directory, 0.5, 4.0)
        elif kind == "leave" and shard.up and not shard.left:
            simulation.tell_directory(Drain((shard.id,), timeout_s=rng.choice((1.0, 5.0))))
        elif kind == "weigh":
            simulation.tell_directory(Weigh({shard.id: rng.choice((0.125, 1.0, 4.0))}))
        elif kind == "node" and shard.up:
            simulation.lose_node(shard)
        self._kernel.at(self._kernel.now + rng.expovariate(1 / self._every_s), self._next)
