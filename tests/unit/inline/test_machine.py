"""The whole inline cache as a state machine against a dict, with a clock that the test moves."""

from __future__ import annotations

from typing import Any, ClassVar

import accounts
import pytest
from fake_clock import FakeClock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import raycache
from raycache import Expiring, NotFound

TTL, NEGATIVE_TTL = 10, 4
KEYS = ["a", "ab", "b", 1, b"a", ("a", 1), "x" * 700]
A_KEY, SOME_KEYS = st.sampled_from(KEYS), st.lists(st.sampled_from(KEYS), max_size=5)
VALUES = st.integers() | st.lists(st.integers(), max_size=3) | st.just("x" * 300) | st.none()
TTLS = st.none() | st.integers(1, 15)
GONE = object()  # a NotFound, in the source and in the model


class Down(Exception):
    """What the source raises while it is down."""


class CacheAndADict(RuleBasedStateMachine):
    shards: ClassVar[int] = 1
    near: ClassVar[int | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.cache = raycache.connect(address="inline", capacity="4 MiB", shards_per_node=self.shards, clock=self.clock)
        self.group = self.cache.group("g", self.getter, ttl=TTL, negative_ttl=NEGATIVE_TTL, near=self.near)
        self.source: dict[Any, Any] = {}
        self.model: dict[Any, tuple[Any, float]] = {}
        self.gets = self.loads = self.calls = 0

    def teardown(self) -> None:
        accounts.loads_end()
        accounts.check(self.cache)
        stats = self.group.stats()
        self.cache.destroy()

        assert stats.gets == self.gets
        assert (stats.evictions, stats.unavailable, stats.misses) == (0, 0, 0)

    def getter(self, key: Any) -> Any:
        self.calls += 1
        value = self.source.get(key, GONE)
        if value is GONE:
            raise NotFound(f"no {key!r}")
        if value is Down:
            raise Down(key)
        return value

    def live(self, key: Any) -> Any:
        """What the cache should have: a value, GONE, or None in a tuple's place."""
        entry = self.model.get(key)
        return entry if entry is not None and self.clock.now < entry[1] else None

    def load(self, key: Any) -> Any:
        """What a load gives and leaves."""
        self.loads += 1
        value = self.source.get(key, GONE)
        if value is Down:
            return Down
        ttl = NEGATIVE_TTL if value is GONE else value.ttl if isinstance(value, Expiring) else TTL
        value = value.value if isinstance(value, Expiring) else value
        self.model[key] = value, self.clock.now + ttl
        return value

    def expected(self, key: Any) -> Any:
        entry = self.live(key)
        return entry[0] if entry is not None else self.load(key)

    @rule(key=A_KEY)
    def get(self, key):
        self.gets += 1
        self.compare(lambda: self.group.get(key), self.expected(key))

    def compare(self, ask, expected) -> None:
        if expected is GONE:
            with pytest.raises(NotFound):
                ask()
        elif expected is Down:
            with pytest.raises(Down):
                ask()
        else:
            got = ask()
            assert got == expected
            if isinstance(got, list):
                got.append("changed by the caller")

    @rule(keys=SOME_KEYS)
    def get_many(self, keys):
        expected = {key: self.expected(key) for key in dict.fromkeys(keys)}
        self.gets += len(expected)
        if Down in expected.values():
            with pytest.raises(Down):
                self.group.get_many(keys, default="none")
        else:
            got = self.group.get_many(keys, default="none")
            assert list(got.items()) == [(key, "none" if value is GONE else value) for key, value in expected.items()]

    @rule(key=A_KEY)
    def peek_and_contains(self, key):
        entry = self.live(key)
        there = entry is not None and entry[0] is not GONE

        assert self.group.peek(key, default="none") == (entry[0] if there else "none")
        assert (key in self.group) == there

    @rule(key=A_KEY, value=VALUES, ttl=TTLS)
    def set(self, key, value, ttl):
        self.group.set(key, value, ttl=ttl)
        self.model[key] = value, self.clock.now + (TTL if ttl is None else ttl)

    @rule(items=st.dictionaries(A_KEY, VALUES, max_size=3), ttl=TTLS)
    def set_many(self, items, ttl):
        self.group.set_many(items, ttl=ttl)
        until = self.clock.now + (TTL if ttl is None else ttl)
        self.model |= {key: (value, until) for key, value in items.items()}

    @rule(key=A_KEY)
    def remove(self, key):
        there = self.live(key) is not None
        removed = self.group.remove(key)
        self.model.pop(key, None)

        assert removed == there

    @rule(keys=SOME_KEYS)
    def remove_many(self, keys):
        self.group.remove_many(keys)
        for key in keys:
            self.model.pop(key, None)

    @rule()
    def clear(self):
        self.group.clear()
        self.model.clear()

    @rule(key=A_KEY)
    def refresh(self, key):
        self.compare(lambda: self.group.refresh(key), self.load(key))

    @rule(key=A_KEY, value=VALUES | st.just(GONE) | st.just(Down) | st.builds(Expiring, st.integers(), st.just(3)))
    def the_source_changes(self, key, value):
        self.source[key] = value

    @rule(seconds=st.integers(1, 6))
    def time_goes_on(self, seconds):
        self.clock.advance(seconds)

    @invariant()
    def keys_and_length_are_those_of_the_dict(self):
        there = {key for key in self.model if self.live(key) is not None}

        assert len(self.group) == len(there)
        assert set(self.group.keys()) == there
        assert set(self.group.keys(prefix="a")) == {key for key in there if isinstance(key, str) and key[0] == "a"}

    @invariant()
    def the_getter_ran_once_for_each_load(self):
        assert self.calls == self.loads


MACHINES = {
    "one shard": {},
    "three shards": {"shards": 3},
    "no near cache": {"near": 0},
}


@pytest.mark.parametrize("options", MACHINES.values(), ids=MACHINES)
def test_an_inline_cache_behaves_like_a_dict_over_a_source(options):
    machine = type("Machine", (CacheAndADict,), options)
    run_state_machine_as_test(machine, settings=settings(max_examples=20, stateful_step_count=20))
