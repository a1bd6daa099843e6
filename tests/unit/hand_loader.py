"""A loader whose loads the test ends by hand, and the outcomes that they may have."""

from __future__ import annotations

import pickle
from typing import Any

from raycache.core.codec import Codec
from raycache.core.messages import Absent, Failed, GroupSpec, Loaded, Outcome, Raised

#: What a key costs: so much that flights are spread fairly, and not put together because they are quick.
COST_S = 1.0


class HandLoad:
    """One load; `end` is what its process would do."""

    def __init__(self, spec: GroupSpec, keys: list[bytes]) -> None:
        self.spec, self.keys = spec, list(keys)
        self.outcome, self.payload = object(), object()
        self.cancelled = False
        self._result: Outcome | Failed | None = None

    def end(self, outcome: Outcome | Failed) -> None:
        self._result = outcome

    def bring(self, value: Any = "value", **options: Any) -> None:
        """Ends with the same value for every key."""
        self.end({key: loaded(value, **options) for key in self.keys})

    def result(self) -> Outcome | Failed | None:
        return self._result

    def large(self, place: int) -> tuple[str, int]:
        return "large", place

    def cancel(self) -> None:
        self.cancelled = True


class HandLoader:
    """Starts loads that run until the test ends them."""

    def __init__(self) -> None:
        self.loads: list[HandLoad] = []

    def start(self, spec: GroupSpec, keys: list[bytes], calls: Any = ()) -> HandLoad:
        self.loads.append(HandLoad(spec, keys))
        return self.loads[-1]

    def hold(self, blob: Any) -> tuple[Any]:
        return (blob,)


def loaded(value: Any, ttl_s: float | None = None, cost_s: float = COST_S) -> Loaded:
    tag, data = Codec().encode(value).packed()
    return Loaded(tag, data, ttl_s, cost_s, len(data))


def loaded_large(place: int, size: int) -> Loaded:
    return Loaded(2, place, None, COST_S, size)


def absent(message: str = "no such key", ttl_s: float | None = None) -> Absent:
    return Absent(message, COST_S, ttl_s)


def raised(error: Exception) -> Raised:
    return Raised(pickle.dumps(error), "Traceback: ...", COST_S)
