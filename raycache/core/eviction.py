"""The policies: in which order entries go. Order only, no bytes.

All operations take constant time. `victim` names the entry that should go next and leaves it in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Protocol


class Policy(Protocol):
    """What a shard asks of a policy."""

    def add(self, key: bytes) -> None: ...
    def touch(self, key: bytes) -> None: ...
    def discard(self, key: bytes) -> None: ...
    def victim(self) -> bytes: ...
    def __contains__(self, key: object) -> bool: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def __len__(self) -> int: ...


class LRU:
    """The least recently used entry goes first."""

    __slots__ = ("_order",)

    def __init__(self) -> None:
        self._order: OrderedDict[bytes, None] = OrderedDict()

    def add(self, key: bytes) -> None:
        """Take in a key as the most recently used one; one that is here already becomes that."""
        self._order[key] = None
        self._order.move_to_end(key)

    def touch(self, key: bytes) -> None:
        """A hit; of a key that is not here (any more) it says nothing."""
        if key in self._order:
            self._order.move_to_end(key)

    def discard(self, key: bytes) -> None:
        self._order.pop(key, None)

    def victim(self) -> bytes:
        """The key to evict next; KeyError when there is none."""
        for key in self._order:
            return key
        raise KeyError("no entries")

    def __contains__(self, key: object) -> bool:
        return key in self._order

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._order)
