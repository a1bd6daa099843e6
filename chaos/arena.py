"""Where chaos happens: a Ray of several nodes on this machine, a cache in it, and clients on every node.

All processes are below this one, and have ended when the arena has. To be used in the main thread.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import raycache
from chaos.client import MIX, ClientActor, Work
from chaos.source import Source
from raycache.cluster.local import STORE_BYTES, local_ray, more_nodes
from raycache.errors import CacheUnavailable

KEYS = ("alice", "bob", "large-carol")
CAPACITY = "96 MiB"
#: How long processes may take to come up, and the cache to serve in full again.
PATIENCE_S = 60.0
#: How often a node is started that does not come up, before that is an error.
STARTS = 2


class Client:
    """This program's end of a client process."""

    def __init__(self, name: str, node: str, *, broken: bool) -> None:
        self.name, self.node = name, node
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        self.actor = ray.remote(ClientActor).options(num_cpus=0, scheduling_strategy=there).remote(broken)
        self._pid = self.actor.pid.remote()
        self.working: Any = None  # the call in which it works

    @property
    def pid(self) -> int | None:
        """None while it is starting, and when it has ended."""
        if not ray.wait([self._pid], timeout=0)[0]:
            return None
        with contextlib.suppress(ray.exceptions.RayError):
            return int(ray.get(self._pid))
        return None

    def start(self, work: Work) -> None:
        self.working = self.actor.work.remote(work)

    @property
    def works(self) -> bool:
        return self.working is not None and not ray.wait([self.working], timeout=0)[0]


class Arena:
    """A context manager: Ray, nodes, cache, clients."""

    def __init__(self, *, nodes: int = 3, clients: int = 4, lease_s: float = 3.0, broken: bool = False) -> None:
        self.lease_s, self._size, self._number, self._broken = lease_s, nodes, clients, broken
        self._ends = contextlib.ExitStack()
        self._others: list[Any] = []  # Ray's handles of the nodes beside the first; None for one that has crashed
        self._clients: dict[int, Client] = {}  # by place; places go round over the nodes
        self._lives = itertools.count(1)
        self._plan: Callable[[str, float], Work]  # what a client does, and until when
        self._until: float | None = None  # while they work
        self.killed: set[str] = set()
        self.source: Source

    def __enter__(self) -> Arena:
        with contextlib.ExitStack() as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="raychaos-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            (self._own,) = stack.enter_context(local_ray(1))
            self._cluster = more_nodes()
            stack.callback(self._end_nodes)
            self.cache = raycache.connect(f"chaos-{os.getpid()}", capacity=CAPACITY, lease=self.lease_s)
            stack.callback(self.cache.destroy)
            self.heal()
            self._ends = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._ends.__exit__(*error)

    def _end_nodes(self) -> None:
        for node in filter(None, self._others):
            self._cluster.remove_node(node)

    # ---------------------------------------------------------------------------------------------- nodes

    @property
    def nodes(self) -> list[str]:
        """Ray's ids of the nodes that should be there, this program's own first."""
        return [self._own, *(node.node_id for node in self._others if node is not None)]

    def add_node(self) -> str:
        """Starts a node, in the place of one that has crashed if there is one, and its clients."""
        node = self._started()
        if None in self._others:
            self._others[self._others.index(None)] = node
        else:
            self._others.append(node)
        self._restart_clients()
        return f"node {node.node_id:.6}"

    def _started(self) -> Any:
        """A new node. On a busy machine Ray's patience with one may end before it is up; then there is another."""
        for _ in range(STARTS):
            with contextlib.suppress(Exception):  # Ray raises no other
                return self._cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES)
        return self._cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES)

    def crash_node(self, place: int) -> str:
        """Ends one of the nodes beside the first at once; which."""
        there = [node for node in self._others if node is not None]
        if not there:
            return "no node, as there is only one"
        node = there[place % len(there)]
        self._others[self._others.index(node)] = None
        for client in [client for client in self._clients.values() if client.node == node.node_id]:
            self.client_killed(client.name)
        self._cluster.remove_node(node, allow_graceful=False)
        return f"node {node.node_id:.6}"

    def grow(self) -> None:
        """One more node from now on, with a client and a shard."""
        self._size, self._number = self._size + 1, self._number + 1
        self.heal()

    def heal(self) -> None:
        """All nodes and clients are there, and the cache serves in full."""
        while len(self.nodes) < self._size:
            self.add_node()
        self._restart_clients()
        ray.get([client.actor.connect.remote(self.cache.name) for client in self._clients.values()], timeout=PATIENCE_S)
        await_(lambda: serves(self.cache, self.nodes), lambda: f"the cache serves in full; {told(self.cache)}")

    # -------------------------------------------------------------------------------------------- clients

    def clients(self) -> dict[str, int]:
        """The process ids of the clients that run, by name."""
        return {client.name: pid for client in self._clients.values() if (pid := client.pid) is not None}

    def client_killed(self, name: str) -> None:
        """Another one takes its place, as soon as there is its node."""
        self.killed.add(name)
        self._clients = {place: client for place, client in self._clients.items() if client.name != name}
        self._restart_clients()

    def _restart_clients(self) -> None:
        nodes = [self._own, *(node and node.node_id for node in self._others)]
        for place in range(self._number):
            node = nodes[place % self._size] if place % self._size < len(nodes) else None
            if place not in self._clients and node is not None:
                name = f"client-{place}-{next(self._lives)}"
                self._clients[place] = Client(name, node, broken=self._broken)
                if self._until is not None:
                    self._clients[place].start(self._plan(name, self._until))

    def begin(self, folder: Path, seed: int, mix: Mapping[str, int] = MIX) -> None:
        """Makes a new source and a new group of the cache. Every client gets every key once."""
        self.source = Source(folder / "source", KEYS)
        group = self.cache.group("chaos", self.source, capacity="24 MiB", replace=True)
        group.get_many(KEYS)  # so that there are processes to run getters in
        self._plan = lambda client, until: Work(
            client, self.cache.name, group.name, self.source, folder, seed, until, mix
        )
        self.killed = set()
        self._look()

    def start(self, until: float) -> None:
        """Has all clients use the cache until then, those included that take the place of killed ones."""
        self._until = until
        for client in self._clients.values():
            client.start(self._plan(client.name, until))

    def _look(self) -> None:
        clients = self._clients.values()
        looks = [client.actor.look.remote(self._plan(client.name, 0.0)) for client in clients]
        ray.get(looks, timeout=PATIENCE_S)

    def end(self, patience_s: float) -> None:
        """Waits until all clients have ended their work, has all served in full, and all clients look once more."""
        self.stop(patience_s)
        self.heal()
        self._look()

    def stop(self, patience_s: float) -> None:
        """Waits until all clients have ended their work. Who has not then is ended, and not counted as killed."""
        self._until, deadline = None, time.monotonic() + patience_s
        while any(client.works for client in self._clients.values()) and time.monotonic() < deadline:
            time.sleep(0.02)
        for place, client in list(self._clients.items()):
            if client.works:
                ray.kill(client.actor)
                del self._clients[place]
            elif client.working is not None:
                ray.get(client.working)  # it raises what ended a client that nobody had killed


def serves(cache: raycache.Cache, nodes: Sequence[str]) -> bool:
    """Whether there is a shard on each of these nodes and on no other, and all have a lease."""
    try:
        shards = cache.shards()
    except CacheUnavailable:
        return False
    return sorted(shard.node for shard in shards) == sorted(nodes) and all(
        shard.reachable and shard.lease_s > 0 for shard in shards
    )


def told(cache: raycache.Cache) -> str:
    """The state of its shards, for people."""
    try:
        shards = cache.shards()
    except CacheUnavailable as error:
        return str(error)
    return ", ".join(
        f"{shard.id} on {shard.node:.6}: " + (f"lease {shard.lease_s:.1f} s" if shard.reachable else "silent")
        for shard in shards
    )


def await_(condition: Callable[[], object], what: Callable[[], str], patience_s: float = PATIENCE_S) -> float:
    """Waits until something is true; how many seconds it took. Raises TimeoutError."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() > began + patience_s:
            raise TimeoutError(f"not within {patience_s:g} s: {what()}")
        time.sleep(0.02)
    return time.monotonic() - began
