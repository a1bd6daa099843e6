"""The shard as a Ray actor: gives `core.shard.Shard` memory, a loader, a lock, and threads for what it has to say.

One thread keeps the lease, one settles loads and looks after the entries, one hands entries over to other shards.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any

import ray
import ray.exceptions

from raycache.cluster.loader import TaskLoader
from raycache.cluster.peers import ShardNetwork
from raycache.core.client import Client
from raycache.core.members import Members
from raycache.core.memory import MAP_FACTOR, Folder, sweep
from raycache.core.messages import Ack, Adopt, Define, Failed, Fence, Hello, Place, ShardInfo
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
        context = ray.get_runtime_context()
        self._directory, self._lease_s = directory, options.lease_s
        self._make_memory(id, folder, options)
        self._lock = threading.Lock()
        self._stopped = False
        self._landed, self._changed, self._moved = threading.Event(), threading.Event(), threading.Event()
        info = ShardInfo(
            id=id,
            node=context.get_node_id(),
            pid=os.getpid(),
            address=ray.util.get_node_ip_address(),
            folder=os.fspath(self._folder.path),
            weight=weight,
            entries=0,
            bytes=0,
            capacity_bytes=options.capacity_bytes,
            loads=0,
            epoch=0,
            lease_s=0.0,
        )
        self._shard = Shard(
            info,
            pages=self._pages,
            versions=self._versions,
            loader=TaskLoader(self._landed.set),
            clock=time.monotonic,
            max_loads=options.max_loads or default_loads(),
            lease_s=options.lease_s,
        )
        self._network = ShardNetwork(cache, directory)
        for work in (self._keep_lease, self._house, self._hand_over):
            name = f"raycache-{work.__name__.strip('_').replace('_', '-')}"
            threading.Thread(target=self._forever, args=(work,), name=name, daemon=True).start()

    def _make_memory(self, id: str, folder: str, options: CacheOptions) -> None:
        """Pages and slots: those of the process before this one, if they can be read."""
        # The raylet is this process's parent, and the node's session ends with it.
        self._folder = Folder(folder, options.capacity_bytes, owner=os.getppid())
        map_bytes, ticket = MAP_FACTOR * options.capacity_bytes, 0
        try:
            self._versions = Versions(self._folder.path / "versions", create=True)
            if ticket := self._versions.ticket[0]:  # of a life that may go on: it is not to be given up while pages are
                # looked through. What comes of this is no answer to anything.
                self._directory.handle.remote(Hello(id, Place("", ""), 0.0, ticket, -1, 0.0, fresh=True))
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

    def ready(self) -> bool:
        """Whether it serves."""
        return self._shard.life.leased

    # ------------------------------------------------------------------------------------------- threads

    def _forever(self, work: Any) -> None:
        """Does it again and again: what fails once is tried again, since without it the shard would be of no use."""
        while not self._stopped:
            try:
                work()
            except Exception:  # noqa: PERF203
                if not self._stopped:
                    _log.exception("raycache: %s of the shard %s failed", work.__name__, self._shard.id)
                    time.sleep(PAUSE_S)

    def _has_learned(self) -> None:
        """There is a new ring: the directory is told so at once, and entries are on their way."""
        self._changed.set()
        self._moved.set()

    def _keep_lease(self) -> None:
        hello = self._shard.hello()
        try:
            grant = ray.get(self._directory.handle.remote(hello), timeout=self._lease_s)
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
                self._pages.clear_dead_readers()

    def _hand_over(self) -> None:
        """Sends entries to their new owners, and finishes what clients have left half-done."""
        if not (self._shard.handing and self._shard.life.leased):
            self._moved.wait(TICK_S)
            self._moved.clear()
        while self._send_batch():
            pass
        self._own_borrowed()
        self._finish_overdue()

    def _send_batch(self) -> bool:
        """One step of the hand-over; whether there is more to do now."""
        with self._lock:
            if self._stopped or not (self._shard.handing and self._shard.life.leased):
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

    # ----------------------------------------------------------------------------------------------- end

    def owned(self) -> bool:
        """Whether no large value depends on another shard's memory."""
        return not self._shard.borrowed()

    def stop(self) -> Any:
        """Ends the shard: what is read after this, on this node or from it, is nothing. Gives its `Leave`."""
        with self._lock:
            self._stopped = True
            leave = self._shard.leave()
            for event in (self._landed, self._changed, self._moved):
                event.set()
            with contextlib.suppress(OSError):
                self._pages.close()
            self._folder.remove()
        return leave


def _give_up_lease(folder: Path) -> None:
    """Of an earlier process, for those who still have its slots and pages open."""
    with contextlib.suppress(OSError):
        Versions(folder / "versions", create=True).lease[0] = 0.0
