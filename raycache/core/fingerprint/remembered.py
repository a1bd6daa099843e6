"""Digests of large values that nobody can change, remembered for as long as the values live."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any


class RememberedDigests:
    """Digests by the identity of the value, a bounded number of them; a value is referred to weakly.

    The value has to be immutable. What can still be assigned to it (an array's shape) is its `form`: a digest counts
    for the form that it was made of.
    """

    def __init__(self, limit: int = 1024) -> None:
        self._limit = limit
        self._digests: dict[int, tuple[weakref.ref[Any], Any, bytes]] = {}
        self._lock = threading.RLock()  # a dying value's callback may come at any time, also while it is held

    def digest(self, value: Any, form: Any, make: Callable[[Any], bytes]) -> bytes:
        """The value's digest, made only if it is not remembered."""
        known = self._digests.get(id(value))
        if known is not None and known[0]() is value and known[1] == form:
            return known[2]
        made = make(value)
        with self._lock:
            while len(self._digests) >= self._limit:
                del self._digests[next(iter(self._digests))]
            self._digests[id(value)] = (weakref.ref(value, self._forget(id(value))), form, made)
        return made

    def _forget(self, identity: int) -> Callable[[weakref.ref[Any]], None]:
        def forget(reference: weakref.ref[Any]) -> None:
            with self._lock:
                known = self._digests.get(identity)
                if known is not None and known[0] is reference:  # not that of a value that has the same id by now
                    del self._digests[identity]

        return forget

    def __len__(self) -> int:
        return len(self._digests)
