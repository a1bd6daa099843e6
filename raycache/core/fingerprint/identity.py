"""A cache by identity, whose entries go when their objects do.

Objects need neither a hash nor equality: classes may have either of their metaclass's making. Bounded: when it is full
it starts anew, since what an entry holds may keep its own object alive, as a recursive function does.
"""

from __future__ import annotations

import weakref
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class ByIdentity(Generic[T]):
    """Values by the objects they are about."""

    def __init__(self, capacity: int = 1024) -> None:
        self._entries: dict[int, tuple[weakref.ref[Any], T]] = {}
        self._capacity = capacity

    def get(self, about: Any) -> T | None:
        """The value for this very object."""
        entry = self._entries.get(id(about))
        return entry[1] if entry is not None and entry[0]() is about else None

    def put(self, about: Any, value: T) -> None:
        """Remembers the value for as long as the object lives."""
        entries, key = self._entries, id(about)
        if len(entries) >= self._capacity:
            entries.clear()
        entries[key] = (weakref.ref(about, lambda _: entries.pop(key, None)), value)
