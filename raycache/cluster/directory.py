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
from raycache.cluster.threads import again_and_again
from raycache.core.directory import Directory
from raycache.core.messages import (
    Define,
    Describe,
    Drain,
    Fence,
    GetGroups,
    Learn,
    Leave,
    Report,
    Scale,
    Suspect,
    View,
)
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
    """One cache's directory. Handles one message at a time; never waits for shards while it does: its thread does."""

    def __init__(self, cache: str, options: CacheOptions, maker: str) -> None:
        self._cache, self._maker = cache, maker
        self._key = f"raycache:{cache}".encode()
        self._token = secrets.token_hex(4)  # sets this cache's folders apart from those of others
        self._lock = threading.RLock()
        self._wake, self._stopped = threading.Event(), False
        self._handles: dict[str, Any] = {}
        self._suspects: set[str] = set()  # of which it is to be looked whether they are dead
        self._asked: dict[str, float] = {}  # when that was done last
        self._looked = 0.0  # when it was last looked for nodes that are about to go
        self._taught: dict[str, tuple[int, float]] = {}
        self._directory = self._restored(options)
        self._save()
        self._look_after()

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
        """Keeps what must outlive this process. Called under the lock: nothing comes after `stop` has removed it."""
        if self._stopped:
            return
        state = pickle.dumps((self._directory.state(), self._token))
        internal_kv._internal_kv_put(self._key, state, overwrite=True, namespace=NAMESPACE)
        self._saved = self._directory.changes

    def hello(self) -> dict[str, Any]:
        """What every version of raycache understands: the version of this one. `maker` names who has made the cache."""
        return {"version": __version__, "folders": f"{self._cache}-{self._token}-", "maker": self._maker}

    def handle(self, message: Any) -> Any:
        """The answer to a message."""
        with self._lock:
            epoch = self._directory.view.ring.epoch
            try:
                answer = self._directory.handle(message)
            except (Malformed, VersionMismatch) as error:
                _log.error("raycache: the directory of %r: %s", self._cache, error)
                raise
            self._publish(epoch)
            if isinstance(message, Suspect):
                self._suspects.update(message.ids)
                self._wake.set()
        if isinstance(message, Scale):
            self._scale()
        return answer

    def _publish(self, epoch: int) -> None:
        """After a change, under the lock: it is saved before anybody hears of it, and members are told of a ring that
        is newer than this epoch."""
        if self._directory.changes != self._saved:
            self._save()
        if self._directory.view.ring.epoch > epoch:
            self._wake.set()

    # ------------------------------------------------------------------------------------------- members

    def _look_after(self) -> None:
        again_and_again(self._look, f"looking after the members of {self._cache!r}", lambda: self._stopped)

    def _look(self) -> None:
        """Keeps the members' leases honest, teaches them new rings, and lets go of those that are to leave."""
        self._wake.wait(TICK_S)
        self._wake.clear()
        self._tick()
        self._fence_the_dead()
        if time.monotonic() - self._looked >= LOOK_S:
            self._looked = time.monotonic()
            self._forget_gone()
            self._drain_going()

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
        with self._lock:  # nobody hears that it has left before its counters are on their way
            members = self.handle(leave).ring.members
            if members and leave.events:
                self._bequeath(leave, max(members, key=lambda heir: members[heir]))

    def _bequeath(self, leave: Leave, heir: str) -> None:
        """Counters of a shard that has left go to another: they are added up over all."""
        handle, specs = self._handle(heir), self.handle(GetGroups()).values()
        for spec in specs:
            if handle is not None and spec.id in leave.events:
                handle.handle.remote(Define(spec))  # it may not have heard of the group
                handle.handle.remote(Report(spec.id, leave.events[spec.id], (), inherited=True))

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

    def _forget_gone(self) -> None:
        """Of ids that are in use no more nothing is kept: nodes come and go."""
        members = self._directory.view.ring.members
        for ids in (self._taught, self._asked):
            for id in ids.keys() - members.keys():
                ids.pop(id, None)
        for id in self._handles.keys() - members.keys():
            self._handles.pop(id, None)
            self._handle(id)  # is still there while it is being started

    def _fence_the_dead(self) -> None:
        """Ends the lives of suspects that Ray has given up; one that is restarted or slow is not dead."""
        with self._lock:
            suspects, self._suspects = self._suspects, set()
        now, lives = time.monotonic(), self._directory.view.ring.lives
        # Of others somebody else has just asked.
        due = [id for id in suspects & lives.keys() if now - self._asked.get(id, -PATIENCE_S) >= PATIENCE_S]
        self._asked |= dict.fromkeys(due, now)
        for id in self._dead(due):
            self.handle(Fence(id, lives[id]))

    def _dead(self, ids: list[str]) -> list[str]:
        """Those of which Ray knows that they are dead for good. They are asked all at once."""
        for id in ids:
            self._handles.pop(id, None)
        asked = {id: handle.handle.remote(Describe()) for id in ids if (handle := self._handle(id)) is not None}
        dead = [id for id in ids if id not in asked]
        if asked:
            ray.wait(list(asked.values()), num_returns=len(asked), timeout=PATIENCE_S / 10)
        return dead + [id for id, ref in asked.items() if _is_of_the_dead(ref)]

    # --------------------------------------------------------------------------------------------- shards

    def ensure(self, node: str) -> list[str]:
        """Starts the shards that a node should have and has not; the ids of those that it should have."""
        return self._ensure([each for each in nodes.alive() if each.id == node])

    def ensure_all(self) -> list[str]:
        """Starts the shards that any node should have and has not, also those that were drained; their ids."""
        with self._lock:
            self._directory.members.unbar()
        return self._ensure(nodes.alive())

    def _ensure(self, wanted: list[nodes.Node]) -> list[str]:
        ids: list[str] = []
        options = self._directory.options
        for node in wanted:
            weight = nodes.weight(node, options.placement)
            if weight is None or self._directory.members.barred(node.id):
                continue
            here = [f"{node.id[:12]}.{number}" for number in range(options.shards_per_node if weight else 1)]
            with self._lock:  # they may just be draining
                epoch = self._directory.view.ring.epoch
                self._directory.members.undrain(here)
                self._publish(epoch)
            for id in here:
                self._start(id, node.id, weight)
            ids += here
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

    def _scale(self) -> None:
        """As many shards on every node as there should be: starts them, or has them hand over and leave."""
        per_node = self._directory.options.shards_per_node
        in_use = {place.node for place in self._directory.view.places.values()}
        self._ensure([node for node in nodes.alive() if node.id in in_use])
        surplus = tuple(id for id in self._directory.view.places if int(id.rpartition(".")[2]) >= per_node)
        if surplus:
            self.handle(Drain(surplus))

    def stop(self) -> None:
        """Ends all shards, and forgets everything."""
        with self._lock:  # from now on nothing is saved
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


def _is_of_the_dead(answer: ray.ObjectRef) -> bool:
    """Whether it failed since the actor is dead for good. That there is no answer is no proof."""
    try:
        ray.get(answer, timeout=0)
    except ray.exceptions.ActorDiedError:
        return True
    except ray.exceptions.RayError:
        return False
    return False
