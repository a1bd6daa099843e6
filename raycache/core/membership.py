"""The members of a cache as its directory keeps them: tickets, leases, fences, epochs. Rules: design section 5.

Membership is one life, by a ticket that is used once. A lease runs from when the shard sent its request, and is counted
here from when it is answered, so that here it never ends first. An epoch without a member is published only when that
member's last lease has run out, and a joiner gets its first lease only when all others know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from raycache.core.messages import Fence, Fenced, Grant, Hello, Leave, Place, Standing, View
from raycache.core.ring import Ring

#: A member that has not been heard of for so many leases is given up: until then it may come back to its pages.
LEASES_UNHEARD = 2
#: But starting a process takes so long, however short the lease.
LEAST_UNHEARD_S = 4.0
#: Who has not acknowledged an epoch after so many leases stands in the way of a joiner, and is given up.
LEASES_BEHIND = 2
#: How long members that are to leave may take after a restart of the directory.
DRAIN_S = 60.0


@dataclass(slots=True)
class Member:
    """One life of a shard."""

    ticket: int
    place: Place
    weight: float
    since: int  # the epoch that it came with
    joined: float
    renewed: float  # when it was last heard of
    granted: float = 0.0  # until when it may hold a lease
    fenced: bool = False  # it gets no lease any more
    admitted: bool = False  # all others know of it
    acked: int = -1  # the newest epoch that it knows
    idle: float | None = None  # since when it has nothing to hand over in this epoch


class Membership:
    """Members by id, and the view of them that everybody is given."""

    def __init__(self, clock: Callable[[], float], tickets: Callable[[], int], lease_s: float, epoch: int = 0) -> None:
        """`tickets` gives a number that was never given before, and is not 0."""
        self._clock, self._tickets, self._lease_s = clock, tickets, lease_s
        self._members: dict[str, Member] = {}
        self._issued: dict[str, int] = {}  # tickets that were not used yet
        self._weights: dict[str, float] = {}  # what was asked for; else a member has its own
        self._draining: dict[str, float] = {}  # members that are to leave, and until when they may take
        self._barred: set[str] = set()  # nodes that are to have no shards
        self.changes = 0  # how often anything has changed that is worth keeping
        self.view = View(Ring(epoch, {}), {})

    # ------------------------------------------------------------------------------- kept over a restart

    def state(self) -> dict[str, Any]:
        """What must not be lost with the process."""
        lives = {id: (m.ticket, m.place, m.weight, m.since, m.fenced, m.admitted) for id, m in self._members.items()}
        return {
            "epoch": self.view.ring.epoch,
            "lives": lives,
            "issued": dict(self._issued),
            "weights": dict(self._weights),
            "draining": set(self._draining),
            "barred": set(self._barred),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where another process was. What it had not kept is taken at its worst: all may hold a lease that was
        granted just now, and nobody is known to know the newest epoch."""
        now = self._clock()
        for id, (ticket, place, weight, since, fenced, admitted) in state["lives"].items():
            granted = now + self._lease_s
            self._members[id] = Member(ticket, place, weight, since, now, now, granted, fenced, admitted)
        self._issued, self._weights, self._barred = state["issued"], state["weights"], state["barred"]
        self._draining = dict.fromkeys(state["draining"], now + DRAIN_S)
        self._publish(state["epoch"])

    # --------------------------------------------------------------------------------------------- members

    def hello(self, ask: Hello) -> Grant | None:
        """A shard wants to be a member, or to stay one."""
        member = self._members.get(ask.id)
        if member is None or member.ticket != ask.ticket or member.fenced:
            if ask.ticket and self._issued.get(ask.id) == ask.ticket:
                member = self._join(ask)
            elif member is not None and not ask.ticket:
                # In other memory than its last life, of which readers may still have a lease: that must be over first.
                self._fence(member)
                return None
            elif member is None or member.fenced:
                return Grant(Standing.COLD, ticket=self._issue(ask.id))
            else:
                return None  # a late message of an earlier life
        now, standing = self._clock(), Standing.WAITING
        member.renewed, member.acked = now, max(member.acked, ask.epoch)
        if ask.handing or ask.epoch < self.view.ring.epoch:
            member.idle = None
        elif member.idle is None:
            member.idle = now
        self._admit()
        if member.admitted:
            member.granted, standing = max(member.granted, now + self._lease_s), Standing.LEASED
        return Grant(standing, self.view if ask.epoch < self.view.ring.epoch else None)

    def _issue(self, id: str) -> int:
        if id not in self._issued:
            self._issued[id] = self._tickets()
            self.changes += 1
        return self._issued[id]

    def _join(self, ask: Hello) -> Member:
        """Takes in whoever comes with a new ticket. An earlier life of it has ended, and holds no lease: that is what
        the ticket says."""
        now, epoch = self._clock(), self.view.ring.epoch + 1
        del self._issued[ask.id]
        member = self._members[ask.id] = Member(ask.ticket, ask.place, ask.weight, epoch, now, now)
        self._publish(epoch)
        return member

    def fence(self, ask: Fence) -> Fenced:
        """A member does not answer somebody: its life ends when its last lease has run out."""
        member = self._members.get(ask.id)
        if member is None or member.ticket != ask.ticket:
            return Fenced(True, 0.0, self.view)
        self._fence(member)
        self.tick()
        left_s = member.granted - self._clock()
        return Fenced(False, left_s, self.view) if ask.id in self._members else Fenced(True, 0.0, self.view)

    def _fence(self, member: Member) -> None:
        if not member.fenced:
            member.fenced = True
            self.changes += 1

    def leave(self, ask: Leave) -> View:
        """A member has given up its lease."""
        member = self._members.get(ask.id)
        if member is not None and member.ticket == ask.ticket:
            del self._members[ask.id]
            self._draining.pop(ask.id, None)
            self._weights.pop(ask.id, None)
            self._publish(self.view.ring.epoch + 1)
        return self.view

    def tick(self) -> None:
        """Gives up who was not heard of, ends lives that are fenced, lets joiners in."""
        now, before = self._clock(), len(self._members)
        for id, member in list(self._members.items()):
            if now - member.renewed > max(LEASES_UNHEARD * self._lease_s, LEAST_UNHEARD_S):
                self._fence(member)
            if member.fenced and now >= member.granted:
                del self._members[id]
        if len(self._members) < before:
            self._publish(self.view.ring.epoch + 1)
        self._admit()

    def _admit(self) -> None:
        now, patience_s = self._clock(), LEASES_BEHIND * self._lease_s
        for id, member in self._members.items():
            if member.admitted:
                continue
            behind = [other for name, other in self._members.items() if name != id and other.acked < member.since]
            if not behind:
                member.admitted = True
                self.changes += 1
            for other in behind:
                if now - max(member.joined, other.joined) > patience_s:
                    self._fence(other)

    def behind(self) -> list[str]:
        """The members that have not acknowledged the newest epoch."""
        return [id for id, member in self._members.items() if member.acked < self.view.ring.epoch]

    # --------------------------------------------------------------------------------------------- weights

    def weigh(self, weights: Mapping[str, float]) -> View:
        """Other weights for some members."""
        self._weights |= {id: weight for id, weight in weights.items() if id in self._members}
        return self._reweighed()

    def drain(self, ids: Iterable[str], nodes: Iterable[str], timeout_s: float) -> View:
        """These own nothing from now on, and are to leave when they have handed over what they have."""
        self._draining |= {id: self._clock() + timeout_s for id in ids if id in self._members}
        self._barred |= set(nodes)
        self.changes += 1
        return self._reweighed()

    def drained(self) -> list[str]:
        """Those that may leave now: they have nothing left, and, as they were heard of since, neither have others that
        depends on them."""
        now, members = self._clock(), self._members

        def done(id: str) -> bool:
            idle = members[id].idle
            others = [member for name, member in members.items() if name != id]
            ready = idle is not None and all(m.idle is not None and m.renewed > idle for m in others)
            return ready or now >= self._draining[id]

        return [id for id in self._draining if id in members and not members[id].fenced and done(id)]

    def barred(self, node: str) -> bool:
        """Whether the node was drained, and is to have no shards."""
        return node in self._barred

    def undrain(self, ids: Iterable[str]) -> View:
        """These are to stay after all."""
        for id in ids:
            self._draining.pop(id, None)
        return self._reweighed()

    def unbar(self) -> None:
        """All nodes may have shards again."""
        if self._barred:
            self._barred.clear()
            self.changes += 1

    def _reweighed(self) -> View:
        if self._ring(0).members != self.view.ring.members:
            self._publish(self.view.ring.epoch + 1)
        return self.view

    def _ring(self, epoch: int) -> Ring:
        weights = {
            id: 0.0 if id in self._draining else self._weights.get(id, member.weight)
            for id, member in self._members.items()
        }
        return Ring(epoch, weights, {id: member.ticket for id, member in self._members.items()})

    def _publish(self, epoch: int) -> None:
        self.view = View(self._ring(epoch), {id: member.place for id, member in self._members.items()})
        self.changes += 1
        for member in self._members.values():
            member.idle = None
