"""The directory as a Ray actor: starts shards, tells members of new epochs, and outlives its own process.

What it knows is written to Ray's GCS before anybody is told, so that a restarted directory goes on where it was.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import secrets
import threading
import time
from typing import Any

import ray
import ray.exceptions
from ray.experimental import internal_kv

from raycache._version import __version__
from raycache.cluster import nodes
from raycache.cluster.peers import NAMESPACE, shard_name
from raycache.cluster.shard import ShardActor
from raycache.core.directory import Directory
from raycache.core.messages import Describe, Drain, Fence, Learn, Leave, Report, Scale, Suspect, View
from raycache.core.wellformed import Malformed
from raycache.errors import VersionMismatch
from raycache.options import CacheOptions

_log = logging.getLogger(__name__)

#: How long the directory waits for a shard: to show that it lives, to end.
PATIENCE_S = 2.0
#: How often members are looked after, and how often it is looked which nodes are about to go.
TICK_S, LOOK_S = 0.1, 1.0
#: How often a member that is behind is sent the newest ring.
TEACH_S = 0.5


class DirectoryActor:
    """One cache's directory. Handles one message at a time; never waits for shards while it does."""

    def __init__(self, cache: str, options: CacheOptions, maker: str) -> None:
        self._cache, self._maker = cache, maker
        self._key = f"raycache:{cache}".encode()
        self._token = secrets.token_hex(4)  # sets this cache's folders apart from those of others
        self._lock = threading.RLock()
        self._wake, self._stopped = threading.Event(), False
        self._handles: dict[str, Any] = {}
        self._suspected: dict[str, float] = {}  # when it was last looked whether they are dead
        self._taught: dict[str, tuple[int, float]] = {}
        self._directory = self._restored(options)
        self._save()
        threading.Thread(target=self._look_after, name="raycache-members", daemon=True).start()

    def _restored(self, options: CacheOptions) -> Directory:
        if not ray.get_runtime_context().was_current_actor_reconstructed:
            return Directory(options, clock=time.monotonic, tickets=_ticket)
        saved = internal_kv._internal_kv_get(self._key, namespace=NAMESPACE)
        if saved is None:
            _log.error("raycache: what the directory of %r knew is lost; its shards start anew, empty", self._cache)
            # Epochs are far fewer than milliseconds: whatever the last one was, this is greater.
            return Directory(options, clock=time.monotonic, tickets=_ticket, lost=int(time.time() * 1000))
        state, self._token = pickle.loads(saved)
        return Directory.restored(state, clock=time.monotonic, tickets=_ticket)

    def _save(self) -> None:
        state = pickle.dumps((self._directory.state(), self._token))
        internal_kv._internal_kv_put(self._key, state, overwrite=True, namespace=NAMESPACE)
        self._saved = self._directory.changes

    def hello(self) -> dict[str, Any]:
        """What every version of raycache understands: the version of this one. `maker` names who has made the cache."""
        return {"version": __version__, "folders": f"{self._cache}-{self._token}-", "maker": self._maker}

    def handle(self, message: Any) -> Any:
        """The answer to a message."""
        if isinstance(message, Suspect):
            for id in message.ids:
                self._fence_if_dead(id)
        with self._lock:
            epoch = self._directory.view.ring.epoch
            try:
                answer = self._directory.handle(message)
            except (Malformed, VersionMismatch) as error:
                _log.error("raycache: the directory of %r: %s", self._cache, error)
                raise
            if self._directory.changes != self._saved:
                self._save()
            if self._directory.view.ring.epoch > epoch:
                self._wake.set()
        if isinstance(message, Scale):
            self._scale()
        return answer

    # ------------------------------------------------------------------------------------------- members

    def _look_after(self) -> None:
        """Keeps the members' leases honest, teaches them new rings, and lets go of those that are to leave."""
        looked = 0.0
        while not self._stopped:
            self._wake.wait(TICK_S)
            self._wake.clear()
            try:
                self._tick()
                if time.monotonic() - looked >= LOOK_S:
                    looked = time.monotonic()
                    self._drain_going()
            except Exception:  # a moment later is another try
                if not self._stopped:
                    _log.exception("raycache: looking after the members of %r failed", self._cache)

    def _tick(self) -> None:
        with self._lock:
            self._directory.tick()
            if self._directory.changes != self._saved:
                self._save()
            view, behind = self._directory.view, self._directory.members.behind()
            leaving = self._directory.members.drained()
        now = time.monotonic()
        for id in behind:
            epoch, at = self._taught.get(id, (-1, 0.0))
            if (epoch < view.ring.epoch or now - at > TEACH_S) and (handle := self._handle(id)) is not None:
                self._taught[id] = view.ring.epoch, now
                handle.handle.remote(Learn(view.ring))  # its next Hello acknowledges it
        for id in leaving:
            self._let_go(id, view)

    def _let_go(self, id: str, view: View) -> None:
        """Ends a shard that has handed over all that it had."""
        handle = self._handle(id)
        leave: Any = None
        with contextlib.suppress(ray.exceptions.RayError):
            leave = None if handle is None else ray.get(handle.stop.remote(), timeout=PATIENCE_S)
        if handle is not None:
            ray.kill(handle)
        self._handles.pop(id, None)
        if not isinstance(leave, Leave):
            self.handle(Fence(id, view.ring.lives.get(id, 0)))
            return
        heir = next((handle for other in view.ring.members if other != id and (handle := self._handle(other))), None)
        if heir is not None and leave.events:
            told = [heir.handle.remote(Report(group, events, ())) for group, events in leave.events.items()]
            ray.wait(told, num_returns=len(told), timeout=PATIENCE_S)
        self.handle(leave)

    def _drain_going(self) -> None:
        """Has the shards of nodes that are about to go hand over what they have."""
        if gone := nodes.going():
            view = self._directory.view
            ids = tuple(id for id, place in view.places.items() if place.node in gone and view.ring.members[id])
            if ids:
                _log.warning("raycache: Ray is draining nodes; the shards %s hand over their entries", ", ".join(ids))
                self.handle(Drain(ids, tuple(gone)))

    def _handle(self, id: str) -> Any:
        if id not in self._handles:
            with contextlib.suppress(ValueError):
                self._handles[id] = ray.get_actor(shard_name(self._cache, id), NAMESPACE)
        return self._handles.get(id)

    def _fence_if_dead(self, id: str) -> None:
        """Ends the life of a shard that Ray has given up; one that is restarted or slow is not dead."""
        ticket = self._directory.view.ring.lives.get(id)
        if ticket is not None and self._is_dead(id):
            self.handle(Fence(id, ticket))

    def _is_dead(self, id: str) -> bool:
        if time.monotonic() - self._suspected.get(id, -PATIENCE_S) < PATIENCE_S:
            return False  # somebody else has just asked, and it was not
        self._suspected[id] = time.monotonic()
        self._handles.pop(id, None)
        handle = self._handle(id)
        if handle is None:
            return True
        try:
            ray.get(handle.handle.remote(Describe()), timeout=PATIENCE_S / 10)
        except ray.exceptions.ActorUnavailableError:
            return False
        except ray.exceptions.ActorDiedError:
            return True
        except ray.exceptions.RayError:
            return False
        return False

    # --------------------------------------------------------------------------------------------- shards

    def ensure(self, node: str) -> list[str]:
        """Starts the shards that a node should have and has not; the ids of those that it should have."""
        found = next((each for each in nodes.alive() if each.id == node), None)
        weight = None if found is None else nodes.weight(found, self._directory.options.placement)
        if found is None or weight is None or self._directory.members.barred(node):
            return []
        ids = [f"{node[:12]}.{number}" for number in range(self._directory.options.shards_per_node if weight else 1)]
        for id in ids:
            self._start(id, node, weight)
        return ids

    def _start(self, id: str, node: str, weight: float) -> None:
        self._handles.pop(id, None)  # a dead one may be known under this name
        if self._handle(id) is not None:
            return
        # Processes of the node may still have the folder open of one of this name that has left.
        folder = f"{self._cache}-{self._token}-{id}-{secrets.token_hex(2)}"
        self._handles[id] = (
            ray.remote(ShardActor)
            .options(
                name=shard_name(self._cache, id),
                namespace=NAMESPACE,
                lifetime="detached",
                num_cpus=0,
                max_restarts=-1,
                get_if_exists=True,
                scheduling_strategy=nodes.on(node),
            )
            .remote(ray.get_runtime_context().current_actor, self._cache, id, folder, self._directory.options, weight)
        )

    def ensure_all(self) -> list[str]:
        """Starts the shards that any node should have and has not, also those that were drained; their ids."""
        with self._lock:
            self._directory.members.unbar()
        return [id for node in nodes.alive() for id in self.ensure(node.id)]

    def _scale(self) -> None:
        """As many shards on every node as there should be: starts them, or has them hand over and leave."""
        per_node = self._directory.options.shards_per_node
        for node in {place.node for place in self._directory.view.places.values()}:
            self.ensure(node)
        surplus = tuple(id for id in self._directory.view.places if int(id.rpartition(".")[2]) >= per_node)
        if surplus:
            self.handle(Drain(surplus))

    def stop(self) -> None:
        """Ends all shards, and forgets everything."""
        self._stopped = True
        self._wake.set()
        known = {*self._handles, *self._directory.view.ring.members}  # some may not have joined yet
        handles = [handle for id in known if (handle := self._handle(id)) is not None]
        stopped = [handle.stop.remote() for handle in handles]
        if stopped:
            ray.wait(stopped, num_returns=len(stopped), timeout=PATIENCE_S)
        for handle in handles:
            ray.kill(handle)
        internal_kv._internal_kv_del(self._key, namespace=NAMESPACE)


def _ticket() -> int:
    return secrets.randbits(62) + 1
