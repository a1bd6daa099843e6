"""Timing by turns: contenders take rounds one after the other, so that whatever else the machine does hits all alike.

Times are seconds of one operation. A sample is the mean of a round of operations where one alone is too short for the
clock, else a single operation. Garbage collection is on, as it is in the programs that use a cache.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

#: Runs the round of this number, and gives the seconds of one operation.
Contender = Callable[[int], float]
Samples = dict[str, list[float]]


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


def on_new_items(
    call: Callable[[Any], Any], items: Sequence[Any], per_round: int, some: int | None = None
) -> Contender:
    """A contender that calls with items that no round before has had; of a slow one only `some` of each round."""

    def run(number: int) -> float:
        at = number * per_round
        return each(call, items[at : at + (some or per_round)])

    return run


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
