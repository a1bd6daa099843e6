"""A store of two groups as a state machine against a model of what least recently used means."""

from __future__ import annotations

import tempfile
from collections import Counter, OrderedDict
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from stored import sealed

from raycache.core import record
from raycache.core.messages import group_of, group_prefix
from raycache.core.pages import Pages
from raycache.core.store import Entry, Store, entry_bytes

CAPACITY = 3000
GROUPS = (3, 4)
KEYS = [group_prefix(group) + name for group in GROUPS for name in (b"s0", b"s1", b"s2", b"s3", b"s" + b"x" * 600)]
OTHER = group_prefix(5) + b"sother"
A_GROUP = st.sampled_from(GROUPS)
A_KEY = st.sampled_from(KEYS)
SIZES = st.integers(0, 1200)
LIVES = st.none() | st.integers(0, 20)


class StoreAndAModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.pages = Pages.create(Path(self.folder.name), 4 << 20)
        self.pages.write({OTHER: b"of another group"})
        self.store = Store(CAPACITY, self.pages)
        self.model: OrderedDict[bytes, Entry] = OrderedDict()
        self.now = 0.0
        self.capacity, self.number = CAPACITY, 0
        self.evictions: Counter[int] = Counter()
        self.expirations: Counter[int] = Counter()

    def teardown(self) -> None:
        self.pages.close()
        self.folder.cleanup()

    def entry(self, size: int, life: int | None, large: bool) -> Entry:
        self.number += 1
        head = record.Header(record.NEVER if life is None else self.now + life, self.now, 0.0, 2)
        if large:
            return Entry(record.stub(head, size), self.number)
        return Entry(record.pack(head, self.number.to_bytes(4, "big") + bytes(size)))

    @rule(made=st.dictionaries(A_KEY, st.tuples(st.integers(0, 400), LIVES, st.booleans()), max_size=2))
    def put_some(self, made):
        self.put({key: self.entry(*each) for key, each in made.items()})

    @rule(key=A_KEY, size=SIZES, life=LIVES, large=st.booleans())
    def put_one(self, key, size, life, large):
        self.put({key: self.entry(size, life, large)})

    def put(self, entries: dict[bytes, Entry]) -> None:
        entries = {key: entry for key, entry in entries.items() if self.store.fits(key, entry)}
        while self.total(entries) > self.capacity:  # what does not fit together goes one after the other
            entries.popitem()
        assert self.store.put(entries) == []
        for key in entries:
            self.model.pop(key, None)
        self.evict(self.capacity - self.total(entries))
        self.model.update((key, sealed(key, entry)) for key, entry in entries.items())

    def evict(self, room: int) -> None:
        while self.model and self.total(self.model) > room:
            self.evictions[group_of(self.model.popitem(last=False)[0])] += 1

    def total(self, entries: dict[bytes, Entry]) -> int:
        return sum(entry_bytes(key, entry.record) for key, entry in entries.items())

    def over(self, key: bytes) -> bool:
        return record.header(self.model[key].record).expires <= self.now

    @rule(key=A_KEY)
    def get(self, key):
        found = self.store.get(key, self.now)
        if key in self.model and self.over(key):
            del self.model[key]
            self.expirations[group_of(key)] += 1
        if key in self.model:
            self.model.move_to_end(key)

        assert found == (self.model[key].record if key in self.model else None)
        if found is not None and record.is_stub(found):
            assert self.store.large(key) == self.model[key].large

    @rule(keys=st.lists(A_KEY, max_size=3))
    def touch(self, keys):
        self.store.touch(keys)
        for key in keys:
            if key in self.model:
                self.model.move_to_end(key)

    @rule(keys=st.lists(A_KEY, max_size=3, unique=True))
    def remove(self, keys):
        assert self.store.remove(keys) == sum(self.model.pop(key, None) is not None for key in keys)

    @rule(seconds=st.integers(0, 8))
    def expire(self, seconds):
        self.now += seconds
        self.store.expire(self.now)
        for key in [key for key in self.model if self.over(key)]:
            del self.model[key]
            self.expirations[group_of(key)] += 1

    @rule(group=A_GROUP)
    def clear(self, group):
        assert self.store.clear(group_prefix(group)) == len(self.of(group))
        self.drop(group)

    @rule(group=A_GROUP)
    def take(self, group):
        taken = self.store.take(group_prefix(group))

        assert list(taken.items()) == list(self.of(group).items())
        self.drop(group)

    @rule(capacity=st.integers(1000, CAPACITY))
    def resize(self, capacity):
        self.store.resize(capacity)
        self.capacity = capacity
        self.evict(capacity)

    def of(self, group: int) -> dict[bytes, Entry]:
        return {key: entry for key, entry in self.model.items() if group_of(key) == group}

    def drop(self, group: int) -> None:
        for key in self.of(group):
            del self.model[key]

    @rule(group=A_GROUP, limit=st.integers(1, 5))
    def scan(self, group, limit):
        assert self.store.scan(group_prefix(group), b"", limit) == self.pages.scan(group_prefix(group))[:limit]

    @invariant()
    def bytes_are_exact_and_within_the_capacity(self):
        assert self.store.bytes == self.total(self.model) <= self.capacity

    @invariant()
    def every_group_knows_what_it_has_itself(self):
        for group in GROUPS:
            usage, entries = self.store.usage[group], self.of(group)
            assert (usage.entries, usage.bytes) == (len(entries), self.total(entries))

    @invariant()
    def the_order_is_that_of_the_last_uses(self):
        assert list(self.store) == list(self.model)
        assert len(self.store) == len(self.model)

    @invariant()
    def the_pages_hold_what_the_policy_holds(self):
        assert sorted(key for group in GROUPS for key in self.pages.scan(group_prefix(group))) == sorted(self.model)
        assert self.pages.get(OTHER) == b"of another group"

    @invariant()
    def every_entry_that_went_is_counted_for_its_reason(self):
        for group in GROUPS:
            usage = self.store.usage[group]
            assert (usage.evictions, usage.expirations) == (self.evictions[group], self.expirations[group])


def test_a_store_behaves_like_a_model_of_lru_with_expiry():
    run_state_machine_as_test(StoreAndAModel, settings=settings(max_examples=40, stateful_step_count=30))
