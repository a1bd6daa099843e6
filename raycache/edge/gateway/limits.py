"""What a gateway allows: bounds of everything that comes from outside, and the bearer token. All protocols have it."""

from __future__ import annotations

import hmac
from collections.abc import Sized
from dataclasses import dataclass, fields

from starlette.requests import Request

from raycache.edge.gateway.paths import header
from raycache.errors import InvalidKey, InvalidOption
from raycache.options import parse_seconds


class TooLarge(Exception):
    """A request, a key or a batch is beyond its bound; HTTP has a status of its own for each."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds. Whoever is beyond one gets a status, and costs no more than finding that out."""

    body_bytes: int = 8 << 20  # of a request
    key_bytes: int = 8 << 10  # of one key, unescaped
    keys: int = 1000  # in one batch
    head_bytes: int = 64 << 10  # of a request's line and headers
    connections: int = 1024
    concurrency: int = 256  # requests that are being answered, over all connections of a protocol
    timeout_s: float = 30.0  # a get or a question waits no longer, whatever deadline it names
    head_s: float = 10.0  # for the head of a request to arrive
    body_s: float = 30.0  # for its body, and for a client to take what it is sent
    idle_s: float = 60.0  # a connection that asks nothing more
    retry_after_s: int = 1  # what those are told who come when there are too many
    stop_s: float = 10.0  # for requests to end when the gateway stops
    token: str | None = None  # the bearer token that every request must have

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "token" and not value > 0:
                raise InvalidOption(f"{field.name}={value!r}: a limit is more than 0")
        if self.token is not None and not (self.token and self.token.isascii() and self.token.isprintable()):
            raise InvalidOption("the token is empty or has characters that no header can carry; give printable ASCII")

    def authorized(self, header: str | None) -> bool:
        """Whether an `Authorization` header has the token, if one is needed; as slow for one wrong token as another."""
        if self.token is None:
            return True
        scheme, _, given = (header or "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("utf-8", "surrogatepass"), self.token.encode())
        return right and scheme.lower() == "bearer"

    def deadline_s(self, asked_s: float | None) -> float:
        """How long a get or a question may wait, of which the client has asked for so much."""
        return self.timeout_s if asked_s is None else min(asked_s, self.timeout_s)

    def patience_s(self, request: Request) -> float:
        """The same for a request over HTTP, whose header `Request-Timeout` says it in seconds or like "500ms"."""
        asked = header(request.scope, b"request-timeout")
        return self.deadline_s(parse_seconds(asked[0], "Request-Timeout") if asked else None)

    def check_key(self, key: str) -> str:
        """The key, if it is not too long; raises TooLarge."""
        size = len(key) if key.isascii() else len(key.encode("utf-8", "surrogatepass"))
        if size > self.key_bytes:
            raise TooLarge(414, f"a key of {size:,} bytes; at most {self.key_bytes:,} are served: use a digest of it")
        if not key:
            raise InvalidKey("the key is empty; a key has at least one character")
        return key

    def check_batch(self, keys: Sized) -> None:
        """Raises TooLarge for more keys than are served at once."""
        if len(keys) > self.keys:
            raise TooLarge(413, f"a batch of {len(keys):,} keys; at most {self.keys:,} are served at once")

    async def body(self, request: Request) -> bytes:
        """The whole body, if it is not too large; raises TooLarge, at once if its size was said beforehand."""
        said = request.headers.get("content-length", "0")
        if not said.isdecimal() or len(said) > 15 or int(said) > self.body_bytes:
            raise self._too_large()
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > self.body_bytes:
                raise self._too_large()
            parts.append(part)
        return b"".join(parts)

    def _too_large(self) -> TooLarge:
        return TooLarge(413, f"the body has more than {self.body_bytes:,} bytes, which is the most that is taken")
