"""What every eviction policy must do, run for each; and the order that is LRU's own."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache.core.eviction import LRU

KEYS = st.binary(min_size=1, max_size=1).map(lambda byte: bytes([byte[0] % 6]))
STEPS = st.lists(st.tuples(st.sampled_from(["add", "touch", "discard", "evict"]), KEYS))


def names(count: int) -> list[bytes]:
    return [b"key %d" % number for number in range(count)]


@pytest.fixture(params=[LRU])
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

    @pytest.mark.parametrize("make", [LRU])
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
