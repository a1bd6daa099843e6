"""Reading from page servers: for each shard one kept-open connection for all threads of this process, and one for
gets that may wait for a load, one at a time.

A get sends its request in its own thread, as far as it goes without waiting, and receives the answer there, or in the
connection's thread where it waits in an event loop. Answers come in the order of the requests: who waits for one
receives what comes before it, too.

Invariants: nothing here raises, or waits for longer than the caller does; a connection that fails in whatever way is
closed, and not tried again until a pause is over, twice as long after every failure in a row; meanwhile, and until a
thread has made the first connection, `read` gives None and the caller asks by an actor call.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import select
import socket
import struct
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from raycache.cluster.spin import SPIN_S, Spin
from raycache.core import frames, futures
from raycache.core.fetch import READ_S
from raycache.core.frames import HEAD, BadFrame
from raycache.core.handshake import GREETING_BYTES, PROOF_BYTES, Handshake
from raycache.core.messages import Endpoint, Failed, Loading, Served
from raycache.core.page_gets import HELD_S
from raycache.errors import RaycacheError

#: How long it may take to connect, the proofs included.
CONNECT_S = 3.0
#: How long a shard is not read from after a failure.
LEAST_PAUSE_S, MOST_PAUSE_S = 1.0, 15.0
#: A connection that was not used for so long is made anew: the server may be about to close it.
IDLE_S = 300.0
#: Bytes that are received at once: of a batch more, though that memory is mapped and unmapped each time, for 12 us.
_CHUNK, _BATCH_CHUNK = 1 << 16, 1 << 18
_TIMEVAL = struct.Struct("@ll")

_log = logging.getLogger(__name__)


class Reading:
    """A read that is under way, or its end. Whoever waits for it receives it."""

    __slots__ = ("_connection", "came", "quick", "sent", "takes_s")

    def __init__(self, connection: Connection, takes_s: float, *, quick: bool = False) -> None:
        """`takes_s`: how long it may take; `quick`: it is likely to take no longer than a thread takes to wake."""
        self._connection, self.sent, self.takes_s, self.quick = connection, time.monotonic(), takes_s, quick
        self.came: Served | Loading | Failed | None = None

    def result(self, timeout_s: float | None) -> Served | Loading | Failed | None:
        """What has come; None after the time-out."""
        if self.came is None:
            self._connection.receive(self, time.monotonic() + (self.takes_s if timeout_s is None else timeout_s))
        return self.came

    def future(self) -> Future[Any]:
        """For an event loop: it is received in the connection's own thread, which leaves the GIL to the loop."""
        self.quick = False
        return self._connection.in_its_thread(lambda: self.result(self.takes_s))


class Connection:
    """A connection to a shard's page server that both sides have proved themselves on."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket, self._readable = connected, select.poll()
        self._readable.register(connected, select.POLLIN)
        self._spin = Spin(self._readable.poll)
        self._sending, self._receiving = threading.Lock(), threading.Lock()
        self._under_way: deque[Reading] = deque()
        self._unsent: deque[bytes] = deque()  # what a thread sends, since it did not go at once
        self._received = b""
        self._thread: ThreadPoolExecutor | None = None
        self.used = self._heard = time.monotonic()
        self.answered = self._abandoned = False
        self.failure = ""  # why it is closed

    @property
    def usable(self) -> bool:
        """Whether it is open, its server has not hung up for want of requests, and nobody waits for it in vain."""
        self._take_what_came()
        return not self.failure and time.monotonic() - self.used < IDLE_S

    def _take_what_came(self) -> None:
        """Receives answers that nobody waits for any more, and finds out whether one is overdue."""
        if not self._under_way:  # as mostly
            return
        with contextlib.suppress(IndexError):
            while (first := self._under_way[0]).takes_s <= time.monotonic() - first.sent or self._abandoned:
                self._abandoned = False
                self.receive(first, 0.0)
                if first.came is None:
                    return

    def _overdue(self, reading: Reading) -> bool:
        """Answers come one after the other: one is overdue when none has come for as long as it may take."""
        return time.monotonic() - max(reading.sent, self._heard) >= reading.takes_s

    def send(self, request: bytes, *, quick: bool = False, alone: bool = False) -> Reading | None:
        """Sends a request; None where that fails, or, if it is to be alone, where there is another one. Waits for
        nothing: the caller may be in an event loop."""
        try:
            with self._sending:
                if self.failure or (alone and self._under_way):
                    return None
                reading = Reading(self, READ_S, quick=quick)
                self.used = reading.sent
                self._under_way.append(reading)  # before the answer can come
                if self._unsent or (request := request[self._at_once(request) :]):
                    self._send_later(request)
        except (OSError, RuntimeError) as error:  # the second: there can be no more threads
            self.close(f"sending failed: {error}")
            return None
        return reading

    def _at_once(self, request: bytes) -> int:
        """Sends what there is room for; how many bytes."""
        try:
            return self._socket.send(request, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _send_later(self, request: bytes) -> None:
        """From a thread of its own: the connection's may be receiving, for as long as an answer may take."""
        self._unsent.append(request)
        if len(self._unsent) == 1:
            futures.in_thread(self._send_unsent)

    def _send_unsent(self) -> None:
        try:
            while self._unsent:
                self._socket.sendall(self._unsent[0])
                with self._sending:
                    if self.failure:
                        raise OSError(self.failure)
                    self._unsent.popleft()
        except OSError as error:
            self.close(f"sending failed: {error}")
            with self._sending, self._receiving:
                self._socket.close()

    def receive(self, wanted: Reading, until: float) -> None:
        """Receives until this has come, or the time is over; what is here by now in any case. One that takes too long
        ends the connection."""
        try:
            while wanted.came is None:
                left_s = max(until - time.monotonic(), 0.0)
                if self._receiving.acquire(timeout=left_s):
                    try:
                        if wanted.came is None:
                            self._receive_one(until)
                    finally:
                        self._receiving.release()
                elif not left_s:
                    break  # another thread receives
        except TimeoutError:
            pass
        except (OSError, BadFrame, IndexError) as error:  # the last: nobody has asked for what came
            self.close(f"receiving failed: {error}")
        if wanted.came is None:
            self._abandoned = True  # its caller may not come again
            if self._overdue(wanted):
                self.close(f"no answer within {wanted.takes_s:g} s")

    def _receive_one(self, until: float) -> None:
        """Receives the answer to the first request that has none."""
        while (body := self._frame()) is None:
            if not self._come(until):
                raise TimeoutError
            data = self._socket.recv(_CHUNK if self._under_way[0].quick else _BATCH_CHUNK)
            if not data:
                raise OSError("it was closed at the other end")
            self._received += data
            self._heard = time.monotonic()
        first, (count, content) = self._under_way[0], body
        if count:
            first.came = frames.served(count, content)
            self._under_way.popleft()
        else:
            started, self._under_way[0] = frames.started(content), Reading(self, HELD_S + READ_S)
            first.came = Loading(started, self._under_way[0])
        self.answered = True

    def _come(self, until: float) -> bool:
        """Whether something has come by then."""
        first = self._under_way[0]
        if first.quick and self._spin.found(min(first.sent + SPIN_S, until)):
            return True
        return bool(self._readable.poll(max(math.ceil(1000 * (until - time.monotonic())), 0)))

    def _frame(self) -> tuple[int, bytes] | None:
        """The count and the body of the next frame, if it is here."""
        received = self._received
        if len(received) < HEAD.size:
            return None
        size, count = HEAD.unpack_from(received)
        if size > frames.MOST_REPLY_BYTES:
            raise BadFrame(f"a reply of {size:,} bytes")
        end = HEAD.size + size
        if len(received) < end:
            return None
        self._received = received[end:]
        return count, received[HEAD.size : end]

    def in_its_thread(self, work: Callable[[], Any]) -> Future[Any]:
        with self._sending:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="raycache-page-client")
            try:
                return self._thread.submit(work)
            except RuntimeError as error:  # it is closed by now, or this process ends
                future = futures.pending()
                future.set_result(Failed(str(error)))
                return future

    def close(self, why: str) -> None:
        """Whoever waits for an answer learns why there is none. May be called again, but under no lock of this."""
        self.failure = self.failure or why
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes who is in the middle of it, and then lets go of the locks
        with self._sending, self._receiving:
            if not self._unsent:  # else a thread may be in the middle of sending: it closes the socket
                self._socket.close()
            for reading in self._under_way:
                reading.came = reading.came or Failed(why)
            self._under_way.clear()
            if self._thread is not None:
                self._thread.shutdown(wait=False)

    def abandon(self) -> None:
        """After a fork: the connection is the parent's."""
        self._socket.close()


class _Server:
    """The page server of one shard, as it is known here."""

    __slots__ = ("connecting", "connection", "pause_s", "until")

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.connecting = False
        self.until = self.pause_s = 0.0  # until when there is to be none, and for how long the last time


class PageClient:
    """The page servers of one cache's shards."""

    def __init__(self, endpoint: Callable[[str], Endpoint | None]) -> None:
        """`endpoint` asks a shard where it listens, and waits for the answer; None if there is none."""
        self._endpoint, self._closed = endpoint, False
        self.forget()
        _clients.add(self)

    def forget(self) -> None:
        """Begins anew, without any connection."""
        self._servers: dict[str, _Server] = {}  # of the connections for reads
        self._loaders: dict[str, _Server] = {}  # of those for gets, one at a time: they may wait for a load
        self._lock = threading.Lock()
        self._connecting: set[Future[Any]] = set()

    def read(self, shard: str, keys: Sequence[bytes]) -> Reading | None:
        """Asks for the first of the keys; None where there is no connection now."""
        return self._ask(
            self._servers, shard, lambda connection: connection.send(frames.request(keys)[0], quick=len(keys) == 1)
        )

    def get(self, shard: str, key: bytes, epoch: int, number: int) -> Reading | None:
        """Asks for a key that is to be loaded if it is not there; None where no connection is free for it."""
        request = frames.get(epoch, number, key)
        return self._ask(self._loaders, shard, lambda connection: connection.send(request, quick=True, alone=True))

    def _ask(
        self, servers: dict[str, _Server], shard: str, send: Callable[[Connection], Reading | None]
    ) -> Reading | None:
        server = servers.get(shard)
        connection = None if server is None else server.connection
        if server is None or connection is None:
            self._connect(servers, shard)
            return None
        usable = connection.usable
        reading = send(connection) if usable else None
        if connection.failure or not usable:
            self._drop(server, connection)
        return reading

    def _drop(self, server: _Server, connection: Connection) -> None:
        """One that has failed is not made again before a pause is over; one that was idle is at the next read."""
        with self._lock:
            if server.connection is connection:
                server.connection = None
                if connection.failure:
                    self._pause(server, 0.0 if connection.answered else server.pause_s)
        connection.close("it was not used for long")

    def _pause(self, server: _Server, last_s: float) -> None:
        server.pause_s = min(max(2 * last_s, LEAST_PAUSE_S), MOST_PAUSE_S)
        server.until = time.monotonic() + server.pause_s

    def _connect(self, servers: dict[str, _Server], shard: str) -> None:
        """Has a thread make the connection, if it is time for that."""
        with self._lock:
            if (
                shard not in servers
            ):  # only from the second time on: a process that gets one value is sooner done without
                servers[shard] = _Server()
                return
            server = servers[shard]
            if self._closed or server.connecting or server.connection or time.monotonic() < server.until:
                return
            try:
                made = futures.in_thread(lambda: self._make(servers, shard, server))
            except RuntimeError:  # there can be no more threads
                self._pause(server, server.pause_s)
                return
            server.connecting = True
            self._connecting.add(made)
        made.add_done_callback(self._connecting.discard)

    def _make(self, servers: dict[str, _Server], shard: str, server: _Server) -> None:
        connection = None
        try:
            endpoint = self._endpoint(shard)
            if endpoint is not None and endpoint.port:
                connection = connect(endpoint, shard)
        except (OSError, RaycacheError) as error:  # the second: a shard of another version
            _log.info("raycache: the page server of %s cannot be used, it is asked by actor calls: %s", shard, error)
        with self._lock:
            server.connecting = False
            if connection is None:
                self._pause(server, server.pause_s)
            elif servers.get(shard) is server:
                server.connection, connection = connection, None
        if connection is not None:  # too late
            connection.close("it is not needed any more")

    def keep(self, shards: Collection[str]) -> None:
        """Lets go of all others."""
        with self._lock:
            gone = [known.pop(id) for known in (self._servers, self._loaders) for id in known.keys() - shards]
        for server in gone:
            if server.connection is not None:
                server.connection.close("the shard is no member any more")

    def close(self) -> None:
        """Ends all connections; `read` gives None from now on."""
        self._closed = True
        self.keep(())
        wait(list(self._connecting), CONNECT_S)

    def abandon(self) -> None:
        """After a fork: the connections are the parent's."""
        for server in (*self._servers.values(), *self._loaders.values()):
            if server.connection is not None:
                server.connection.abandon()
        self.forget()


def connect(endpoint: Endpoint, shard: str) -> Connection:
    """Raises OSError where nobody listens who has the secret."""
    until = time.monotonic() + CONNECT_S
    connected = socket.create_connection((endpoint.address, endpoint.port), CONNECT_S)
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handshake = Handshake(endpoint.secret, shard)
        answer = handshake.answer(_exactly(connected, GREETING_BYTES, until))
        if answer is None:
            raise OSError("who listens there is no page server")
        connected.sendall(answer)
        if not handshake.confirmed(_exactly(connected, PROOF_BYTES, until)):
            raise OSError("who listens there does not have the secret")
        connected.settimeout(None)
        whole, part = divmod(READ_S, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(int(whole), int(part * 1e6)))
    except BaseException:
        connected.close()
        raise
    return Connection(connected)


def _exactly(connected: socket.socket, size: int, until: float) -> bytes:
    """So many bytes, in time."""
    received = b""
    while len(received) < size:
        connected.settimeout(max(until - time.monotonic(), 1e-3))
        data = connected.recv(size - len(received))
        if not data:
            raise OSError("it was closed at the other end")
        received += data
    return received


_clients: weakref.WeakSet[PageClient] = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_clients):
        client.abandon()


os.register_at_fork(after_in_child=_after_fork)
