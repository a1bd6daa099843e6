"""Figures of all policies on all traces, ours beside libCacheSim's, and what is to be held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from benchmarks.hit_ratio import peer
from benchmarks.hit_ratio.simulate import Figures, optimum, simulate
from benchmarks.hit_ratio.traces import COST_S, Trace
from raycache.core.eviction import BY_NAME

#: How far a policy may be from libCacheSim's, and the best one below S3-FIFO's, or GDSF's where there are sizes.
POINT = 0.01
#: Requests between two reports of a client.
TOLD_EVERY = 1000


@dataclass
class Row:
    """One trace at one capacity."""

    trace: str
    capacity: int
    sized: bool
    has_costs: bool
    ours: dict[str, Figures] = field(default_factory=dict)
    late: dict[str, Figures] = field(default_factory=dict)  # with hits told in batches
    theirs: dict[str, float] = field(default_factory=dict)  # libCacheSim's
    optimum: float = 0.0

    @property
    def label(self) -> str:
        size = f"{self.capacity / (1 << 20):.3g} MiB" if self.sized else str(self.capacity)
        return f"{self.trace}, {size}"

    def missed(self) -> Iterator[str]:
        """What is not held, in words. Where loads differ in cost libCacheSim's figures are those of other policies."""
        if self.has_costs or not self.theirs:
            return
        for name, (ours, _) in self.ours.items():
            if abs(ours - self.theirs[name]) > POINT:
                yield f"{self.label}: {name} has {ours:.3f}, libCacheSim's {self.theirs[name]:.3f}"
        best, bound = max(each.hits for each in self.ours.values()), self.theirs["gdsf" if self.sized else "s3fifo"]
        if best < bound - POINT:
            yield f"{self.label}: the best policy has {best:.3f}, libCacheSim's {bound:.3f}"


def measure(traces: Iterable[Trace], with_peer: bool) -> Iterator[Row]:
    """Row by row."""
    for name, requests, capacities in traces:
        sized = any(each.size > 1 for each in requests)
        has_costs = any(each.cost_s != COST_S for each in requests)
        for capacity in capacities:
            row = Row(name, capacity, sized, has_costs, optimum=optimum(requests, capacity))
            for policy in BY_NAME:
                row.ours[policy] = simulate(policy, requests, capacity)
                row.late[policy] = simulate(policy, requests, capacity, told_every=TOLD_EVERY)
            if with_peer:
                for policy, theirs in (peer.OURS | peer.OTHERS).items():
                    row.theirs[policy] = peer.hit_ratio(theirs, requests, capacity)
            yield row
