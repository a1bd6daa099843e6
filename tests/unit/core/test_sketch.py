"""A frequency sketch: never less than was counted, seldom more, and what was long ago counts for little."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from raycache.core.sketch import MOST, Sketch

KEYS = st.binary(min_size=1, max_size=4)
COUNTS = st.lists(st.tuples(KEYS, st.integers(1, 400)), max_size=50)


@given(counted=COUNTS, width=st.sampled_from([1, 2, 8, 1024]))
def test_an_estimate_is_at_least_what_was_counted(counted, width):
    """However few counters there are; up to the most that one can hold."""
    sketch, truth = Sketch(width, window=1 << 30), Counter[bytes]()
    for key, times in counted:
        sketch.add(key, times)
        truth[key] += times

    assert all(sketch.estimate(key) >= min(times, MOST) for key, times in truth.items())


def test_with_room_estimates_are_exact():
    """Ten thousand keys in the default width."""
    sketch = Sketch()
    names = [f"key-{number}".encode() for number in range(10_000)]
    for number, name in enumerate(names):
        sketch.add(name, 1 + number % 3)
    wrong = sum(sketch.estimate(name) != 1 + number % 3 for number, name in enumerate(names))

    assert wrong < 10
    assert sum(sketch.estimate(f"other-{number}".encode()) > 0 for number in range(1000)) < 5


def test_after_a_window_every_count_is_halved():
    sketch = Sketch(window=10)
    sketch.add(b"hot", 8)
    sketch.add(b"cold", 1)
    before = sketch.estimate(b"hot"), sketch.estimate(b"cold")
    sketch.add(b"last", 1)

    assert before == (8, 1)
    assert [sketch.estimate(key) for key in (b"hot", b"cold", b"last", b"never")] == [4, 0, 0, 0]


def test_what_is_not_asked_for_any_more_is_forgotten():
    sketch = Sketch(window=100)
    sketch.add(b"hot", 99)
    for number in range(1000):
        sketch.add(b"%d" % number)

    assert sketch.estimate(b"hot") <= 1


def test_counters_do_not_run_over():
    sketch = Sketch(window=1 << 30)
    for _ in range(3):
        sketch.add(b"hot", MOST - 1)

    assert sketch.estimate(b"hot") == MOST
