"""Several shards on one bench, each with its own clock, among which the test carries what they hand over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fake_clock import FakeClock
from shard_bench import TICKET, ShardBench, full

from raycache.core.messages import Standing
from raycache.core.ring import Ring


class ShardsBench:
    """Shards by id, which all know one ring and hold leases unless told otherwise; all have the ticket 7."""

    def __init__(self, folder: Path, **clocks: FakeClock) -> None:
        self.shards: dict[str, ShardBench] = {}
        self.ring = Ring(0, {})
        self._groups: list[dict[str, Any]] = []
        for id, clock in clocks.items():
            (folder / id).mkdir()
            self.shards[id] = ShardBench(folder / id, clock, id=id, first=None)

    def __getitem__(self, id: str) -> ShardBench:
        return self.shards[id]

    def close(self) -> None:
        for shard in self.shards.values():
            shard.close()

    def join(self, *ids: str) -> None:
        """The ring has these members from now on; who is new begins its life with it."""
        self.weigh(dict.fromkeys(ids, 1.0))

    def weigh(self, weights: Mapping[str, float]) -> None:
        self.ring = Ring(self.ring.epoch + 1, weights, dict.fromkeys(weights, TICKET))
        for id in weights:
            if self[id].shard.epoch < 0:
                self[id].join(self.ring)
                for options in self._groups:
                    self[id].define(**options)
            else:
                self[id].grant(Standing.LEASED, self.ring)

    def define(self, **options: Any) -> None:
        """Whoever joins from now on knows the group."""
        self._groups.append(options)

    def owner(self, name: Any) -> ShardBench:
        return self[self.ring.owner(full(name)) or ""]

    def set(self, name: Any, value: Any, ttl_s: float | None = None) -> None:
        """As a client does it: the owner has it then, and nobody else."""
        self.owner(name).set(name, value, ttl_s, ring=self.ring)
        for shard in self.members():
            if shard is not self.owner(name):
                shard.remove(name, ring=self.ring, removal=False)

    def remove(self, name: Any) -> None:
        for shard in self.members():
            shard.remove(name, ring=self.ring)

    def members(self) -> list[ShardBench]:
        return [self[id] for id in self.ring.members]

    def where(self, name: Any) -> list[str]:
        """Which shards have an entry of the key."""
        return [id for id, shard in self.shards.items() if shard.pages.get(full(name)) is not None]

    def send(self, id: str) -> tuple[str, Any, Any] | None:
        """One message of what a shard hands over arrives, and its answer too: to whom, what, and the answer."""
        sending = self[id].shard.batch()
        if sending is None:
            return None
        target, message = sending
        answer = self[target].shard.handle(message)
        self[id].shard.handed(target, message, answer)
        return target, message, answer

    def hand_over(self) -> list[tuple[str, str, Any, Any]]:
        """Until nothing is left to hand over; what was sent, by whom."""
        sent = []
        while busy := [id for id in self.ring.members if self[id].shard.handing]:
            sent += [(id, *done) for id in busy if (done := self.send(id)) is not None]
        return sent
