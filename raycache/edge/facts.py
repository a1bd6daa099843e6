"""What `raycache doctor` knows: facts of this machine, of Ray's nodes and of one cache, collected in bounded time.

Whatever cannot be found out is None, or an error in words; nothing here decides what is right or wrong.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raycache.cache import Cache
from raycache.connecting import join
from raycache.core.messages import ShardInfo
from raycache.edge import probe
from raycache.edge.command import line, options_of, running

#: How long all nodes together have to run the probe.
PROBE_S = 20.0
#: How long each node that did has to tell its time.
CLOCK_S = 5.0
#: Labels of nodes that an autoscaler has started, and may end.
_SCALED_LABEL = "ray.io/node-group"


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeFacts:
    """One machine: a node of Ray, or the one that the command runs on if there is no Ray."""

    id: str
    address: str = ""
    answered: bool = True  # False: of what follows only what Ray itself tells is known
    head: bool = False
    scaled: bool = False  # started by an autoscaler
    placed: bool = True  # whether the cache's placement wants a shard there
    idle: bool = False  # no CPU, GPU or other resource of it is taken
    store_bytes: float = 0.0  # the object store's size
    store_free_bytes: float = 0.0
    raycache: str | None = None  # versions; None: not installed
    ray: str | None = None
    python: str = ""
    raycache_error: str = ""  # why it cannot be imported there
    compiled: bool = True  # whether its near entries are those in C
    auth_mode: str = ""  # RAY_AUTH_MODE
    shm_bytes: int = 0  # of /dev/shm
    shm_free_bytes: int = 0
    swept: int = 0  # folders of dead sessions that were removed
    clock_off_s: float = 0.0  # its wall clock is ahead by so much ...
    clock_error_s: float = 0.0  # ... give or take this: half the time that the question took


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """The token that Ray would take here, without the token itself."""

    mode: str  # RAY_AUTH_MODE
    source: str  # a variable, or the path of a file
    there: bool
    file_mode: int | None = None  # permissions, of a file


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """All that the checks look at."""

    cache: str
    token: Token
    here: NodeFacts
    nodes: tuple[NodeFacts, ...] = ()
    ray_error: str | None = None  # no Ray could be joined: why
    cache_error: str | None = None  # the cache could not be joined, or does not answer: why
    shards: tuple[ShardInfo, ...] = ()

    @property
    def machines(self) -> tuple[NodeFacts, ...]:
        """The nodes that have answered; this machine where there is no Ray."""
        return tuple(node for node in self.nodes if node.answered) or (self.here,)


def collect(cache: str, address: str | None) -> Facts:
    """Everything that can be found out now."""
    facts = Facts(cache=cache, token=token(os.environ, Path.home()), here=_here())
    try:
        _join_ray(running(address))
    except Exception as error:  # raycache's own, and Ray's
        return replace(facts, ray_error=line(error))
    facts = replace(facts, nodes=tuple(_nodes()))
    try:
        with contextlib.closing(join(cache)) as joined:
            return _of_cache(facts, joined)
    except Exception as error:  # a broken cache must not keep the other checks from their findings
        return replace(facts, cache_error=line(error))


def token(environment: Mapping[str, str], home: Path) -> Token:
    """Where Ray takes its token from: a variable, a file that a variable names, or the file in the home folder."""
    mode = environment.get("RAY_AUTH_MODE", "").lower()
    if environment.get("RAY_AUTH_TOKEN"):
        return Token(mode=mode, source="RAY_AUTH_TOKEN", there=True)
    path = Path(environment.get("RAY_AUTH_TOKEN_PATH") or home / ".ray" / "auth_token")
    try:
        status = path.stat()
    except OSError:
        return Token(mode=mode, source=os.fspath(path), there=False)
    return Token(mode=mode, source=os.fspath(path), there=status.st_size > 0, file_mode=status.st_mode & 0o777)


def _here() -> NodeFacts:
    return NodeFacts(id="here", **probe.probe())


def _join_ray(address: str) -> None:
    from raycache.cluster import session

    session.join(address, start=False)


def _of_cache(facts: Facts, cache: Cache) -> Facts:
    from raycache.cluster import nodes

    placement = options_of(cache).placement
    placed = {node.id: nodes.weight(node, placement) is not None for node in nodes.alive()}
    known = tuple(replace(node, placed=placed.get(node.id, False)) for node in facts.nodes)
    return replace(facts, shards=tuple(cache.shards()), nodes=known)


# ---------------------------------------------------------------------------------------------- Ray's nodes


def _nodes() -> Iterable[NodeFacts]:
    import ray
    from ray._private import state

    free = state.available_resources_per_node()
    there = [_known(node, free.get(node["NodeID"], {})) for node in ray.nodes() if node["Alive"]]
    answers = _probed([node.id for node in there])
    for node in there:
        yield replace(node, **answers[node.id]) if node.id in answers else replace(node, answered=False)


def _known(node: dict[str, Any], free: Mapping[str, float]) -> NodeFacts:
    """What Ray tells of a node without asking it."""
    total: dict[str, float] = node["Resources"]
    besides = {name for name in total if name != "object_store_memory" and not name.startswith("node:")}
    return NodeFacts(
        id=node["NodeID"],
        address=node["NodeManagerAddress"],
        head="node:__internal_head__" in total,
        scaled=_SCALED_LABEL in node.get("Labels", {}),
        idle=all(free.get(name, 0.0) >= total[name] for name in besides),
        store_bytes=total.get("object_store_memory", 0.0),
        store_free_bytes=free.get("object_store_memory", 0.0),
    )


def _probed(ids: list[str]) -> dict[str, dict[str, Any]]:
    """What the nodes answer in time, by their ids."""
    import ray

    ray.cloudpickle.register_pickle_by_value(probe)
    tasks = {id: _on(id, probe.probe) for id in ids}
    ready, silent = ray.wait(list(tasks.values()), num_returns=len(tasks), timeout=PROBE_S)
    for task in silent:
        ray.cancel(task, force=True)
    answers = {}
    for id, task in tasks.items():
        with contextlib.suppress(ray.exceptions.RayError):  # it has not answered
            if task in ready:
                answers[id] = ray.get(task) | _clock(id)
    return answers


def _on(id: str, function: Callable[[], Any]) -> Any:
    """A task on a node."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(id, soft=False)
    return ray.remote(function).options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote()


def _clock(id: str) -> dict[str, float]:
    """How far a node's clock is off this one's. In a task of its own, which finds a process that is there already."""
    import ray

    began = time.time()
    there = ray.get(_on(id, probe.wall_clock), timeout=CLOCK_S)
    return clock_off(there, began, time.time())


def clock_off(there: float, began: float, ended: float) -> dict[str, float]:
    """How far a clock is off one that showed these times before and after it was read."""
    return {"clock_off_s": there - (began + ended) / 2, "clock_error_s": (ended - began) / 2}
