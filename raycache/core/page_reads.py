"""What a shard gives to other nodes out of its pages, without its lock and without a message to it.

Invariant: what is read was read after the shard held a lease, in the life that it has now: whatever was removed before
somebody asked is not there (design section 5, rule 2). Not the other way round: a shard that has lost its lease, its
pages and its membership between the two may have a new lease by the time that it is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from raycache.core.frames import REPLY_BYTES
from raycache.core.life import Life
from raycache.core.messages import Served
from raycache.core.pages import Pages

#: Keys that are read at once: of large records no more than these come on top of a reply's bytes.
STEP_KEYS = 64
#: Keys that were read and that the policy is not told yet; more are not noted.
MOST_TOUCHED = 100_000


class PageReads:
    """Reads of one shard's pages, by one thread; another one may take what it has noted."""

    def __init__(self, pages: Pages, life: Life, clock: Callable[[], float]) -> None:
        self._pages, self._life, self._clock = pages, life, clock
        self._touched: list[bytes] = []
        self.count = 0  # records that were read

    def read(self, keys: Sequence[bytes]) -> Served | None:
        """The records of the first of these keys, as many as go into a reply; None without a lease."""
        if not self._life.leased:
            return None
        now, size = self._clock(), 0
        records: list[bytes | None] = []
        for at in range(0, len(keys), STEP_KEYS):
            some = keys[at : at + STEP_KEYS]
            found = self._pages.get_many(some)
            records += map(found.get, some)
            self.count += len(found)
            if len(self._touched) < MOST_TOUCHED:
                self._touched += found
            size += sum(map(len, found.values()))
            if size >= REPLY_BYTES:
                break
        return Served(records, now)

    def take_touched(self) -> list[bytes]:
        """The keys that were hit since the last time."""
        touched, self._touched = self._touched, []
        return touched
