"""A plan of faults, made from a seed: what is done to whom, when, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

#: What may be done; each is a method of faults.Injector with "_" in place of " ".
KINDS = (
    "stop shard",
    "kill shard",
    "stop directory",
    "kill directory",
    "stop loader",
    "kill loader",
    "stop client",
    "kill client",
    "slow getters",
    "broken getters",
    "crash node",
)
#: Share of the time at the end in which nothing new is done.
QUIET = 0.25
#: When the first one is done, and when the next one after each.
FIRST_S, NEXT_S = (0.3, 0.8), (0.3, 1.5)
#: How long a stop takes: too short for a lease to run out, or from one lease up to two and this, after which the others
#: have gone on without it.
SHORT_S, LONG_S = (0.05, 0.5), 5.0


class Fault(NamedTuple):
    """`place` picks one of those that there are then; `length_s` is 0 for what has no end."""

    at_s: float
    kind: str
    place: int
    length_s: float

    def __str__(self) -> str:
        return f"{self.at_s:6.2f} s  {self.kind} {self.place}" + (f" for {self.length_s:.2f} s" * bool(self.length_s))


def plan(seed: int, seconds: float, lease_s: float, kinds: Sequence[str] = KINDS) -> list[Fault]:
    """Faults of some of these kinds, in order. One node crashes at most."""
    random = Random(f"plan {seed}")
    some = random.sample(kinds, min(len(kinds), random.randint(2, 4)))
    faults, at_s = list[Fault](), random.uniform(*FIRST_S)
    while at_s < seconds * (1 - QUIET) or not faults:
        kind = random.choice(some)
        length_s = random.choice((random.uniform(*SHORT_S), random.uniform(lease_s, 2 * lease_s + LONG_S)))
        faults.append(Fault(at_s, kind, random.randrange(1 << 16), 0.0 if kind.startswith("kill") else length_s))
        if kind == "crash node":
            some = [each for each in some if each != kind] or ["kill shard"]
        at_s += random.uniform(*NEXT_S)
    return faults
