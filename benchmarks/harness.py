"""Measuring: the contenders of a case take turns in one run, so that whatever else the machine does hits all alike.

Times are seconds of one operation. A sample is the mean of a round of operations where one alone is too short for the
clock, else a single operation. Garbage collection is on, as it is in the programs that use a cache.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Runs the round of this number, and gives the seconds of one operation.
Contender = Callable[[int], float]
Samples = dict[str, list[float]]


class NotRun(Exception):
    """Something that a case needs is not there; the message says what to do about it."""


def each(call: Callable[[Any], Any], items: Sequence[Any]) -> float:
    """Seconds of one call, as the mean over all items."""
    began = time.perf_counter()
    for item in items:
        call(item)
    return (time.perf_counter() - began) / len(items)


def once(call: Callable[[], Any]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def take_turns(
    contenders: Mapping[str, Contender], rounds: int, *, warm_up: int, pause_s: float = 0.0, first: int = 0
) -> Samples:
    """Runs A, B, A, B, ...: samples by the contender's name, those of the warm-up left out.

    Rounds are numbered from `first` on, the warm-up included, so that each can have keys of its own. The pause comes
    after every round of every contender: what one leaves behind must not be paid by the next.
    """
    samples: Samples = {name: [] for name in contenders}
    for number in range(first, first + warm_up + rounds):
        for name, run in contenders.items():
            taken = run(number)
            if pause_s:
                time.sleep(pause_s)
            if number >= first + warm_up:
                samples[name].append(taken)
    return samples


def merge(parts: Iterable[Samples]) -> Samples:
    """Samples of the same contenders, from several processes."""
    merged: Samples = {}
    for part in parts:
        for name, taken in part.items():
            merged.setdefault(name, []).extend(taken)
    return merged


def quantile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that this share of all does not exceed."""
    return sorted(samples)[max(math.ceil(share * len(samples)), 1) - 1]


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a figure should be. No figure: it could not be measured, and so the goal is not met."""

    what: str
    figure: float | None
    bound: float
    unit: str
    at_least: bool = False  # else at most

    @property
    def met(self) -> bool:
        if self.figure is None:
            return False
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound


@dataclass(kw_only=True)
class Measurement:
    """What one comparison gave."""

    case: str
    operation: str  # what a contender does once
    samples: Samples
    sample: str = "one operation"  # what a sample is
    peer: str | None = None  # the contender that the others are compared with
    goals: list[Goal] = field(default_factory=list)
    facts: dict[str, str | float] = field(default_factory=dict)  # what else is worth telling
    not_run: dict[str, str] = field(default_factory=dict)  # contenders that are missing, and why

    def median(self, name: str) -> float:
        return statistics.median(self.samples[name])

    def p99(self, name: str) -> float:
        return quantile(self.samples[name], 0.99)

    def ratio(self, name: str, to: str) -> float | None:
        """Median to median; None where one of the two was not run."""
        if name not in self.samples or to not in self.samples:
            return None
        return self.median(name) / self.median(to)
