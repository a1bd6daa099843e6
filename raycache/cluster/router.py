"""The network of a client on Ray: messages as actor calls, futures as ObjectRefs, this node's shared memory."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import ray.exceptions

from raycache.cluster import deploy
from raycache.cluster.directory import NAMESPACE, shard_name
from raycache.cluster.loader import environment, failed, load, packed_arguments
from raycache.core import futures
from raycache.core.calls import Packed
from raycache.core.futures import Done, Pending
from raycache.core.getters import dump
from raycache.core.memory import warn_if_slow
from raycache.core.messages import Call, Failed, GroupSpec, View
from raycache.core.pages import Pages
from raycache.core.shipping import LookedUp, dump_function
from raycache.core.steps import Local, Wait
from raycache.core.versions import Versions
from raycache.errors import CacheUnavailable

_NO_RAY = Done(Failed("this process has left Ray (ray.shutdown)"))


class RayNetwork:
    """Reaches one cache's directory and shards; also what waits for its futures."""

    where = "on Ray"

    def __init__(self, cache: str, directory: Any, *, hosts: bool, ends_ray: bool) -> None:
        self._cache, self._directory, self._ends_ray = cache, directory, ends_ray
        self._hosts = hosts  # whether this node should have a shard for this process
        self._node = ray.get_runtime_context().get_node_id()
        self._shards: dict[str, Any] = {}
        self._opened: dict[str, tuple[Pages, Versions]] = {}

    # ------------------------------------------------------------------------------------------- network

    def ask(self, shard: str, message: Any) -> Any:
        if not ray.is_initialized():  # a call would start another Ray
            return _NO_RAY
        try:
            if shard not in self._shards:
                self._shards[shard] = ray.get_actor(shard_name(self._cache, shard), NAMESPACE)
            return self._shards[shard].handle.remote(message)
        except Exception as error:  # no such actor (any more), no Ray (any more)
            self._shards.pop(shard, None)
            return Done(Failed(f"{type(error).__name__}: {error}"))

    def ask_directory(self, message: Any) -> Any:
        if not ray.is_initialized():
            return _NO_RAY
        try:
            return self._directory.handle.remote(message)
        except Exception as error:
            return Done(Failed(f"{type(error).__name__}: {error}"))

    @property
    def ended(self) -> bool:
        """Whether the cache that this process joined was destroyed; one of its name may have been made since."""
        found = deploy.find_directory(self._cache) if ray.is_initialized() else None
        return found is None or found._actor_id != self._directory._actor_id

    def ensure(self) -> None:
        if not self._hosts or not ray.is_initialized():
            return
        try:
            names = ray.get(self._directory.ensure.remote(self._node), timeout=deploy.UP_S)
            ray.get([ray.get_actor(name, NAMESPACE).ready.remote() for name in names], timeout=deploy.UP_S)
        except (ray.exceptions.RayError, ValueError) as error:
            raise CacheUnavailable(
                f"no shard of the cache {self._cache!r} comes up on the node {self._node}: {error}"
            ) from error

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

    def attach(self, view: View) -> Local:
        here = {id: place.folder for id, place in view.places.items() if place.node == self._node}
        new = [folder for folder in here.values() if folder not in self._opened]
        for folder in new:
            with contextlib.suppress(OSError):  # of another user, or in a container of its own: ask the shard
                versions = Versions(Path(folder) / "versions")
                self._opened[folder] = Pages.open(Path(folder)), versions
        warn_if_slow(map(Path, new))
        opened = {id: self._opened[folder] for id, folder in sorted(here.items()) if folder in self._opened}
        if not opened:
            return Local()
        _, versions = next(iter(opened.values()))
        return Local(versions.lease, versions.slots, {id: pages for id, (pages, _) in opened.items()})

    def close(self) -> None:
        # The slots go with the last near entry that looks at them.
        for pages, _ in self._opened.values():
            pages.close()
        self._opened.clear()
        if self._ends_ray:
            self.destroy()

    def destroy(self) -> None:
        if ray.is_initialized():
            deploy.destroy(self._cache)
        if self._ends_ray:
            ray.shutdown()

    # ------------------------------------------------------------------------------------------- waiting

    def wait(self, want: Wait) -> list[Any]:
        refs = want.futures
        if not refs or not all(isinstance(future, ray.ObjectRef) for future in refs):
            return [_plain(came) for came in futures.wait(self._as_futures(want), failed)]
        if len(refs) == 1:
            return [_get(refs[0], want.timeout_s)]
        distinct = list(dict.fromkeys(refs))
        ray.wait(distinct, num_returns=len(distinct) if want.all else 1, timeout=want.timeout_s)
        ready, _ = ray.wait(distinct, num_returns=len(distinct), timeout=0)
        came = {ref: _get(ref) for ref in ready}
        return [came.get(ref) for ref in refs]

    async def await_(self, want: Wait) -> list[Any]:
        return [_plain(came) for came in await futures.await_(self._as_futures(want), failed)]

    def _as_futures(self, want: Wait) -> Wait:
        made = {future: future.future() for future in want.futures if isinstance(future, ray.ObjectRef)}
        return want._replace(
            futures=[future if isinstance(future, Done) else made.get(future, future) for future in want.futures]
        )


def _plain(came: Any) -> Any:
    """Outcomes travel as bytes; nothing else does."""
    return pickle.loads(came) if type(came) is bytes else came


def _get(ref: Any, timeout_s: float | None = None) -> Any:
    try:
        return _plain(ray.get(ref, timeout=timeout_s))
    except ray.exceptions.GetTimeoutError:
        return None
    except ray.exceptions.RayError as error:
        return failed(error)
