"""The network of a client on Ray: messages as actor calls, futures as ObjectRefs, this node's shared memory."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import ray.exceptions

from raycache.cluster import deploy
from raycache.cluster.loader import environment, load, packed_arguments
from raycache.cluster.page_client import CONNECT_S, PageClient, Reading
from raycache.cluster.peers import Peers
from raycache.core import futures
from raycache.core.calls import Packed
from raycache.core.futures import Pending
from raycache.core.getters import dump
from raycache.core.memory import warn_if_slow
from raycache.core.messages import Call, Endpoint, GetEndpoint, GroupSpec, View
from raycache.core.pages import Pages
from raycache.core.shipping import LookedUp, dump_function
from raycache.core.steps import Local, LocalPages, Wait
from raycache.core.versions import Versions
from raycache.errors import CacheUnavailable


class RayNetwork(Peers):
    """The network of a client: besides the calls, loads without any shard, and this node's shared memory."""

    where = "on Ray"

    def __init__(self, cache: str, directory: Any, *, hosts: bool, ends_ray: bool) -> None:
        super().__init__(cache, directory)
        self._ends_ray = ends_ray
        self._hosts = hosts  # whether this node should have a shard for this process
        self._node = ray.get_runtime_context().get_node_id()
        self._opened: dict[str, tuple[Pages, Versions]] = {}  # by folder
        self._opening = threading.Lock()
        self._page_client = PageClient(self._endpoint)

    # ------------------------------------------------------------------------------------------- network

    @property
    def ended(self) -> bool:
        """Whether the cache that this process joined was destroyed; one of its name may have been made since."""
        found = deploy.find_directory(self._cache) if ray.is_initialized() else None
        return found is None or found._actor_id != self._directory._actor_id

    def ensure(self, *, everywhere: bool = False, timeout_s: float = deploy.UP_S) -> bool:
        if not (self._hosts or everywhere) or not ray.is_initialized():
            return False
        where = "all nodes" if everywhere else f"the node {self._node}"
        deadline = time.monotonic() + timeout_s
        start = self._directory.ensure_all if everywhere else self._directory.ensure
        try:
            ids = ray.get(start.remote(*(() if everywhere else (self._node,))), timeout=timeout_s)
            deploy.wait_until_ready(self._cache, ids, deadline)
        except (ray.exceptions.RayError, TimeoutError) as error:
            raise CacheUnavailable(
                f"the shards of the cache {self._cache!r} do not come up on {where}: {error}"
            ) from error
        return bool(ids)

    def packed(self, spec: GroupSpec, getter: Callable[..., Any], looked_up: LookedUp | None = None) -> GroupSpec:
        name = spec.getter_name
        dumped = dump(getter, name) if looked_up is None else dump_function(getter, name, looked_up)
        return replace(spec, getter=dumped, environment={**environment(), **spec.environment})

    def registered(self, spec: GroupSpec, getter: Callable[..., Any]) -> None:
        """It travels in the spec."""

    def packed_arguments(self, value: Any, function: str) -> Packed:
        return packed_arguments(value, function)

    def run(self, spec: GroupSpec, keys: list[bytes], calls: list[Call]) -> Pending[Any]:
        return futures.in_thread(lambda: load(spec, keys, calls))

    def read(self, shard: str, keys: Sequence[bytes]) -> Reading | None:
        return self._page_client.read(shard, keys)

    def get(self, shard: str, key: bytes, epoch: int, number: int) -> Reading | None:
        """Not in an event loop: many gets wait at once there, and here only one for each shard."""
        if asyncio._get_running_loop() is not None:  # that tells it without an exception
            return None
        return self._page_client.get(shard, key, epoch, number)

    def _endpoint(self, shard: str) -> Endpoint | None:
        (answer,) = self.wait(Wait([self.ask(shard, GetEndpoint())], CONNECT_S))
        return answer if isinstance(answer, Endpoint) else None

    def attach(self, view: View) -> Local:
        self._page_client.keep(view.places)
        here = {id: place.folder for id, place in view.places.items() if place.node == self._node}
        with self._opening:
            known = self._opened
            # What has left the view is closed, and its memory freed, with the last reference to it: somebody may be
            # reading there at this moment, and near entries look at its slots until they go.
            memory = {folder: known.get(folder) or _open(Path(folder)) for folder in here.values()}
            self._opened = {folder: opened for folder, opened in memory.items() if opened is not None}
            warn_if_slow(Path(folder) for folder in self._opened if folder not in known)
            opened = {id: self._opened[folder] for id, folder in sorted(here.items()) if folder in self._opened}
        if not opened:
            return Local()
        home, (_, versions) = next(iter(opened.items()))
        pages = {id: LocalPages(pages, own.lease) for id, (pages, own) in opened.items()}
        return Local(versions.lease, versions.slots, pages, home, versions.ticket)

    def close(self) -> None:
        self._page_client.close()
        # The slots go with the last near entry that looks at them.
        with self._opening:
            for pages, _ in self._opened.values():
                pages.close()
            self._opened = {}
        if self._ends_ray:
            self.destroy()

    def destroy(self) -> None:
        if ray.is_initialized():
            deploy.destroy(self._cache)
        if self._ends_ray:
            ray.shutdown()


def _open(folder: Path) -> tuple[Pages, Versions] | None:
    """A shard's memory for reading; None where it is another user's, or in a container of its own: ask the shard."""
    try:
        versions = Versions(folder / "versions")
        return Pages.open(folder), versions
    except OSError:
        return None
