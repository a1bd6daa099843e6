"""What shards say of themselves, for tests of what is shown of them."""

from __future__ import annotations

from typing import Any

from raycache import ShardInfo
from raycache.options import MIB


def shard_info(**facts: Any) -> ShardInfo:
    """The first shard of a node, of which all that is not given is made up."""
    known = {"id": "n0.0", "node": "n0", "pid": 1, "address": "10.0.0.1", "folder": "/dev/shm/x", "weight": 1.0}
    return ShardInfo(**known | {"bytes": 500, "capacity_bytes": 64 * MIB, "epoch": 3, "lease_s": 2.5} | facts)
