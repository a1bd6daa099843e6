"""Scaling: what users say of nodes, shards and weights, as orders to the directory; refused where it means nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raycache.core.messages import Drain, Scale, ShardInfo, Weigh
from raycache.core.ring import MOST_WEIGHT
from raycache.errors import InvalidOption

#: The most that a node can have.
MOST_SHARDS = 64


def drain(node: str, shards: Sequence[ShardInfo], timeout_s: float) -> Drain:
    """The shards of a node are to leave, and it gets no others; of a single shard the others on its node stay."""
    leaving = named(node, shards)
    ids = tuple(shard.id for shard in leaving)
    if not any(shard.weight for shard in shards if shard.id not in ids):
        raise InvalidOption(
            f"{node!r}: no other shard would be left to take the entries; `raycache down` ends the cache"
        )
    return Drain(ids, tuple({node if node == shard.id else shard.node for shard in leaving}), timeout_s)


def scale(shards_per_node: int) -> Scale:
    whole = isinstance(shards_per_node, int) and not isinstance(shards_per_node, bool)
    if not whole or not 1 <= shards_per_node <= MOST_SHARDS:
        raise InvalidOption(
            f"shards_per_node={shards_per_node!r}: a node has a whole number of shards, 1 to {MOST_SHARDS}"
        )
    return Scale(shards_per_node)


def weigh(weights: Mapping[str, float], shards: Sequence[ShardInfo]) -> Weigh:
    """The weights are by node or shard."""
    for node, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight <= MOST_WEIGHT:
            raise InvalidOption(f"weights: {weight!r} for {node!r}; a weight is a number from 0 to {MOST_WEIGHT}")
    return Weigh({shard.id: float(weight) for node, weight in weights.items() for shard in named(node, shards)})


def named(node: str, shards: Sequence[ShardInfo]) -> list[ShardInfo]:
    """The shards of a node, by its address, its id or how that begins; or the one shard of that id."""
    found = [shard for shard in shards if node in (shard.id, shard.address) or (node and shard.node.startswith(node))]
    if not found:
        known = ", ".join(f"{shard.id} on {shard.address}" for shard in shards) or "there are none"
        raise InvalidOption(f"no shard is on the node {node!r}, nor has that name; shards: {known}")
    if len(nodes := {shard.node for shard in found}) > 1:
        raise InvalidOption(f"{node!r} fits several nodes: {', '.join(sorted(nodes))}; name one of them")
    return found
