"""raycache: a distributed, read-through cache for Python on Ray.

    import raycache

    cache = raycache.connect()
    users = cache.group("users", getter=fetch_user, ttl="5m")
    users.get("alice")

Each shard is a Ray actor that holds an LRU, a ring in every client process routes keys to shards, and getters run as
Ray tasks: one load per key in the whole cluster.
"""

from typing import Any

from raycache._version import __version__
from raycache.cache import Cache
from raycache.connecting import connect
from raycache.core.fingerprint.registry import register_fingerprint
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
    StaleCode,
    UncacheableValue,
    UnhashableArgument,
    UnknownGroup,
    UnpicklableGetter,
    ValueTooLarge,
    VersionMismatch,
)
from raycache.group import Group
from raycache.memo.explain import Explanation
from raycache.memo.function import Memoized, memoize
from raycache.memo.info import CacheInfo
from raycache.report import Report

__all__ = [
    "Cache",
    "CacheInfo",
    "CacheUnavailable",
    "CapacityError",
    "Expiring",
    "Explanation",
    "GetterFailed",
    "Group",
    "GroupConflict",
    "InvalidKey",
    "InvalidOption",
    "LoadTimeout",
    "LoaderDied",
    "Memoized",
    "NotFound",
    "RaycacheError",
    "Report",
    "ShardInfo",
    "StaleCode",
    "Stats",
    "UncacheableValue",
    "UnhashableArgument",
    "UnknownGroup",
    "UnpicklableGetter",
    "ValueTooLarge",
    "VersionMismatch",
    "__version__",
    "connect",
    "load_ipython_extension",
    "memoize",
    "register_fingerprint",
    "unload_ipython_extension",
]


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext raycache`: adds `%%raycache`, which keeps the variables of a cell, and `%raycache`, the report."""
    from raycache.edge import notebook

    notebook.load_ipython_extension(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """`%unload_ext raycache`."""
    from raycache.edge import notebook

    notebook.unload_ipython_extension(ipython)
