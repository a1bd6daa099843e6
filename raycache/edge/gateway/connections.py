"""Connections of HTTP that cannot be held for nothing: uvicorn's protocol, with bounds in bytes, number and time.

uvicorn lets a client take for ever to send a request, a request's head grow without end, and requests queue up without
end. Whoever is late is seen by a look at all connections once a second, since a timer for each request would cost
every request.

What a request offers to speak instead of HTTP/1.1 (`Upgrade`) is never taken up. uvicorn's parser takes what follows
the head of such a request for the other protocol: a body would be lost, and what is in it be the next request. So the
head is read again, without the offer.
"""

from __future__ import annotations

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from raycache.edge.gateway.limits import Limits
from raycache.edge.gateway.refusals import error_body

_PHRASES = {408: "Request Timeout", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}
#: How long a client has to read why its connection ends. Closed at once, with bytes that nobody has read, it
#: would be reset, and the answer lost.
LINGER_S = 2.0
#: What is read at once, up to 256 KiB, is looked at in pieces: it may be one head, or thousands of requests.
PIECE = 16 << 10
#: The largest body that is copied behind its head: that takes 0.6 us at most, and one more call some microseconds.
JOINED_BYTES = 64 << 10


class _Whole:
    """A transport for one answer, whose head goes out with the beginning of its body, if that is not large.

    uvicorn writes them one after the other, which uvloop makes two calls of the kernel and two segments, of which each
    wakes the client: that was a quarter of all that a near hit took.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle, self._transport = cycle, cycle.transport
        self._head: bytes | None = None
        self._begun = cycle.scope["method"] == "HEAD"  # then nothing follows

    def write(self, data: bytes) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            if len(data) > JOINED_BYTES:
                self._transport.write(head)
            else:
                data = head + data
            self._transport.write(data)
        elif self._begun or not self._cycle.response_started:  # else it is a "100 Continue"
            self._transport.write(data)
        else:
            self._head, self._begun = data, True

    def close(self) -> None:
        if self._head is not None:
            self._transport.write(self._head)
            self._head = None
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class Connection(HttpToolsProtocol):
    """One connection, always in one of four phases: a head is to come, a body, an answer, or the next request."""

    limits = Limits()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        #: Bytes since the last head or part of a body was complete.
        self._head_bytes = 0
        self._stuck_since: float | None = None  # since when the client takes nothing
        self._ended = False
        self._expect(self.limits.head_s)
        if len(self.connections) > self.limits.connections:
            what = f"there are {self.limits.connections:,} connections, which is the most; try again"
            self._end(503, "TooBusy", what, f"retry-after: {self.limits.retry_after_s}\r\n")

    def _expect(self, allowed_s: float, *, idle: bool = False) -> None:
        """What comes next has so much time; nothing need come of a client that is idle."""
        self._allowed_s, self._due, self._idle = allowed_s, self.loop.time() + allowed_s, idle

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            if self._ended or self.transport.is_closing():
                return
            piece = data[start : start + PIECE]
            self._head_bytes += len(piece)
            self._feed(piece)
            if self._head_bytes > self.limits.head_bytes and not self.transport.is_closing():
                what = f"the head of a request has more than {self.limits.head_bytes:,} bytes, which is the most"
                self._end(431, "TooLarge", what)
            elif len(self.pipeline) > self.limits.concurrency:
                self.transport.abort()

    def _feed(self, data: bytes) -> None:
        """As uvicorn does, but for offers of other protocols."""
        self._unset_keepalive_if_required()
        try:
            while data:
                data = self._parsed(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _parsed(self, data: bytes) -> bytes:
        """What is to be parsed next: what follows an offer, behind its head."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            return self._head_without_offer() + data[offer.args[0] :]
        return b""

    def _head_without_offer(self) -> bytes:
        line = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        return line + b"".join(b"%s: %s\r\n" % each for each in self.headers if each[0] != b"upgrade") + b"\r\n"

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._busy:  # else it is pipelined, and has the time of the one before
            self._expect(self.limits.head_s)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":  # it is nothing but an offer
                raise httptools.HttpParserInvalidMethodError("no tunnel begins here")
            return
        super().on_headers_complete()
        self.cycle.transport = _Whole(self.cycle)  # type: ignore[assignment]  # all of a transport that it uses
        self._head_bytes = 0
        self._expect(self.limits.body_s)

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        self._expect(self.limits.idle_s, idle=True)
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
        elif now <= self._due or (self._busy and not self.cycle.more_body):
            return
        elif self._idle or self._ended or self.transport.is_closing():
            self.transport.abort()
        else:
            self._end(408, "TooSlow", f"the request did not come within {self._allowed_s:g} s")

    @property
    def _busy(self) -> bool:
        """Whether a request is there, or its head, and no answer yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _end(self, status: int, kind: str, message: str, headers: str = "") -> None:
        """Says why, if no answer has begun, and reads no more of what is sent."""
        if self.pipeline:  # that of an earlier request may have begun
            self.transport.abort()
            return
        if not self._busy or not self.cycle.response_started:
            body = error_body(kind, message)
            head = f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: application/json\r\nconnection: close\r\n"
            self.transport.write(f"{head}content-length: {len(body)}\r\n{headers}\r\n".encode() + body)
        if self._busy:  # whoever reads its body is told that there is no more
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._ended = True
        self._expect(LINGER_S)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()
