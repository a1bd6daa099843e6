"""A shard on the bench: alone, with a fake clock and a loader whose loads the test ends by hand."""

from __future__ import annotations

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
    Get,
    GroupSpec,
    InFlight,
    Large,
    Missing,
    Set,
    ShardInfo,
    group_prefix,
)
from raycache.core.pages import Pages
from raycache.core.ring import Ring
from raycache.core.shard import Shard
from raycache.core.stats import Stats
from raycache.core.versions import Versions
from raycache.options import GroupOptions

ID = "here"
ALONE = Ring(1, {ID: 1.0})
CAPACITY = 10_000


class ShardBench:
    """The shard, and short ways to say what is sent to it. Keys are names; answers are values or what came instead."""

    def __init__(self, folder: Path, clock: FakeClock, max_loads: int = 4) -> None:
        self.clock, self.loader = clock, HandLoader()
        self.pages = Pages.create(folder, 4 << 20)
        self.versions = Versions(folder / "versions", create=True)
        info = ShardInfo(
            id=ID,
            node="node",
            pid=7,
            address="10.0.0.1",
            folder=str(folder),
            weight=1.0,
            entries=0,
            bytes=0,
            capacity_bytes=CAPACITY,
            loads=0,
            epoch=0,
            lease_s=0.0,
        )
        self.shard = Shard(
            info, pages=self.pages, versions=self.versions, loader=self.loader, clock=clock, max_loads=max_loads
        )
        self.shard.begin(ALONE)

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

    def clear(self, group: int = 1) -> Any:
        return self.shard.handle(Delete(group, None, ALONE))

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
    """A hit's value; InFlight, Large and Missing as they are; the message of a remembered NotFound as its type."""
    if isinstance(item, (InFlight, Large, Missing)):
        return item
    head = record.header(item)
    if head.tag == ABSENT:
        return KeyError(bytes(record.body(item)).decode())
    return decode(head.tag, (record.body(item),))
