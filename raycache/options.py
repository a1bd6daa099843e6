"""Options of caches and groups: small frozen classes, every default in one place, "64 MiB" and "5m" parsed."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, get_args

from raycache.errors import InvalidOption

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

#: A cache's default capacity per shard: this fraction of the file system that holds the pages, within bounds.
SHARED_MEMORY_FRACTION = 1 / 8
LEAST_CAPACITY, MOST_CAPACITY = 32 * MIB, 16 * GIB
#: A group's default capacity per shard: at most this, and at most a quarter of the shard's.
GROUP_CAPACITY, GROUP_FRACTION = 64 * MIB, 1 / 4

_SIZES = {"": 1, "b": 1, "k": KIB, "kb": 1000, "kib": KIB, "m": MIB, "mb": 1000**2, "mib": MIB}
_SIZES |= {"g": GIB, "gb": 1000**3, "gib": GIB, "t": GIB << 10, "tb": 1000**4, "tib": GIB << 10}
_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}

#: In which order entries go when there is no room; see docs/policies.md.
Policy = Literal["lru", "s3fifo", "sieve", "gdsf"]
POLICIES: tuple[str, ...] = get_args(Policy)
#: Of a group, and of memoized functions: the seconds that went into their results are known.
GROUP_POLICY: Policy = "lru"
MEMO_POLICY: Policy = "gdsf"

Size = int | str
Duration = float | int | str | timedelta
Placement = str | dict[str, str]

#: The share of a shard's capacity that copies of hot keys of other nodes may take.
HOT = 1 / 8
#: How long a shard may serve after it was last in touch with the directory; it renews that three times as often. Longer
#: than the most a removal could not wait for it.
LEASE_S, LEAST_LEASE_S, MOST_LEASE_S = 3.0, 0.5, 10.0
#: Three million years: no time that anybody means is longer.
MOST_S = 1e14


#: Of so few digits that every one is a finite float.
_NUMBER = re.compile(r"\s*(\d{1,30}(?:\.\d{1,30})?)\s*([a-z]*)\s*")


def parse_size(text: Size, option: str) -> int:
    """Bytes from an int or from text such as "64 MiB", "1.5g", "200 kB" (K, M, G alone are binary)."""
    if isinstance(text, int) and not isinstance(text, bool):
        size = text
    elif isinstance(text, str) and (match := _NUMBER.fullmatch(text.lower())):
        number, unit = match.groups()
        if unit not in _SIZES:
            raise InvalidOption(f"{option}={text!r}: no such unit; write it like '64 MiB', '1.5 GiB' or 1048576")
        size = int(number) * _SIZES[unit] if number.isdigit() else int(float(number) * _SIZES[unit])
    else:
        raise InvalidOption(f"{option}={text!r:.100} is not a size; write it like '64 MiB', '1.5 GiB' or 1048576")
    if not 0 <= size < 1 << 63:
        raise InvalidOption(f"{option}={text!r:.100}: a size is 0 or more bytes, and fewer than 2**63")
    return size


def parse_seconds(value: Duration, option: str) -> float:
    """Seconds from a number, a timedelta, or text such as "5m", "1h30m", "500ms"."""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = value if abs(value) <= MOST_S else math.nan
    elif isinstance(value, str):
        seconds = _seconds_of_text(value)
    else:
        seconds = math.nan
    if not seconds >= 0:
        raise InvalidOption(
            f"{option}={value!r:.100} is not a time; write seconds (0 or more), a timedelta, or '1h30m'"
        )
    return float(seconds)


def _seconds_of_text(text: str) -> float:
    """The sum of numbers with their units; NaN for what is none."""
    seconds, at, parts = 0.0, 0, 0
    while at < len(text):
        part = _NUMBER.match(text.lower(), at)
        if part is None or (part[2] and part[2] not in _SECONDS):
            return math.nan
        if not part[2] and (parts or part.end() < len(text)):
            return math.nan  # of several numbers each needs its unit
        seconds += float(part[1]) * _SECONDS[part[2] or "s"]
        at, parts = part.end(), parts + 1
    return seconds if parts else math.nan


def _checked(value: Any, kind: type | tuple[type, ...], option: str, what: str) -> None:
    """Refuses an option of another type."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InvalidOption(f"{option}={value!r:.100}: {what}")


def check_policy(policy: Any) -> None:
    """Refuses what is not the name of a policy."""
    if policy not in POLICIES:
        raise InvalidOption(f"policy={policy!r:.100}: there is no such policy; choose one of {', '.join(POLICIES)}")


def default_capacity(folder: str) -> int:
    """A shard's capacity in bytes where the user named none: a fraction of the file system that holds its pages."""
    vfs = os.statvfs(folder)
    share = int(vfs.f_frsize * vfs.f_blocks * SHARED_MEMORY_FRACTION)
    return min(max(share, LEAST_CAPACITY), MOST_CAPACITY)


def default_loads() -> int:
    """Loads (loader tasks) that one shard has running at once: two per core of its node, 4 to 64."""
    return min(max(2 * (os.cpu_count() or 1), 4), 64)


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheOptions:
    """What a cache is made with; fixed by whoever connects first."""

    capacity_bytes: int  # per shard, all groups together
    shards_per_node: int = 1
    max_loads: int | None = None  # loader tasks at once per shard; None: see default_loads()
    lease_s: float = LEASE_S  # inf: of an inline cache, whose directory and shards cannot lose each other
    placement: Placement = "all"  # which nodes keep entries: "all", "workers", or the labels that they have
    page_server: bool = True  # whether shards listen on a port for gets from other nodes
    hot: float = HOT  # share of the capacity that copies of hot keys of other nodes may take, where entries leave it

    def __post_init__(self) -> None:
        if not (LEAST_LEASE_S <= self.lease_s <= MOST_LEASE_S or self.lease_s == math.inf):
            raise InvalidOption(
                f"lease={self.lease_s}: one of less than {LEAST_LEASE_S:g} s would run out by itself, and for one of "
                f"more than {MOST_LEASE_S:g} s removals could not wait"
            )
        if self.placement not in ("all", "workers") and not _labels(self.placement):
            raise InvalidOption(
                f"placement={self.placement!r:.100}: a cache lives on 'all' nodes, 'workers' (all but the head), or "
                f"nodes with some labels, like {{'cache': 'yes'}}"
            )
        _checked(self.hot, (int, float), "hot", "the share of a shard's capacity for copies of hot keys, from 0 to 1")
        if not 0 <= self.hot <= 1:
            raise InvalidOption(f"hot={self.hot}: the share of a shard's capacity for copies of hot keys, from 0 to 1")
        _checked(self.shards_per_node, int, "shards_per_node", "how many shards a node has is a whole number")
        if not isinstance(self.page_server, bool):
            raise InvalidOption(f"page_server={self.page_server!r:.100}: give True or False")
        if self.max_loads is not None:
            _checked(self.max_loads, int, "max_loads", "how many loads run at once is a whole number")
        if self.shards_per_node < 1:
            raise InvalidOption(f"shards_per_node={self.shards_per_node}: at least one shard per node is needed")
        if self.max_loads is not None and self.max_loads < 1:
            raise InvalidOption(f"max_loads={self.max_loads}: at least one load must be able to run")


def _labels(placement: Any) -> bool:
    """Whether it is a selector of labels."""
    if not isinstance(placement, dict) or not placement:
        return False
    return all(isinstance(text, str) for pair in placement.items() for text in pair)


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupOptions:
    """How a group keeps and loads its values; the same in every process."""

    capacity_bytes: int  # per shard
    ttl_s: float | None = None  # for values that name none; None: they do not expire
    max_ttl_s: float | None = None  # no value lives longer, whatever it names
    ttl_jitter: float = 0.0  # share of the ttl that is taken off at random, so that not all expire at once
    negative_ttl_s: float | None = None  # how long a NotFound is kept; None: not at all
    load_timeout_s: float = 600.0  # a getter call that takes longer is ended
    batch_size: int = 256  # keys in one call of a batch getter, at most
    near_bytes: int = 32 * MIB  # of decoded or encoded values kept in each client process; 0: none
    policy: Policy = GROUP_POLICY  # in which order entries go when there is no room

    def __post_init__(self) -> None:
        _checked(self.ttl_jitter, (int, float), "ttl_jitter", "a share of the ttl, from 0 up to (not with) 1")
        _checked(self.batch_size, int, "batch_size", "how many keys a batch has is a whole number")
        if not 0 <= self.ttl_jitter < 1:
            raise InvalidOption(f"ttl_jitter={self.ttl_jitter}: a share of the ttl, from 0 up to (not with) 1")
        if self.batch_size < 1:
            raise InvalidOption(f"batch_size={self.batch_size}: a batch has at least one key")
        if self.load_timeout_s <= 0:
            raise InvalidOption(f"load_timeout={self.load_timeout_s}: a load needs some time; give seconds > 0")

        check_policy(self.policy)

    def differences(self, other: GroupOptions) -> list[str]:
        """The options in which the two differ, like 'ttl_s: 5.0 here, None there'."""
        names = [name for name in self.__slots__ if getattr(self, name) != getattr(other, name)]
        return [f"{name}: {getattr(self, name)!r} here, {getattr(other, name)!r} there" for name in names]


def group_options(shard_capacity_bytes: int, **given: Any) -> GroupOptions:
    """`GroupOptions` from what a user wrote (`capacity="64 MiB"`, `ttl="5m"`, ...); None means the default."""
    parse = {
        "capacity": ("capacity_bytes", parse_size),
        "near": ("near_bytes", parse_size),
        "ttl": ("ttl_s", parse_seconds),
        "max_ttl": ("max_ttl_s", parse_seconds),
        "negative_ttl": ("negative_ttl_s", parse_seconds),
        "load_timeout": ("load_timeout_s", parse_seconds),
    }
    fields: dict[str, Any] = {"capacity_bytes": min(GROUP_CAPACITY, int(shard_capacity_bytes * GROUP_FRACTION))}
    for option, value in given.items():
        if value is None:
            continue
        if option in parse:
            name, parser = parse[option]
            fields[name] = parser(value, option)
        else:
            fields[option] = value
    return GroupOptions(**fields)
