"""One connection as a page server sees it, without any socket: bytes come in, bytes go out, or it is closed.

Invariants: nothing but the greeting and a proof of its own goes to whoever has not proved that it has the secret; what
is kept of what came is bounded by one request and one chunk; whatever comes, nothing but `Refused` is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from raycache.core import frames
from raycache.core.frames import HEAD, BadFrame
from raycache.core.handshake import ANSWER_BYTES, Handshake
from raycache.core.messages import Served

Read = Callable[[Sequence[bytes]], Served | None]
#: Epoch, number and key of a get: what is there, whether its load is a new one (the end comes by `end`), or None.
Get = Callable[[int, int, bytes], Served | bool | None]


class Refused(Exception):
    """The connection is to be closed: whoever is at its other end is none of ours, or cannot be served."""


class ServedConnection:
    """One connection. After `receive`, ask `reply` until there is none."""

    def __init__(self, handshake: Handshake, read: Read, get: Get) -> None:
        self._handshake, self._read, self._get = handshake, read, get
        self._received = bytearray()
        self._end: bytes | None = None
        self.proved = self.waits = False  # the latter: for a load

    def receive(self, data: bytes) -> None:
        """Takes what has come."""
        self._received += data

    def reply(self) -> bytes | None:
        """The next thing to send; None where more must come first. Raises Refused."""
        if self.waits:
            return self._ended()
        return self._next_served() if self.proved else self._prove()

    def end(self, served: Served) -> None:
        """The load that it waits for has ended, or is not waited for any longer."""
        self._end = frames.reply(served)

    def _ended(self) -> bytes | None:
        if self._received:
            raise Refused("a request before there was an answer to a get")
        end, self._end = self._end, None
        self.waits = end is None
        return end

    def _prove(self) -> bytes | None:
        if len(self._received) < ANSWER_BYTES:
            return None
        proof = self._handshake.confirm(self._take(0, ANSWER_BYTES))
        if proof is None:
            raise Refused("it does not have the secret")
        self.proved = True
        return proof

    def _next_served(self) -> bytes | None:
        if len(self._received) < HEAD.size:
            return None
        size, count = HEAD.unpack_from(self._received)
        if size > frames.MOST_REQUEST_BYTES:
            raise Refused(f"a request of {size:,} bytes")
        if len(self._received) < HEAD.size + size:
            return None
        try:
            body = self._take(HEAD.size, size)
            served = self._read(frames.asked(count, body)) if count else self._get(*frames.wanted(body))
        except BadFrame as bad:
            raise Refused(str(bad)) from None
        if served is None:
            raise Refused("the shard has no lease")
        if isinstance(served, Served):
            return frames.reply(served)
        self.waits = True
        return frames.loading(served)

    def _take(self, after: int, size: int) -> bytes:
        """The next bytes, from after so many that are dropped."""
        taken = bytes(self._received[after : after + size])
        del self._received[: after + size]
        return taken
