"""Connections of HTTP that cannot be held for nothing: uvicorn's protocol, with bounds in bytes, number and time.

uvicorn lets a client take for ever to send a request, and a request's head grow without end. Whoever is late is seen
by a look at all connections once a second, since a timer for each request would cost every request.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from raycache.edge.gateway.guard import error_body
from raycache.edge.gateway.limits import Limits

_PHRASES = {408: "Request Timeout", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}


class Connection(HttpToolsProtocol):
    """One connection. It is not before the head of a request has come that there is anything to answer."""

    limits = Limits()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        #: Bytes since the last head or part of a body was complete.
        self._head_bytes = 0
        #: When what goes on now began: a connection, the head of a request, its body, waiting for another one.
        self._since = self.loop.time()
        self._allowed_s = self.limits.head_s
        self._stuck_since: float | None = None
        if len(self.connections) > self.limits.connections:
            what = f"there are {self.limits.connections:,} connections, which is the most; try again"
            self._end(503, "TooBusy", what, f"retry-after: {self.limits.retry_after_s}\r\n")

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > self.limits.head_bytes and not self.transport.is_closing():
            what = f"the head of a request has more than {self.limits.head_bytes:,} bytes, which is the most"
            self._end(431, "TooLarge", what)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._since, self._allowed_s = self.loop.time(), self.limits.head_s

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._head_bytes, self._since, self._allowed_s = 0, self.loop.time(), self.limits.body_s

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        self._since, self._allowed_s = self.loop.time(), self.limits.idle_s
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stuck_since = None

    def look(self, now: float) -> None:
        """Ends the connection if its client is late: with a request, with a body, or with taking an answer."""
        if self._stuck_since is not None and now > self._stuck_since + self.limits.body_s:
            self.transport.abort()
        elif now <= self._since + self._allowed_s or self._answering:
            return
        elif self.transport.is_closing() or self._allowed_s == self.limits.idle_s:
            self.transport.abort()
        else:
            self._end(408, "TooSlow", f"the request did not come within {self._allowed_s:g} s")

    @property
    def _answering(self) -> bool:
        """Whether a whole request is there, and only its answer is not."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def _end(self, status: int, kind: str, message: str, headers: str = "") -> None:
        """Ends a connection that has asked nothing yet."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = error_body(kind, message)
            head = f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: application/json\r\nconnection: close\r\n"
            self.transport.write(f"{head}content-length: {len(body)}\r\n{headers}\r\n".encode() + body)
        self._since, self._allowed_s = self.loop.time(), self.limits.body_s
        self.transport.close()
