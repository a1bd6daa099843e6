"""Shared memory that fills up in the middle of something: an error or a loss of entries, and books that stay right."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reborn import Reborn
from shard_bench import TICKET, ShardBench, full, ring

from raycache.core import record
from raycache.core.messages import Adopt, Missing, Moving, Standing
from raycache.core.pages import PagesFull
from raycache.core.store import entry_bytes

NAMES = [f"key-{number}" for number in range(12)]


class Filling:
    """Pages whose writes fail when they are told to: each of `fails` is for one write, which changes nothing then."""

    def __init__(self, pages):
        self._pages, self.fails = pages, []

    def __getattr__(self, name):
        return getattr(self._pages, name)

    def _room(self):
        if self.fails and self.fails.pop(0):
            raise PagesFull("no room")

    def write(self, puts, deletes=()):
        self._room()
        self._pages.write(puts, deletes)

    def delete(self, keys):
        try:
            if keys:
                self._room()
        except PagesFull:
            self._pages.delete(keys[: len(keys) // 2])  # it goes on in steps
            raise
        self._pages.delete(keys)

    def drop(self):
        self._room()
        self._pages.drop()


class FillingBench(ShardBench):
    """A shard with such pages."""

    def restart(self):
        self.pages = self.pages if isinstance(self.pages, Filling) else Filling(self.pages)
        super().restart()

    @property
    def books(self):
        """What it counts, and what its pages hold."""
        told, stored = self.info(), self.pages.items(b"", 10_000)
        held = len(stored), sum(entry_bytes(key, each) for key, each in stored)
        return (told.entries, told.bytes), held


@pytest.fixture
def bench(tmp_path, clock):
    bench = FillingBench(tmp_path, clock)
    bench.define(capacity_bytes=3000)
    yield bench
    bench.close()


FAILS = st.lists(st.booleans(), max_size=6)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["set", "load", "remove", "clear", "expire"]), st.sampled_from(NAMES), st.integers(0, 9), FAILS
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whenever_there_is_no_room_the_books_are_right_and_nothing_older_is_served(bench, clock, steps):
    """What a set or a removal has not confirmed may be there or not; what it has is the last."""
    bench.clear()
    bench.loader.loads.clear()
    possible: dict[str, set[object]] = {name: set() for name in NAMES}
    for number, (what, name, size, fails) in enumerate(steps):
        value = f"{number} " * 100 * size
        bench.pages.fails = list(fails)
        try:
            if what == "set":
                confirmed = {value} if bench.set(name, value, ttl_s=5.0 + size).done else set()
            elif what == "remove":
                bench.remove(name)
                confirmed = set()
            elif what == "clear":
                bench.clear()
                possible, confirmed = {each: set() for each in NAMES}, set()
            elif what == "load":
                confirmed = set(possible[name])
                if not isinstance(bench.peek(name)[0], str):
                    confirmed = {value}
                    bench.ask(name)
                    bench.bring(bench.loader.loads[-1], value)
            else:
                confirmed = set(possible[name])
                clock.advance(3.0)
                bench.shard.tick()
        except PagesFull:
            confirmed = possible[name] | {value}
        bench.pages.fails = []
        possible[name] = confirmed

        told, held = bench.books
        assert told == held
        found = dict(zip(NAMES, bench.peek(*NAMES), strict=True))
        assert all(isinstance(each, Missing) or each in possible[name] for name, each in found.items())


def entry(name):
    stored = record.pack(record.Header(record.NEVER, 0.0, 0.0, 1), name.encode() * 20)
    return Moving(full(name), record.sealed(full(name), stored), None)


@pytest.mark.parametrize(
    "fails", [[True], [True] * 2, [False, True], [True] * 4, [True] * 9, [False] * 3 + [True] * 20]
)
def test_entries_that_are_handed_over_are_taken_or_not_and_the_shard_goes_on(bench, fails):
    shared = ring(2, "there")
    bench.grant(Standing.LEASED, shared)
    mine = [name for name in map(str, range(40)) if shared.owner(full(name)) == "here"]
    message = Adopt("there", shared, tuple(map(entry, mine)), 0.0)
    bench.pages.fails = fails
    try:
        bench.shard.handle(message)
    except PagesFull:
        bench.pages.fails = []
        bench.shard.handle(message)  # its sender tries again
    bench.pages.fails = []
    found = dict(zip(mine, bench.peek(*mine, epoch=2, asked=True), strict=True))
    told, held = bench.books

    assert told == held
    assert all(each in (name * 20, Missing()) for name, each in found.items())
    assert sum(isinstance(each, Missing) for each in found.values()) <= bench.stats().unstored + bench.stats().evictions


@pytest.mark.parametrize("fails", [[True], [True] * 2, [True] * 3, [False, True], [False, False, True]])
def test_a_restarted_shard_that_has_no_room_to_go_through_its_pages_serves_nothing_unlooked_at(bench, fails):
    """It tries again, or drops them; it never serves what it has not looked at."""
    for name in NAMES[:6]:
        bench.set(name, name)
    torn = full("torn")
    bench.pages.write({torn: entry("torn").record[:-1], full("b"): entry("a").record})
    spec = bench.shard._groups.spec(1)
    bench.restart()
    bench.pages.fails = fails
    while bench.shard.life.muted:
        with contextlib.suppress(PagesFull):
            bench.grant(Standing.LEASED, ring(1), groups=[spec])
    told, held = bench.books

    assert told == held
    assert bench.pages.get(torn) is bench.pages.get(full("b")) is None
    assert set(bench.peek(*NAMES[:6])) <= {*NAMES[:6], Missing()}
    assert bench.info().recovered in (0, 6)
    assert bench.shard.life.ticket == TICKET


def fill(path):
    """Until there is no room for another page."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_a_small_file_system_that_fills_up_while_the_shard_was_dead(small_file_system, clock):
    """A real one: what is there is kept as far as there is room to look at it, and the shard goes on."""
    folder = small_file_system / "shard"
    folder.mkdir()
    shard = Reborn(folder, clock)
    for name in NAMES:
        shard.set(name, name * 500)
    shard.kill()
    ballast = small_file_system / "ballast"
    fill(ballast)
    shard.come_back()
    shard.go_on()

    assert shard.values(NAMES).items() <= {name: name * 500 for name in NAMES}.items()
    assert shard.books_are_right
    ballast.unlink()
    shard.set("new", "new", ring=shard.shard._ring)
    assert shard.peek("new", epoch=2) == ["new"]
    shard.close()
