"""What shards and their page servers answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from raycache.core.messages.loads import Absent, Future, Raised


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


@dataclass(frozen=True, slots=True)
class HotKey:
    """A key that was hit often in the last ten seconds or so, as processes have reported it to one shard."""

    group: str
    key: str  # its repr, of 200 characters at most
    hits_per_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardInfo:
    """One shard of the cache. What is counted is 0 of one that has just been started."""

    id: str
    node: str  # Ray's id of it; "inline"
    pid: int
    address: str  # of the node
    folder: str  # of its pages, on its node
    weight: float
    entries: int = 0
    bytes: int = 0
    capacity_bytes: int
    loads: int = 0  # loader tasks running now
    epoch: int = 0
    lease_s: float = 0.0  # seconds that its lease still holds
    copies: int = 0  # of hot keys that shards of other nodes own; not among the entries
    copies_bytes: int = 0  # within the capacity, beside the entries' bytes
    handing: bool = False  # hands entries over to others: the ring has changed
    recovered: int = 0  # entries that it found in its pages when it was restarted, and has kept
    dropped: int = 0  # records found there, or handed over, that were torn, or not its own
    served: int = 0  # records that its page server has given to other nodes
    hottest: tuple[HotKey, ...] = ()  # as processes have told this shard of their hits, whoever owns the keys
    reachable: bool = True  # False: it did not answer, and only id, node, address and folder are known
