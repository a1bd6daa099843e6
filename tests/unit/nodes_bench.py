"""Two nodes with a shard each, and processes on them with near caches of their own, which talk without delay."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from fake_clock import FakeClock
from shards_bench import ShardsBench

from raycache.core.client import Client
from raycache.core.codec import Codec
from raycache.core.members import Members
from raycache.core.messages import Define, Describe, Get, GetView, GroupSpec, Place, ShardInfo, View
from raycache.core.steps import Local, LocalPages, Wait
from raycache.group import Group
from raycache.options import GroupOptions

#: Of a shard on the bench.
CAPACITY = 10_000


class NodesBench:
    """The shards "a" and "b", each alone on its node and with a clock of its own."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.clocks = {"a": FakeClock(1000.0), "b": FakeClock(5.0)}
        self.shards = ShardsBench(folder, **self.clocks)
        self.shards.join("a", "b")
        self.spec = GroupSpec(1, "users", GroupOptions(**{"capacity_bytes": CAPACITY} | options))
        self.asked: Counter[tuple[str, type]] = Counter()
        for id in self.clocks:
            self.shards[id].shard.handle(Define(self.spec))

    def keys(self, owner: str, number: int = 1) -> list[str]:
        """Keys that the shard owns."""
        names = (f"k{n}" for n in range(1000))
        prefix = self.process("a").reader
        return [name for name in names if self.shards.ring.owner(prefix.full(name)) == owner][:number]

    def process(self, node: str) -> Group:
        """A process that has just been started there."""
        clock = self.clocks[node]
        members = Members(_Network(self, node), clock)
        members.see(self.view)
        return Group(self.spec, Client(members), _Waiter(), Codec(), clock, lambda _: ())

    def heat(self, key: str, node: str = "a", times: int = 2) -> None:
        """So many processes of the node get the key, and tell of it."""
        for _ in range(times):
            process = self.process(node)
            process.get(key, None)
            process.report()

    def info(self, id: str = "a") -> ShardInfo:
        info: ShardInfo = self.shards[id].shard.handle(Describe())
        return info

    def gets(self, id: str) -> int:
        """How often the shard was asked for values."""
        return self.asked[id, Get]

    @property
    def view(self) -> View:
        return View(self.shards.ring, {id: Place(id, id) for id in self.clocks})

    def advance(self, seconds: float) -> None:
        for clock in self.clocks.values():
            clock.advance(seconds)

    def close(self) -> None:
        self.shards.close()


class _Network:
    """Of a process on one node."""

    def __init__(self, nodes: NodesBench, node: str) -> None:
        self._nodes, self._node = nodes, node

    def ask(self, shard: str, message: Any) -> Any:
        self._nodes.asked[shard, type(message)] += 1
        return self._nodes.shards[shard].shard.handle(message)

    def read(self, shard: str, keys: Any) -> None:
        """There are no page servers here."""

    def ask_directory(self, message: Any) -> Any:
        return self._nodes.view if isinstance(message, GetView) else None

    def run(self, spec: Any, keys: list[bytes], calls: Any) -> Any:
        raise AssertionError("the shards can be reached")

    def attach(self, view: View) -> Local:
        if not view.places:
            return Local()
        shard, versions = self._nodes.shards[self._node], self._nodes.shards[self._node].versions
        pages = {self._node: LocalPages(shard.pages, versions.lease)}
        return Local(versions.lease, versions.slots, pages, self._node, versions.ticket)


class _Waiter:
    """What is asked here has been answered."""

    def wait(self, want: Wait) -> list[Any]:
        return list(want.futures)

    def await_(self, want: Wait) -> Any:
        raise NotImplementedError
