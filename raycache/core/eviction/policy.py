"""A policy: what a store asks of whoever decides which entry goes next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Policy(Protocol):
    """Keys of entries, in an order of its own."""

    def add(self, key: bytes, size: int = 1, cost_s: float = 0.0, hits: int = 0) -> None:
        """Takes in a key whose entry has so many bytes, took so long to compute, and was hit so often before it was
        replaced. One that is here already counts as hit."""

    def touch(self, key: bytes) -> None:
        """A hit; of a key that is not here (any more) it says nothing."""

    def discard(self, key: bytes) -> int:
        """Takes out a key, if it is here. What `add` of this same policy wants as its hits if the key comes back: how
        many it has had, or whatever else tells the policy where to put it."""

    def victim(self) -> bytes:
        """The key to evict next, which is still here; KeyError when there is none. A policy that remembers what was
        evicted takes this one to be."""

    def __contains__(self, key: object) -> bool: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def __len__(self) -> int: ...
