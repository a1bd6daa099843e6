"""Invalidations whose second round has not come yet: a client may die, or give up, between the two.

The first round takes entries away everywhere, the second ends near entries. Every shard remembers the first until it
has seen the second, or finishes the operation itself: the owner first, others after it, in turn, since the owner may be
the one that was lost. So nothing stays half-told for ever. A first round that arrives after its operation is over,
however late, is known by that, and does nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

#: How long a client may take between the two rounds, longer than it tries; how long each shard leaves it to those whose
#: turn is before its own; and how many ended operations are known.
PATIENCE_S, TURN_S = 20.0, 5.0
MOST_ENDED = 10_000


class Begun(NamedTuple):
    """The first round of an operation."""

    operation: int
    group: int
    keys: tuple[bytes, ...] | None  # None: all of the group
    stored: bool  # the owners may have put new values in the place of the old ones


class Unconfirmed:
    """The operations that one shard knows of."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._begun: dict[int, tuple[float, Begun]] = {}
        self._ended: OrderedDict[int, None] = OrderedDict()

    def begin(self, begun: Begun, turn: int) -> None:
        """A first round was done here. An operation on keys of several owners comes in parts."""
        if not begun.operation or self.over(begun.operation):
            return
        until, known = self._begun.get(begun.operation, (self._clock() + PATIENCE_S + turn * TURN_S, begun))
        if known.keys is not None and begun.keys is not None:
            known = known._replace(keys=tuple(dict.fromkeys(known.keys + begun.keys)))
        self._begun[begun.operation] = until, known

    def end(self, operation: int) -> None:
        """The second round has come, or whoever finishes the operation has."""
        self._begun.pop(operation, None)
        if operation:
            self._ended[operation] = None
            if len(self._ended) > MOST_ENDED:
                self._ended.popitem(last=False)

    def over(self, operation: int) -> bool:
        """Whether the operation has ended."""
        return operation in self._ended

    def overdue(self) -> list[Begun]:
        """What is to be finished now. It comes again after a while, until it was."""
        now = self._clock()
        due = [begun for until, begun in self._begun.values() if until <= now]
        for begun in due:
            self._begun[begun.operation] = now + PATIENCE_S, begun
        return due
