"""What clients and other shards ask of a shard.

A shard may answer `NoLease` to any of these, and then it has done nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from raycache.core.codec import Blob
from raycache.core.messages.groups import GroupSpec
from raycache.core.messages.loads import Absent, Call, Future, Loaded, Orphaned, Raised
from raycache.core.ring import Ring
from raycache.core.stats import Stats


@dataclass(frozen=True, slots=True)
class Get:
    """The records of these keys, all of one group; answered by `Answers`, `Moved` or `NoSuchGroup`."""

    group: int
    keys: tuple[bytes, ...]
    epoch: int  # of the asker's ring
    load: bool = True  # start a load for a key that is not there
    fresh: bool = False  # take no notice of what is there: it is to be loaded anew, or was lost
    standin: bool = False  # asked because the owner cannot be reached
    again: bool = False  # an earlier answer was to wait: how that load ended will do
    nested: bool = False  # asked by a getter at work: a task must not wait for its own end
    definition: bytes = b""  # of a memoized function
    calls: tuple[Call, ...] = ()  # of a memoized function: how to compute each of the keys
    fill: bool = False  # the asker computes what is missing by itself, under a token
    asked: bool = False  # whoever owned them before was asked: they have nothing that could be handed over
    number: int = 0  # of a get that asks by the page server, and then, if need be, by a call: both say the same one


@dataclass(frozen=True, slots=True)
class Set:
    """First round of a set at the owner of the keys: replaces."""

    group: int
    items: tuple[tuple[bytes, Blob, float | None], ...]  # key, value, ttl
    ring: Ring
    operation: int = 0  # the same in all messages of one operation, however often it is repeated


@dataclass(frozen=True, slots=True)
class Filled:
    """What the holder of a token has computed; stored, and acknowledged with 1, if the token is still current."""

    group: int
    definition: bytes
    key: bytes
    token: int
    result: Loaded | Absent | Raised | Orphaned
    blob: Blob | None = None  # a large value
    note: bytes = b""


@dataclass(frozen=True, slots=True)
class Renew:
    """The holder of tokens is still at work. Answered by an Ack with how many of them are current."""

    tokens: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True, slots=True)
class Delete:
    """First round of an invalidation: flights are taken out of the table, entries go. No keys: all of the group."""

    group: int
    keys: tuple[bytes, ...] | None
    ring: Ring
    removal: bool = True  # to be counted as one: not the copies that others than the owner drop in a set
    operation: int = 0


@dataclass(frozen=True, slots=True)
class Bump:
    """Second round, when all have acknowledged the first: ends near entries. None: all of them."""

    keys: tuple[bytes, ...] | None
    operation: int = 0


@dataclass(frozen=True, slots=True)
class Keys:
    """At most `limit` keys of the group that start with the prefix and come after `after`."""

    prefix: bytes
    after: bytes = b""
    limit: int = 10_000


@dataclass(frozen=True, slots=True)
class Count:
    """The counters of a group, or of all groups by id."""

    group: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a client did without asking: its counters, and the keys that it hit."""

    group: int
    stats: Stats
    touched: tuple[bytes, ...]  # once for each hit that counts
    asked: tuple[Asked, ...] = ()  # to the shard of its own node alone
    hottest: tuple[Hits, ...] = ()  # to the one that gets the counters
    inherited: bool = False  # no client's: what a shard had counted that has left


class Hits(NamedTuple):
    """How often a client hit a key since the last time, whatever answered it; of the keys that it hit most often."""

    key: bytes
    times: int


class Asked(NamedTuple):
    """A key that a client got from a shard of another node, or from a copy of this one's, since the last time."""

    key: bytes
    times: int
    size: int  # of the record; 0: there is none at hand of which a copy could be made


@dataclass(frozen=True, slots=True)
class Copy:
    """Copies that the shard wanted, from a client of its node. Answered by an Ack with how many it has kept."""

    ticket: int  # of the life that the versions are of
    copies: tuple[Copied, ...]


class Copied(NamedTuple):
    """A record by the node's clock, and the version that the node's slot of the key had before it was asked for."""

    key: bytes
    record: bytes  # not sealed
    version: int


@dataclass(frozen=True, slots=True)
class Define:
    """A group, or a definition of a memoized function, that the shard does not know yet."""

    spec: GroupSpec
    resize: bool = False  # its pool, or the capacity of that, has changed


@dataclass(frozen=True, slots=True)
class Learn:
    """A newer ring, from the directory. The shard's next Hello acknowledges it."""

    ring: Ring


class Moving(NamedTuple):
    """An entry on its way to another shard."""

    key: bytes
    record: bytes
    large: Future | None  # the value that a stub stands for


@dataclass(frozen=True, slots=True)
class Adopt:
    """Entries of keys that this shard owns in this ring, from one that had them before it.

    Answered by an Ack with how many it has taken, `Moved` by one that may take none (any more), or `NoSuchGroup`.
    """

    source: str
    ring: Ring
    entries: tuple[Moving, ...]
    now: float  # the clock by which the records' times are to be read
    done: bool = False  # nothing else will come


@dataclass(frozen=True, slots=True)
class Explain:
    """Asks what is known of a key of a memoized function, and of calls that are like it; answered by `Explained`."""

    key: bytes
    about: bytes  # of the definition, and of the arguments: what other calls are compared with
    note: bytes


@dataclass(frozen=True, slots=True)
class Repeat:
    """Futures of the shard's that the asker waits for; answered by another one, without those of loads at work. With
    each comes once more what it brings: a transport may have lost it."""

    futures: tuple[Future, ...]


@dataclass(frozen=True, slots=True)
class Describe:
    """Asks for the shard's `ShardInfo`."""


@dataclass(frozen=True, slots=True)
class GetEndpoint:
    """Asks where the shard's page server listens; answered by its `Endpoint`."""
