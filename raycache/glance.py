"""What the cluster said last, asked anew with every look: for representations, which must not wait for it.

At most one question is under way at a time, in a thread of its own. A look never waits longer than its patience, and
never raises: what came last is shown with the time at which it was asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from raycache.errors import RaycacheError
from raycache.units import ago_text

T = TypeVar("T")

PATIENCE_S = 0.5


@dataclass(frozen=True)
class Seen(Generic[T]):
    """What came last; `trouble` tells why nothing newer did."""

    value: T | None = None
    at: float | None = None  # by the glance's clock, when it was asked for; None: nothing has ever come
    trouble: str = ""

    def as_of(self, now: float | None = None) -> str:
        """When that was so, as "12:03:05" or "12:03:05, 3 s ago"."""
        if self.at is None:
            return ""
        age_s = (time.time() if now is None else now) - self.at
        ago = f", {ago_text(age_s)}" if age_s >= 1 else ""
        return time.strftime("%H:%M:%S", time.localtime(self.at)) + ago

    def remarks(self) -> tuple[str, ...]:
        """What to say about it where it is not what was asked for just now."""
        if not self.trouble:
            return ()
        known = "what is shown came earlier" if self.at is not None else "nothing has come from the cache yet"
        return (f"{known}: {self.trouble}",)


class Glance(Generic[T]):
    """A question to the cluster, and its last answer."""

    def __init__(
        self, ask: Callable[[], T], *, clock: Callable[[], float] = time.time, patience_s: float = PATIENCE_S
    ) -> None:
        """`clock`: by default seconds since the epoch, as `Seen.as_of` tells the time of day."""
        self._ask, self._clock, self._patience_s = ask, clock, patience_s
        self._seen: Seen[T] = Seen()
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None

    def look(self) -> Seen[T]:
        """The answer if it comes in time, else the one before."""
        with self._lock:
            if self._asking is None or not self._asking.is_alive():
                self._asking = threading.Thread(target=self._run, name="raycache-glance", daemon=True)
                self._asking.start()
            asking = self._asking
        asking.join(self._patience_s)
        if asking.is_alive():
            return replace(self._seen, trouble=f"no answer within {self._patience_s:g} s")
        return self._seen

    def _run(self) -> None:
        at = self._clock()
        try:
            self._seen = Seen(self._ask(), at)
        except RaycacheError as error:
            self._seen = replace(self._seen, trouble=str(error))
        except Exception as error:  # of Ray, which ends in many ways
            self._seen = replace(self._seen, trouble=f"{type(error).__name__}: {error}")
