"""raycache: a distributed, read-through cache for Python on Ray.

    import raycache

    cache = raycache.connect()
    users = cache.group("users", getter=fetch_user, ttl="5m")
    users.get("alice")

Each shard is a Ray actor that holds an LRU, a ring in every client process routes keys to shards, and getters run as
Ray tasks: one load per key in the whole cluster.
"""

from raycache._version import __version__
from raycache.cache import Cache, connect
from raycache.core.getters import Expiring
from raycache.core.messages import ShardInfo
from raycache.core.stats import Stats
from raycache.errors import (
    CacheUnavailable,
    CapacityError,
    GetterFailed,
    GroupConflict,
    InvalidKey,
    InvalidOption,
    LoaderDied,
    LoadTimeout,
    NotFound,
    RaycacheError,
    UncacheableValue,
    UnknownGroup,
    UnpicklableGetter,
    ValueTooLarge,
    VersionMismatch,
)
from raycache.group import Group

__all__ = [
    "Cache",
    "CacheUnavailable",
    "CapacityError",
    "Expiring",
    "GetterFailed",
    "Group",
    "GroupConflict",
    "InvalidKey",
    "InvalidOption",
    "LoadTimeout",
    "LoaderDied",
    "NotFound",
    "RaycacheError",
    "ShardInfo",
    "Stats",
    "UncacheableValue",
    "UnknownGroup",
    "UnpicklableGetter",
    "ValueTooLarge",
    "VersionMismatch",
    "__version__",
    "connect",
]
