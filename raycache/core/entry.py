"""An entry of the near cache: one result, and the version slot that vouches for it.

May be used only while it is live; see `versions` for why the order of its two looks matters. This is the one of
installations without a compiler, and what `_entry.c` is tested against; `near` takes the other one where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

#: A version slot as it was read before the value: the lease, the slots, which slot, its version. A bare tuple, as one
#: is made for every key of every lookup.
Voucher = tuple[Sequence[float], Sequence[int], int, int]


#: In place of the value of an entry that may not be used any more.
STALE: Any = type("_Stale", (), {"__repr__": lambda self: "STALE"})()


class NearEntry:
    """One result, with what vouches for it."""

    __slots__ = (
        "cost_s",
        "expires",
        "hits",
        "key",
        "lease",
        "result",
        "seen",
        "size",
        "slot",
        "slots",
        "value",
        "version",
    )

    def __init__(
        self, key: bytes, value: Any, result: Any, expires: float, cost_s: float, size: int, voucher: Voucher
    ) -> None:
        self.key = key  # the full key
        self.value = value  # decoded, or what stands for it
        self.result = result  # encoded: a record, a blob, or that there is nothing
        self.expires, self.cost_s = expires, cost_s
        self.size = size  # of what is encoded
        self.lease, self.slots, self.slot, self.version = voucher
        self.hits = 0  # since they were last taken
        self.seen = 0  # of these, when it was last passed over; -1: hits were taken after that

    def live(self, now: float) -> bool:
        """Whether it may be used at this time. First the lease, then the slot."""
        return now < self.lease[0] and self.slots[self.slot] == self.version and now < self.expires

    def hit(self, clock: Callable[[], float]) -> Any:
        """The value, counted as a hit, or STALE if it may not be used now."""
        if not self.live(clock()):
            return STALE
        self.hits += 1
        return self.value
