"""What every eviction policy must do, run for each; and the orders that are their own."""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache.core.eviction import BY_NAME, GDSF, LRU, S3FIFO, Sieve
from raycache.options import POLICIES

EVERY = list(BY_NAME.values())
KEYS = st.binary(min_size=1, max_size=1).map(lambda byte: bytes([byte[0] % 6]))
STEPS = st.lists(st.tuples(st.sampled_from(["add", "touch", "discard", "evict"]), KEYS))


def names(count: int) -> list[bytes]:
    return [b"key %d" % number for number in range(count)]


@pytest.fixture(params=EVERY)
def policy(request):
    return request.param()


class TestEveryPolicy:
    def test_has_what_was_added_once_each(self, policy):
        for key in [*names(3), *names(3)]:
            policy.add(key)

        assert (len(policy), sorted(policy)) == (3, names(3))

    def test_has_no_victim_when_it_is_empty(self, policy):
        with pytest.raises(KeyError, match="no entries"):
            policy.victim()

    def test_names_a_victim_and_leaves_it_in(self, policy):
        policy.add(b"a")

        assert (policy.victim(), b"a" in policy, len(policy)) == (b"a", True, 1)

    def test_forgets_what_is_discarded(self, policy):
        policy.add(b"a")
        policy.discard(b"a")

        assert (b"a" in policy, len(policy), list(policy)) == (False, 0, [])

    def test_does_not_mind_what_it_does_not_know(self, policy):
        policy.touch(b"a")
        policy.discard(b"a")

        assert b"a" not in policy

    def test_gives_up_every_key_once(self, policy):
        for key in names(9):
            policy.add(key)
        victims = []
        while len(policy):
            victims.append(policy.victim())
            policy.discard(victims[-1])

        assert sorted(victims) == sorted(names(9))

    @pytest.mark.parametrize("make", EVERY)
    @given(steps=STEPS)
    def test_holds_the_keys_that_a_set_would_hold(self, make, steps):
        policy, model = make(), set()
        for step, key in steps:
            if step == "evict" and model:
                key = policy.victim()
                step = "discard"
            if step == "add":
                model.add(key)
            elif step == "discard":
                model.discard(key)
            if step != "evict":
                getattr(policy, step)(key)

            assert set(policy) == model
            assert len(policy) == len(model)
            assert (key in policy) == (key in model)

    @pytest.mark.parametrize("make", EVERY)
    @given(steps=STEPS)
    def test_always_has_a_victim_that_is_in_while_it_has_keys(self, make, steps):
        policy = make()
        for step, key in steps:
            if step != "evict":
                getattr(policy, step)(key)
            if len(policy):
                assert policy.victim() in policy

    def test_names_the_same_victim_until_something_happens(self, policy):
        for key in names(9):
            policy.add(key)
        for key in names(9)[::2]:
            policy.touch(key)

        assert policy.victim() == policy.victim()

    def test_keeps_what_was_hit_while_others_come_once_and_go(self, policy):
        hot = names(3)
        for key in hot:
            policy.add(key)
        for number in range(200):
            for key in hot:
                policy.touch(key)
            policy.add(b"once %d" % number)
            while len(policy) > 30:
                policy.discard(policy.victim())

        assert [key in policy for key in hot] == [True] * 3

    def test_takes_no_more_steps_for_many_keys_than_for_few(self, policy):
        """Ten times the keys, and the same number of operations on them: the same number of lines run."""
        assert steps_of(type(policy)(), 5000) < 1.3 * steps_of(policy, 500)

    def test_remembers_no_more_than_twice_what_it_has(self, policy):
        """Keys that are gone take a bounded amount of memory, however many there were."""
        for number in range(5000):
            policy.add(b"%d" % number)
            if len(policy) > 100:
                policy.discard(policy.victim())

        assert things_in(policy) < 4 * 100

    def test_takes_back_what_was_hit_with_its_hits(self, policy):
        """An entry that is replaced is discarded and added anew; that must not make it worse than it was."""
        for key in (b"a", b"b"):
            policy.add(key)
        for _ in range(3):
            policy.touch(b"a")
        policy.add(b"a", hits=policy.discard(b"a") + 1)
        policy.add(b"c")

        assert policy.victim() == b"b"


def test_every_policy_that_users_can_name_is_there():
    assert tuple(BY_NAME) == POLICIES


def steps_of(policy, count: int) -> int:
    """Lines run by a thousand hits, evictions and additions, with so many keys there."""
    lines = 0

    def trace(frame, event, _):
        nonlocal lines
        lines += event == "line"
        return trace

    for key in names(count):
        policy.add(key, 100, 0.5)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for number in range(1000):
            policy.touch(b"key %d" % (number * 7919 % count))
            policy.discard(policy.victim())
            policy.add(b"new %d" % number, 100, 0.5)
    finally:
        sys.settrace(before)
    return lines


def things_in(policy) -> int:
    """Entries of all containers that it has, itself or through others of the package."""
    total, todo, seen = 0, [policy], set()
    while todo:
        each = todo.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, (dict, set, list, deque)):
            total += len(each)
            todo += each.values() if isinstance(each, dict) else each
        elif type(each).__module__.startswith("raycache"):
            todo += [getattr(each, name) for name in type(each).__slots__]
    return total


class TestLRU:
    def test_of_22_added_where_20_fit_the_first_two_go(self):
        policy, evicted = LRU(), []
        for key in names(22):
            policy.add(key)
            if len(policy) > 20:
                evicted.append(policy.victim())
                policy.discard(evicted[-1])

        assert evicted == names(2)

    def test_a_touched_key_outlives_others(self):
        policy = LRU()
        for key in (b"a", b"b", b"c"):
            policy.add(key)
        policy.touch(b"a")

        assert list(policy) == [b"b", b"c", b"a"]

    def test_a_key_that_is_added_again_is_the_most_recent(self):
        policy = LRU()
        for key in (b"a", b"b", b"a"):
            policy.add(key)

        assert policy.victim() == b"b"

    @given(steps=STEPS)
    def test_keeps_the_order_of_the_last_uses(self, steps):
        policy, model = LRU(), OrderedDict()
        for step, key in steps:
            if step == "evict":
                if model:
                    assert policy.victim() == next(iter(model))
                continue
            getattr(policy, step)(key)
            if step == "discard":
                model.pop(key, None)
            elif step == "add" or key in model:
                model[key] = None
                model.move_to_end(key)

        assert list(policy) == list(model)


class TestSieve:
    def test_a_key_that_was_hit_stays_where_it_is_and_loses_its_mark(self):
        """The hand passes a, which was hit, takes b and c, and comes back to a."""
        policy, evicted = Sieve(), []
        for key in (b"a", b"b", b"c"):
            policy.add(key)
        policy.touch(b"a")
        while len(policy):
            evicted.append(policy.victim())
            policy.discard(evicted[-1])

        assert evicted == [b"b", b"c", b"a"]

    def test_the_hand_that_is_through_begins_again_at_the_oldest(self):
        policy = Sieve()
        for key in (b"a", b"b"):
            policy.add(key)
        policy.touch(b"a")
        policy.discard(policy.victim())
        policy.add(b"c")

        assert policy.victim() == b"a"


class TestS3FIFO:
    def fill(self) -> S3FIFO:
        """Of a hundred keys every tenth is on trial, as the queues are filled in their proportion."""
        policy = S3FIFO()
        for key in names(100):
            policy.add(key)
        return policy

    def evict(self, policy) -> bytes:
        victim = policy.victim()
        policy.discard(victim)
        return victim

    def test_what_is_on_trial_goes_first(self):
        assert self.evict(self.fill()) == b"key 0"

    def test_one_hit_is_not_enough_and_two_are(self):
        policy = self.fill()
        policy.touch(b"key 0")
        for _ in range(2):
            policy.touch(b"key 10")

        assert [self.evict(policy) for _ in range(1)] == [b"key 0"]
        policy.add(b"another")
        assert self.evict(policy) == b"key 1"
        policy.add(b"yet another")
        assert self.evict(policy) == b"key 20"
        assert b"key 10" in policy

    @pytest.mark.parametrize(("key", "stays"), [(b"key 11", True), (b"key 20", False)], ids=["main", "on trial"])
    def test_what_is_replaced_stays_in_its_queue_with_its_hits(self, key, stays):
        """A hit more, for that: it outlives the rest of the main queue, and on trial what was on trial before it."""
        policy = self.fill()
        first = self.evict(policy)
        policy.add(key, hits=policy.discard(key) + 1)
        gone = [first, *(self.evict(policy) for _ in range(98))]

        assert (key not in gone) is stays

    def test_what_comes_back_soon_is_not_on_trial_again(self):
        policy = self.fill()
        back = self.evict(policy)
        policy.add(back)
        gone = [self.evict(policy) for _ in range(9)]

        assert back not in gone


class TestGDSF:
    @pytest.mark.parametrize(
        ("one", "other"),
        [((100, 2.0), (100, 1.0)), ((100, 1.0), (200, 1.0)), ((100, 1.0), (100, 0.0)), ((1000, 60.0), (100, 1.0))],
        ids=["dearer", "smaller", "computed and not set", "dearer by more than it is larger"],
    )
    def test_keeps_what_costs_more_for_its_bytes(self, one, other):
        policy = GDSF()
        policy.add(b"one", *one)
        policy.add(b"other", *other)

        assert policy.victim() == b"other"

    def test_hits_count_like_cost(self):
        policy = GDSF()
        policy.add(b"hit", 100, 1.0)
        policy.add(b"dear", 100, 2.0)
        for _ in range(2):
            policy.touch(b"hit")

        assert policy.victim() == b"dear"

    def test_of_equal_worth_the_least_recently_used_goes(self):
        policy = GDSF()
        for key in names(3):
            policy.add(key, 100, 1.0)
        policy.discard(b"key 0")
        policy.add(b"key 0", 100, 1.0)

        assert policy.victim() == b"key 1"

    def test_what_is_dear_and_no_longer_used_goes_at_last(self):
        policy = GDSF()
        policy.add(b"dear", 100, 10.0)
        for number in range(50):
            policy.add(b"cheap %d" % number, 100, 1.0)
            if len(policy) > 3:
                policy.discard(policy.victim())

        assert b"dear" not in policy

    @given(worths=st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 1e4)), min_size=2, max_size=40))
    def test_evicts_by_cost_for_bytes_to_within_the_rounding(self, worths):
        policy = GDSF()
        for number, (size, cost_s) in enumerate(worths):
            policy.add(b"%d" % number, size, cost_s)
        rates = []
        while len(policy):
            size, cost_s = worths[int(victim := policy.victim())]
            rates.append((cost_s + 3e-3) / size)
            policy.discard(victim)

        assert all(first <= 2 ** (1 / 8) * 1.0001 * second for first, second in pairwise(rates))
