"""The whole cache in this process, without Ray: the same shards, directory and lookup, called directly.

For unit tests, and for programs that want one code path with and without a cluster. Getters run in threads.
"""

from __future__ import annotations

import itertools
import math
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from raycache.core import futures
from raycache.core.calls import Packed, getter_of, packed, unpacked
from raycache.core.codec import Blob, Codec
from raycache.core.directory import Directory
from raycache.core.futures import Done, Pending, pending
from raycache.core.getters import run
from raycache.core.memory import MAP_FACTOR, Folder, warn_if_slow
from raycache.core.messages import Call, Failed, GroupSpec, Outcome, ShardInfo, View
from raycache.core.pages import Pages, PagesFull
from raycache.core.shard import Shard
from raycache.core.shipping import LookedUp
from raycache.core.steps import Local, LocalPages, Wait
from raycache.core.versions import Versions
from raycache.errors import CacheUnavailable, UncacheableValue
from raycache.options import CacheOptions, default_loads

NODE = "inline"


class _ThreadLoad:
    """A load that runs in a thread. The shard has settled it before anyone else sees it: all times count from then."""

    def __init__(self, landed: Callable[[], None], work: Callable[[], tuple[Outcome, Any]]) -> None:
        self.outcome, self.payload = pending(), pending()
        self._lock = threading.Lock()
        self._came: tuple[Outcome | Failed, Any] | None = None
        futures.in_thread(lambda: self._run(landed, work))

    def _run(self, landed: Callable[[], None], work: Callable[[], tuple[Outcome, Any]]) -> None:
        came: tuple[Outcome | Failed, Any]
        try:
            came = work()
        except BaseException as error:
            came = Failed(repr(error)), None
        with self._lock:
            if self._came is not None:
                return  # it was cancelled
            self._came = came
        try:
            landed()
        finally:
            self._show(*came)

    def _show(self, outcome: Outcome | Failed, payload: Any) -> None:
        self.payload.set_result(payload)
        self.outcome.set_result(outcome)

    def result(self) -> Outcome | Failed | None:
        return None if self._came is None else self._came[0]

    def large(self, place: int) -> Done:
        assert self._came is not None
        return Done((self._came[1][place],))

    def cancel(self) -> None:
        """Nobody waits for it any more; a thread cannot be ended."""
        with self._lock:
            if self._came is not None:
                return
            self._came = Failed("ended: it took too long", hung=True), None
        self._show(*self._came)


class _ThreadLoader:
    """Runs the getters of one shard in threads."""

    def __init__(self, cache: InlineNetwork) -> None:
        self._cache = cache
        self.tick: Callable[[], None] = lambda: None

    def start(self, spec: GroupSpec, keys: list[bytes], calls: list[Call]) -> _ThreadLoad:
        return _ThreadLoad(lambda: self._cache.locked(self.tick), lambda: self._cache.load(spec, keys, calls))

    def hold(self, blob: Blob) -> Done:
        return Done((_copied(blob),))


class InlineNetwork:
    """A directory and shards in this process, and a network that calls them. Also what waits for its futures."""

    where = "inline"

    def __init__(self, name: str, options: CacheOptions, codec: Codec, clock: Callable[[], float]) -> None:
        self._getters: dict[tuple[int, bytes], Callable[..., Any]] = {}  # here they need not be pickled
        self._codec, self._clock = codec, clock
        self._lock = threading.RLock()
        self._process = os.getpid()
        # Here nothing can get lost between directory and shards: leases hold for ever.
        options = replace(options, lease_s=math.inf)
        self._directory = Directory(options, clock=clock, tickets=itertools.count(1).__next__)
        self._shards: dict[str, Shard] = {}
        self._memory: dict[str, tuple[Folder, Pages, Versions]] = {}
        token = secrets.token_hex(4)
        for number in range(options.shards_per_node):
            self._start(f"inline.{number}", f"{name}-{token}-{number}", options)
        warn_if_slow([folder.path for folder, _, _ in self._memory.values()])
        while not all(shard.life.leased for shard in self._shards.values()):
            for shard in self._shards.values():
                shard.granted(hello := shard.hello(), self._directory.handle(hello))
        for shard in self._shards.values():
            self._empty_handover(shard)

    def _start(self, id: str, folder_name: str, options: CacheOptions) -> None:
        folder = Folder(folder_name, options.capacity_bytes, os.getpid())
        pages = Pages.create(folder.path, MAP_FACTOR * options.capacity_bytes)
        versions = Versions(folder.path / "versions", create=True)
        self._memory[id] = folder, pages, versions
        info = ShardInfo(
            id=id,
            node=NODE,
            pid=os.getpid(),
            address="127.0.0.1",
            folder=os.fspath(folder.path),
            weight=1.0,
            capacity_bytes=options.capacity_bytes,
        )
        loader = _ThreadLoader(self)
        shard = Shard(
            info,
            pages=pages,
            versions=versions,
            loader=loader,
            clock=self._clock,
            max_loads=options.max_loads or default_loads(),
            lease_s=options.lease_s,
            hot=options.hot,
        )
        loader.tick = shard.tick
        self._shards[id] = shard

    def _empty_handover(self, shard: Shard) -> None:
        """They were all there before the first entry."""
        while shard.handing:
            if (sending := shard.batch()) is not None:
                target, message = sending
                shard.handed(target, message, self._shards[target].handle(message))

    def locked(self, call: Callable[[], None]) -> None:
        with self._lock:
            if self._shards:
                call()

    def load(self, spec: GroupSpec, keys: list[bytes], calls: list[Call]) -> tuple[Outcome, Any]:
        getter = self._getters[spec.id, spec.definition]
        if calls:
            getter = getter_of(getter, lambda packed: packed, batch=spec.batch)
        outcome, payload = run(getter, spec, keys, self._codec, calls=calls)
        return outcome, payload and tuple(map(_copied, payload))

    def packed(self, spec: GroupSpec, getter: Callable[..., Any], looked_up: LookedUp | None = None) -> GroupSpec:
        return replace(spec, getter=b"")

    def registered(self, spec: GroupSpec, getter: Callable[..., Any]) -> None:
        self._getters.setdefault((spec.id, spec.definition), getter)

    def packed_arguments(self, value: Any, function: str) -> Packed:
        """A copy, as a task on Ray gets one: the caller may change its own while the function runs."""
        try:
            return Packed(unpacked(packed(self._codec.encode(value))))
        except UncacheableValue:  # it does not have to travel here
            return Packed(value)

    ended = False

    def ensure(self, *, everywhere: bool = False, timeout_s: float = 0.0) -> bool:
        """They were started with the cache."""
        return True

    def close(self) -> None:
        """The cache ends with its only process: the shards, and what they had."""
        with self._lock:
            for shard in self._shards.values():
                shard.end()
            self._shards.clear()
            for folder, pages, _ in self._memory.values():
                pages.close()
                folder.remove()
            self._memory.clear()

    destroy = close

    # ------------------------------------------------------------------------------------------- network

    def ask(self, shard: str, message: Any) -> Done:
        if os.getpid() != self._process:
            raise CacheUnavailable("an inline cache belongs to the process that made it; connect again after a fork")
        with self._lock:
            if shard not in self._shards:
                return Done(Failed("the cache was destroyed"))
            try:
                return Done(self._shards[shard].handle(message))
            except PagesFull as error:
                return Done(Failed(str(error)))

    def ask_directory(self, message: Any) -> Done:
        with self._lock:
            return Done(self._directory.handle(message))

    def read(self, shard: str, keys: Sequence[bytes]) -> None:
        """No shard is elsewhere."""

    def get(self, shard: str, key: bytes, epoch: int, number: int) -> None:
        """A call takes no time here."""

    def run(self, spec: GroupSpec, keys: list[bytes], calls: list[Call]) -> Pending[Any]:
        return futures.in_thread(lambda: self.load(spec, keys, calls))

    def attach(self, view: View) -> Local:
        if not self._memory:
            return Local()
        home, (_, _, versions) = next(iter(self._memory.items()))
        pages = {id: LocalPages(pages, own.lease) for id, (_, pages, own) in self._memory.items()}
        return Local(versions.lease, versions.slots, pages, home, versions.ticket)

    # ------------------------------------------------------------------------------------------- waiting

    def wait(self, want: Wait) -> list[Any]:
        return futures.wait(want, _failed)

    async def await_(self, want: Wait) -> list[Any]:
        return await futures.await_(want, _failed)


def _copied(blob: Blob) -> Blob:
    """A blob of its own memory: until now it was the value's, which may be changed."""
    return Blob(blob.tag, tuple(bytes(part) for part in blob.parts))


def _failed(error: BaseException) -> Failed:
    return Failed(repr(error))
