"""Numbered gets: what a shard remembers of gets that may come twice, over the page server's connection and by a call.

A client asks over the connection first, and by a call when no answer has come in time: then it has given up on the
connection, where its request may still lie in the socket of a stopped process.

Invariants: whoever asks again learns that the get has started a load, whatever has become of that load and of the key;
what comes over the connection after the call was answered starts nothing. The oldest numbers are forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from raycache.core.messages import Get, InFlight

#: Numbers that are remembered: those of all loads that a shard can start over its page server in several seconds.
MOST_NUMBERS = 4096


class Numbered:
    """The numbers of gets that have started a load, or were answered by a call."""

    def __init__(self) -> None:
        self._started: OrderedDict[int, bool] = OrderedDict()  # whether each has started a load

    def __len__(self) -> int:
        return len(self._started)

    def over(self, ask: Get) -> bool:
        """Whether nobody waits for the answer any more: whoever has asked has got it by a call."""
        return not ask.again and ask.number in self._started

    def answered(self, ask: Get, items: Iterable[Any]) -> bool:
        """Whether the get has started a load, by what it is answered with now or was before; False without a number."""
        if not ask.number:
            return False
        started = self._started.pop(ask.number, False)
        started |= any(isinstance(item, InFlight) and item.started for item in items)
        if started or ask.again:
            self._started[ask.number] = started
            if len(self._started) > MOST_NUMBERS:
                self._started.popitem(last=False)
        return started
