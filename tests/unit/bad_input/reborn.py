"""A shard whose process is killed, and what comes back of it when somebody has damaged what it left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

from fake_clock import FakeClock
from member_bench import LEASE_S
from shard_bench import ALONE, ShardBench, full

from raycache.core.messages import GroupSpec, Standing
from raycache.core.pages import Pages, PagesFull
from raycache.core.store import entry_bytes
from raycache.core.versions import Versions

MAP_BYTES = 4 << 20
CAPACITY = 2 << 20


class Reborn(ShardBench):
    """A shard with a lease of three seconds; `kill`, then damage its files, then `come_back`."""

    def __init__(self, folder: Path, clock: FakeClock, lease_s: float = LEASE_S) -> None:
        super().__init__(folder, clock, lease_s=lease_s)
        self.folder = folder
        self.spec: GroupSpec = self.define(capacity_bytes=CAPACITY)

    def kill(self) -> None:
        """Nothing is put in order: what is closed here are the files, which are open once in a process at most."""
        self.close()

    def come_back(self) -> bool:
        """As its actor does it; whether it could use what lies there."""
        try:
            self.pages = Pages.create(self.folder, MAP_BYTES, keep=True)
            self.versions = Versions(self.folder / "versions", create=True)
            usable = True
        except (PagesFull, OSError) as error:
            self.said = str(error)
            shutil.rmtree(self.folder)
            self.folder.mkdir()
            self.pages = Pages.create(self.folder, MAP_BYTES)
            self.versions = Versions(self.folder / "versions", create=True)
            usable = False
        self.restart()
        return usable

    def go_on(self) -> None:
        """The directory takes it for what its ticket says."""
        if self.versions.ticket[0] == ALONE.lives["here"]:
            self.grant(Standing.LEASED, ALONE, groups=[self.spec])
        else:
            self.grant(Standing.COLD, ticket=8)
            self.grant(Standing.LEASED, ALONE.__class__(2, ALONE.members, {"here": 8}))
            self.define(capacity_bytes=CAPACITY)

    @property
    def books_are_right(self) -> bool:
        """What it counts is what its pages hold."""
        stored = self.pages.items(b"", 1_000_000)
        told = self.info()
        return (told.entries, told.bytes) == (len(stored), sum(entry_bytes(key, each) for key, each in stored))

    def values(self, names: list[str]) -> dict[str, object]:
        """What it serves, of those that it has."""
        there = [name for name in names if self.pages.get(full(name)) is not None]
        return dict(zip(there, self.peek(*there, epoch=2, standin=True), strict=True))


def overwritten(path: Path, start: int, data: bytes) -> None:
    """Damages a file that a shard has left."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)
