"""The nodes of the Ray cluster as the directory sees them: which are to have shards, and which are about to go."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raycache.options import Placement

_HEAD = "node:__internal_head__"


class Node(NamedTuple):
    """A node that is alive."""

    id: str
    address: str
    head: bool
    labels: Mapping[str, str]


def alive() -> list[Node]:
    """The nodes that Ray knows to be alive, the head first."""
    nodes = [
        Node(node["NodeID"], node["NodeManagerAddress"], _HEAD in node["Resources"], node.get("Labels") or {})
        for node in ray.nodes()
        if node["Alive"]
    ]
    return sorted(nodes, key=lambda node: (not node.head, node.id))


def going() -> set[str]:
    """Ids of the nodes that Ray is draining, because they are idle, preempted, or to be replaced."""
    with contextlib.suppress(Exception):  # not known by every version of Ray
        return set(ray._private.state.state.get_draining_nodes())
    return set()


def weight(node: Node, placement: Placement) -> float | None:
    """The weight of the shards of a node: 0 for one that is only there for the clients on it, None for no shard at all.

    The head always has one: it is never scaled down, and notebooks run on it.
    """
    if isinstance(placement, dict):
        chosen = all(node.labels.get(label) == value for label, value in placement.items())
    else:
        chosen = placement == "all" or not node.head
    return 1.0 if chosen else 0.0 if node.head else None


def on(node: str) -> Any:
    """Scheduling on this node and no other."""
    return NodeAffinitySchedulingStrategy(node, soft=False)


def preferably_on_the_head() -> Any:
    """Scheduling that keeps no worker node from being scaled down."""
    head = next((node.id for node in alive() if node.head), None)
    return "DEFAULT" if head is None else NodeAffinitySchedulingStrategy(head, soft=True)
