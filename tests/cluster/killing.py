"""The only shard of a cache: killed, and back in another process."""

from __future__ import annotations

import os
import signal

from processes import alive
from waiting import until

import raycache

RESTART_S = 60.0


def serving(cache: raycache.Cache) -> raycache.ShardInfo | None:
    """The shard, if it serves. One that takes long to come back is no member for a while: then there is none."""
    return next((shard for shard in cache.shards() if shard.reachable and shard.lease_s > 0), None)


def kill_shard(cache: raycache.Cache) -> raycache.ShardInfo:
    """Kills its process when it serves; what it was."""
    shard = until(lambda: serving(cache), "the shard serves", RESTART_S)
    os.kill(shard.pid, signal.SIGKILL)
    until(lambda: not alive(shard.pid), "the shard is dead")
    return shard


def restarted(cache: raycache.Cache, killed: raycache.ShardInfo) -> raycache.ShardInfo:
    """Waits until another process serves in its place; that one."""
    return until(lambda: (now := serving(cache)) and now.pid != killed.pid and now, "the shard serves again", RESTART_S)
