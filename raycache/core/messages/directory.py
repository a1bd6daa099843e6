"""What goes to the directory and what it answers: members, leases and groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from raycache.core.messages.groups import GroupSpec
from raycache.core.ring import Ring
from raycache.core.stats import Stats


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
