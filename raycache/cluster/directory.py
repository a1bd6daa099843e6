"""The directory as a Ray actor: starts shards, tells members of new epochs, and outlives its own process.

What it knows is written to Ray's GCS before anybody is told, so that a restarted directory goes on where it was.
"""

from __future__ import annotations

import contextlib
import pickle
import secrets
import time
from typing import Any

import ray
import ray.exceptions
from ray.experimental import internal_kv
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raycache._version import __version__
from raycache.cluster.shard import ShardActor
from raycache.core.directory import Directory
from raycache.core.messages import Describe, Join, Learn, Leave, Suspect, View
from raycache.options import CacheOptions

NAMESPACE = "raycache"
#: How long the directory waits for members: to learn an epoch, to show that they live, to end.
PATIENCE_S = 2.0


def directory_name(cache: str) -> str:
    return f"{cache}.directory"


def shard_name(cache: str, id: str) -> str:
    return f"{cache}.shard.{id}"


class DirectoryActor:
    """One cache's directory. Handles one message at a time, and waits for shards only for a bounded time."""

    def __init__(self, cache: str, options: CacheOptions, maker: str) -> None:
        self._cache, self._maker = cache, maker
        self._key = f"raycache:{cache}".encode()
        self._directory = Directory(options)
        self._token = secrets.token_hex(4)  # sets this cache's folders apart from those of others
        self._handles: dict[str, Any] = {}
        self._suspected: dict[str, float] = {}  # when it was last looked whether they are dead
        saved = internal_kv._internal_kv_get(self._key, namespace=NAMESPACE)
        if saved is not None and ray.get_runtime_context().was_current_actor_reconstructed:
            self._directory, self._token = pickle.loads(saved)
        self._save()

    def _save(self) -> None:
        state = pickle.dumps((self._directory, self._token))
        internal_kv._internal_kv_put(self._key, state, overwrite=True, namespace=NAMESPACE)

    def hello(self) -> dict[str, Any]:
        """What every version of raycache understands: the version of this one. `maker` names who has made the cache."""
        return {"version": __version__, "folders": f"{self._cache}-{self._token}-", "maker": self._maker}

    def handle(self, message: Any) -> Any:
        """The answer to a message."""
        if isinstance(message, Suspect):
            message = Leave(tuple(id for id in message.ids if self._is_dead(id)))
        epoch, changes = self._directory.view.ring.epoch, self._directory.changes
        answer = self._directory.handle(message)
        if self._directory.changes > changes:
            self._save()
        if isinstance(message, Join) and self._directory.view.ring.epoch > epoch:
            # Before the newcomer serves anything, all others know of it: who removes a key from them learns of it.
            self._teach(self._directory.view, besides=message.id)
        return answer

    def _teach(self, view: View, besides: str) -> None:
        handles = [self._handle(id) for id in view.ring.members if id != besides]
        acks = [handle.handle.remote(Learn(view.ring)) for handle in handles if handle is not None]
        if acks:
            ray.wait(acks, num_returns=len(acks), timeout=PATIENCE_S)

    def _handle(self, id: str) -> Any:
        if id not in self._handles:
            with contextlib.suppress(ValueError):
                self._handles[id] = ray.get_actor(shard_name(self._cache, id), NAMESPACE)
        return self._handles.get(id)

    def _is_dead(self, id: str) -> bool:
        """Whether Ray has given the shard up; one that is restarted or slow is not dead."""
        if time.monotonic() - self._suspected.get(id, -PATIENCE_S) < PATIENCE_S:
            return False  # somebody else has just asked, and it was not
        self._suspected[id] = time.monotonic()
        self._handles.pop(id, None)
        handle = self._handle(id)
        if handle is None:
            return True
        try:
            ray.get(handle.handle.remote(Describe()), timeout=PATIENCE_S)
        except ray.exceptions.ActorUnavailableError:
            return False
        except ray.exceptions.ActorDiedError:
            return True
        except ray.exceptions.RayError:
            return False
        return False

    def ensure(self, node: str) -> list[str]:
        """Starts the shards that a node should have and has not; their names."""
        options: CacheOptions = self._directory.options
        names = []
        for number in range(options.shards_per_node):
            id = f"{node[:12]}.{number}"
            name = shard_name(self._cache, id)
            names.append(name)
            self._handles.pop(id, None)  # a dead one may be known under this name
            if self._handle(id) is not None:
                continue
            self._handles[id] = (
                ray.remote(ShardActor)
                .options(
                    name=name,
                    namespace=NAMESPACE,
                    lifetime="detached",
                    num_cpus=0,
                    max_restarts=-1,
                    get_if_exists=True,
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
                )
                .remote(ray.get_runtime_context().current_actor, id, f"{self._cache}-{self._token}-{id}", options)
            )
        return names

    def stop(self) -> None:
        """Ends all shards, and forgets everything."""
        known = {*self._handles, *self._directory.view.ring.members}  # some may not have joined yet
        handles = [handle for id in known if (handle := self._handle(id)) is not None]
        stopped = [handle.stop.remote() for handle in handles]
        if stopped:
            ray.wait(stopped, num_returns=len(stopped), timeout=PATIENCE_S)
        for handle in handles:
            ray.kill(handle)
        internal_kv._internal_kv_del(self._key, namespace=NAMESPACE)
