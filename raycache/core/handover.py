"""The change of owners: which entries of a shard go to whom, and what a shard may take from others.

After a new ring a shard goes through its pages, in bounded steps, and sends what it no longer owns to the new owners,
in bounded batches; an entry goes from here when it has arrived there. What was being loaded when the ring changed is
stored where it was loaded, and follows, if that does not take long. Meanwhile a new owner knows who may still have a
key, so that it is asked for there before it is loaded.

An entry is taken only while the window that a new ring opens is open, only if there is none for the key, and only if
the key was not removed, set or loaded here since: what arrives late must not bring back what is older.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from raycache.core import record
from raycache.core.messages import Ack, Adopt, Define, GroupSpec, Moving, NoSuchGroup, group_of, group_prefix
from raycache.core.pages import Pages
from raycache.core.ring import Ring

#: Keys that one step goes through, and bytes that it reads; entries and bytes of one batch, but one entry at least.
STEP_KEYS, STEP_BYTES, BATCH_ENTRIES, BATCH_BYTES = 2000, 4 << 20, 500, 1 << 20
#: How long a shard waits for what others may still have for it.
WINDOW_S = 120.0
#: Keys that are remembered as not to be taken; beyond that nothing more is taken at all.
MOST_CLOSED = 1_000_000
#: How often a batch is sent to a shard that does not answer, before its entries stay where they are.
TRIES = 3
#: How long the end of the walk waits for loads that were on their way when the ring changed.
LATE_S = 5.0
#: Rings whose owners may still have a key: the owners change that often before the first change is over.
MOST_RINGS = 4
#: Where entries begin in the pages: before it lie copies, which are nobody's to own.
FIRST = group_prefix(1)


class Outgoing:
    """What a shard has to hand over."""

    def __init__(self, id: str, pages: Pages, clock: Callable[[], float], *, loading: Callable[[bytes], bool]) -> None:
        """`loading` says of a key whether its load is still on its way."""
        self._id, self._pages, self._clock, self._loading = id, pages, clock, loading
        self._ring = Ring(-1, {})
        self._after: bytes | None = None  # where the walk through the pages stands; None: it is over
        self._late: dict[bytes, None] = {}  # keys that are being loaded here, and that others own now
        self._late_until = 0.0
        self._landed: list[bytes] = []  # those of them that have been stored meanwhile
        self._outbox: deque[tuple[str, Any]] = deque()
        self._tries = 0
        self._silent: set[str] = set()  # who did not answer

    def begin(self, ring: Ring, loading: Iterable[bytes] = ()) -> None:
        """There is a new ring: the walk starts anew. `loading`: the keys that are being loaded here."""
        self._ring, self._after, self._tries = ring, FIRST, 0
        self._late = {key: None for key in loading if ring.owner(key) != self._id}
        self._late_until = self._clock() + LATE_S
        self._landed.clear()  # the walk comes by them
        self._outbox.clear()
        self._silent.clear()

    def drop(self) -> None:
        """Nothing is to be handed over any more."""
        self._after = None
        self._late.clear()
        self._landed.clear()
        self._outbox.clear()

    def __bool__(self) -> bool:
        return self._after is not None or bool(self._outbox)

    @property
    def waits(self) -> bool:
        """Whether all that is left to do is to wait for loads that were on their way when the ring changed."""
        if self._after is None or self._outbox or self._landed or not self._late:
            return False
        walked = not self._pages.scan(b"", self._after, 1)
        return walked and self._clock() < self._late_until and any(map(self._loading, self._late))

    def takes(self, key: bytes) -> bool:
        """Whether a key that others own is to be stored here all the same when its load ends, and handed over then."""
        return self._after is not None and key in self._late

    def landed(self, keys: Iterable[bytes]) -> None:
        """These are stored now."""
        for key in keys:
            if self.takes(key):
                del self._late[key]
                self._landed.append(key)

    def next(self, large: Callable[[bytes], Any]) -> tuple[str, Any] | None:
        """The next message and the shard that it goes to; None where there is none, or only the next step's will be.

        `large` gives the value that a stub stands for.
        """
        if not self._outbox and self._after is not None:
            self._step(large)
        if self._outbox:
            target, message = self._outbox[0]
            if isinstance(message, Adopt):  # what waits in the meantime must not live longer for it
                self._outbox[0] = target, replace(message, now=self._clock())
        return self._outbox[0] if self._outbox else None

    def _step(self, large: Callable[[bytes], Any]) -> None:
        """Goes on through the pages, and puts what is found there into messages."""
        assert self._after is not None
        if keys := self._pages.scan(b"", self._after, STEP_KEYS):
            self._after = keys[self._pack(keys, large) - 1]
        elif self._landed:
            del self._landed[: self._pack(self._landed, large)]
        elif not self.waits:
            self._after = None
            others = [id for id in self._ring.members if id != self._id]
            self._outbox += [(id, Adopt(self._id, self._ring, (), 0.0, done=True)) for id in others]

    def _pack(self, keys: list[bytes], large: Callable[[bytes], Any]) -> int:
        """Puts entries of these keys that others own into messages; how many keys it went through."""
        moving: dict[str, dict[bytes, bytes]] = {}
        size = 0
        for place, key in enumerate(keys):
            owner = self._ring.owner(key)
            if owner is None or owner == self._id or owner in self._silent:
                continue
            if (stored := self._pages.get(key)) is not None:
                moving.setdefault(owner, {})[key] = stored
                size += len(stored)
            if size > STEP_BYTES:
                keys = keys[: place + 1]
                break
        for owner, some in moving.items():
            for entries in _batches(some, large):
                self._outbox.append((owner, Adopt(self._id, self._ring, entries, 0.0)))
        return len(keys)

    def sent(self, target: str, message: Any, answer: Any, spec: Callable[[int], GroupSpec | None]) -> list[Moving]:
        """Notes what came of the message that is the next; gives the entries that lie elsewhere now."""
        if not self._outbox or self._outbox[0] != (target, message):
            return []  # there was a newer ring meanwhile
        if isinstance(answer, NoSuchGroup) and not answer.replaced and (known := spec(answer.group)) is not None:
            self._outbox.appendleft((target, Define(known)))
            return []
        if isinstance(answer, NoSuchGroup) and isinstance(message, Adopt):  # another definition has taken its place
            left = tuple(entry for entry in message.entries if group_of(entry.key) != answer.group)
            self._outbox[0] = target, replace(message, entries=left)
            return []
        self._tries += 1
        if isinstance(answer, Ack):
            self._outbox.popleft()
            self._tries = 0
        elif self._tries >= TRIES:  # it may do better at the next ring
            self._silent.add(target)
            self._outbox = deque(sending for sending in self._outbox if sending[0] != target)
            self._tries = 0
        return list(message.entries) if isinstance(answer, Ack) and isinstance(message, Adopt) else []


def _batches(stored: dict[bytes, bytes], large: Callable[[bytes], Any]) -> Iterable[tuple[Moving, ...]]:
    batch: list[Moving] = []
    size = 0
    for key, each in stored.items():
        if batch and (len(batch) == BATCH_ENTRIES or size + len(each) > BATCH_BYTES):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(Moving(key, each, large(key) if record.is_stub(each) else None))
        size += len(key) + len(each)
    if batch:
        yield tuple(batch)


class Incoming:
    """What a shard may still get from those who owned its keys before."""

    def __init__(self, id: str, clock: Callable[[], float]) -> None:
        self._id, self._clock = id, clock
        self._rings: deque[Ring] = deque(maxlen=MOST_RINGS)  # older ones
        self._sources: set[str] = set()
        self._until = 0.0
        self._closed: set[bytes] = set()
        self._closed_groups: set[int] = set()

    @property
    def open(self) -> bool:
        """Whether entries may be taken."""
        return bool(self._sources) and self._clock() < self._until

    def begin(self, old: Ring, new: Ring) -> None:
        """There is a new ring: others may have what belongs here now."""
        if not self.open:
            self._rings.clear()
        # One that has just joined knows no older ring: it was the one without it.
        before = old if old.members else Ring(new.epoch, {id: w for id, w in new.members.items() if id != self._id})
        self._rings.append(before)
        self._sources = set(new.members) - {self._id}
        self._until = self._clock() + WINDOW_S
        self._closed.clear()
        self._closed_groups.clear()

    def drop(self) -> None:
        """Nothing may be taken any more."""
        self._sources.clear()
        self._rings.clear()
        self._closed.clear()
        self._closed_groups.clear()

    def finished(self, source: str) -> None:
        """This one has handed over all that it had."""
        self._sources.discard(source)
        if not self._sources:
            self.drop()

    def close(self, keys: Iterable[bytes]) -> None:
        """What others still have for these keys is older than what happens to them now."""
        if self.open:
            self._closed.update(keys)
            if len(self._closed) > MOST_CLOSED:
                self.drop()

    def close_group(self, group: int) -> None:
        """The same for all keys of a group."""
        if self.open:
            self._closed_groups.add(group)

    def takes(self, key: bytes) -> bool:
        """Whether an entry of this key may be taken, if there is none."""
        return key not in self._closed and group_of(key) not in self._closed_groups

    def holders(self, key: bytes) -> tuple[str, ...]:
        """Who may still have an entry of this key, the latest first."""
        if not self.open or not self.takes(key):
            return ()
        owners: dict[str, None] = {}
        for ring in reversed(self._rings):
            owner = ring.owner(key)
            if owner in self._sources:
                owners[owner] = None
            elif (
                owner != self._id
            ):  # it has nothing left, or all were to leave then: it may never have got it from others
                owners |= dict.fromkeys(sorted(self._sources))
        return tuple(owners)
