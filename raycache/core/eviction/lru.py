"""LRU: the least recently used entry goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator


class LRU:
    """Keys from the least to the most recently used one."""

    __slots__ = ("_order",)

    def __init__(self) -> None:
        self._order: OrderedDict[bytes, None] = OrderedDict()

    def add(self, key: bytes, size: int = 1, cost_s: float = 0.0, hits: int = 0) -> None:
        """As the most recently used one, also if it is here already."""
        self._order[key] = None
        self._order.move_to_end(key)

    def touch(self, key: bytes) -> None:
        if key in self._order:
            self._order.move_to_end(key)

    def discard(self, key: bytes) -> int:
        self._order.pop(key, None)
        return 0

    def victim(self) -> bytes:
        for key in self._order:
            return key
        raise KeyError("no entries")

    def __contains__(self, key: object) -> bool:
        return key in self._order

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._order)
