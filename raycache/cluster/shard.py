"""The shard as a Ray actor: gives `core.shard.Shard` its memory, its loader, a lock and a thread that ticks."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from typing import Any

import ray
import ray.exceptions

from raycache.cluster.loader import TaskLoader
from raycache.core.memory import MAP_FACTOR, Folder, sweep
from raycache.core.messages import Join, Place, ShardInfo, View
from raycache.core.pages import Pages, PagesFull
from raycache.core.shard import Shard
from raycache.core.versions import Versions
from raycache.options import CacheOptions, default_loads

_log = logging.getLogger(__name__)

TICK_S = 1.0
#: How long an ended load may lie before it is settled, while no key waits for its task.
SETTLE_S = 0.003
#: How long a new shard tries to reach the directory.
JOIN_S = 60.0


class ShardActor:
    """One shard's process. Starts to serve when the directory has taken it in."""

    def __init__(self, directory: Any, id: str, folder: str, options: CacheOptions) -> None:
        sweep()
        context = ray.get_runtime_context()
        try:
            self._make_pages(folder, options)
        except PagesFull:  # what an earlier process left is of no use: start in another folder
            self._folder.remove()
            self._make_pages(f"{folder}-{secrets.token_hex(4)}", options)
        path = self._folder.path
        self._versions = Versions(path / "versions", create=True)
        self._versions.lease[0] = 0.0  # whatever happens now: nothing of an earlier life is used
        self._lock = threading.Lock()
        self._wake, self._stopped = threading.Event(), False
        info = ShardInfo(
            id=id,
            node=context.get_node_id(),
            pid=os.getpid(),
            address=ray.util.get_node_ip_address(),
            folder=os.fspath(path),
            weight=1.0,
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
            loader=TaskLoader(self._wake.set),
            clock=time.monotonic,
            max_loads=options.max_loads or default_loads(),
        )
        self._shard.begin(self._join(directory, Join(id, Place(info.node, info.folder), info.weight)).ring)
        threading.Thread(target=self._house, name="raycache-house", daemon=True).start()

    def _join(self, directory: Any, join: Join) -> View:
        """Becomes a member; while the directory is being restarted as well, asks it again."""
        deadline = time.monotonic() + JOIN_S
        while True:
            try:
                view: View = ray.get(directory.handle.remote(join), timeout=JOIN_S)
                return view
            except ray.exceptions.RayError:  # noqa: PERF203  # an error here would end the actor for good
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _make_pages(self, folder: str, options: CacheOptions) -> None:
        # The raylet is this process's parent, and the node's session ends with it.
        self._folder = Folder(folder, options.capacity_bytes, owner=os.getppid())
        self._pages = Pages.create(self._folder.path, MAP_FACTOR * options.capacity_bytes)

    def handle(self, message: Any) -> Any:
        """The answer to a message."""
        with self._lock:
            return self._shard.handle(message)

    def ready(self) -> None:
        """Answers when the shard serves."""

    def _house(self) -> None:
        """Settles loads when they end; expires entries and looks after dead readers every second."""
        while not self._stopped:
            if self._wake.wait(TICK_S) and not self._shard.pressed:
                # Whoever waits for the load gets it sooner if this does not compete with it for the processor; and
                # who asks for the key meanwhile settles it by asking. Measured: 0.3 ms of a cold get's 3.4.
                time.sleep(SETTLE_S)
            self._wake.clear()
            with self._lock:
                if not self._stopped:
                    try:
                        self._shard.tick()
                        self._pages.clear_dead_readers()
                    except Exception:  # the next second is another try; without this thread nothing would settle
                        _log.exception("raycache: the shard's housekeeping failed")

    def stop(self) -> None:
        """Ends the shard: what is read after this, on this node or from it, is nothing."""
        with self._lock:
            self._stopped = True
            self._shard.end()
            self._wake.set()
            with contextlib.suppress(OSError):
                self._pages.close()
            self._folder.remove()
