"""Groups as all processes know them, and the full keys of their entries."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raycache.options import GroupOptions

_GROUP = struct.Struct(">I")
PREFIX_BYTES = _GROUP.size


def group_prefix(group: int) -> bytes:
    """What all full keys of a group start with."""
    return _GROUP.pack(group)


def group_of(key: bytes) -> int:
    return int(_GROUP.unpack_from(key)[0])


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """A group as every process knows it. A group that is defined anew gets a new id: no old entry can be read then."""

    id: int  # 0: not yet given by the directory
    name: str
    options: GroupOptions
    getter: bytes | None = None  # pickled, with the environment it needs; None: the group has no getter
    getter_name: str = ""  # for people: module and qualified name
    getter_code: str = ""  # tells one getter from another, the same in every process
    batch: bool = False  # the getter takes a list of keys
    environment: Mapping[str, Any] = field(default_factory=dict)  # of the process that registered it
    pool: str = ""  # the groups that share a capacity; without a name the group has one of its own
    definition: bytes = b""  # of a memoized function: which code and options of it this is
    about: bytes = b""  # of a definition: what `explain` tells of its code, pickled
