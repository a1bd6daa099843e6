"""A store as a state machine against a model of what least recently used means."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from raycache.core import record
from raycache.core.messages import group_prefix
from raycache.core.pages import Pages
from raycache.core.store import Entry, Store, entry_bytes

CAPACITY = 3000
KEYS = [group_prefix(3) + b"s%d" % number for number in range(8)] + [group_prefix(3) + b"s" + b"x" * 600]
OTHER = group_prefix(4) + b"sother"
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
        self.evictions = self.expirations = self.number = 0

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
        assert all(self.store.fits(key, entry) for key, entry in entries.items())
        assert self.store.put(entries) == []
        for key in entries:
            self.model.pop(key, None)
        while self.model and self.total(self.model) + self.total(entries) > CAPACITY:
            self.model.popitem(last=False)
            self.evictions += 1
        self.model.update(entries)

    def total(self, entries: dict[bytes, Entry]) -> int:
        return sum(entry_bytes(key, entry.record) for key, entry in entries.items())

    def over(self, key: bytes) -> bool:
        return record.header(self.model[key].record).expires <= self.now

    @rule(key=A_KEY)
    def get(self, key):
        found = self.store.get(key, self.now)
        if key in self.model and self.over(key):
            del self.model[key]
            self.expirations += 1
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
            self.expirations += 1

    @rule()
    def clear(self):
        assert self.store.clear(group_prefix(3)) == len(self.model)
        self.model.clear()

    @rule(limit=st.integers(1, 5))
    def scan(self, limit):
        assert self.store.scan(group_prefix(3), b"", limit) == self.pages.scan(group_prefix(3))[:limit]

    @invariant()
    def bytes_are_exact_and_within_the_capacity(self):
        assert self.store.bytes == self.total(self.model) <= CAPACITY

    @invariant()
    def the_order_is_that_of_the_last_uses(self):
        assert list(self.store) == list(self.model)
        assert len(self.store) == len(self.model)

    @invariant()
    def the_pages_hold_what_the_policy_holds(self):
        assert sorted(self.pages.scan(group_prefix(3))) == sorted(self.model)
        assert self.pages.get(OTHER) == b"of another group"

    @invariant()
    def every_entry_that_went_is_counted_for_its_reason(self):
        assert (self.store.usage[3].evictions, self.store.usage[3].expirations) == (self.evictions, self.expirations)


def test_a_store_behaves_like_a_model_of_lru_with_expiry():
    run_state_machine_as_test(StoreAndAModel, settings=settings(max_examples=40, stateful_step_count=30))
