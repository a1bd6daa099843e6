"""SIEVE: a queue in the order of arrival, and a hand that passes over what was hit since it last came by.

After Zhang, Yang, Yue, Vigfusson and Rashmi, "SIEVE is Simpler than LRU" (NSDI 2024). There a hit marks an entry, which
stays where it is; the hand goes from old to new, takes marks off, evicts the first entry without one, and begins again
at the oldest when it is through. Here the queue is cut at the hand, so that both parts are queues: what the hand has
passed over, and what it has yet to come to, where new entries join.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator


class Sieve:
    """Keys in the order of arrival, each with whether it is marked."""

    __slots__ = ("_ahead", "_passed")

    def __init__(self) -> None:
        self._passed: OrderedDict[bytes, bool] = OrderedDict()
        self._ahead: OrderedDict[bytes, bool] = OrderedDict()

    def add(self, key: bytes, size: int = 1, cost_s: float = 0.0, hits: int = 0) -> None:
        if key in self:
            self.touch(key)
            return
        if not self._ahead:  # the hand is through, before this one comes
            self._ahead, self._passed = self._passed, self._ahead
        self._ahead[key] = hits > 0

    def touch(self, key: bytes) -> None:
        part = self._ahead if key in self._ahead else self._passed
        if key in part:
            part[key] = True

    def discard(self, key: bytes) -> int:
        part = self._ahead if key in self._ahead else self._passed
        return int(part.pop(key, False))

    def victim(self) -> bytes:
        while self:
            for key, marked in self._ahead.items():
                if not marked:
                    return key
                break
            else:
                self._ahead, self._passed = self._passed, self._ahead
                continue
            del self._ahead[key]
            self._passed[key] = False
        raise KeyError("no entries")

    def __contains__(self, key: object) -> bool:
        return key in self._ahead or key in self._passed

    def __iter__(self) -> Iterator[bytes]:
        yield from self._passed
        yield from self._ahead

    def __len__(self) -> int:
        return len(self._passed) + len(self._ahead)
