"""Everything that crosses between clients, shards, the directory and loaders.

Keys in messages are full keys: four bytes of the group's id, then the canonical bytes of the user's key. Expected
outcomes are values; whatever a message holds as a `Future` belongs to the transport, which alone can wait for it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from raycache.core.checks import Check
from raycache.core.codec import Blob
from raycache.core.ring import Ring
from raycache.core.stats import Stats
from raycache.options import GroupOptions

Future = Any

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


class Call(NamedTuple):
    """What a memoized function is called with for one key. Who asks for the key brings it along."""

    arguments: Any  # as the transport has packed them, and alone can unpack; of a batch those that all items share
    note: bytes = b""  # what `explain` tells of them, pickled
    item: Any = None  # of a batch: the packed item of its list
    frame: bytes = b""  # of a batch: tells which items may go in one call
    checks: tuple[Check, ...] = ()  # of the classes in the arguments, which travel by reference


# -------------------------------------------------------------------------------------------- from a loader


class Loaded(NamedTuple):
    """A value. `data` has the bytes of a small one; of a large one it is its place in the load's payload."""

    tag: int
    data: bytes | int
    ttl_s: float | None
    cost_s: float
    size: int


class Absent(NamedTuple):
    """The getter raised NotFound, with this message."""

    message: str
    cost_s: float
    ttl_s: float | None = None  # how long that may be remembered; None: not at all


class Raised(NamedTuple):
    """The getter raised; the exception pickled, and its traceback there as text."""

    error: bytes
    traceback: str
    cost_s: float


class Orphaned(NamedTuple):
    """The arguments of a call are gone, with the process that had them: whoever still wants the key brings its own."""

    cost_s: float = 0.0


Outcome = dict[bytes, "Loaded | Absent | Raised | Orphaned"]
"""What a load brought, by full key. A key that is not in it was not reached; it is loaded by another task."""


class Failed(NamedTuple):
    """What a transport gives in place of an answer that will never come."""

    reason: str
    hung: bool = False  # ended because it took too long
    lost: bool = False  # not the load failed, but whoever had its result
    raised: bool = False  # by whoever was asked: it is there, but could not do it


# ----------------------------------------------------------------------------------------- client to shard


# What a shard may answer to any of these: `NoLease`, and then it has done nothing.


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
class Describe:
    """Asks for the shard's `ShardInfo`."""


@dataclass(frozen=True, slots=True)
class GetEndpoint:
    """Asks where the shard's page server listens; answered by its `Endpoint`."""


# ------------------------------------------------------------------------------------------- from a shard


@dataclass(frozen=True, slots=True)
class InFlight:
    """A load that the asker can wait for. If it ends without the key: ask again."""

    outcome: Future  # an Outcome, or Failed
    payload: Future  # a tuple of Blobs, the large values of the outcome
    started: bool  # by this very request
    has_key: bool  # False: the key still waits, and this is only the load that makes room next
    alone: bool  # it loads this key only: if it fails, so does the key's load
    left_s: float  # until it is ended


@dataclass(frozen=True, slots=True)
class Large:
    """A hit whose value lies in the object store."""

    record: bytes  # a stub
    value: Future  # a tuple that starts with its Blob


class Token(NamedTuple):
    """The asker is the one to compute the key, as long as it renews this."""

    number: int


class Filling(NamedTuple):
    """Somebody else holds the token of the key: look again after a pause."""


class Elsewhere(NamedTuple):
    """Not here yet: the ring has changed, and one of these may still have it. If not: ask here again, and say so."""

    shards: tuple[str, ...]


class Missing(NamedTuple):
    """Not there, and a load was not asked for, or the group has no getter."""


@dataclass(frozen=True, slots=True)
class Answers:
    """One answer for each key asked for; a hit is the record itself."""

    items: list[bytes | Large | InFlight | Token | Filling | Absent | Raised | Elsewhere | Missing]
    now: float  # the clock by which the records' times are to be read
    epoch: int
    started: bool = False  # a get with a number has started a load, now or when it came before


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the page server of a shard's process listens, and the secret that who connects there must have.

    It travels by actor call alone: it is in no folder, log or repr, and no other process ever has the same.
    """

    address: str = ""
    port: int = 0  # 0: there is none
    secret: bytes = field(default=b"", repr=False)


class Served(NamedTuple):
    """What a page server answers: the records of the first of the keys that it was asked for, None for what is not
    there. Expired ones may be among them, and stubs."""

    records: list[bytes | None]
    now: float  # the clock by which the records' times are to be read


class Loading(NamedTuple):
    """What a page server says at once to a get that waits for a load."""

    started: bool  # by this very request
    end: Future  # brings what is `Served` when the load has ended, or None for the key: ask by a call


class Known(NamedTuple):
    """What a shard remembers of a call, also when its value is gone."""

    about: bytes  # of the definition that it was computed by, pickled
    note: bytes  # of its arguments, pickled
    stored: float
    expires: float
    cost_s: float
    size: int
    fate: str  # "", or why it is not there: "expired", "evicted", "removed", "too large", "failed"
    said: str = ""  # of a failed one: type and text of what it raised


@dataclass(frozen=True, slots=True)
class Explained:
    """The key itself, and the call that is most like it."""

    entry: Known | None  # it is there, or was
    computing: bool  # a load of it is in flight
    nearest: Known | None
    differences: int  # between the nearest and what was asked
    now: float


@dataclass(frozen=True, slots=True)
class Ack:
    """Done, in this epoch: so many entries were removed, or stored by a Set."""

    epoch: int
    done: int = 0
    wanted: tuple[bytes, ...] = ()  # of a Report: the keys that are to be copied


@dataclass(frozen=True, slots=True)
class Moved:
    """Not the owner, by a ring of this epoch."""

    epoch: int


class NoLease(NamedTuple):
    """Has no lease now, and serves nothing: it is being restarted, or out of touch with the directory."""

    shard: str


@dataclass(frozen=True, slots=True)
class NoSuchGroup:
    """The shard does not know the group: define it and ask again. `replaced`: and never will, it was redefined."""

    group: int
    replaced: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardInfo:
    """One shard of the cache."""

    id: str
    node: str  # Ray's id of it; "inline"
    pid: int
    address: str  # of the node
    folder: str  # of its pages, on its node
    weight: float
    entries: int
    bytes: int
    capacity_bytes: int
    loads: int  # loader tasks running now
    epoch: int
    lease_s: float  # seconds that its lease still holds
    copies: int = 0  # of hot keys that shards of other nodes own; not among the entries
    copies_bytes: int = 0  # within the capacity, beside the entries' bytes
    handing: bool = False  # hands entries over to others: the ring has changed
    recovered: int = 0  # entries that it found in its pages when it was restarted, and has kept
    dropped: int = 0  # records found there, or handed over, that were torn, or not its own
    served: int = 0  # records that its page server has given to other nodes
    reachable: bool = True  # False: it did not answer, and only id, node, address and folder are known


# --------------------------------------------------------------------------------------------- directory


@dataclass(frozen=True, slots=True)
class View:
    """What the directory knows of the members: asked for by `GetView`."""

    ring: Ring
    places: Mapping[str, Place]


class Place(NamedTuple):
    """Where a member is."""

    node: str
    folder: str
    address: str = ""  # of the node


@dataclass(frozen=True, slots=True)
class GetView:
    """Asks for the `View`."""


@dataclass(frozen=True, slots=True)
class Hello:
    """A shard wants to be a member, or to stay one. Answered by a `Grant`, or by None: it is to ask again."""

    id: str
    place: Place
    weight: float
    ticket: int  # of its life as a member; 0: none yet
    epoch: int  # of its ring, which it so acknowledges
    sent: float  # by the shard's own clock: its lease runs from then
    fresh: bool = False  # the process has just been started, and has had no answer yet
    handing: bool = False  # it has not yet handed over all that others own now


class Standing(Enum):
    """What a shard is to the directory."""

    LEASED = "leased"  # a member, which may serve for one lease from when it asked
    WAITING = "waiting"  # a member, or soon to be one, of which not all others know yet
    COLD = "cold"  # none: it is to drop all that it has, and to ask again with the ticket that this brings


@dataclass(frozen=True, slots=True)
class Grant:
    """The directory's answer to a Hello."""

    standing: Standing
    view: View | None = None  # where the asker's ring is an older one
    ticket: int = 0
    groups: tuple[GroupSpec, ...] = ()  # for a fresh process that is still a member: whose its entries are


@dataclass(frozen=True, slots=True)
class Fence:
    """This life of a member does not answer: it is to end. Answered by `Fenced`; asked again until that is done."""

    id: str
    ticket: int


@dataclass(frozen=True, slots=True)
class Fenced:
    """Whether the life has ended, its last lease included; if not, how long that may take."""

    done: bool
    wait_s: float
    view: View | None


@dataclass(frozen=True, slots=True)
class Leave:
    """A member has given up its lease, and goes. Answered by the View without it."""

    id: str
    ticket: int
    events: Mapping[int, Stats] = field(default_factory=dict)  # what it has counted, by group; not to be lost with it


@dataclass(frozen=True, slots=True)
class Drain:
    """These members are to hand over all that they have, and then to leave. Answered by the View."""

    ids: tuple[str, ...]
    nodes: tuple[str, ...] = ()  # get no new shards, until somebody asks for shards on all nodes
    timeout_s: float = 60.0  # then they leave with what they still have


@dataclass(frozen=True, slots=True)
class Weigh:
    """Other weights for members, by id. Answered by the View."""

    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """Another number of shards on every node. Answered by the CacheOptions with it."""

    shards_per_node: int


@dataclass(frozen=True, slots=True)
class Suspect:
    """These members did not answer a client. Answered by the View; those that are dead for good will be fenced."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Register:
    """A group is wanted; answered by its GroupSpec with an id, or by a `Refused`."""

    spec: GroupSpec
    replace: bool = False


@dataclass(frozen=True, slots=True)
class GetGroups:
    """Asks for the GroupSpecs of all groups, by name."""


class Refused(NamedTuple):
    """A group cannot be registered; an exception of this name of raycache.errors says so to the user."""

    error: str
    message: str


@dataclass(frozen=True, slots=True)
class GetOptions:
    """Asks for the CacheOptions that the cache was made with."""
