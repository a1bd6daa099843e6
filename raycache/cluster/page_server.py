"""The page server: a thread in a shard's process that gives other nodes what they ask for out of the shard's pages.

It never waits for the shard's lock, so a get on another node waits neither for loads that are settled nor for a
hand-over. It takes that for gets that are to load their key, where it is free.
Invariants: whoever has not proved that it has the secret costs a bounded number of sockets and seconds; whoever sends
what is no request is cut off, and nobody else notices; when `stop` is back nothing reads pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import threading
from collections.abc import Sequence
from typing import Any

from raycache.core.flights import Load
from raycache.core.handshake import SECRET_BYTES, Handshake
from raycache.core.messages import Endpoint, Served
from raycache.core.page_gets import HELD_S, PageGets, Waiting
from raycache.core.serving import Read, Refused, ServedConnection

_log = logging.getLogger(__name__)

#: Connections at once, and those of them that have not proved that they have the secret.
MOST_CONNECTIONS, MOST_UNPROVED = 2048, 64
#: How long a connection may take for its proof; and how long one is kept that asks for nothing, or for half of it.
PROOF_S, IDLE_S = 5.0, 600.0
#: How often it is looked whose time is over.
LOOK_S = 1.0


def serve(address: str, shard: str, read: Read, gets: PageGets | None = None) -> PageServer | None:
    """A page server at an address of this node, if there can be one. Else clients make actor calls, as for all else."""
    if os.environ.get("RAY_USE_TLS", "0") != "0":
        _log.info("raycache: Ray encrypts what it sends (RAY_USE_TLS), a page server does not: %s has none", shard)
        return None
    try:
        return PageServer(address, shard, read, gets)
    except OSError as error:
        _log.warning("raycache: %s cannot listen at %s, gets of other nodes are actor calls: %s", shard, address, error)
        return None


class PageServer:
    """Listens from when it is made until `stop`. Raises OSError where it cannot."""

    def __init__(
        self,
        address: str,
        shard: str,
        read: Read,
        gets: PageGets | None = None,
        *,
        proof_s: float = PROOF_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self._shard, self.read, self._secret = shard, read, secrets.token_bytes(SECRET_BYTES)
        self.gets = gets  # None: what is not in the pages is asked for by calls
        self.proof_s, self.idle_s = proof_s, idle_s
        self.connections: set[_Connection] = set()
        self._loop = _new_loop()
        self.time, self.later = self._loop.time, self._loop.call_later
        try:
            listening = self._loop.create_server(lambda: _Connection(self), address, 0, backlog=MOST_UNPROVED)
            self._server = self._loop.run_until_complete(listening)
        except BaseException:
            self._loop.close()
            raise
        self.endpoint = Endpoint(address, self._server.sockets[0].getsockname()[1], self._secret)
        self._thread = threading.Thread(target=self._run, name="raycache-page-server", daemon=True)
        self._thread.start()

    def handshake(self) -> Handshake:
        return Handshake(self._secret, self._shard)

    def landed(self, keys: Sequence[bytes], load: Load) -> None:
        """A load of these keys has ended. From any thread; waits for nothing."""
        if self.gets is not None and self.gets.wants(keys):
            with contextlib.suppress(RuntimeError):  # it has stopped
                self._loop.call_soon_threadsafe(self.gets.landed, keys, load)

    def stop(self) -> None:
        """Ends all connections, and comes back when that is done. May be called again."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        self._loop.call_soon(self._close_overdue)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._end())
        finally:
            self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        while self.connections:
            for each in list(self.connections):
                each.cut()
            await asyncio.sleep(0)  # the loop tells them that they have ended

    def _close_overdue(self) -> None:
        now = self.time()
        for each in list(self.connections):
            if each.overdue(now):
                each.cut()
        self._loop.call_later(min(LOOK_S, self.proof_s), self._close_overdue)

    def full(self) -> bool:
        """Whether nobody else is let in."""
        proved = sum(each.proved for each in self.connections)
        return len(self.connections) >= MOST_CONNECTIONS or len(self.connections) - proved >= MOST_UNPROVED


class _Connection(asyncio.Protocol):
    """One client's: what `ServedConnection` decides, done on a socket."""

    _transport: Any

    def __init__(self, server: PageServer) -> None:
        self._server, self._handshake = server, server.handshake()
        self._connection = ServedConnection(self._handshake, server.read, self._get)
        self._paused = False
        self._waiting: Waiting | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard = server.time()

    @property
    def proved(self) -> bool:
        return self._connection.proved

    def overdue(self, now: float) -> bool:
        return now - self._heard > (self._server.idle_s if self.proved else self._server.proof_s)

    def cut(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if self._server.full():
            self.cut()
            return
        self._server.connections.add(self)
        self._transport.write(self._handshake.greeting())

    def connection_lost(self, _: Exception | None) -> None:
        self._server.connections.discard(self)
        self._let_go()

    def data_received(self, data: bytes) -> None:
        self._connection.receive(data)
        self._answer()

    def pause_writing(self) -> None:
        """It does not take what it has asked for: nothing else is read, and nothing is prepared for it."""
        self._paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self._transport.resume_reading()
        self._answer()

    def _get(self, epoch: int, number: int, key: bytes) -> Served | bool | None:
        if (gets := self._server.gets) is None:
            return Served([None], 0.0)
        got = gets.get(epoch, number, key, self._end)
        if not isinstance(got, Waiting):
            return got
        self._waiting, self._timer = got, self._server.later(HELD_S, gets.give_up, got)
        return got.started

    def _end(self, served: Served) -> None:
        self._let_go()
        self._connection.end(served)
        self._answer()

    def _let_go(self) -> None:
        """Waits for no load any more."""
        if self._waiting is not None and self._timer is not None and self._server.gets is not None:
            self._timer.cancel()
            self._server.gets.forget(self._waiting)
            self._waiting = self._timer = None

    def _answer(self) -> None:
        try:
            while not self._paused and (reply := self._connection.reply()) is not None:
                self._heard = self._server.time()
                self._transport.write(reply)
        except Refused:
            self.cut()
        except Exception:
            _log.exception("raycache: the page server has failed to answer; the client asks by a call")
            self.cut()


def _new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, where that is installed: it answers a tenth sooner (39-44 us instead of 42-48)."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
