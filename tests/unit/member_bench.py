"""A membership on the bench: with a fake clock, tickets 1, 2, 3, ..., and shards of which only the words are there."""

from __future__ import annotations

import itertools
from typing import Any

from fake_clock import FakeClock

from raycache.core.membership import Membership
from raycache.core.messages import Fence, Fenced, Grant, Hello, Leave, Place, Standing, View

LEASE_S = 3.0


def place(id: str) -> Place:
    return Place(f"node of {id}", f"/folder of {id}")


class MemberBench:
    """The membership, and short ways to say what shards ask it."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.next_ticket = clock, itertools.count(1).__next__
        self.members = Membership(clock, self.next_ticket, LEASE_S)
        self.tickets: dict[str, int] = {}  # of those that have joined

    @property
    def epoch(self) -> int:
        return self.members.view.ring.epoch

    @property
    def lives(self) -> dict[str, int]:
        return self.members.view.ring.lives

    def hello(
        self, id: str = "a", ticket: int | None = None, epoch: int | None = None, weight: float = 1.0, **options: Any
    ) -> Grant | None:
        """A shard asks; it knows the newest epoch and has its ticket unless told otherwise."""
        ticket = self.tickets.get(id, 0) if ticket is None else ticket
        epoch = self.epoch if epoch is None else epoch
        return self.members.hello(Hello(id, place(id), weight, ticket, epoch, self.clock(), **options))

    def standing(self, id: str = "a", **options: Any) -> Standing | None:
        grant = self.hello(id, **options)
        return None if grant is None else grant.standing

    def enter(self, id: str = "a", **options: Any) -> Grant:
        """A shard without a life asks, wipes itself, and asks again with its ticket; the second answer."""
        cold = self.hello(id, 0)
        assert cold is not None
        assert cold.standing is Standing.COLD
        self.tickets[id] = cold.ticket
        grant = self.hello(id, epoch=-1, **options)
        assert grant is not None
        return grant

    def join(self, *ids: str) -> None:
        """These become members, and all know it."""
        for id in ids:
            self.enter(id)
        self.renew()

    def renew(self, *ids: str) -> None:
        """These shards, or all that have joined, are heard of; they know the newest epoch."""
        for _ in range(2):
            for id in ids or self.tickets:
                self.hello(id)

    def pass_time(self, seconds: float, *ids: str, step: float = 0.5) -> None:
        """Time goes on, and only these shards are heard of."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            for id in ids:
                self.hello(id)
            self.members.tick()

    def fence(self, id: str = "a", ticket: int | None = None) -> Fenced:
        return self.members.fence(Fence(id, self.tickets[id] if ticket is None else ticket))

    def leave(self, id: str = "a", ticket: int | None = None) -> View:
        return self.members.leave(Leave(id, self.tickets[id] if ticket is None else ticket))

    def restarted(self) -> MemberBench:
        """What another process makes of what this one has kept."""
        other = MemberBench(self.clock)
        other.next_ticket = self.next_ticket
        other.members = Membership(self.clock, self.next_ticket, LEASE_S)
        other.members.restore(self.members.state())
        other.tickets = dict(self.tickets)
        return other
