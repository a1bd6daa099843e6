"""What a gateway allows: bounds of everything that comes from outside, and the bearer token. All protocols share one."""

from __future__ import annotations

import hmac
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds. Whoever is beyond one gets a status, and costs no more than finding that out."""

    body_bytes: int = 8 << 20  # of a request
    key_bytes: int = 8 << 10  # of one key, unescaped
    keys: int = 1000  # in one batch
    connections: int = 1024
    concurrency: int = 256  # requests that are being answered, over all connections of a protocol
    timeout_s: float = 30.0  # a get waits no longer for a load, whatever deadline it names
    header_s: float = 10.0  # for the head of a request to arrive
    body_s: float = 30.0  # for its body; and for a client to take what it is sent
    idle_s: float = 60.0  # a connection that asks nothing
    retry_after_s: int = 1  # what who comes too many is told
    stop_s: float = 10.0  # for requests to end when the gateway stops
    token: str | None = None  # the bearer token that every request must have

    def authorized(self, header: str | None) -> bool:
        """Whether an `Authorization` header has the token, if one is required. Takes the same time for every wrong one."""
        if self.token is None:
            return True
        scheme, _, given = (header or "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self.token.encode())
        return scheme.lower() == "bearer" and right

    def deadline_s(self, asked_s: float | None) -> float:
        """How long a get may wait, of which the client has asked for so much."""
        return self.timeout_s if asked_s is None else min(asked_s, self.timeout_s)
