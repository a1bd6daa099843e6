"""A node's version slots and lease: one small file in shared memory, written by a shard, read by all its clients.

A near entry remembers the slot of its key from before its value was read. It is used only while the lease is valid
and *then* the slot is unchanged, in this order: the shard gives up its lease before it changes anything that a lease
protects. Only invalidation touches slots, and a slot only ever grows, also over restarts of the shard. Where a damaged
file is found instead, all slots get values that they never had.

Writes need no lock: there is one writer, and an aligned 8-byte store is atomic on every machine that Ray runs on.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from pathlib import Path

SLOTS = 1 << 16
FOREVER = float("inf")

_MAGIC = b"rcslots1"
_LEASE_AT, _TICKET_AT, _SLOTS_AT = 64, 128, mmap.PAGESIZE
_BYTES = _SLOTS_AT + 8 * SLOTS
_MOST = (1 << 64) - 1


def slot_of(digest: int) -> int:
    """The slot of a key, from its digest; keys that share one only cost each other a near hit."""
    return digest % SLOTS


def slots_of(digests: Iterable[int]) -> list[int]:
    """The slots of many keys."""
    return [digest % SLOTS for digest in digests]


class Versions:
    """The mapped file: `slots`, the lease, which holds until the node's monotonic clock reads `lease[0]`, and the
    ticket of the shard's life as a member, which a restarted process finds in `ticket[0]` (0: none)."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Opens the file, or makes it; raises OSError where there is no room for it (ENOSPC)."""
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0), 0o600)
        try:
            found = os.fstat(file).st_size
            if create:
                # A hole in a full /dev/shm would be a SIGBUS at the first store; an allocation is an error here.
                os.posix_fallocate(file, 0, _BYTES)
            elif found < _BYTES:
                raise OSError(f"{path} is no file of version slots: {found} bytes")
            self._map = mmap.mmap(file, _BYTES, access=mmap.ACCESS_WRITE if create else mmap.ACCESS_READ)
        finally:
            os.close(file)
        view = memoryview(self._map)
        whole = found >= _BYTES and bytes(view[: len(_MAGIC)]) == _MAGIC
        if create:
            if found and not whole:
                view[len(_MAGIC) : _SLOTS_AT] = bytes(_SLOTS_AT - len(_MAGIC))  # neither a lease nor a ticket
                view[_SLOTS_AT:] = os.urandom(8 * SLOTS)
            view[: len(_MAGIC)] = _MAGIC
        elif not whole:
            view.release()
            self._map.close()
            raise OSError(f"{path} is no file of version slots")
        self.lease = view[_LEASE_AT : _LEASE_AT + 8].cast("d")
        self.ticket = view[_TICKET_AT : _TICKET_AT + 8].cast("Q")
        self.slots = view[_SLOTS_AT:].cast("Q")
        view.release()

    def bump(self, slots: Iterable[int]) -> None:
        """Ends every near entry that was made under these slots."""
        for slot in set(slots):
            self.slots[slot] = (self.slots[slot] + 1) & _MOST

    def bump_all(self) -> None:
        self.bump(range(SLOTS))

    def close(self) -> None:
        self.lease.release()
        self.ticket.release()
        self.slots.release()
        self._map.close()
