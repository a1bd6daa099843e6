"""The policies: in which order entries go. Order only: what a store may hold, and when it is full, is not theirs.

Every operation takes amortised constant time, and none looks at a clock or at a random number. Most hits arrive up to a
second late, in batches in which the few that count of each key stand side by side.
"""

from raycache.core.eviction.gdsf import GDSF
from raycache.core.eviction.lru import LRU
from raycache.core.eviction.policy import Policy
from raycache.core.eviction.s3fifo import S3FIFO
from raycache.core.eviction.sieve import Sieve

#: By the names that users give, `options.POLICIES`.
BY_NAME: dict[str, type[Policy]] = {"lru": LRU, "s3fifo": S3FIFO, "sieve": Sieve, "gdsf": GDSF}

__all__ = ["BY_NAME", "GDSF", "LRU", "S3FIFO", "Policy", "Sieve"]
