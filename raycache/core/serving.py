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


class Refused(Exception):
    """The connection is to be closed: whoever is at its other end is none of ours, or cannot be served."""


class ServedConnection:
    """One connection. After `receive`, ask `reply` until there is none."""

    def __init__(self, handshake: Handshake, read: Callable[[Sequence[bytes]], Served | None]) -> None:
        self._handshake, self._read = handshake, read
        self._received = bytearray()
        self.proved = False

    def receive(self, data: bytes) -> None:
        """Takes what has come."""
        self._received += data

    def reply(self) -> bytes | None:
        """The next thing to send; None where more must come first. Raises Refused."""
        return self._next_served() if self.proved else self._prove()

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
            keys = frames.asked(count, self._take(HEAD.size, size))
        except BadFrame as bad:
            raise Refused(str(bad)) from None
        served = self._read(keys)
        if served is None:
            raise Refused("the shard has no lease")
        return frames.reply(served)

    def _take(self, after: int, size: int) -> bytes:
        """The next bytes, from after so many that are dropped."""
        taken = bytes(self._received[after : after + size])
        del self._received[: after + size]
        return taken
