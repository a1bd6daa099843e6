"""Entries of the near cache, in Python and in C: what one does the other does."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from array import array

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raycache.core import entry, lookup, near
from raycache.core.near import STALE

KINDS = {"Python": entry.NearEntry, "C": near.NearEntry}  # without a compiler twice the first
VERSION = (1 << 64) - 1  # slots are of 64 bits


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def shared(lease, slots):
    """As it is in shared memory: views of an array."""
    return memoryview(array("d", [lease])), memoryview(array("Q", slots))


def made(kind, lease=math.inf, slots=(7, VERSION), slot=1, version=VERSION, *, expires=math.inf, value="value"):
    return kind(b"key", value, b"result", expires, 0.5, 100, (*shared(lease, slots), slot, version))


def test_the_one_in_c_is_built_and_used():
    """Without a compiler this fails, and what C refuses to make is made: apt-get install gcc python3-dev."""
    assert near.NearEntry is lookup.NearEntry
    assert near.NearEntry.__module__ == "raycache.core._entry"


def test_an_entry_has_what_it_was_made_of(kind):
    one = made(kind, expires=3.0)

    assert (one.key, one.value, one.result) == (b"key", "value", b"result")
    assert (one.expires, one.cost_s, one.size, one.slot, one.version) == (3.0, 0.5, 100, 1, VERSION)
    assert (one.hits, one.seen) == (0, 0)
    assert ([*one.lease], [*one.slots]) == ([math.inf], [7, VERSION])


def test_both_kinds_have_the_same_attributes():
    public = [{name for name in dir(each) if not name.startswith("_")} for each in KINDS.values()]

    assert public[0] == public[1]


@given(
    times=st.lists(st.sampled_from([-1.0, 0.0, 1.0, 2.0, math.inf, math.nan]), min_size=3, max_size=3),
    slots=st.lists(st.sampled_from([0, 1, VERSION]), min_size=1, max_size=3),
    slot=st.integers(0, 2),
    version=st.sampled_from([0, 1, VERSION]),
    lists=st.booleans(),
)
@example(times=[1.0, 2.0, 2.0], slots=[0, VERSION], slot=1, version=VERSION, lists=False)
def test_an_entry_is_live_under_its_lease_with_its_version_and_before_it_expires(times, slots, slot, version, lists):
    """The same by `live` and by `hit`, which counts; slots and lease may be any sequences."""
    now, lease, expires = times
    memory = ([lease], slots) if lists else shared(lease, slots)
    wanted = now < lease and (IndexError if slot >= len(slots) else slots[slot] == version and now < expires)
    for kind in KINDS.values():
        one = kind(b"key", "value", b"", expires, 0.0, 1, (*memory, slot, version))
        if wanted is IndexError:
            with pytest.raises(IndexError):
                one.live(now)
            with pytest.raises(IndexError):
                one.hit(lambda: now)
        else:
            assert one.live(now) is wanted
            assert one.hit(lambda: now) == ("value" if wanted else STALE)
        assert one.hits == (wanted is True)


def test_the_lease_is_looked_at_after_the_clock_and_before_the_slot(kind):
    """The shard gives up its lease before it changes anything that a lease protects."""
    looks = []

    class Looked:
        def __init__(self, name, value):
            self.name, self.value = name, value

        def __getitem__(self, at):
            looks.append((self.name, at))
            return self.value

    def clock():
        looks.append("clock")
        return 1.0

    one = kind(b"key", "value", b"", math.inf, 0.0, 1, (Looked("lease", 2.0), Looked("slots", 5), 3, 5))

    assert one.hit(clock) == "value"
    assert looks == ["clock", ("lease", 0), ("slots", 3)]


def test_the_clock_of_the_machine_is_read_as_python_reads_it(kind):
    assert made(kind, lease=time.monotonic() + 60).hit(time.monotonic) == "value"
    assert made(kind, lease=time.monotonic()).hit(time.monotonic) is STALE


def test_an_error_of_the_clock_is_raised_and_counts_no_hit(kind):
    one = made(kind)

    with pytest.raises(ZeroDivisionError):
        one.hit(lambda: 1 / 0)
    assert one.hits == 0


@pytest.mark.parametrize("which", ["lease", "slots"])
def test_memory_that_was_let_go_is_not_read(kind, which):
    one = made(kind)
    getattr(one, which).release()

    with pytest.raises(ValueError, match="released"):
        one.hit(time.monotonic)
    with pytest.raises(ValueError, match="released"):
        one.live(0.0)


def test_other_values_can_take_the_place_of_the_value_and_of_the_counters(kind):
    one = made(kind)
    one.value, one.hits, one.seen = [1], 5, -1

    assert one.hit(time.monotonic) == [1]
    assert (one.hits, one.seen) == (6, -1)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (b"key",),
        (b"key", 1, b"", "never", 0.0, 1, ([1.0], [0], 0, 0)),
        (b"key", 1, b"", 1.0, 0.0, 1, ([1.0], [0], 0)),
        (b"key", 1, b"", 1.0, 0.0, 1, [[1.0], [0], 0, 0]),
        (b"key", 1, b"", 1.0, 0.0, 1, ([1.0], [0], 0, -1)),
        (b"key", 1, b"", 1.0, 0.0, 1, ([1.0], [0], "slot", 0)),
    ],
)
def test_what_is_no_entry_cannot_be_made_in_c(arguments):
    with pytest.raises((TypeError, OverflowError)):
        near.NearEntry(*arguments)


def test_entries_hold_what_they_refer_to_as_long_as_they_live_and_no_longer(kind):
    value, counted = ["value"], sys.getrefcount
    before = counted(value), counted(STALE)
    one = made(kind, value=value)
    for _ in range(1000):
        one.hit(time.monotonic)
        one.hit(lambda: math.nan)
    held = counted(value)
    del one

    assert held == before[0] + 1
    assert (counted(value), counted(STALE)) == before


TWICE = """
import sys

import raycache

before = raycache.connect(address="inline").group("before", lambda x: x)
for name in [name for name in sys.modules if name.startswith("raycache")]:
    del sys.modules[name]
import raycache

with raycache.connect(address="inline") as cache:
    group = cache.group("values", lambda x: x)
    group.get("a")
    group.set("a", "new")
    assert group.get("a") == "new", group.get("a")
"""


def test_a_process_that_imports_raycache_twice_gets_values():
    """C is set up once for a process: what it returns for a stale entry must be what the second import looks for."""
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr


WITHOUT = """
import sys

sys.modules["raycache.core._entry"] = None
import raycache
from raycache.core import entry, near

assert near.NearEntry is entry.NearEntry
with raycache.connect(address="inline") as cache:
    group = cache.group("squares", lambda x: x * x)
    double = raycache.memoize(lambda x: 2 * x, cache=cache)
    assert [group.get(3) for _ in range(3)] == [9] * 3
    assert [double(4) for _ in range(5)] == [8] * 5
    print(group.stats().near_hits, double.cache_info().hits)
"""


def test_without_the_one_in_c_everything_works():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout.split() == ["2", "4"], done.stderr
