"""The life of a shard as a member: its ticket, its lease, and what the directory's answers make of them.

Ticket and lease lie in shared memory, so that a restarted process can go on with them, if the directory says so. Until
it has, nothing is served: the process does not know what it has missed.
"""

from __future__ import annotations

from collections.abc import Callable

from raycache.core.messages import Grant, Hello, Place, ShardInfo, Standing
from raycache.core.versions import Versions


class Life:
    """One process of a shard."""

    def __init__(self, info: ShardInfo, versions: Versions, clock: Callable[[], float], lease_s: float) -> None:
        self._info, self._versions, self._clock, self._lease_s = info, versions, clock, lease_s
        self.fresh = True  # the directory has not answered this process yet
        self.ended = False
        if not versions.lease[0] <= clock() + lease_s:  # nobody gave one so long: the file is damaged
            versions.lease[0] = 0.0

    @property
    def muted(self) -> bool:
        """Whether nothing may be done for anybody."""
        return self.fresh or self.ended

    @property
    def leased(self) -> bool:
        return not self.muted and self._clock() < self._versions.lease[0]

    @property
    def left_s(self) -> float:
        """Seconds that the lease still holds."""
        return max(self._versions.lease[0] - self._clock(), 0.0)

    @property
    def ticket(self) -> int:
        return self._versions.ticket[0]

    def hello(self, epoch: int, handing: bool) -> Hello:
        """What to ask the directory."""
        info = self._info
        place = Place(info.node, info.folder, info.address)
        return Hello(info.id, place, info.weight, self.ticket, epoch, self._clock(), self.fresh, handing)

    def answers(self, hello: Hello, grant: Grant | None) -> bool:
        """Whether this is an answer to what the shard is now."""
        return grant is not None and not self.ended and hello.ticket == self.ticket

    def renewed(self, hello: Hello, grant: Grant) -> bool:
        """Whether a longer lease is all that came; it is taken then. May be called without the shard's lock."""
        only = grant.standing is Standing.LEASED and grant.view is None and not hello.fresh
        if only and self.answers(hello, grant):
            self.renew(hello, grant)
        return only

    def renew(self, hello: Hello, grant: Grant) -> None:
        """Takes the lease, if one was given."""
        if grant.standing is Standing.LEASED:
            self._versions.lease[0] = max(self._versions.lease[0], hello.sent + self._lease_s)
            if self.ended:  # by another thread, at this moment
                self._versions.lease[0] = 0.0

    def lose(self) -> None:
        """The lease is given up. Comes before anything that it protects is changed."""
        self._versions.lease[0] = 0.0

    def begin(self, ticket: int) -> None:
        """A new life, by a new ticket. Comes when everything of the old one is gone: a crash in between starts over."""
        self._versions.ticket[0] = ticket
        self.fresh = False

    def end(self) -> None:
        """It is over, also for readers on the node."""
        self.ended = True
        self.lose()
