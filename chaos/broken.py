"""A broken cache, to see that the checker finds it: what a process reads of leases never runs out."""

from __future__ import annotations

from pathlib import Path

from raycache.core.versions import FOREVER, Versions


def ignore_leases() -> None:
    """From now on this process uses its near cache and its node's pages whether their lease is valid or not."""
    opened = Versions.__init__

    def open_forever(self: Versions, path: Path, *, create: bool = False) -> None:
        opened(self, path, create=create)
        if not create:
            self.lease.release()
            self.lease = memoryview(bytearray(8)).cast("d")
            self.lease[0] = FOREVER

    Versions.__init__ = open_forever  # type: ignore[method-assign]
