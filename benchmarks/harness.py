"""What a case gives: the times of its contenders, other figures, goals, and what could not be run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from raycache.edge.rounds import Samples, quantile

T = TypeVar("T")


class NotRun(Exception):
    """Something that a case needs is not there; the message says what to do about it."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a figure should be. No figure: it could not be measured, and so the goal is not met."""

    what: str
    bound: float
    row: str | None = None  # of section 8 of docs/design.md
    of: tuple[str, str] | None = None  # contenders: the figure is the first one's divided by the second one's
    amount: str | None = None  # of which amount; None: of the medians
    unit: str = "x"
    at_least: bool = False  # else at most
    figure: float | None = None

    @property
    def met(self) -> bool:
        if self.figure is None:
            return False
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound


def faster(ours: str, peer: str, times: float, *, row: str | None = None) -> Goal:
    """That we are so many times faster than a peer."""
    return Goal(what=f"{peer} / {ours}", of=(peer, ours), bound=times, at_least=True, row=row)


def at_most(ours: str, peer: str, times: float, *, row: str | None = None, amount: str | None = None) -> Goal:
    """That we take at most so many times what a peer takes."""
    return Goal(what=f"{ours} / {peer}", of=(ours, peer), bound=times, row=row, amount=amount)


@dataclass(kw_only=True)
class Measurement:
    """What one comparison gave."""

    case: str
    operation: str  # what a contender does once
    ours: str | None = None  # the contender that the others are compared with
    samples: Samples = field(default_factory=dict)
    sample: str = "one operation"  # what a sample is
    apart: tuple[str, ...] = ()  # contenders that are no peers: parts of the work, or ourselves in another case
    amounts: dict[str, dict[str, float]] = field(default_factory=dict)  # what else was measured, by contender
    goals: list[Goal] = field(default_factory=list)
    facts: dict[str, str | float] = field(default_factory=dict)  # what else is worth telling
    not_run: dict[str, str] = field(default_factory=dict)  # contenders that are missing, and why

    def median(self, name: str) -> float:
        return quantile(self.samples[name], 0.5)

    def p99(self, name: str) -> float:
        return quantile(self.samples[name], 0.99)

    def judge(self, *goals: Goal) -> None:
        """Notes what became of goals that compare contenders."""
        for goal in goals:
            assert goal.of is not None, goal
            mine, other = (self._figure(name, goal.amount) for name in goal.of)
            figure = mine / other if mine is not None and other else None
            self.goals.append(dataclasses.replace(goal, figure=figure))

    def _figure(self, name: str, amount: str | None) -> float | None:
        if amount is not None:
            return self.amounts.get(amount, {}).get(name)
        return self.median(name) if self.samples.get(name) else None

    def if_there(self, name: str, find: Callable[[], T]) -> dict[str, T]:
        """A contender by its name; nothing, and why in `not_run`, where what it needs is not there."""
        try:
            return {name: find()}
        except NotRun as error:
            self.not_run[name] = str(error)
            return {}
