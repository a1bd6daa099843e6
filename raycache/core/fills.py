"""Fills: the keys that callers compute in their own processes, each by whoever holds the key's token.

Invariants: a key has at most one token; a token that was not renewed in time is anybody's to take; a result under a
token that is no longer current (overdue and taken, or its key was removed) is refused.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from raycache.core.messages import Absent, Filling, Loaded, Orphaned, Raised, Token, group_of

#: How long a token lives without being renewed, and how often its holder does that.
TOKEN_S, RENEW_S = 3.0, 1.0
#: How long what is not stored, an exception or a NotFound, is kept for those who were told to wait for it: longer than
#: a busy machine keeps one of them from asking again.
KEPT_S = 10.0


@dataclass(slots=True)
class _Held:
    token: Token
    until: float
    awaited: bool = False  # somebody was told to wait for it


class Fills:
    """The tokens of one shard."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held: dict[bytes, _Held] = {}
        self._ended: dict[bytes, tuple[float, Loaded | Absent | Raised]] = {}
        self._last = random.getrandbits(62)  # the tokens of a shard's earlier life are none of this one

    def __contains__(self, key: object) -> bool:
        held = self._held.get(key)  # type: ignore[call-overload]
        return held is not None and self._clock() < held.until

    def __iter__(self) -> Iterator[bytes]:
        """The keys that are being computed, or were until just now."""
        return iter(self._held)

    def claim(self, key: bytes, fresh: bool) -> Token | Filling:
        """A token, if nobody is computing the key or it is to be computed anew; else word that somebody is."""
        now, held = self._clock(), self._held.get(key)
        if held is not None and now < held.until and not fresh:
            held.awaited = True
            return Filling()
        self._last += 1
        token = Token(self._last)
        self._held[key] = _Held(token, now + TOKEN_S, awaited=held is not None and held.awaited)
        self._ended.pop(key, None)
        return token

    def current(self, key: bytes, number: int) -> bool:
        """Whether a result under the token would be kept."""
        held = self._held.get(key)
        return held is not None and held.token.number == number

    def renew(self, key: bytes, number: int) -> bool:
        """Whether the token is current; it lives on then."""
        if current := self.current(key, number):
            self._held[key].until = self._clock() + TOKEN_S
        return current

    def end(self, key: bytes, number: int, result: Loaded | Absent | Raised | Orphaned) -> bool:
        """Whether the token is current, and so the result to be kept. It is used up."""
        if not self.current(key, number):
            return False
        held = self._held.pop(key)
        if held.awaited and isinstance(result, (Absent, Raised)):
            self._ended[key] = self._clock() + KEPT_S, result
        return True

    def ended(self, key: bytes) -> Loaded | Absent | Raised | None:
        """How a computation ended that left nothing in the store."""
        kept = self._ended.get(key)
        return None if kept is None or kept[0] <= self._clock() else kept[1]

    def take_out(self, keys: Iterable[bytes]) -> None:
        """What is being computed for these keys will not be kept; a later get starts anew."""
        for key in keys:
            self._held.pop(key, None)
            self._ended.pop(key, None)

    def take_out_group(self, group: int) -> None:
        self.take_out([key for key in (*self._held, *self._ended) if group_of(key) == group])

    def take_out_all(self) -> None:
        self.take_out([*self._held, *self._ended])

    def forget_overdue(self) -> None:
        """Lets go of tokens whose holders are gone, and of ends that nobody has asked for."""
        now = self._clock()
        self._held = {key: held for key, held in self._held.items() if now < held.until}
        self._ended = {key: kept for key, kept in self._ended.items() if now < kept[0]}
