"""Options of caches and groups: small frozen classes, every default in one place, "64 MiB" and "5m" parsed."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

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

Size = int | str
Duration = float | int | str | timedelta


def parse_size(text: Size, option: str) -> int:
    """Bytes from an int or from text such as "64 MiB", "1.5g", "200 kB" (K, M, G alone are binary)."""
    if isinstance(text, int) and not isinstance(text, bool):
        size = float(text)
    elif isinstance(text, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())):
        if match[2] not in _SIZES:
            raise InvalidOption(f"{option}={text!r}: no such unit; write it like '64 MiB', '1.5 GiB' or 1048576")
        size = float(match[1]) * _SIZES[match[2]]
    else:
        raise InvalidOption(f"{option}={text!r} is not a size; write it like '64 MiB', '1.5 GiB' or 1048576")
    if size < 0:
        raise InvalidOption(f"{option}={text!r} is negative; a size is 0 or more bytes")
    return int(size)


def parse_seconds(value: Duration, option: str) -> float:
    """Seconds from a number, a timedelta, or text such as "5m", "1h30m", "500ms"."""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and re.fullmatch(r"(\s*\d+(\.\d+)?\s*(ms|[smhdw])?)+\s*", value.lower()):
        parts = re.findall(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])?", value.lower())
        if len(parts) > 1 and not all(unit for _, unit in parts):
            raise InvalidOption(f"{option}={value!r}: every number needs its unit, like '1h30m'")
        seconds = sum(float(number) * _SECONDS[unit or "s"] for number, unit in parts)
    else:
        raise InvalidOption(f"{option}={value!r} is not a time; write seconds, a timedelta, or '1h30m'")
    if math.isnan(seconds) or seconds < 0:
        raise InvalidOption(f"{option}={value!r}: a time is 0 or more seconds")
    return seconds


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

    def __post_init__(self) -> None:
        if self.shards_per_node < 1:
            raise InvalidOption(f"shards_per_node={self.shards_per_node}: at least one shard per node is needed")
        if self.max_loads is not None and self.max_loads < 1:
            raise InvalidOption(f"max_loads={self.max_loads}: at least one load must be able to run")


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

    def __post_init__(self) -> None:
        if not 0 <= self.ttl_jitter < 1:
            raise InvalidOption(f"ttl_jitter={self.ttl_jitter}: a share of the ttl, from 0 up to (not with) 1")
        if self.batch_size < 1:
            raise InvalidOption(f"batch_size={self.batch_size}: a batch has at least one key")
        if self.load_timeout_s <= 0:
            raise InvalidOption(f"load_timeout={self.load_timeout_s}: a load needs some time; give seconds > 0")

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
