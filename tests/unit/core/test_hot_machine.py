"""Entries and copies of one shard as a state machine: the bytes of both, and that no copy is older than its key."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from stored import entry

from raycache.core import hot, keys, record
from raycache.core.hot import Copies
from raycache.core.messages import Asked, Copied, group_prefix
from raycache.core.pages import Pages
from raycache.core.store import Entry, Store
from raycache.core.versions import Versions, slot_of

CAPACITY, SHARE = 4000, 0.5
OWN = [b"s%d" % number for number in range(6)]
OTHERS = [group_prefix(2) + name for name in (b"s0", b"s1", b"s2", b"s3", b"s" + b"x" * 600)]
AN_OTHER = st.sampled_from(OTHERS)


class EntriesAndCopies(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.pages = Pages.create(Path(self.folder.name), 4 << 20)
        self.versions = Versions(Path(self.folder.name) / "versions", create=True)
        self.copies = Copies(self.pages, self.versions, CAPACITY, SHARE, lambda: sum(s.bytes for s in self.stores))
        self.stores = [
            Store(2500, self.pages, make_room=self.copies.give_way),
            Store(1500, self.pages, make_room=self.copies.give_way),
        ]
        self.now, self.truth = 0.0, dict.fromkeys(OTHERS, 0)

    def teardown(self) -> None:
        self.pages.close()
        self.versions.close()
        self.folder.cleanup()

    def version(self, key: bytes) -> int:
        return self.versions.slots[slot_of(keys.digest(key))]

    @rule(sizes=st.dictionaries(st.sampled_from(OWN), st.integers(0, 1200), max_size=3), which=st.integers(0, 1))
    def put(self, sizes, which):
        store = self.stores[which]
        made = {group_prefix(3 + which) + key: entry(bytes(size)) for key, size in sizes.items()}
        store.put({key: each for key, each in made.items() if store.fits(key, each)})

    @rule(which=st.integers(0, 1))
    def clear(self, which):
        self.stores[which].clear(group_prefix(3 + which))

    @rule(key=AN_OTHER, times=st.integers(1, 5), size=st.integers(0, 900), life=st.none() | st.integers(1, 9))
    def ask(self, key, times, size, life):
        """A process has got it, and the record is copied if the shard wants that."""
        head = record.Header(record.NEVER if life is None else self.now + life, self.now, 0.0, 0)
        stored = record.pack(head, b"%8d" % self.truth[key] + bytes(size))
        wanted = self.copies.wanted([Asked(key, times, len(stored))])
        self.copies.keep([Copied(each, stored, self.version(each)) for each in wanted])

    @rule(key=AN_OTHER, told=st.booleans(), late=st.booleans())
    def change(self, key, told, late):
        """The shard may have been told before the slot is bumped; what was read before that may come after it."""
        before = record.pack(record.Header(record.NEVER, self.now, 0.0, 0), b"%8d" % self.truth[key]), self.version(key)
        self.truth[key] += 1
        if told:
            self.copies.drop([key])
        self.versions.bump([slot_of(keys.digest(key))])
        if late:
            self.copies.keep([Copied(key, *before)])

    @rule()
    def drop_group(self):
        self.copies.drop_group(2)
        assert len(self.copies) == 0

    @rule(seconds=st.integers(0, 4))
    def pass_time(self, seconds):
        self.now += seconds
        self.copies.expire(self.now)

    @invariant()
    def what_is_read_is_what_the_key_is_now(self):
        for key, number in self.truth.items():
            stored = hot.read(self.pages, key, self.version(key))
            if stored is not None:
                assert bytes(record.body(stored))[:8] == b"%8d" % number
                assert record.header(stored).expires > self.now

    @invariant()
    def bytes_are_exact_and_within_both_bounds(self):
        stored = [(key, each) for key, each in self.pages.items(b"", 1000) if key.startswith(hot.PREFIX)]
        assert (len(self.copies), self.copies.size) == (len(stored), sum(len(key) + len(each) for key, each in stored))
        assert self.copies.size <= CAPACITY * SHARE
        assert self.copies.size + sum(store.bytes for store in self.stores) <= CAPACITY


def test_entries_and_copies_fit_together_and_no_copy_is_older_than_its_key():
    run_state_machine_as_test(EntriesAndCopies, settings=settings(max_examples=40, stateful_step_count=30))


def test_a_full_file_system_takes_copies_before_it_takes_entries(tmp_path):
    """When shared memory has no room left, what can be asked for again goes."""
    pages = Pages.create(tmp_path, 4 << 20)
    versions = Versions(tmp_path / "versions", create=True)
    copies = Copies(pages, versions, 8 << 20, 1.0, lambda: store.bytes)
    store = Store(8 << 20, pages, make_room=copies.give_way)
    stored = record.pack(record.Header(record.NEVER, 0.0, 0.0, 0), bytes(8000))
    kept = sum(copies.keep([Copied(b"\0\0\0\2s%d" % number, stored, 0)]) for number in range(250))
    unstored = [store.put({b"\0\0\0\1s%d" % number: Entry(stored)}) for number in range(300)]
    pages.close()
    versions.close()

    assert kept > 200
    assert not any(unstored)
    assert len(copies) == 0
