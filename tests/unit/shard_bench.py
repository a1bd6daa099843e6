"""A shard on the bench: alone, with a fake clock, a loader whose loads the test ends by hand, and its own directory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fake_clock import FakeClock
from hand_loader import HandLoad, HandLoader

from raycache.core import keys, record
from raycache.core.codec import ABSENT, Codec, decode
from raycache.core.messages import (
    Answers,
    Count,
    Define,
    Delete,
    Describe,
    Elsewhere,
    Get,
    Grant,
    GroupSpec,
    InFlight,
    Large,
    Missing,
    Set,
    ShardInfo,
    Standing,
    View,
    group_prefix,
)
from raycache.core.pages import Pages
from raycache.core.ring import Ring
from raycache.core.shard import Shard
from raycache.core.stats import Stats
from raycache.core.versions import Versions
from raycache.options import GroupOptions

ID, TICKET = "here", 7
CAPACITY = 10_000
#: Of which copies may take 1,250.
HOT = 1 / 8


def ring(epoch: int, *others: str, weight: float = 1.0) -> Ring:
    """The shard of the bench and others, all with the ticket 7."""
    members = {ID: weight} | dict.fromkeys(others, 1.0)
    return Ring(epoch, members, dict.fromkeys(members, TICKET))


ALONE = ring(1)


class ShardBench:
    """The shard, and short ways to say what is sent to it. Keys are names; answers are values or what came instead."""

    def __init__(
        self,
        folder: Path,
        clock: FakeClock,
        max_loads: int = 4,
        *,
        id: str = ID,
        lease_s: float = math.inf,
        first: Ring | None = ALONE,
        keep: bool = False,
    ) -> None:
        """`first`: the ring with which the directory takes it in; None: it has not been in touch with it yet.

        `keep`: what lies in the folder.
        """
        self.clock, self._folder, self._id, self._max_loads, self._lease_s = clock, folder, id, max_loads, lease_s
        self.pages = Pages.create(folder, 4 << 20, keep=keep)
        self.versions = Versions(folder / "versions", create=True)
        self.restart()
        if first is not None:
            self.join(first)

    def restart(self) -> None:
        """Another process, which finds what the one before it has in shared memory."""
        self.loader = HandLoader()
        info = ShardInfo(
            id=self._id,
            node="node",
            pid=7,
            address="10.0.0.1",
            folder=str(self._folder),
            weight=1.0,
            capacity_bytes=CAPACITY,
        )
        self.shard = Shard(
            info,
            pages=self.pages,
            versions=self.versions,
            loader=self.loader,
            clock=self.clock,
            max_loads=self._max_loads,
            lease_s=self._lease_s,
            hot=HOT,
        )

    def grant(
        self, standing: Standing, ring: Ring | None = None, ticket: int = 0, groups: Iterable[GroupSpec] = ()
    ) -> None:
        """What the directory answers to the shard at this moment."""
        view = None if ring is None else View(ring, {})
        self.shard.granted(self.shard.hello(), Grant(standing, view, ticket, tuple(groups)))

    def join(self, ring: Ring = ALONE) -> None:
        """A new life of it, by the ticket that the ring names."""
        self.grant(Standing.COLD, ticket=ring.lives[self._id])
        self.grant(Standing.LEASED, ring)

    def close(self) -> None:
        self.pages.close()
        self.versions.close()

    def define(self, id: int = 1, name: str = "users", *, getter: bytes | None = b"", **options: Any) -> GroupSpec:
        spec = GroupSpec(id, name, GroupOptions(**{"capacity_bytes": CAPACITY} | options), getter)
        self.shard.handle(Define(spec))
        return spec

    def ask(self, *names: Any, group: int = 1, epoch: int = 1, **options: Any) -> Any:
        return self.shard.handle(Get(group, tuple(full(name, group) for name in names), epoch, **options))

    def get(self, *names: Any, **options: Any) -> list[Any]:
        answers = self.ask(*names, **options)
        assert isinstance(answers, Answers)
        return [value_of(item) for item in answers.items]

    def peek(self, *names: Any, **options: Any) -> list[Any]:
        return self.get(*names, load=False, **options)

    def set(self, name: Any, value: Any, ttl_s: float | None = None, ring: Ring = ALONE, group: int = 1) -> Any:
        return self.shard.handle(Set(group, ((full(name, group), Codec().encode(value), ttl_s),), ring))

    def remove(self, *names: Any, ring: Ring = ALONE, group: int = 1, **options: Any) -> Any:
        return self.shard.handle(Delete(group, tuple(full(name, group) for name in names), ring, **options))

    def clear(self, group: int = 1, ring: Ring = ALONE) -> Any:
        return self.shard.handle(Delete(group, None, ring))

    def end(self, load: HandLoad, outcome: Any) -> None:
        """Ends a load as a loader does it: the shard is told that something has ended."""
        load.end(outcome)
        self.shard.tick()

    def bring(self, load: HandLoad, value: Any = "value", **options: Any) -> None:
        load.bring(value, **options)
        self.shard.tick()

    def stats(self, group: int = 1) -> Stats:
        return self.shard.handle(Count(group))[group]

    def info(self) -> ShardInfo:
        return self.shard.handle(Describe())


def full(name: Any, group: int = 1) -> bytes:
    return group_prefix(group) + keys.encode(name)


def value_of(item: Any) -> Any:
    """A hit's value; what is none as it is; the message of a remembered NotFound as its type."""
    if isinstance(item, (InFlight, Large, Missing, Elsewhere)):
        return item
    head = record.header(item)
    if head.tag == ABSENT:
        return KeyError(bytes(record.body(item)).decode())
    return decode(head.tag, (record.body(item),))
