"""Many seeds on all cores: each worker runs some, with a rule of the protocol switched off or none."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

import rules
from simulation import Run, Scenario, run, small

#: Seeds that a worker takes at once.
BLOCK = 10


@dataclass
class Total:
    """What came of many seeds."""

    seeds: int = 0
    problems: list[Run] = field(default_factory=list)
    stats: Counter[str] = field(default_factory=Counter)
    longest: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, run: Run) -> None:
        self.seeds += 1
        self.stats += run.stats
        for kind, seconds in run.longest.items():
            self.longest[kind] = max(self.longest.get(kind, 0.0), seconds)
        if run.problem:
            self.problems.append(run)

    @property
    def wrong_values(self) -> list[Run]:
        return [run for run in self.problems if run.wrong_value]


def workers(count: int | None = None) -> Executor:
    """Processes that run seeds. They are new ones, not forks: what runs here has threads."""
    return ProcessPoolExecutor(count or os.cpu_count(), mp_context=get_context("spawn"))


def run_block(seeds: Iterable[int], scenario: Scenario, off: str = "", trace: bool = False) -> list[Run]:
    """Runs seeds in this process, up to the first problem: without a rule, up to the first wrong value."""
    runs = []
    with small(), rules.off(off):
        for seed in seeds:
            runs.append(run(seed, scenario, trace))
            if runs[-1].wrong_value if off else runs[-1].problem:
                break
    return runs


def run_seeds(pool: Executor, seeds: range, scenario: Scenario, off: str = "", go_on: bool = False) -> Total:
    """Runs seeds, up to the first problem unless it is to go on."""
    total, began = Total(), time.monotonic()
    blocks = _blocks(seeds, 1 if go_on else BLOCK)
    todo = [pool.submit(run_block, block, scenario, off) for block in blocks]
    for future in todo:
        for each in future.result():
            total.add(each)
        if (total.wrong_values if off else total.problems) and not go_on:
            for other in todo:
                other.cancel()
            break
    total.seconds = time.monotonic() - began
    return total


def _blocks(seeds: range, size: int) -> Iterator[range]:
    for at in range(0, len(seeds), size):
        yield seeds[at : at + size]
