"""What a process got from shards of other nodes since it last told its own node's shard, which may want copies of it.

Noted where a shard has answered, which takes many times as long; a hit costs nothing. Bounded in keys, and in the bytes
that are sent at once: what is asked for again comes again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from raycache.core import record
from raycache.core.codec import ABSENT
from raycache.core.entry import Voucher
from raycache.core.fetch import Found, NotThere
from raycache.core.members import Members
from raycache.core.messages import Asked, Copied
from raycache.core.steps import Local

#: Bytes of the largest record that is copied: what takes longer to copy than to ask for is not worth the room.
LARGEST = 16 << 10
#: Keys that are noted between two reports, and bytes of records that are sent after one.
MOST_KEYS, MOST_BYTES = 1000, 1 << 20


class Note(NamedTuple):
    """How often a key was got, and what came the last time; nothing if that was read from a copy."""

    times: int = 0
    result: Found | NotThere | None = None
    voucher: Voucher | None = None

    @property
    def size(self) -> int:
        """Bytes of the copy that could be made of it; 0: none can."""
        return _size(self.result)


class Remote:
    """The notes of one group in one process."""

    def __init__(self) -> None:
        self._notes: dict[bytes, Note] = {}

    def note(self, key: bytes, result: Found | NotThere | None = None, voucher: Voucher | None = None) -> None:
        """A shard has answered with this, or, without it, there was a copy. What is too large is not held on to."""
        notes = self._notes
        if (before := notes.get(key)) is None and len(notes) >= MOST_KEYS:
            return
        if _size(result) <= LARGEST:
            notes[key] = Note(1 if before is None else before.times + 1, result, voucher)

    def take(self, members: Members) -> dict[bytes, Note]:
        """What was noted of keys that other nodes own."""
        notes, self._notes = self._notes, {}
        here = members.local.pages
        # A list: another thread may still be noting something there.
        return {key: note for key, note in list(notes.items()) if members.ring.owner(key) not in here}


def asked(notes: Mapping[bytes, Note]) -> tuple[Asked, ...]:
    """As the node's shard is told of it."""
    return tuple(Asked(key, note.times, note.size) for key, note in notes.items())


def copies(notes: Mapping[bytes, Note], wanted: Iterable[bytes], local: Local, now: float) -> tuple[Copied, ...]:
    """Of these keys what may be copied into this shared memory, each with the version from before it was asked for."""
    made, left = list[Copied](), MOST_BYTES
    for key in wanted:
        note = notes.get(key, Note())
        left -= note.size
        if left < 0:
            break
        if note.result is not None and note.voucher is not None and note.voucher[1] is local.slots:
            made.append(Copied(key, _record(note.result, now), note.voucher[3]))
    return tuple(made)


def _size(result: Found | NotThere | None) -> int:
    if isinstance(result, Found):
        return record.OVERHEAD_BYTES + sum(map(len, result.parts))
    return 0 if result is None else record.OVERHEAD_BYTES + len(result.message)


def _record(result: Found | NotThere, now: float) -> bytes:
    if isinstance(result, Found):
        return record.pack(record.Header(result.expires, now, result.cost_s, result.tag), b"".join(result.parts))
    return record.pack(record.Header(result.expires, now, 0.0, ABSENT), result.message.encode())
