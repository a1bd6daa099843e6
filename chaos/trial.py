"""A trial: clients and a plan of faults, both of one seed, and the checker's verdict on what the clients saw."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import ray.exceptions

from chaos import journal
from chaos.arena import Arena
from chaos.faults import Event, Injector
from chaos.history import Operation, Verdict, check
from chaos.plan import KINDS, Fault, plan
from raycache.errors import RaycacheError

#: How long clients go on after the last fault, and how long they may take then to end what they are at.
AFTER_S, PATIENCE_S = 0.5, 30.0


@dataclass(frozen=True)
class Trial:
    """What happened."""

    seed: int
    plan: list[Fault]
    events: list[Event]
    operations: list[Operation]
    verdict: Verdict
    counts: Counter[str]  # kills, stops, nodes lost
    trouble: str = ""  # why the arena is of no further use: the cache did not come to serve again

    @property
    def passed(self) -> bool:
        return not self.verdict.violations and not self.trouble


def run(arena: Arena, seed: int, seconds: float, *, most_s: float, kinds: Sequence[str] = KINDS) -> Trial:
    """Runs one seed in an arena that serves in full, and leaves it so, or says in `trouble` that it could not.

    Args:
        seconds: how long clients work, at least.
        most_s: the longest that a get may take.
        kinds: of faults.
    """
    folder = arena.folder / f"seed-{seed}"
    folder.mkdir()
    faults = plan(seed, seconds, arena.lease_s, kinds)
    over_s = max(seconds, max(fault.at_s + fault.length_s for fault in faults) + AFTER_S)
    arena.begin(folder, seed)
    injector, trouble, began = Injector(arena), "", time.monotonic()
    arena.start(began + over_s)
    try:
        injector.run(faults, began)
    finally:
        injector.end()
    try:
        arena.end(max(began + over_s - time.monotonic(), 0.0) + PATIENCE_S)
    except (TimeoutError, RaycacheError, ray.exceptions.RayError) as error:
        trouble = f"{type(error).__name__}: {error}"
    operations = journal.operations(folder)
    verdict = check(operations, most_s=most_s, pauses=injector.pauses, killed=arena.killed, until=time.monotonic())
    shutil.rmtree(folder)
    return Trial(seed, faults, injector.events, operations, verdict, injector.counts, trouble)


def series(
    seeds: Iterable[int], *, seconds: float, most_s: float, lease_s: float, kinds: Sequence[str] = KINDS, broken: bool
) -> Generator[Trial, None, None]:
    """Trials of these seeds, in one arena; in a new one after a trial that has made it useless.

    `broken`: clients take no notice of leases.
    """
    remaining = iter(seeds)
    trouble = True
    while trouble:
        trouble = False
        with Arena(lease_s=lease_s, broken=broken) as arena:
            for seed in remaining:
                trial = run(arena, seed, seconds, most_s=most_s, kinds=kinds)
                yield trial
                if trouble := bool(trial.trouble):
                    break
