"""The shard as a Ray actor: gives `core.shard.Shard` memory, a loader, a lock, and threads for what it has to say.

One thread keeps the lease, one sees to it that the shard stays known while that one is busy, one settles loads and
looks after the entries, one hands entries over to other shards, one serves pages to other nodes, one tells Ray the
metrics.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
import ray.exceptions
from ray.util import metrics

from raycache.cluster.loader import TaskLoader
from raycache.cluster.metrics import EXPORT_S, Exporter
from raycache.cluster.page_server import serve
from raycache.cluster.peers import ShardNetwork
from raycache.cluster.threads import again_and_again
from raycache.core.client import Client
from raycache.core.flights import Load
from raycache.core.members import Members
from raycache.core.memory import MAP_FACTOR, Folder, last_used, sweep
from raycache.core.messages import Ack, Adopt, Define, Describe, Failed, Fence, Get, Hello, Place, ShardInfo
from raycache.core.page_gets import PageGets
from raycache.core.pages import Pages, PagesFull
from raycache.core.shard import Shard
from raycache.core.steps import Wait, drive
from raycache.core.versions import Versions
from raycache.core.wellformed import Malformed
from raycache.errors import RaycacheError, VersionMismatch
from raycache.options import CacheOptions, default_loads

_log = logging.getLogger(__name__)

TICK_S = 1.0
#: How long an ended load may lie before it is settled, while no key waits for its task.
SETTLE_S = 0.003
#: A shard without a lease asks for one this often.
ASK_S = 0.1
#: How long a shard that is handed entries may take, and the pause before one that has not taken them is asked again.
ADOPT_S, PAUSE_S = 5.0, 0.2


class ShardActor:
    """One shard's process. Serves when the directory has taken it in."""

    def __init__(
        self, directory: Any, cache: str, id: str, folder: str, options: CacheOptions, weight: float = 1.0
    ) -> None:
        sweep()
        self._directory, self._lease_s = directory, options.lease_s
        self._stopped, self._ended = False, threading.Event()
        self._said: Hello | None = None  # the last hello to the directory
        self._again_and_again(self._stay_known, id)
        self._make_memory(id, folder, weight, options)
        self._lock = threading.Lock()
        self._landed, self._changed, self._moved = threading.Event(), threading.Event(), threading.Event()
        info = ShardInfo(
            id=id,
            pid=os.getpid(),
            **self._place()._asdict(),
            weight=weight,
            capacity_bytes=options.capacity_bytes,
        )
        self._shard = Shard(
            info,
            pages=self._pages,
            versions=self._versions,
            loader=TaskLoader(self._load_landed),
            clock=time.monotonic,
            max_loads=options.max_loads or default_loads(),
            lease_s=options.lease_s,
            hot=options.hot,
        )
        self._page_server = None
        reads = self._shard.page_reads
        self._gets = PageGets(reads, self._handle_at_once, time.monotonic)
        if options.page_server and (server := serve(info.address, id, reads.read, self._gets)) is not None:
            self._page_server, self._shard.endpoint = server, server.endpoint
        self._network = ShardNetwork(cache, directory)
        self._exporter = Exporter(cache, info, metrics)
        self._said = self._shard.hello()
        for work in (self._keep_lease, self._house, self._hand_over, self._export):
            self._again_and_again(work, id)

    def _again_and_again(self, work: Callable[[], None], id: str) -> None:
        what = f"{work.__name__.strip('_').replace('_', ' ')} of the shard {id}"
        again_and_again(work, what, lambda: self._stopped)

    def _place(self) -> Place:
        node, address = ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()
        return Place(node, os.fspath(self._folder.path), address)

    def _make_memory(self, id: str, folder: str, weight: float, options: CacheOptions) -> None:
        """Pages and slots: those of the process before this one, if they can be read."""
        name = last_used(folder)  # an earlier process may have found the first one damaged
        sweep(ended=f"{folder.rpartition('-')[0]}-", sparing=name)  # of earlier actors of this shard, which were killed
        # The raylet is this process's parent, and the node's session ends with it.
        self._folder = Folder(name, options.capacity_bytes, owner=os.getppid())
        map_bytes, ticket = MAP_FACTOR * options.capacity_bytes, 0
        try:
            self._versions = Versions(self._folder.path / "versions", create=True)
            if ticket := self._versions.ticket[0]:  # of a life that may go on: it is not to be given up while pages are
                # looked through. What comes of this is no answer to anything, but the member may be taken in by it.
                self._directory.handle.remote(Hello(id, self._place(), weight, ticket, -1, 0.0, fresh=True))
            self._pages = Pages.create(self._folder.path, map_bytes, keep=True)
        except (PagesFull, OSError) as error:
            _log.warning("raycache: what an earlier process left in %s is of no use: %s", self._folder.path, error)
            _give_up_lease(self._folder.path)  # readers of the node have it open
            if ticket:  # nobody goes on with that life: the directory need not wait for it
                self._directory.handle.remote(Fence(id, ticket))
            self._folder.remove()
            self._folder = Folder(f"{folder}-{secrets.token_hex(4)}", options.capacity_bytes, owner=os.getppid())
            self._pages = Pages.create(self._folder.path, map_bytes)
            self._versions = Versions(self._folder.path / "versions", create=True)

    def handle(self, message: Any) -> Any:
        """The answer to a message. What goes wrong with it is raised, and said here."""
        with self._lock:
            epoch = self._shard.epoch
            try:
                return self._shard.handle(message)
            except (Malformed, VersionMismatch) as error:
                _log.error("raycache: the shard %s: %s", self._shard.id, error)
                raise
            except Exception:
                _log.exception(
                    "raycache: the shard %s has failed to handle a %s", self._shard.id, type(message).__name__
                )
                raise
            finally:
                if self._shard.epoch > epoch:
                    self._has_learned()

    def _handle_at_once(self, message: Get) -> Any:
        """The answer; None where it would have to wait for that, or there is none. For the page server's thread."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if self._stopped or self._shard.would_settle(message.keys):
                return None
            return self._shard.handle(message)
        except Exception:
            _log.exception("raycache: the shard %s has failed to answer its page server", self._shard.id)
            return None
        finally:
            self._lock.release()

    def _load_landed(self, keys: list[bytes], load: Load) -> None:
        if self._page_server is not None:
            self._page_server.landed(keys, load)
        self._landed.set()

    def ready(self) -> bool:
        """Whether it serves."""
        return self._shard.life.leased

    # ------------------------------------------------------------------------------------------- threads

    def _has_learned(self) -> None:
        """There is a new ring: the directory is told so at once, and entries are on their way."""
        self._changed.set()
        self._moved.set()

    def _keep_lease(self) -> None:
        self._said = hello = self._shard.hello()
        try:
            # Half a lease: if this is lost, there is time for another before the lease ends.
            grant = ray.get(self._directory.handle.remote(hello), timeout=self._lease_s / 2)
        except ray.exceptions.ActorDiedError:  # the cache is no more, and nobody else will end this shard
            self._end_as_orphan()
            return
        except ray.exceptions.RayError:  # it is being restarted, or cannot be reached
            grant = None
        if grant is None or not self._shard.life.renewed(hello, grant):  # that is not behind a message that takes long
            with self._lock:
                epoch = self._shard.epoch
                self._shard.granted(hello, grant)
                if self._shard.epoch > epoch:
                    self._has_learned()
        leased = self._shard.life.leased
        self._changed.wait(self._lease_s / 3 if leased else 0.0 if self._joins(grant) else ASK_S)
        self._changed.clear()

    def _stay_known(self) -> None:
        """Says the last hello again while its answer takes long: with many entries of a process before this one, or
        behind a message that takes long. It says nothing new, and what comes of it is no answer to anything."""
        self._ended.wait(self._lease_s / 3)
        said = self._said
        if not self._stopped and said is not None and said.ticket and time.monotonic() - said.sent > self._lease_s / 2:
            self._directory.handle.remote(said)

    def _end_as_orphan(self) -> None:
        _log.warning("raycache: the directory of the shard %s has ended; the shard ends, too", self._shard.id)
        self.stop()
        ray.kill(ray.get_runtime_context().current_actor)  # else Ray would start it again

    def _joins(self, grant: Any) -> bool:
        """Whether it has just got its ticket, and may use it at once."""
        return grant is not None and grant.ticket > 0

    def _house(self) -> None:
        """Settles loads when they end; expires entries and looks after dead readers every second."""
        if self._landed.wait(TICK_S) and not self._shard.pressed:
            # Whoever waits for the load gets it sooner if this does not compete with it for the processor; and
            # who asks for the key meanwhile settles it by asking. Measured: 0.3 ms of a cold get's 3.4.
            time.sleep(SETTLE_S)
        self._landed.clear()
        with self._lock:
            if not self._stopped:
                self._shard.tick()
                self._shard.told(self._gets.take_told())
                if self._shard.handing:  # what it waited for may have landed
                    self._moved.set()
                self._pages.clear_dead_readers()

    def _hand_over(self) -> None:
        """Sends entries to their new owners, and finishes what clients have left half-done."""
        with self._lock:
            sends = not self._stopped and self._shard.sends
        if not sends:
            self._moved.wait(TICK_S)
            self._moved.clear()
        while self._send_batch():
            pass
        self._own_borrowed()
        self._finish_overdue()

    def _send_batch(self) -> bool:
        """One step of the hand-over; whether there is more to do now."""
        with self._lock:
            if self._stopped or not self._shard.sends:
                return False
            sending = self._shard.batch()
        if sending is None:
            return True
        target, message = sending
        assert isinstance(message, (Adopt, Define))
        (answer,) = self._network.wait(Wait([self._network.ask(target, message)], ADOPT_S))
        with self._lock:
            self._shard.handed(target, message, answer)
        if not isinstance(answer, Ack):
            time.sleep(PAUSE_S)  # the other is being started, or behind; nobody waits for this
        return True

    def _own_borrowed(self) -> None:
        """Takes large values into memory of this shard's: they would be lost with the shard that they came from."""
        with self._lock:
            borrowed = self._shard.borrowed()
        for key, future in borrowed:
            (payload,) = self._network.wait(Wait([future], ADOPT_S))
            if payload is not None:
                with self._lock:
                    self._shard.own(key, future, None if isinstance(payload, Failed) else payload[0])

    def _finish_overdue(self) -> None:
        with self._lock:
            due = self._shard.overdue()
        for begun, spec in due:
            members = Members(self._network, time.monotonic)
            try:
                drive(members.refresh(), self._network.wait)
                drive(Client(members).finish(spec, begun), self._network.wait)
            except RaycacheError as error:
                _log.warning("raycache: an invalidation that its client left undone is not finished yet: %s", error)
                continue
            with self._lock:
                self._shard.finished(begun)

    def _export(self) -> None:
        """Tells Ray's metrics what there is."""
        self._ended.wait(EXPORT_S)
        with self._lock:
            if self._stopped:
                return
            info, groups = self._shard.handle(Describe()), self._shard.own_stats()
        self._exporter.export(info, groups)

    # ----------------------------------------------------------------------------------------------- end

    def stop(self) -> Any:
        """Ends the shard: what is read after this, on this node or from it, is nothing. Gives its `Leave`."""
        with self._lock:
            self._stopped = True
            leave = self._shard.leave()
            for event in (self._landed, self._changed, self._moved, self._ended):
                event.set()
            if self._page_server is not None:
                self._page_server.stop()  # it reads the pages
            with contextlib.suppress(OSError):
                self._pages.close()
            self._folder.remove()
        return leave


def _give_up_lease(folder: Path) -> None:
    """Of an earlier process, for those who still have its slots and pages open."""
    with contextlib.suppress(OSError):
        Versions(folder / "versions", create=True).lease[0] = 0.0
